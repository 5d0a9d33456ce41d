"""Mutations of the engine, and of the rules that freeze encoders."""

from tests.support.mutations.entry import of

_OPTIM = "tests/engine/test_optim.py"
_BALL = "tests/engine/test_optim_ball.py"
_STEP = "tests/engine/test_toy_steps.py"
_NONFINITE = "tests/engine/test_nonfinite.py"
_FREEZING = "tests/domains/projected_vae/test_homeostasis.py"
_RULES = "tests/engine/test_rules.py"
_DIAGNOSTICS = "tests/engine/test_diagnostics.py"
_optim = of("tvae/engine/optim.py", _OPTIM, _BALL)
_riemannian = of("tvae/engine/riemannian.py", _BALL, "tests/engine/test_riemannian.py")
_schedules = of("tvae/engine/schedules.py", "tests/engine/test_schedules.py")
_step = of(
    "tvae/engine/step.py",
    _STEP,
    f"{_NONFINITE}::test_such_a_step_changes_nothing_but_the_counts",
    f"{_NONFINITE}::test_means_are_over_the_steps_that_counted",
)
_task = of("tvae/engine/task.py", _STEP)
_stopping = of("tvae/engine/stopping.py", _RULES, _DIAGNOSTICS)
_diagnostics = of("tvae/engine/diagnostics.py", _RULES, _DIAGNOSTICS)
_loop = of("tvae/engine/loop.py", _RULES)
_record = of("tvae/engine/record.py", _RULES)
_config = of("tvae/engine/config.py", _RULES)
_homeostasis = of(
    "tvae/domains/projected_vae/homeostasis.py",
    f"{_FREEZING}::test_coverage_at_the_threshold_does_not_freeze",
    f"{_FREEZING}::test_movement_of_the_threshold_is_no_plateau",
)

ENGINE = (
    _optim(
        "gradients of closed gates let through",
        "return jnp.where(gates[label], grad, 0.0) if label in gates else grad",
        "return grad",
    ),
    _optim(
        "gradients of the frozen group let through", "return jnp.zeros_like(grad)", "return grad"
    ),
    _optim(
        "small gradients blown up by the clip",
        "jnp.minimum(1.0, limit / (norm + 1e-6))",
        "limit / (norm + 1e-6)",
    ),
    _optim("clip without torch's epsilon", "(norm + 1e-6)", "norm"),
    _optim("b2 not handed on", "b2=settings.b2, eps", "eps"),
    _optim("eps not handed on", "b2=settings.b2, eps=settings.eps)", "b2=settings.b2)"),
    _optim(
        "decay always decoupled",
        '(adam, decay) if settings.kind == "adamw" else (decay, adam)',
        "(adam, decay)",
    ),
    _optim("Riemannian gradient left out", "        riemannian.to_riemannian(c=c),\n", "", _BALL),
    _optim(
        "b2 not handed on in the ball",
        "settings.b1, settings.b2, settings.eps, c=c",
        "settings.b1, 0.999, settings.eps, c=c",
        _BALL,
    ),
    _optim(
        "no decay in the ball",
        "        optax.add_decayed_weights(weight_decay),\n        riemannian",
        "        riemannian",
        _BALL,
    ),
    _optim(
        "no factor in the ball",
        "optax.scale(factor),\n        scale_by_traced_learning_rate(),\n        riemannian",
        "scale_by_traced_learning_rate(),\n        riemannian",
        _BALL,
    ),
    _optim("no retraction", "        riemannian.retract(c=c),\n", "", _BALL),
    _optim("frozen parameters in the norm", "if label != FROZEN:", "if label:"),
    _optim("no gates", "gate = group in gated", "gate = False"),
    _riemannian("Riemannian gradient with one factor", "[..., None] ** 2,", "[..., None],"),
    _riemannian(
        "momentum not transported",
        "carried = _transported(state.trace, state.point, params, c)",
        "carried = state.trace",
    ),
    _riemannian(
        "first moment not transported",
        "carried = _transported(state.mu, state.point, params, c)",
        "carried = state.mu",
    ),
    _riemannian(
        "Nesterov without the new momentum",
        "updates, trace) if nesterov",
        "updates, carried) if nesterov",
    ),
    _riemannian("second moment of another length", "factor**2 * numerics", "factor * numerics"),
    _riemannian(
        "bias of the second moment",
        "optax.tree.bias_correction(nu, b2, count)",
        "optax.tree.bias_correction(nu, b1, count)",
    ),
    _riemannian(
        "epsilon inside the root",
        "m / (jnp.sqrt(v) + eps), mu_hat",
        "m / jnp.sqrt(v + eps), mu_hat",
    ),
    _riemannian(
        "exact and straight steps exchanged",
        "poincare.exp_map(x, u, c=c) if exact else",
        "poincare.exp_map(x, u, c=c) if not exact else",
    ),
    _schedules(
        "floor of warm restarts",
        "optax.cosine_decay_schedule(1.0, length)",
        "optax.cosine_decay_schedule(1.0, length, 0.1)",
    ),
    _schedules(
        "floor of equal restarts",
        "optax.cosine_decay_schedule(1.0, cycle_epochs)",
        "optax.cosine_decay_schedule(1.0, cycle_epochs, 0.1)",
    ),
    _schedules("end value of the cosine", "end + (peak - end) * fall(epoch)", "peak * fall(epoch)"),
    _schedules("end value not handed on", 'hparams["learning_rate.end"],', "0.0,"),
    _schedules("growth added up", "cycle_growth ** len(ends)", "cycle_growth * len(ends)"),
    _schedules(
        "equal cycles without restart",
        "peak * cycle(jnp.mod(epoch, cycle_epochs))",
        "peak * cycle(epoch)",
    ),
    _schedules(
        "floor of the temperature", "jnp.maximum(floor, base + amplitude", "(base + amplitude"
    ),
    _schedules("line of the second part too long", "max(epochs - warmup_epochs, 1)", "epochs"),
    _schedules("sign of the cycle", "base - amplitude * jnp.sin", "base + amplitude * jnp.sin"),
    _step(
        "the same noise in every step",
        "jax.random.fold_in(purpose_key(run_key, Purpose.FORWARD), state.step)",
        "purpose_key(run_key, Purpose.FORWARD)",
    ),
    _step(
        "the same draws in every evaluation",
        "jax.random.fold_in(purpose_key(run_key, Purpose.EVALUATE), state.step)",
        "purpose_key(run_key, Purpose.EVALUATE)",
    ),
    _step(
        "one key for all purposes",
        "return jax.random.fold_in(run_key, int(purpose))",
        "return run_key",
    ),
    _step(
        "one bad step less",
        "halted = state.nonfinite > settings",
        "halted = state.nonfinite >= settings",
    ),
    _step(
        "means of a halted epoch", "| (state.nonfinite > settings", "| (state.nonfinite >= settings"
    ),
    _step(
        "a gradient that is not finite passes",
        "jnp.isfinite(found.loss) & jnp.isfinite(total) & ~halted",
        "jnp.isfinite(found.loss) & ~halted",
    ),
    _step(
        "a loss that is not finite passes",
        "jnp.isfinite(found.loss) & jnp.isfinite(total) & ~halted",
        "jnp.isfinite(total) & ~halted",
    ),
    _step(
        "bad steps are counted in all",
        "jnp.where(learns, 0, state.nonfinite + 1)",
        "state.nonfinite + ~learns",
    ),
    _step(
        "no clip", "grads = jax.tree.map(lambda grad: clip * grad, grads)", "del clip; clip = 1.0"
    ),
    _step("norms before the clip", ": norm * clip for", ": norm for"),
    _step("an epoch a step", "epoch = state.step // task.steps_per_epoch", "epoch = state.step"),
    _step(
        "moments kept and reset exchanged",
        "jnp.where(reset, new, old)",
        "jnp.where(reset, old, new)",
    ),
    _task(
        "a term without a weight is dropped",
        "weights.get(name, jnp.float32(1.0))",
        "weights.get(name, jnp.float32(0.0))",
    ),
    _stopping(
        "the smallest score is the best",
        'stop.mode == "max" else -1.0',
        'stop.mode == "max" else 1.0',
    ),
    _stopping(
        "one epoch more of patience",
        "0 < stop.patience_epochs <= waited",
        "0 < stop.patience_epochs < waited",
    ),
    _stopping(
        "one epoch more at least",
        "progress.epoch < stop.min_epochs",
        "progress.epoch <= stop.min_epochs",
    ),
    _diagnostics(
        "movement of just the size",
        "value[epoch >= start].astype(float)) < delta",
        "value[epoch >= start].astype(float)) <= delta",
    ),
    _diagnostics(
        "a drop of just the size", "near = value >= np.maximum", "near = value > np.maximum"
    ),
    _diagnostics(
        "one epoch more until a drop",
        "- epoch[near][-1] >= patience_epochs",
        "- epoch[near][-1] > patience_epochs",
    ),
    _diagnostics("a plateau's mean for its best", "held_out[stuck].min()", "held_out[stuck].max()"),
    _diagnostics(
        "a best just past its share",
        "epoch[best] <= share * epoch[-1]",
        "epoch[best] < share * epoch[-1]",
    ),
    _diagnostics(
        "smaller is better in all modes", 'value if self.mode == "max" else -value', "value"
    ),
    _record(
        "an equal score is an improvement",
        "score > progress.best_score +",
        "score >= progress.best_score +",
    ),
    _loop("saves without evaluation", "        following(config.checkpoint.every_epochs),\n", ""),
    _record(
        "one bad step less in the message",
        "halted = in_a_row > limit",
        "halted = in_a_row >= limit",
    ),
    _config(
        "a warm-up as long as the run",
        "rate.warmup_epochs >= config.epochs",
        "rate.warmup_epochs > config.epochs",
    ),
    _config(
        "more boundaries than rates",
        "len(rate.boundaries) != len(rate.rates)",
        "len(rate.boundaries) < len(rate.rates)",
    ),
    _homeostasis(
        "coverage of just the threshold freezes",
        "coverage < state.coverage_freeze",
        "coverage <= state.coverage_freeze",
    ),
    _homeostasis(
        "change of just the threshold is a plateau",
        "else moved) < config.plateau_threshold",
        "else moved) <= config.plateau_threshold",
    ),
)
