"""Whole training steps of the production line against the original's, to 2e-5."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import GOLDEN, load_config
from tests.golden.make_v5_12 import STRIDE, thin
from tests.support.production_cases import FAST_COMPILE
from tvae import config as config_lib
from tvae.convert import names, placement
from tvae.domains.projected_vae.task import ProjectedVAETask, make_task
from tvae.domains.projected_vae.terms import Draws
from tvae.engine import loop, step
from tvae.engine.task import weighted_sum
from tvae.geometry import padic
from tvae.losses.pairs import Pairs

RELATIVE = 2e-5
# What is run once need not be fast.
compiled = functools.partial(jax.jit, compiler_options=FAST_COMPILE)
N_TENSORS = {"frozen": 42, "improved": 48}


@pytest.fixture(scope="module", params=["frozen", "improved"])
def golden(request):
    """One step: ours for the frozen networks, the reference's for the improved ones."""
    if request.param == "frozen":
        with np.load(GOLDEN / "v5_12_step.npz") as file:
            return "frozen", dict(file)
    folder = request.getfixturevalue("reference")
    with np.load(folder / "v5_12" / "golden_step_init_improved.npz") as file:
        return "improved", thin(dict(file))


def slots_of(family):
    """The tensors that the step could move; A is frozen, the controller dead."""
    improved = family == "improved"
    slots = names.projected_vae(
        16,
        improved_encoder=improved,
        improved_decoder=improved,
        dual_projection=True,
        width=64,
        n_layers=2,
        dropout=True,
        use_controller=False,
    )
    return [s for s in slots if "encoder_A" not in s.name and "isp_c" not in s.name]


def published(family):
    config = load_config("v5_12_published")
    config.base_checkpoint = ""
    config.model.projection_dropout = 0.0  # none in the recorded steps
    config.groups.encoder_a = "frozen"
    if family == "improved":
        config.model.encoder = config.model.decoder = "improved"
        # The original computes its gradient although no optimizer group holds it.
        config.groups.decoder = "trained"
    return config


def pairs_of(golden):
    names = {"radial": "radial", "rank": "rank", "geodesic": "geo"}
    return {
        f"{ours}_{side}": Pairs(
            *(jnp.asarray(golden[f"{name}_{side.upper()}/{end}"], jnp.int32) for end in "ij")
        )
        for ours, name in names.items()
        for side in "ab"
    }


@pytest.fixture(scope="module")
def parity(golden):
    """Our step from the same state with the same draws: metrics, gradients of both phases."""
    family, data = golden
    config = published(family)
    index = jnp.asarray(data["batch_idx"], jnp.int32)
    draws = Draws(
        noise_a=jnp.asarray(data["z_A"]),
        noise_b=jnp.asarray(data["eps_B"]),
        pairs=pairs_of(data),
    )

    class GivenDraws(ProjectedVAETask):
        """The task with the recorded draws."""

        def forward(self, params, aux, batch, key, hparams):
            return self.forward_with_draws(params, aux, batch, draws, key, hparams)

    made, hparams = make_task(config), config_lib.hparams(config)
    task = GivenDraws(**{f.name: getattr(made, f.name) for f in dataclasses.fields(made)})
    params, aux = initial(task, hparams, data, index, slots_of(family))
    settings = loop.optimizer_settings(config)
    shapes = jax.eval_shape(step.make_engine(task, settings).init, jax.random.key(0), hparams)
    opt_state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes.opt_state)
    state = step.TrainState(jnp.int32(0), params, opt_state, aux)

    def loss(params, aux):
        outputs = task.forward(params, aux, index, jax.random.key(0), hparams)
        terms = task.terms(outputs, index, hparams)
        return weighted_sum(terms, task.weights(aux, hparams))

    both = compiled(jax.value_and_grad(loss))
    begun = [task.begin_epoch(aux, jnp.int32(epoch), hparams) for epoch in (0, 30)]
    phases = [both(params, aux) for aux in begun]
    state = dataclasses.replace(state, aux=begun[0])
    train_step = step.make_train_step(task, settings)
    after, metrics = compiled(train_step)(state, index, jax.random.key(0), hparams)
    outputs = compiled(task.forward)(params, aux, index, jax.random.key(0), hparams)
    return {"phases": phases, "metrics": metrics, "after": after, "outputs": outputs}


def initial(task, hparams, data, index, slots):
    """The parameters and the state that the original's step began with."""
    params, aux = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
        jax.eval_shape(task.init, jax.random.key(0), hparams),
    )
    named = {name[7:]: array for name, array in data.items() if name.startswith("param0/")}
    placed = jax.tree.map(jnp.asarray, placement.to_tree(named, slots))
    # Standard normal posteriors turn the given noise into the original's latents of A.
    unit = jnp.zeros((padic.count(), 16))
    reference = jnp.zeros(padic.count()).at[index].set(data["original_radii"])
    return params | placed, dataclasses.replace(
        aux,
        latents={"encoder_a": (unit, unit)},
        reference_radius=reference,
        homeostasis=task.regulation.init(hparams),
    )


def assert_close(data, name, array, floor=0.0):
    """Within 2e-5 of the largest of the recorded values, plus the floor."""
    error = np.abs(np.asarray(array, np.float64).ravel()[::STRIDE] - data[name]).max()
    assert error <= RELATIVE * np.abs(data[name]).max() + floor, name


def test_outputs(golden, parity):
    _, data = golden
    vae = parity["outputs"].vae
    got = {
        "z_A_hyp": vae.ball_a.z,
        "z_B_hyp": vae.ball_b.z,
        "z_tangent_A": vae.z_tangent_a,
        "logits_A": vae.logits_a,
        "mu_B": vae.latents.mu_b,
        "logvar_B": vae.latents.logvar_b,
    }
    for name, array in got.items():
        assert_close(data, f"out/{name}", array)


def test_terms_and_totals(golden, parity):
    _, data = golden
    metrics = parity["metrics"]
    theirs = {
        "coverage": "rich/coverage_loss",
        "hierarchy_b": "rich/hierarchy_loss",
        "richness_b": "rich/richness_loss",
        "separation_b": "rich/separation_loss",
    }
    kinds = {"radial": "radial", "rank": "rank", "geodesic": "geo", "zero": "zero"}
    theirs |= {f"{o}_{e}": f"{t}_{e.upper()}/loss" for o, t in kinds.items() for e in "ab"}
    for ours, name in theirs.items():
        assert metrics[ours] == pytest.approx(data[name], rel=RELATIVE), ours
    assert metrics["loss"] == pytest.approx(data["total_phase1"], rel=RELATIVE)
    for phase, (total, _) in enumerate(parity["phases"], start=1):
        assert total == pytest.approx(data[f"total_phase{phase}"], rel=RELATIVE)


def test_gradient_norm(golden, parity):
    family, data = golden
    squared = float(parity["metrics"]["grad_norm"]) ** 2
    if family == "improved":
        # What belongs to no group is never zeroed: two backward passes doubled the decoder's.
        squared += 3.0 * float(parity["metrics"]["grad_norm/decoder"] / clip(parity)) ** 2
    assert squared**0.5 == pytest.approx(data["grad_norm_phase1"], rel=RELATIVE)


def clip(parity):
    """The factor of the clip at norm 1, which the norms by group contain."""
    return min(1.0, 1.0 / float(parity["metrics"]["grad_norm"]))


def test_gradients_of_both_phases(golden, parity):
    family, data = golden
    # The direction of B has no part in the radii: its gradient is 0 here, rounding there.
    floor = 1e-8 * data["grad_norm_phase1"]
    for phase, (_, grads) in enumerate(parity["phases"], start=1):
        compared = 0
        for name, array in placement.from_tree(grads, slots_of(family)).items():
            key = f"grad_phase{phase}/{name}"
            if key in data:
                # See test_gradient_norm.
                doubled = name.startswith("decoder") and phase == 1
                assert_close(data, key, 2.0 * array if doubled else array, floor)
                compared += 1
        assert compared == N_TENSORS[family] + 10 * (family == "improved")


def test_adam_l2_step(golden, parity):
    family, data = golden
    slots = slots_of(family)
    grads = placement.from_tree(parity["phases"][0][1], slots)
    moved, shares = 0, []
    for name, array in placement.from_tree(parity["after"].params, slots).items():
        if name.startswith("decoder"):
            if family == "frozen":
                assert array.tobytes() == data[f"param0/{name}"].tobytes()
            continue
        # The first Adam step is the sign of gradient plus decay: left out where rounding, or the
        # clip (see test_gradient_norm), decides it.
        clipped = clip(parity) * grads[name].ravel()[::STRIDE]
        total = np.abs(clipped + 1e-4 * data[f"param0/{name}"].ravel()[::STRIDE])
        decided = total > np.maximum(1e-4 * total.max(), 0.1 * np.abs(clipped))
        error = np.abs(array.ravel()[::STRIDE].astype(np.float64) - data[f"param1/{name}"])
        bound = RELATIVE * np.abs(data[f"param1/{name}"]).max()
        assert (error[decided] <= bound).all(), name
        shares.append(decided.mean())
        moved += 1
    assert moved == N_TENSORS[family]
    assert np.mean(shares) > 0.5
