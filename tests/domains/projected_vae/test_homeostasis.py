"""Homeostasis: decision by decision against the original, and what the corrections mend."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.production_cases import FAST_COMPILE, all_cases
from tvae import config as config_lib
from tvae.domains.projected_vae.homeostasis import update_homeostasis
from tvae.domains.projected_vae.homeostasis_state import (
    CORRECTED,
    PARITY,
    HomeostasisConfig,
    Measurements,
    init_homeostasis,
)

RENAMED = {
    "coverage_freeze_threshold": "coverage_freeze",
    "coverage_unfreeze_threshold": "coverage_unfreeze",
    "hierarchy_plateau_threshold": "plateau_threshold",
    "hierarchy_plateau_patience": "plateau_patience",
    "hierarchy_patience_ceiling": "plateau_patience_ceiling",
    "controller_grad_threshold": "grad_threshold",
    "controller_grad_patience": "grad_patience",
    "controller_patience_ceiling": "grad_patience_ceiling",
    "warmup_epochs": "warmup",
    "hysteresis_epochs": "hysteresis",
    "enable_annealing": "annealing",
}
STATE_OF = {
    "coverage_freeze_threshold": lambda s: s.coverage_freeze,
    "coverage_unfreeze_threshold": lambda s: s.coverage_unfreeze,
    "current_Q": lambda s: s.q[:, 0],
    "best_Q": lambda s: s.best_q[:, 0],
    "hierarchy_plateau_patience": lambda s: s.patience[:, 1],
    "controller_grad_patience": lambda s: s.patience[:, 2],
    "hierarchy_a_stall_count": lambda s: s.count[:, 0],
    "hierarchy_b_plateau_count": lambda s: s.count[:, 1],
    "controller_low_grad_count": lambda s: s.count[:, 2],
}
for position, component in enumerate(("encoder_a", "encoder_b", "controller")):
    STATE_OF[f"{component}_frozen"] = lambda s, k=position: s.frozen[:, k]
    STATE_OF[f"{component}_last_change"] = lambda s, k=position: s.last_change[:, k]
    STATE_OF[f"cycle_{component}"] = lambda s, k=position: s.cycles[:, k]


@partial(jax.jit, static_argnames=("corrections", "window", "dtype"), compiler_options=FAST_COMPILE)
def _run(measurements, config, *, corrections, window=5, dtype=jnp.float32):
    def step(state, measurement):
        state, gates = update_homeostasis(
            state, measurement, config=config, corrections=corrections
        )
        return state, (state, gates)

    first = init_homeostasis(config, corrections=corrections, window=window, dtype=dtype)
    return jax.lax.scan(step, first, measurements)[1]


def thresholds(**changes):
    """The default thresholds, but where the reference system's are others."""
    config = config_lib.default("projected_vae").homeostasis.to_dict()
    given = config | {"hysteresis": 3, "annealing_step": 0.005} | changes
    assert changes.keys() <= set(HomeostasisConfig._fields)
    return HomeostasisConfig(**{name: given[name] for name in HomeostasisConfig._fields})


def _measurements(case, dtype):
    n = case["in.epoch"].size
    columns = (case[f"in.{name}"] for name in ("coverage", "hierarchy_A", "hierarchy_B"))
    return Measurements(
        jnp.asarray(case["in.epoch"]),
        *(jnp.asarray(column, dtype) for column in columns),
        jnp.asarray(case["in.dist_corr_A"], dtype),
        jnp.zeros(n, dtype),
        jnp.asarray(case["in.controller_grad_norm"], dtype),
    )


def _steps(n, **given):
    """``n`` evaluations, one an epoch: full coverage and nothing moving unless given."""
    still = {
        "epoch": jnp.arange(n),
        "coverage": jnp.ones(n),
        "hierarchy_a": jnp.full(n, -0.5),
        "hierarchy_b": jnp.full(n, -0.5),
        "dist_corr_a": jnp.zeros(n),
        "dist_corr_b": jnp.zeros(n),
        "controller_grad_norm": jnp.full(n, jnp.nan),
    }
    return Measurements(**(still | given))


TRAJECTORIES = [case for case in all_cases("homeostasis", "homeostasis/") if case.has("in.epoch")]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("case", TRAJECTORIES, ids=lambda case: case.name)
def test_parity_mode_repeats_the_original(case, dtype):
    options = {RENAMED.get(k, k): v for k, v in case.params["constructor"].items()}
    window = options.pop("window_size", 5)
    with jax.enable_x64(dtype == jnp.float64):
        states, gates = _run(
            _measurements(case, dtype),
            thresholds(**options),
            corrections=PARITY,
            window=window,
            dtype=dtype,
        )
        states, gates = jax.tree.map(np.asarray, (states, gates))
    tolerance = {jnp.float32: 1e-6, jnp.float64: 1e-12}[dtype]
    for name, read in STATE_OF.items():
        actual, expected = read(states), case[f"out.{name}"]
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(
                actual, expected, rtol=tolerance, atol=tolerance, err_msg=name
            )
        else:
            np.testing.assert_array_equal(actual, expected, err_msg=name)
    np.testing.assert_array_equal(gates.encoder_a, ~case["out.encoder_a_frozen"])
    assert not gates.rollback.any()


def test_q_is_the_originals(reference):
    data = np.load(reference / "golden" / "homeostasis" / "compute_Q.npz")
    n = data["in.hierarchy"].size
    hierarchy = jnp.asarray(data["in.hierarchy"], jnp.float32)
    dist_corr = jnp.asarray(data["in.dist_corr"], jnp.float32)
    steps = _steps(n, hierarchy_a=hierarchy, hierarchy_b=hierarchy, dist_corr_a=dist_corr)
    states, _ = _run(steps, thresholds(), corrections=PARITY)
    np.testing.assert_allclose(states.q[:, 0], data["out.Q"], rtol=1e-5, atol=1e-6)


def _case(name):
    return next(case for case in TRAJECTORIES if case.name == f"homeostasis/{name}")


def test_tightening_is_bounded():
    measurements = _measurements(_case("falling_Q_tightens"), jnp.float32)
    config = thresholds(hysteresis=0, warmup=0, annealing_step=0.004)
    unbounded, _ = _run(measurements, config, corrections=PARITY)
    assert unbounded.coverage_freeze.max() > 1  # frozen even at full coverage
    states, _ = _run(measurements, config, corrections=PARITY._replace(bounded=True))
    assert states.coverage_unfreeze.max() <= 1
    assert states.coverage_freeze.max() <= 0.995 + 1e-6
    assert (states.coverage_unfreeze - states.coverage_freeze).min() >= 0.005 - 1e-6


def test_relaxing_stops_at_the_floor():
    measurements = _measurements(_case("ratchet_to_floor"), jnp.float32)
    config = thresholds(hysteresis=0, warmup=0, annealing_step=0.012, coverage_floor=0.96)
    states, _ = _run(measurements, config, corrections=CORRECTED)
    np.testing.assert_allclose(states.coverage_freeze.min(), 0.96, atol=1e-6)


def test_rollback_when_coverage_falls_and_only_then():
    coverage = jnp.ones(30).at[20:22].set(0.9)
    states, gates = _run(_steps(30, coverage=coverage), thresholds(), corrections=CORRECTED)
    first = int(jnp.argmin(states.frozen[:, 0]))
    assert 5 <= first < 20, "encoder A stalls at full coverage and is unfrozen"
    np.testing.assert_array_equal(jnp.flatnonzero(gates.rollback), [20])
    np.testing.assert_array_equal(gates.snapshot, coverage == 1)
    assert not gates.encoder_a[20:23].any()


def test_epochs_between_evaluations_do_not_shorten_the_hysteresis():
    """An evaluation every tenth epoch: the original's hysteresis of three epochs is none."""
    steps = _steps(40, epoch=10 * jnp.arange(40), hierarchy_b=-0.5 + 0.1 * (jnp.arange(40) % 2))
    config = thresholds(plateau_patience=1, plateau_threshold=1.0, warmup=0, hysteresis=4)

    def shortest_stay(corrections):
        _, gates = _run(steps, config, corrections=corrections)
        return int(jnp.diff(jnp.flatnonzero(gates.changed[:, 1])).min())

    assert shortest_stay(PARITY) == 2
    assert shortest_stay(PARITY._replace(count_evaluations=True)) == 4


def test_first_cycle_is_judged_by_its_own_start():
    """Q constant at 0.75: the original counts it as a gain over 0 and relaxes encoder B."""
    config = thresholds()
    original, _ = _run(_steps(20), config, corrections=PARITY)
    mended, _ = _run(_steps(20), config, corrections=CORRECTED)
    assert original.cycles[-1, 1] == mended.cycles[-1, 1] == 1
    assert original.patience[-1, 1] == 6
    assert mended.patience[-1, 1] == 5


def test_coherent_q_belongs_to_its_component_and_has_a_sign():
    steps = _steps(
        2,
        hierarchy_a=jnp.asarray([-0.5, 0.5]),
        hierarchy_b=jnp.full(2, -0.8),
        dist_corr_a=jnp.full(2, 0.1),
        dist_corr_b=jnp.full(2, 0.3),
    )
    states, _ = _run(steps, thresholds(), corrections=CORRECTED)
    np.testing.assert_allclose(states.q[0], [0.85, 1.5, 1.175], rtol=1e-6)
    np.testing.assert_allclose(states.q[1], [-0.65, 1.5, 0.425], rtol=1e-6)


def test_a_worsening_hierarchy_is_no_plateau():
    worse = _steps(12, hierarchy_b=-0.8 + 0.005 * jnp.arange(12))
    config = thresholds(degradation=1.0)
    _, original = _run(worse, config, corrections=PARITY)
    _, mended = _run(worse, config, corrections=CORRECTED)
    assert not original.encoder_b.all()
    assert mended.encoder_b.all()


def test_disabled_means_no_change():
    measurements = _measurements(_case("oscillating"), jnp.float32)
    states, gates = _run(measurements, thresholds(enabled=False), corrections=CORRECTED)
    assert not gates.changed.any()
    np.testing.assert_array_equal(states.frozen[-1], [True, False, False])


@pytest.mark.parametrize(("coverage", "learns"), [(0.5, True), (0.4999, False)])
def test_coverage_at_the_threshold_does_not_freeze(coverage, learns):
    config = thresholds(coverage_freeze=0.5, coverage_unfreeze=0.75, annealing=False)
    steps = _steps(30, coverage=jnp.ones(30).at[25].set(coverage))
    _, gates = _run(steps, config, corrections=CORRECTED)
    assert gates.encoder_a[24]
    assert bool(gates.encoder_a[25]) is learns


@pytest.mark.parametrize(("threshold", "learns"), [(0.25, True), (0.2501, False)])
def test_movement_of_the_threshold_is_no_plateau(threshold, learns):
    """A hierarchy that gains 1/16 an evaluation moves by 1/4 within the window of five."""
    steps = _steps(20, hierarchy_b=-jnp.arange(20) / 16)
    config = thresholds(
        plateau_threshold=threshold, plateau_patience=1, warmup=10, hysteresis=0, degradation=9.0
    )
    _, gates = _run(steps, config, corrections=CORRECTED)
    assert bool(gates.encoder_b.all()) is learns


CHANGES = {
    "enabled": False,
    "coverage_freeze": 0.9,
    "coverage_unfreeze": 1.01,
    "coverage_floor": 0.99,
    "coverage_ceiling": 0.98,
    "coverage_gap": 0.02,
    "stall_patience": 2,
    "plateau_threshold": 0.1,
    "plateau_patience": 2,
    "plateau_patience_ceiling": 5,
    "degradation": 0.5,
    "grad_threshold": 0.3,
    "grad_patience": 1,
    "grad_patience_ceiling": 3,
    "grad_revival": 100.0,
    "warmup": 20,
    "hysteresis": 7,
    "annealing": False,
    "annealing_step": 0.02,
    "q_tolerance": 1.5,
}


def _digest(name, config):
    run = _run(_measurements(_case(name), jnp.float32), config, corrections=CORRECTED)
    return np.concatenate(
        [np.asarray(leaf, float).reshape(60, -1) for leaf in jax.tree.leaves(run)], 1
    )


def test_every_threshold_is_honoured():
    """Each field of the config changes what happens in some recorded trajectory."""
    assert set(CHANGES) == set(HomeostasisConfig._fields)
    base = thresholds(warmup=0, hysteresis=1, coverage_freeze=0.97, coverage_unfreeze=0.98)
    names = ("oscillating", "ratchet_to_floor", "falling_Q_tightens")
    before = {name: _digest(name, base) for name in names}
    idle = [
        field
        for field, value in CHANGES.items()
        if all(
            np.array_equal(
                _digest(name, base._replace(**{field: value})), before[name], equal_nan=True
            )
            for name in names
        )
    ]
    assert not idle


def test_a_population_is_one_program():
    measurements = _measurements(_case("oscillating"), jnp.float32)
    steps = jnp.asarray([0.0, 0.003, 0.01])
    config = thresholds(warmup=0, hysteresis=1)

    def run(step):
        return _run(measurements, config._replace(annealing_step=step), corrections=CORRECTED)[0]

    together = jax.vmap(run)(steps)
    for row, step in enumerate(steps):
        alone = run(step)
        np.testing.assert_array_equal(together.frozen[row], alone.frozen)
        np.testing.assert_allclose(together.coverage_freeze[row], alone.coverage_freeze)


def test_state_keeps_its_types():
    """An aux tree whose dtypes drift would be compiled twice."""
    state = init_homeostasis(thresholds())
    measurement = Measurements(0, 1.0, -0.5, -0.5, 0.3)
    after, _ = jax.jit(partial(update_homeostasis, config=thresholds()))(state, measurement)
    types = [jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), s) for s in (state, after)]
    assert types[0] == types[1]
