"""Any configuration: refused by the name of a field, or trained finitely, or stopped by name."""

import re

import jax
import jax.numpy as jnp
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.support.config_strategies import changed, fields, tiny
from tests.support.engines import bound_engine
from tests.support.production_cases import FAST_COMPILE
from tvae import config as config_lib
from tvae.domains import registry
from tvae.engine import step
from tvae.errors import UserError

ONCE = (Phase.explicit, Phase.generate)  # to shrink a failure would compile dozens of times
QUICK = settings(
    deadline=None, derandomize=True, phases=ONCE, suppress_health_check=list(HealthCheck)
)


def refusal(config):
    """The message of ``validate``, None if it accepts."""
    try:
        config_lib.validate(config)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize("task", registry.names())
def test_a_value_is_accepted_or_its_field_is_named(task):
    known = set(fields(task))

    @settings(QUICK, max_examples=100)
    @given(changed(task))
    def check(drawn):
        config, bad = drawn
        message = refusal(config)
        if message is None:
            assert not bad
            return
        assert "\n" not in message
        named = re.match(r"config\.([\w.]*\w)", message)[1]
        # A field inside its range is at fault only together with others, which may be named.
        assert named in (bad or known)

    check()


def train_two_steps(config):
    """Parameters after two steps and the metrics of both, or why there is no such run."""
    task = registry.make_task(config)
    engine = bound_engine(config, task)

    def run(key):
        state = engine.init(key)
        batches = task.batches(jnp.int32(0), step.purpose_key(key, step.Purpose.BATCHES))
        aux = task.begin_epoch(state.aux, jnp.int32(0), engine.hparams)
        return jax.lax.scan(
            lambda state, batch: engine.step(state, batch, key),
            state.replace(aux=aux),
            jax.tree.map(lambda leaves: leaves[:2], batches),
        )

    key = jax.random.key(config.seed)
    state, metrics = jax.jit(run).lower(key).compile(compiler_options=FAST_COMPILE)(key)
    return jax.device_get((state, metrics))


def assert_finite_or_skipped(config):
    state, metrics = train_two_steps(config)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    skipped = metrics.pop("skipped_updates")
    assert int(state.nonfinite) <= skipped.sum()
    for name in ("loss", "grad_norm"):
        assert (jnp.isfinite(metrics[name]) | skipped).all()


@pytest.mark.parametrize(
    ("task", "examples"),
    [
        ("dual_vae", 2),
        ("projected_vae", 1),
        ("hyperbolic_vae", 1),
        ("hierarchy", 2),
        ("hierarchy_vae", 1),
    ],
)
def test_what_is_accepted_trains(task, examples):
    """Few, because each compiles for seconds; ``-m slow`` draws 180."""

    @settings(QUICK, max_examples=examples)
    @given(tiny(task).filter(lambda config: refusal(config) is None))
    def check(config):
        assert_finite_or_skipped(config)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("task", registry.names())
def test_what_is_accepted_trains_widely(task):
    @settings(QUICK, max_examples=60)
    @given(tiny(task).filter(lambda config: refusal(config) is None))
    def check(config):
        assert_finite_or_skipped(config)

    check()
