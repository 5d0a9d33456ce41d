"""Homeostasis: decides per evaluation which of encoder A, encoder B and controller may learn.

Encoder A starts frozen; it may learn once coverage is complete and its hierarchy has stalled, until
coverage falls. Encoder B and the controller learn until their hierarchy or their gradient stops
moving. Each completed cycle relaxes or tightens the thresholds by its change of Q.
"""

import dataclasses

import jax
import jax.numpy as jnp

from tvae.domains.projected_vae.homeostasis_state import (
    CORRECTED,
    Corrections,
    HomeostasisConfig,
    HomeostasisGates,
    HomeostasisState,
    Measurements,
)

_A, _B, _CONTROLLER = range(3)


def update_homeostasis(
    state: HomeostasisState,
    measurements: Measurements,
    *,
    config: HomeostasisConfig,
    corrections: Corrections = CORRECTED,
) -> tuple[HomeostasisState, HomeostasisGates]:
    """Take in one evaluation and decide the gates that hold until the next one.

    ``corrections`` are static: ``PARITY`` reproduces the reference system decision for decision,
    ``CORRECTED`` mends it (:class:`~tvae.domains.projected_vae.homeostasis_state.Corrections`).

    Source: the reference system's HomeostasisController.
    """
    before = state
    state = _observe(state, measurements, corrections)
    clock = before.n_updates if corrections.count_evaluations else measurements.epoch
    active = jnp.asarray(config.enabled) & (clock >= config.warmup)
    if corrections.seeded_cycles:
        begun = active & ~state.frozen & jnp.isnan(state.q_start)
        state = dataclasses.replace(state, q_start=jnp.where(begun, state.q, state.q_start))
    allowed = active & (clock - state.last_change >= config.hysteresis)
    count, freeze, unfreeze = _decide(state, measurements, config, corrections)
    freeze, unfreeze = freeze & allowed, unfreeze & allowed
    changed = freeze | unfreeze
    annealed = _anneal(state, freeze, config, corrections)
    state = dataclasses.replace(
        annealed,
        frozen=(state.frozen | freeze) & ~unfreeze,
        last_change=jnp.where(changed, jnp.asarray(clock, jnp.int32), state.last_change),
        count=_settle(jnp.where(allowed, count, state.count), changed, unfreeze, corrections),
        q_start=jnp.where(unfreeze, state.q, state.q_start),
    )
    # The only reason to freeze encoder A is that coverage fell.
    rollback = freeze[_A] & corrections.rollback
    snapshot = (measurements.coverage >= before.coverage_unfreeze) & ~rollback
    learning = ~state.frozen
    return state, HomeostasisGates(
        encoder_a=learning[_A],
        encoder_b=learning[_B],
        controller=learning[_CONTROLLER],
        changed=changed,
        snapshot=snapshot,
        rollback=rollback,
    )


def _observe(
    state: HomeostasisState, measurements: Measurements, corrections: Corrections
) -> HomeostasisState:
    """Append to the windows and compute Q."""
    dtype = state.q.dtype
    hierarchy = jnp.asarray([measurements.hierarchy_a, measurements.hierarchy_b], dtype)
    grad = jnp.asarray(measurements.controller_grad_norm, dtype)
    measured = ~jnp.isnan(grad)
    shifted = jnp.concatenate([state.grad[1:], grad[None]])
    dist_corr = jnp.asarray([measurements.dist_corr_a, measurements.dist_corr_b], dtype)
    both = dist_corr + 1.5 * _strength(hierarchy, corrections)
    q = jnp.stack([both[0], both[1], both.mean()]) if corrections.coherent_q else both[:1]
    q = jnp.broadcast_to(q, (3,))
    return dataclasses.replace(
        state,
        n_updates=state.n_updates + 1,
        n_grads=state.n_grads + measured,
        hierarchy=jnp.concatenate([state.hierarchy[:, 1:], hierarchy[:, None]], axis=1),
        grad=jnp.where(measured, shifted, state.grad),
        q=q,
        # A comparison instead of a maximum: an evaluation that gave NaN does not erase the best.
        best_q=jnp.where(q > state.best_q, q, state.best_q),
    )


def _strength(hierarchy: jax.Array, corrections: Corrections) -> jax.Array:
    return -hierarchy if corrections.coherent_q else jnp.abs(hierarchy)


def _decide(
    state: HomeostasisState,
    measurements: Measurements,
    config: HomeostasisConfig,
    corrections: Corrections,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Counters, wishes to freeze and wishes to unfreeze of the three components."""
    window = state.grad.shape[0]
    strength = _strength(state.hierarchy, corrections)
    oldest = jnp.maximum(window - state.n_updates, 0)
    moved = strength[:, -1] - strength[:, oldest]
    flat = (jnp.abs(moved) if corrections.two_sided else moved) < config.plateau_threshold
    n_grads = jnp.minimum(state.n_grads, window)
    mean_grad = state.grad.sum() / jnp.maximum(n_grads, 1)
    seen_grad = (n_grads >= 2) & ~jnp.isnan(measurements.controller_grad_norm)
    coverage = measurements.coverage
    # A counter moves only while its component could change for that reason.
    counting = jnp.stack(
        [
            state.frozen[_A] & (coverage >= state.coverage_unfreeze) & (state.n_updates >= window),
            ~state.frozen[_B] & (state.n_updates >= 2),
            ~state.frozen[_CONTROLLER] & seen_grad,
        ]
    )
    still = jnp.stack([flat[0], flat[1], state.grad[-1] < config.grad_threshold])
    count = jnp.where(counting, jnp.where(still, state.count + 1, 0), state.count)
    due = counting & (count >= state.patience)
    fallen = strength[1, -1] < strength[1, -2] - config.degradation
    revived = state.grad[-1] > config.grad_revival * mean_grad
    freeze = jnp.stack([coverage < state.coverage_freeze, due[_B], due[_CONTROLLER]])
    unfreeze = jnp.stack([due[_A], fallen & (state.n_updates >= 2), revived & seen_grad])
    return count, freeze & ~state.frozen, unfreeze & state.frozen


def _settle(
    count: jax.Array, changed: jax.Array, unfreeze: jax.Array, corrections: Corrections
) -> jax.Array:
    """Counters after the decision; the original clears them only when B or C is unfrozen."""
    cleared = changed if corrections.reset_counters else unfreeze.at[_A].set(False)
    return jnp.where(cleared, 0, count)


def _anneal(
    state: HomeostasisState,
    completed: jax.Array,
    config: HomeostasisConfig,
    corrections: Corrections,
) -> HomeostasisState:
    """Relax (gain of Q) or tighten (clear loss of Q) where a cycle was completed."""
    completed = completed & jnp.asarray(config.annealing)
    delta = state.q - state.q_start
    direction = (delta > 0).astype(jnp.int32) - (delta < -config.q_tolerance)
    direction = jnp.where(completed, direction, 0)
    initial = (config.stall_patience, config.plateau_patience, config.grad_patience)
    # Encoder A's patience is never annealed: its bounds coincide.
    highest = (initial[0], config.plateau_patience_ceiling, config.grad_patience_ceiling)
    lower, upper = (jnp.stack([jnp.asarray(b, jnp.int32) for b in x]) for x in (initial, highest))
    freeze, unfreeze = _coverage_thresholds(state, direction[_A], config, corrections)
    return dataclasses.replace(
        state,
        patience=jnp.clip(state.patience + direction, lower, jnp.maximum(lower, upper)),
        cycles=state.cycles + completed,
        coverage_freeze=freeze,
        coverage_unfreeze=unfreeze,
    )


def _coverage_thresholds(
    state: HomeostasisState,
    direction: jax.Array,
    config: HomeostasisConfig,
    corrections: Corrections,
) -> tuple[jax.Array, jax.Array]:
    """Both thresholds one step down (direction 1), up (-1), or unmoved (0)."""
    dtype = state.coverage_freeze.dtype
    step = direction.astype(dtype) * jnp.asarray(config.annealing_step, dtype)
    gap = jnp.asarray(config.coverage_gap, dtype)
    freeze, unfreeze = state.coverage_freeze - step, state.coverage_unfreeze - step
    if corrections.bounded:
        ceiling = jnp.asarray(config.coverage_ceiling, dtype)
        freeze = jnp.clip(freeze, config.coverage_floor, ceiling - gap).astype(dtype)
        unfreeze = jnp.clip(unfreeze, freeze + gap, ceiling)
        moved = direction != 0
    else:
        # The original refuses a step that would cross the floor, and has no ceiling.
        moved = (direction < 0) | ((direction > 0) & (freeze >= config.coverage_floor))
        unfreeze = jnp.maximum(unfreeze, freeze + gap)
    return (
        jnp.where(moved, freeze, state.coverage_freeze),
        jnp.where(moved, unfreeze, state.coverage_unfreeze),
    )
