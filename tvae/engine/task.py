"""Task: everything the engine needs to know about a domain, as a struct of pure functions.

The engine (``tvae.training``) takes gradients, updates, loops, saves and reports; it knows no
model, loss or metric by name. A domain is a value of :class:`Task`. Parameters, aux state, batches
and outputs are pytrees that only the task looks into.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

Params = Any
Aux = Any
Batch = Any
Outputs = Any
Metrics = dict[str, jax.Array]


class Observation(NamedTuple):
    """What a task makes of an evaluation.

    Attributes:
      aux: the untrained state from here on.
      params: parameters from here on; a task may roll some back.
      reset_moments: whether the optimizer starts afresh, bool scalar; None where it never does.
    """

    aux: Any
    params: Any
    reset_moments: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class Task:
    """One domain. Every function is pure and traceable; keys are explicit.

    Attributes:
      steps_per_epoch: number of batches of one epoch (static).
      init: ``key -> (params, aux)``; aux is the state that is not trained by gradient. Its leaves
        have explicit dtypes, so that nothing retraces.
      begin_epoch: ``(aux, epoch) -> aux``, what changes once per epoch.
      batches: ``(epoch, key) -> batches``, a pytree whose leaves lead with ``steps_per_epoch``.
      forward: ``(params, aux, batch, key) -> outputs`` in training mode.
      terms: name -> ``(outputs, batch) -> scalar``, unweighted.
      weights: ``aux -> {name: scalar}``, one traced weight for each term.
      gates: ``aux -> {group: bool}``, which of the gated groups learn in this step. The names are
        static, the values traced; a group without a gate always learns. A closed group keeps its
        parameters and moments, and its gradient does not count in the clip.
      update_aux: ``(aux, params, outputs, metrics) -> (aux, learning_rate)`` after the gradient and
        before the update; metrics holds the terms and ``grad_norm/<group>`` after clipping.
      monitor: ``aux -> {name: scalar}`` for the log, read once per epoch.
      group_of: parameter path ("encoder_a/hidden_0/kernel") -> name of its optimizer group, or
        "frozen".
      groups: optimizer group -> factor on the learning rate.
      ball_of: parameter path -> curvature magnitude of the Poincaré ball that the parameter's last
        axis is a point of; 0 for the ordinary, flat parameter.
      evaluate: ``(params, aux, key) -> metrics``, the periodic evaluation. Called outside ``jit``,
        like the final one: the task compiles them, so that they can share a program, and in parts,
        which bounds the memory.
      observe: ``(aux, params, metrics) -> Observation``, what an evaluation changes.
      final_evaluate: ``(params, aux, key) -> metrics``, everything that is worth reporting once.
    """

    steps_per_epoch: int
    init: Callable[[jax.Array], tuple[Params, Aux]]
    begin_epoch: Callable[[Aux, jax.Array], Aux]
    batches: Callable[[jax.Array, jax.Array], Batch]
    forward: Callable[[Params, Aux, Batch, jax.Array], Outputs]
    terms: Mapping[str, Callable[[Outputs, Batch], jax.Array]]
    weights: Callable[[Aux], Metrics]
    gates: Callable[[Aux], Mapping[str, jax.Array]]
    update_aux: Callable[[Aux, Params, Outputs, Metrics], tuple[Aux, jax.Array]]
    monitor: Callable[[Aux], Metrics]
    group_of: Callable[[str], str]
    groups: Mapping[str, float]
    evaluate: Callable[[Params, Aux, jax.Array], Metrics]
    observe: Callable[[Aux, Params, Metrics], Observation]
    final_evaluate: Callable[[Params, Aux, jax.Array], Metrics]
    ball_of: Callable[[str], float] = lambda _: 0.0
