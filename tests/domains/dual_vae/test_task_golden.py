"""Whole training steps and all schedules against the original's, to 1e-5 and 1e-6."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import GOLDEN
from tests.golden.make_v5_5 import STRIDE
from tests.support.production_cases import VECTORISED
from tvae import config as config_lib
from tvae.convert import names, placement
from tvae.domains.dual_vae import dynamics
from tvae.domains.dual_vae import schedules as dual_vae_schedules
from tvae.domains.dual_vae.task import DualVAETask, make_task
from tvae.domains.operations.data import Batch
from tvae.engine import loop, step
from tvae.engine.task import weighted_sum

RELATIVE = 1e-5
SLOTS = names.dual_vae(16, state_net_inputs=9)


@pytest.fixture(scope="module", params=["init", "epoch10"])
def golden(request):
    with np.load(GOLDEN / f"v5_5_step_{request.param}.npz") as file:
        return dict(file)


def state_before(golden, opt_state):
    """The training state that the original's step began with."""
    named = {name[7:]: array for name, array in golden.items() if name.startswith("before.")}
    params = jax.tree.map(jnp.asarray, placement.to_tree(named, SLOTS))
    first = dynamics.init_dynamics(lambda_start=0.7, lambda3=0.3, rho=0.1)
    aux = dataclasses.replace(
        first,
        epoch=jnp.int32(golden["epoch"]),
        lambda1=jnp.float32(golden["lambda1"]),
        lambda2=jnp.float32(golden["lambda2"]),
        lambda3=jnp.float32(golden["lambda3"]),
        rho=jnp.float32(golden["rho"]),
        momentum=jnp.float32(golden["ema_momentum"]),
        ratio=jnp.float32(golden["grad_ratio"]),
        norm_a=jnp.float32(named["grad_norm_A_ema"]),
        norm_b=jnp.float32(named["grad_norm_B_ema"]),
    )
    return step.TrainState(jnp.int32(0), params, opt_state, aux)


@pytest.fixture(scope="module")
def parity(golden):
    """Our step from the same state with the same noise: ``(before, after, metrics, grads)``."""
    config = config_lib.default()
    noise = [jnp.asarray(golden[f"temp_{v}"] * golden[f"eps_{v}"], jnp.float32) for v in "AB"]

    class GivenNoise(DualVAETask):
        """The task with the recorded noise."""

        def forward(self, params, aux, batch, key, hparams):
            del key
            return self.forward_with_noise(params, aux, batch, tuple(noise))

    made, hparams = make_task(config), config_lib.hparams(config)
    task = GivenNoise(**{f.name: getattr(made, f.name) for f in dataclasses.fields(made)})
    settings = loop.optimizer_settings(config)
    shapes = jax.eval_shape(step.make_engine(task, settings).init, jax.random.key(0), hparams)
    opt_state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes.opt_state)
    before = state_before(golden, opt_state)
    batch = Batch(jnp.asarray(golden["op_index"], jnp.int32), jnp.ones(64))

    def loss(params):
        outputs = task.forward(params, before.aux, batch, None, hparams)
        terms = task.terms(outputs, batch, hparams)
        return weighted_sum(terms, task.weights(before.aux, hparams))

    train_step = jax.jit(step.make_train_step(task, settings))
    after, metrics = train_step(before, batch, jax.random.key(0), hparams)
    outputs = jax.jit(task.forward)(before.params, before.aux, batch, None, hparams)
    return {
        "after": after,
        "metrics": metrics,
        "grads": jax.jit(jax.grad(loss), compiler_options=VECTORISED)(before.params),
        "outputs": outputs,
        "scales": dynamics.balance_scales(before.aux),
    }


def assert_close(golden, name, array, floor=0.0):
    """Within 1e-5 of the tensor's largest value, plus the floor."""
    error = np.abs(thinned(array).astype(np.float64) - golden[name]).max()
    assert error <= RELATIVE * golden[f"largest.{name}"] + floor, name


def thinned(array):
    array = np.asarray(array)
    return array.ravel()[::STRIDE] if array.size > STRIDE else array


def test_outputs(golden, parity):
    vae = parity["outputs"].vae
    got = {
        "logits_A": vae.logits_a,
        "logits_B": vae.logits_b,
        "mu_A": vae.latents.mu_a,
        "logvar_A": vae.latents.logvar_a,
        "mu_B": vae.latents.mu_b,
        "logvar_B": vae.latents.logvar_b,
        "z_A": vae.z_a,
        "z_B": vae.z_b,
    }
    for name, array in got.items():
        assert_close(golden, f"out.{name}", array)


def test_loss_parts_and_total(golden, parity):
    metrics = parity["metrics"]
    parts = {
        "loss": "loss",
        "cross_entropy_a": "ce_A",
        "cross_entropy_b": "ce_B",
        "kl_a": "kl_A",
        "kl_b": "kl_B",
        "output_entropy_b": "entropy_B",
    }
    for ours, theirs in parts.items():
        expected = golden[f"loss.{theirs}"]
        assert metrics[ours] == pytest.approx(expected, rel=RELATIVE), ours
    # A difference of two entropies near 3: 1e-5 of those.
    expected = golden["loss.entropy_align"]
    assert metrics["entropy_alignment"] == pytest.approx(expected, abs=RELATIVE * golden["H_A"])
    # The repulsion is numerically nothing (1e-14 of a loss near 10) in both.
    assert metrics["repulsion_b"] == pytest.approx(golden["loss.repulsion_B"], abs=1e-12)
    for scale, vae in zip(parity["scales"], "AB", strict=True):
        assert scale == pytest.approx(golden[f"loss.grad_scale_{vae}"], rel=RELATIVE)


def test_latent_entropies(golden, parity):
    outputs = parity["outputs"]
    assert outputs.entropy_a == pytest.approx(golden["H_A"], rel=RELATIVE)
    assert outputs.entropy_b == pytest.approx(golden["H_B"], rel=RELATIVE)


def test_gradients(golden, parity):
    grads = placement.from_tree(parity["grads"], SLOTS)
    compared = 0
    # One tensor's gradient is a millionth of the whole: below this it is float32 rounding in both.
    floor = 1e-10 * golden["total_grad_norm_preclip"]
    for name, array in grads.items():
        if name.startswith("state_net"):
            assert not array.any()  # no path from StateNet to the loss
        else:
            assert_close(golden, f"grad.{name}", array, floor)
            compared += 1
    assert compared == 38
    norm = golden["total_grad_norm_preclip"]
    assert parity["metrics"]["grad_norm"] == pytest.approx(norm, rel=RELATIVE)


def test_adamw_step(golden, parity):
    named = placement.from_tree(parity["after"].params, SLOTS)
    grads = placement.from_tree(parity["grads"], SLOTS)
    assert len(named) == 48
    for name, array in named.items():
        if name.startswith("state_net"):
            np.testing.assert_array_equal(array, golden[f"before.{name}"])
            continue
        # The first Adam step is the gradient's sign, wherever rounding does not decide the sign:
        # elements below 1e-4 of the largest gradient are only held to the step's length.
        decided = np.abs(thinned(grads[name])) > 1e-4 * golden[f"largest.grad.{name}"]
        error = np.abs(thinned(array).astype(np.float64) - golden[f"after.{name}"])
        bound = RELATIVE * golden[f"largest.after.{name}"]
        assert (error[decided] <= bound).all(), name
        assert error.max() <= 2.01 * golden["lr_corrected"], name
        assert decided.mean() > 0.2, name


def test_statenet_and_averages(golden, parity):
    aux = parity["after"].aux
    after = [aux.lambda1, aux.lambda2, aux.lambda3]
    np.testing.assert_allclose(after, golden["lambda_after"], rtol=RELATIVE)
    rate = golden["lr_scheduled"] * np.asarray(aux.rate_factor)
    assert rate == pytest.approx(golden["lr_corrected"], rel=RELATIVE)
    for vae, got in zip("AB", (aux.norm_a, aux.norm_b), strict=True):
        expected = golden[f"grad_norm_{vae}_ema_after"]
        assert got == pytest.approx(expected, rel=RELATIVE)


def test_schedules():
    """Every schedule over epochs 0..399, to 1e-6."""
    with np.load(GOLDEN / "v5_5_schedules.npz") as file:
        golden = dict(file)
    s = dual_vae_schedules.make_schedules(config_lib.default())
    hparams = config_lib.hparams(config_lib.default())
    epochs = jnp.arange(400)
    schedules = {
        "temp_A": s.temperature_a,
        "temp_B": s.temperature_b,
        "beta_A": s.beta_a,
        "beta_B": s.beta_b,
        "lr": s.learning_rate,
        "lambda3_cyclic": s.lambda3,
    }
    for name, schedule in schedules.items():
        got = jax.vmap(schedule, in_axes=(0, None))(epochs, hparams)
        np.testing.assert_allclose(got, golden[name], rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("balanced", [False, True])
def test_permeability_and_phase(balanced):
    with np.load(GOLDEN / "v5_5_schedules.npz") as file:
        golden = dict(file)
    shape = dynamics.Permeability(**config_lib.default().coupling.to_dict())

    def one(phase, epoch):
        rho, phase = dynamics.permeability(epoch, phase, jnp.bool_(balanced), shape)
        return phase, (rho, phase)

    _, (rho, phase) = jax.lax.scan(one, jnp.int32(1), jnp.arange(400))
    np.testing.assert_allclose(rho, golden[f"rho_balance_{balanced}"], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(phase, golden[f"phase_balance_{balanced}"])
