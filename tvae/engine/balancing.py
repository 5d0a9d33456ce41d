r"""Balancing of loss terms: coefficients on the terms' gradients that change during training.

A method turns the weighted terms :math:`w_k L_k` of a step into coefficients :math:`a_k`; the
parameters follow :math:`\sum_k a_k \nabla (w_k L_k)`. "static" leaves them at 1. The weights
:math:`w_k` stay the task's: they state how much a term counts, and 0 switches it off for every
method. What a method learns is a part of the training state, saved and resumed like the rest.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from tvae.engine.task import Gradients, Metrics, Objective, Outputs, Params

State = Any
_SMALLEST_WEIGHT = 1e-3
"""GradNorm's least coefficient: the paper's stay positive by its small rate alone."""
_LEAST_LOG_VARIANCE = -7.0
"""Least log-variance: a hinge that has reached 0 would be weighted without bound. The method is the
paper's for terms above e^-7, 0.001."""


@dataclasses.dataclass(frozen=True)
class Balancing:
    """Static settings; fields as in ``config.balancing``.

    Attributes:
      kind: one of :data:`KINDS`.
      log_gradients: add the gradient norm of each weighted term to the metrics, for a backward pass
        a term. "static" then follows the same gradient, rounded otherwise.
    """

    kind: str = "static"
    log_gradients: bool = False


STATIC = Balancing()
"""The sum of the weighted terms."""


class Moment(NamedTuple):
    """What a method may read in a step beside the terms.

    Attributes:
      key: of the step.
      epoch: that the step belongs to, int32 scalar.
      options: the traced fields of ``config.balancing`` by bare name.
    """

    key: jax.Array
    epoch: jax.Array
    options: Mapping[str, jax.Array]


class Weighing(NamedTuple):
    """What a method makes of the terms of a step.

    Attributes:
      coefficients: :math:`a_k`, ``(terms,)``.
      loss: what is minimised, for the log; a float32 scalar.
      state: for the next step.
    """

    coefficients: jax.Array
    loss: jax.Array
    state: State


class Terms(NamedTuple):
    """The terms of a step in the order of their sorted names, ``(terms,)`` each.

    Attributes:
      value: :math:`L_k`, unweighted.
      weight: :math:`w_k`.
      gram: inner products of the gradients of :math:`w_k L_k`, ``(terms, terms)``; zeros where the
        method does not need them.
    """

    value: jax.Array
    weight: jax.Array
    gram: jax.Array

    @property
    def active(self) -> jax.Array:
        """Which terms are balanced: those of positive weight. Others keep the coefficient 1."""
        return self.weight > 0.0

    @property
    def weighted(self) -> jax.Array:
        """Values times weights."""
        return self.weight * self.value


def _mean_of(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean where the mask holds, 0 where it holds nowhere."""
    return jnp.where(mask, x, 0.0).sum() / jnp.maximum(mask.sum(), 1)


def _ratio(x: jax.Array, y: jax.Array) -> jax.Array:
    """``x / y``, and 1 where y is not positive."""
    return jnp.where(y > 0.0, x / jnp.where(y > 0.0, y, 1.0), 1.0)


def _adam_step(
    gradient: jax.Array, state: Any, options: Mapping[str, jax.Array]
) -> tuple[jax.Array, Any]:
    """The change that Adam makes with the rate ``balancing.learning_rate``, and its state."""
    change, state = optax.scale_by_adam().update(gradient, state)
    return -options["learning_rate"] * change, state


def weigh_evenly(state: State, terms: Terms, moment: Moment) -> Weighing:
    """The sum of the weighted terms."""
    del moment
    return Weighing(jnp.ones_like(terms.value), terms.weighted.sum(), state)


def _init_uncertainty(n_terms: int) -> State:
    log_variance = jnp.zeros(n_terms)
    return {"log_variance": log_variance, "adam": optax.scale_by_adam().init(log_variance)}


def weigh_by_uncertainty(state: State, terms: Terms, moment: Moment) -> Weighing:
    r"""Weights by the homoscedastic uncertainty of each term, learned with the parameters.

    .. math:: \sum_k w_k \big(\tfrac12 e^{-s_k} L_k + \tfrac12 s_k\big), \quad s_k = \log\sigma_k^2

    so that at rest :math:`\sigma_k^2` is the term's mean and its coefficient one half of the
    inverse, at most 548. Terms should not be negative.

    Source: Kendall, Gal & Cipolla 2018, eq. 7, with s trained for stability as its section 3.2
    states; a regression's factor 1/2 for all terms.
    """
    s = state["log_variance"]
    precision = 0.5 * jnp.exp(-s)
    slope = jnp.where(terms.active, terms.weight * (0.5 - precision * terms.value), 0.0)
    change, adam = _adam_step(slope, state["adam"], moment.options)
    coefficients = jnp.where(terms.active, precision, 1.0)
    penalty = jnp.where(terms.active, 0.5 * terms.weight * s, 0.0)
    loss = (coefficients * terms.weighted + penalty).sum()
    moved = jnp.maximum(s + change, _LEAST_LOG_VARIANCE)
    return Weighing(coefficients, loss, {"log_variance": moved, "adam": adam})


def _init_gradnorm(n_terms: int) -> State:
    weight = jnp.ones(n_terms)
    adam = optax.scale_by_adam().init(weight)
    return {"weight": weight, "initial": jnp.zeros(n_terms), "adam": adam}


def weigh_by_gradient_norm(state: State, terms: Terms, moment: Moment) -> Weighing:
    r"""GradNorm: terms that have fallen less than the others get larger gradients.

    With :math:`n_k = \lVert\nabla (w_k L_k)\rVert` over all parameters that learn and the relative
    loss :math:`r_k = (L_k / L_k(0)) / \overline{L / L(0)}`, the coefficients descend

    .. math:: \sum_k \big| a_k n_k - \overline{a n}\, r_k^{\alpha} \big|,

    the second summand a constant, by Adam; then they are scaled to a mean of 1. Alpha is
    ``balancing.asymmetry``. :math:`L_k(0)` is the value in the first step in which the term counts.

    Source: Chen, Badrinarayanan, Lee & Rabinovich 2018, eq. 1 and 2, algorithm 1; over all
    parameters, where the paper takes the last shared layer to save time.
    """
    weight, active = state["weight"], terms.active
    initial = jnp.where(active & (state["initial"] == 0.0), terms.value, state["initial"])
    norm = jnp.sqrt(jnp.diagonal(terms.gram))
    remaining = jnp.maximum(_ratio(terms.value, initial), 0.0)
    relative = _ratio(remaining, _mean_of(remaining, active))
    wanted = _mean_of(weight * norm, active) * relative ** moment.options["asymmetry"]
    slope = jnp.where(active, norm * jnp.sign(weight * norm - wanted), 0.0)
    change, adam = _adam_step(slope, state["adam"], moment.options)
    moved = jnp.maximum(weight + change, _SMALLEST_WEIGHT)
    moved = jnp.where(active, moved / jnp.maximum(_mean_of(moved, active), _SMALLEST_WEIGHT), 1.0)
    coefficients = jnp.where(active, weight, 1.0)
    loss = (coefficients * terms.weighted).sum()
    return Weighing(coefficients, loss, {"weight": moved, "initial": initial, "adam": adam})


def _init_average(n_terms: int) -> State:
    zeros = jnp.zeros(n_terms)
    counts = {"steps": jnp.int32(0), "epoch": jnp.int32(0)}
    return counts | {"sum": zeros, "last": zeros, "before": zeros}


def weigh_by_rate_of_descent(state: State, terms: Terms, moment: Moment) -> Weighing:
    r"""Dynamic weight average: terms that fell less from one epoch to the next get more weight.

    .. math:: a_k = K \operatorname{softmax}_k(q_k / T), \quad
              q_k = \bar L_k(t - 1) / \bar L_k(t - 2)

    over the K terms that count, with means over the steps of an epoch and q = 1 in the first two.
    T is ``balancing.temperature``.

    Source: Liu, Johns & Davison 2019, eq. 7.
    """
    ends = (moment.epoch != state["epoch"]) & (state["steps"] > 0)
    mean = state["sum"] / jnp.maximum(state["steps"], 1)
    last = jnp.where(ends, mean, state["last"])
    before = jnp.where(ends, state["last"], state["before"])
    q = _ratio(last, before)
    share = jax.nn.softmax(q / moment.options["temperature"], where=terms.active)
    coefficients = jnp.where(terms.active, terms.active.sum() * share, 1.0)
    new = {
        "sum": jnp.where(ends, 0.0, state["sum"]) + terms.value,
        "steps": jnp.where(ends, 0, state["steps"]) + 1,
        "epoch": moment.epoch,
        "last": last,
        "before": before,
    }
    return Weighing(coefficients, (coefficients * terms.weighted).sum(), new)


def weigh_by_projection(state: State, terms: Terms, moment: Moment) -> Weighing:
    r"""PCGrad: of each term's gradient, the parts against the other terms' gradients are removed.

    For each k, :math:`g = g_k`; for the others j in a random order, if :math:`g \cdot g_j < 0` then
    :math:`(g \cdot g_j / \lVert g_j\rVert^2)\, g_j` is taken off; the update is the sum. As every
    g stays a combination of the terms' gradients, only their inner products are needed.

    Source: Yu, Kumar, Gupta, Levine, Hausman & Finn 2020, algorithm 1.
    """
    gram, n_terms = terms.gram, terms.value.size

    def project(k: jax.Array, key: jax.Array) -> jax.Array:
        def remove(mix: jax.Array, j: jax.Array) -> tuple[jax.Array, None]:
            along = mix @ gram[:, j]
            against = (j != k) & (along < 0.0)
            square = jnp.where(against, gram[j, j], 1.0)
            return mix.at[j].add(jnp.where(against & (square > 0.0), -along / square, 0.0)), None

        own = jax.nn.one_hot(k, n_terms, dtype=gram.dtype)
        return jax.lax.scan(remove, own, jax.random.permutation(key, n_terms))[0]

    mixes = jax.vmap(project)(jnp.arange(n_terms), jax.random.split(moment.key, n_terms))
    return Weighing(mixes.sum(0), terms.weighted.sum(), state)


class _Method(NamedTuple):
    """A method: its step, its first state by the number of terms, whether it needs gradients."""

    weigh: Callable[[State, Terms, Moment], Weighing]
    init: Callable[[int], State] | None = None
    by_term: bool = False


_METHODS = {
    "static": _Method(weigh_evenly),
    "uncertainty": _Method(weigh_by_uncertainty, _init_uncertainty),
    "gradnorm": _Method(weigh_by_gradient_norm, _init_gradnorm, by_term=True),
    "dwa": _Method(weigh_by_rate_of_descent, _init_average),
    "pcgrad": _Method(weigh_by_projection, by_term=True),
}
KINDS = tuple(_METHODS)
"""Methods by name."""


def init(balancing: Balancing, terms: Callable[[], Metrics]) -> State:
    """The state of a method before the first step; of "static" it has no leaf.

    Of ``terms`` only the number is used: it is traced where a method has a state, and never runs.
    """
    first = _METHODS[balancing.kind].init
    return () if first is None else first(len(jax.eval_shape(terms)))


class Balanced(NamedTuple):
    """What :func:`combine` returns.

    Attributes:
      found: gradient, loss, terms and outputs.
      state: of the method, for the next step.
      metrics: ``balance/<term>``, the coefficients, unless they are static; and
        ``grad_norm_of_term/<term>`` on request.
    """

    found: Gradients
    state: State
    metrics: Metrics


def combine(
    balancing: Balancing,
    static: Callable[[Objective, Params, Metrics], Gradients],
    objective: Objective,
    params: Params,
    weights: Metrics,
    state: State,
    moment: Moment,
    learning: Callable[[Params], Params],
) -> Balanced:
    """Make one gradient of the terms.

    Args:
      balancing: settings.
      static: what makes it where the coefficients do not change.
      objective: parameters -> unweighted terms and outputs.
      params: where the gradient is taken.
      weights: of the task, by name of the term; a term without one counts once.
      state: of the method.
      moment: of the step.
      learning: zeroes the entries of a gradient that do not learn in this step.
    """
    if balancing == STATIC:
        return Balanced(static(objective, params, weights), state, {})
    line = _linearise(objective, params, weights)
    method, n_terms = _METHODS[balancing.kind], line.value.size
    gram = jnp.zeros((n_terms, n_terms), line.value.dtype)
    if method.by_term or balancing.log_gradients:
        by_term = jax.vmap(line.gradient)(jnp.diag(line.weight))
        gram = _inner_products(jax.vmap(learning)(by_term))
    weighing = method.weigh(state, Terms(line.value, line.weight, gram), moment)
    if method.by_term:
        grads = jax.tree.map(lambda g: jnp.tensordot(weighing.coefficients, g, 1), by_term)
    else:
        grads = line.gradient(weighing.coefficients * line.weight)
    metrics: Metrics = {}
    if balancing.kind != "static":
        metrics |= _by_name("balance", line.names, weighing.coefficients)
    if balancing.log_gradients:
        norms = jnp.sqrt(jnp.diagonal(gram))
        metrics |= _by_name("grad_norm_of_term", line.names, norms)
    found = Gradients(weighing.loss, grads, line.terms, line.outputs)
    return Balanced(found, weighing.state, metrics)


class _Linearised(NamedTuple):
    """The terms at some parameters, in the order of their sorted names.

    ``gradient`` takes factors ``(terms,)`` to the gradient of the sum of factor times term.
    """

    names: list[str]
    value: jax.Array
    weight: jax.Array
    terms: Metrics
    outputs: Outputs
    gradient: Callable[[jax.Array], Params]


def _linearise(objective: Objective, params: Params, weights: Metrics) -> _Linearised:
    """One forward pass, and what is needed for backward passes."""
    terms, pull, outputs = jax.vjp(objective, params, has_aux=True)
    names = sorted(terms)
    value = jnp.stack([terms[name] for name in names])
    weight = jnp.stack([weights.get(name, jnp.float32(1.0)) for name in names])

    def gradient(factors: jax.Array) -> Params:
        return pull(dict(zip(names, factors, strict=True)))[0]

    return _Linearised(names, value, weight, terms, outputs, gradient)


def _by_name(prefix: str, names: list[str], values: jax.Array) -> Metrics:
    """One metric a term."""
    return {f"{prefix}/{name}": value for name, value in zip(names, values, strict=True)}


def _inner_products(by_term: Params) -> jax.Array:
    """Inner products ``(terms, terms)`` of gradients whose leaves lead with the terms."""
    flat = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(by_term)]
    stacked = jnp.concatenate(flat, 1)
    return stacked @ stacked.T
