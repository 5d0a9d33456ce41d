"""Data types of homeostasis: configuration, measurements, state and gates."""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from chex import Numeric
from jax.typing import DTypeLike


class HomeostasisConfig(NamedTuple):
    """Thresholds, as in ``config.homeostasis``; all may be traced, so runs may have their own."""

    enabled: Numeric
    coverage_freeze: Numeric
    coverage_unfreeze: Numeric
    coverage_floor: Numeric
    coverage_ceiling: Numeric
    coverage_gap: Numeric
    stall_patience: Numeric
    plateau_threshold: Numeric
    plateau_patience: Numeric
    plateau_patience_ceiling: Numeric
    degradation: Numeric
    grad_threshold: Numeric
    grad_patience: Numeric
    grad_patience_ceiling: Numeric
    grad_revival: Numeric
    warmup: Numeric
    hysteresis: Numeric
    annealing: Numeric
    annealing_step: Numeric
    q_tolerance: Numeric


class Corrections(NamedTuple):
    """Faults of the reference system to mend; static booleans.

    Attributes:
      count_evaluations: warm-up and hysteresis in evaluations, like every other counter, instead
        of epochs (evaluating every fifth makes a hysteresis of 3 epochs void).
      coherent_q: judge encoder A's cycles by A's Q, encoder B's by B's and the controller's by
        their mean, with the hierarchy's sign; the original uses A's ``|hierarchy|`` for all (and
        its training script adds B's distance correlation), so an inverted hierarchy scores as well.
      seeded_cycles: a component that starts out learning begins its first cycle with the Q of the
        first decision instead of 0, which would count nearly any Q as a gain.
      two_sided: a worsening hierarchy is not a plateau.
      reset_counters: a change of a component's gate clears its counter.
      bounded: keep the coverage thresholds within ``[coverage_floor, coverage_ceiling]``; the
        original tightens without limit, until encoder A is frozen even at full coverage.
      rollback: ask for encoder A's last good weights when it is frozen because coverage fell;
        otherwise the damage is kept for ever.
    """

    count_evaluations: bool
    coherent_q: bool
    seeded_cycles: bool
    two_sided: bool
    reset_counters: bool
    bounded: bool
    rollback: bool


PARITY = Corrections(*(False,) * len(Corrections._fields))
CORRECTED = Corrections(*(True,) * len(Corrections._fields))


class Measurements(NamedTuple):
    """One evaluation.

    Attributes:
      coverage: share of operations that decode exactly.
      hierarchy_a: Spearman(valuation, radius) of embedding A, negative when well ordered.
      dist_corr_a: distance correlation of A (parity: whatever the original was given here).
      dist_corr_b: distance correlation of B; parity does not read it.
      controller_grad_norm: NaN when not measured.
    """

    epoch: Numeric
    coverage: Numeric
    hierarchy_a: Numeric
    hierarchy_b: Numeric
    dist_corr_a: Numeric
    dist_corr_b: Numeric = 0.0
    controller_grad_norm: Numeric = float("nan")


@flax.struct.dataclass
class HomeostasisState:
    """Everything that one evaluation hands to the next; windows are oldest first, right-aligned.

    Attributes:
      n_updates: evaluations seen, int32.
      n_grads: gradient norms seen, int32.
      hierarchy: last hierarchies of A and B, ``(2, window)``.
      grad: last gradient norms, ``(window,)``.
      frozen: bool ``(3,)``, by component, as all that follow but the coverage thresholds.
      last_change: clock of each component's last change, int32.
      count: consecutive stalled, plateaued or still evaluations, int32.
      patience: count that triggers a change, int32.
      cycles: completed cycles, int32.
      q: of this evaluation.
      q_start: Q at the start of the running cycle; NaN where none has begun.
    """

    n_updates: jax.Array
    n_grads: jax.Array
    hierarchy: jax.Array
    grad: jax.Array
    frozen: jax.Array
    last_change: jax.Array
    count: jax.Array
    patience: jax.Array
    cycles: jax.Array
    q: jax.Array
    best_q: jax.Array
    q_start: jax.Array
    coverage_freeze: jax.Array
    coverage_unfreeze: jax.Array


class HomeostasisGates(NamedTuple):
    """What may learn and what is done next; bool scalars, except ``changed``.

    Attributes:
      changed: bool ``(3,)``, gates that moved at this evaluation.
      snapshot: encoder A's present weights keep full coverage: remember them.
      rollback: put encoder A's remembered weights back.
    """

    encoder_a: jax.Array
    encoder_b: jax.Array
    controller: jax.Array
    changed: jax.Array
    snapshot: jax.Array
    rollback: jax.Array


def init_homeostasis(
    config: HomeostasisConfig,
    *,
    corrections: Corrections = CORRECTED,
    window: int = 5,
    dtype: DTypeLike = jnp.float32,
) -> HomeostasisState:
    """State before the first evaluation: encoder A frozen, encoder B and the controller learning.

    ``corrections`` are those given to :func:`update_homeostasis`; ``window`` is the number of
    evaluations over which a change is measured (static).
    """
    zeros = jnp.zeros(3, jnp.int32)
    first, best = (jnp.nan, -jnp.inf) if corrections.seeded_cycles else (0.0, 0.0)
    patience = (config.stall_patience, config.plateau_patience, config.grad_patience)
    return HomeostasisState(
        n_updates=jnp.int32(0),
        n_grads=jnp.int32(0),
        hierarchy=jnp.zeros((2, window), dtype),
        grad=jnp.zeros(window, dtype),
        frozen=jnp.asarray([True, False, False]),
        last_change=zeros - jnp.asarray(config.hysteresis, jnp.int32),
        count=zeros,
        patience=jnp.stack([jnp.asarray(p, jnp.int32) for p in patience]),
        cycles=zeros,
        q=jnp.zeros(3, dtype),
        best_q=jnp.full(3, best, dtype),
        q_start=jnp.asarray([jnp.nan, first, first], dtype),
        coverage_freeze=jnp.asarray(config.coverage_freeze, dtype),
        coverage_unfreeze=jnp.asarray(config.coverage_unfreeze, dtype),
    )
