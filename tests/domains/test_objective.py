"""``config.objective``: what it refuses, what it leaves compiled, and what a row does."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tvae
from tvae import config as config_lib
from tvae.domains import objective, registry, weights
from tvae.errors import UserError
from tvae.fields import above
from tvae.geometry.padic import PadicTree

ROWS = {"rank": {"term": "rank", "on": "b", "weight": 0.5}, "kl": {"term": "gaussian_kl"}}
INPUTS = {"": ("key",), "a": ("mu", "logvar"), "b": ("radius", "level")}


def refusal(rows, inputs=INPUTS):
    with pytest.raises(UserError) as refused:
        objective.validate(rows, inputs, domain="toy")
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"term": "rnk", "on": "b"},
            r"config.objective.x.term: no term 'rnk'; did you mean 'rank'",
        ),
        ({"on": "b"}, "config.objective.x: expected a row with 'term'"),
        ("rank", "config.objective.x: expected a row with 'term'"),
        ({"term": "rank", "on": "c"}, "config.objective.x.on: domain 'toy' has 'a', 'b', got 'c'"),
        (
            {"term": "rank", "on": "a"},
            "config.objective.x: term 'rank' needs 'radius', which domain 'toy' does not offer on "
            "'a'; expected 'on' 'b'; it offers key, logvar, mu",
        ),
        (
            {"term": "rank", "on": "b", "temprature": 0.1},
            "config.objective.x.temprature: did you mean 'temperature'? term 'rank' has temper",
        ),
        (
            {"term": "rank", "on": "b", "temperature": 0.0},
            "config.objective.x.temperature: expected a number >= 0.001, got 0.0",
        ),
        (
            {"term": "rank", "on": "b", "pairs": -1},
            "config.objective.x.pairs: expected a number >= 0, got -1",
        ),
        (
            {"term": "gaussian_kl", "on": "a", "pairs": 5},
            "config.objective.x.pairs: term 'gaussian_kl' has free_bits",
        ),
        ({"term": "rank", "on": "b", "weight": np.nan}, "config.objective.x.weight: expected"),
        (
            {"term": "rank", "on": "b", "weight": {"schedule": "step"}},
            "config.objective.x.weight.schedule: expected one of 'linear', 'cosine', 'cycle', got",
        ),
        (
            {"term": "rank", "on": "b", "weight": {"schedule": "linear", "start": 0.0}},
            "config.objective.x.weight: schedule 'linear' has start, end, begin, epochs; got start",
        ),
        (
            {"term": "rank", "on": "b", "inputs": {"radii": "radius"}},
            "config.objective.x.inputs.radii: term 'rank' has the inputs radius, level, pairs",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_name(row, expected):
    assert expected in refusal({"x": row})


def test_what_fits_is_accepted():
    objective.validate(ROWS | {"kl": {"term": "gaussian_kl", "on": "a"}}, INPUTS, domain="toy")
    renamed = {"term": "gaussian_kl", "inputs": {"mu": "a.mu", "logvar": "a.logvar"}}
    objective.validate({"kl": renamed}, INPUTS, domain="toy")


def sources_of(side):
    radius = jnp.asarray([1.0, 2.0, 3.0])
    return {"radius": radius + (side == "b"), "level": jnp.asarray([2, 1, 0])}


def test_inputs_come_from_the_side_or_from_where_the_row_states():
    made = objective.make_objective(
        {
            "a": {"term": "level_separation", "on": "a", "inputs": {"tree": "shape"}},
            "b": {"term": "level_separation", "on": "b", "inputs": {"tree": "shape"}},
            "crossed": {
                "term": "level_separation",
                "on": "a",
                "inputs": {"tree": "shape", "radius": "b.radius"},
                "margin": 3.0,
            },
        }
    )
    rows = {"crossed": {"term": "level_separation", "margin": 3.0}}
    found = made.terms(
        lambda side: sources_of(side) | {"shape": PadicTree(3, 2)},
        objective.hparams(rows | {k: {"term": "level_separation"} for k in "ab"}),
        reduce=jnp.mean,
    )
    assert {k: round(float(v), 5) for k, v in found.items()} == {"a": 0.0, "b": 0.0, "crossed": 4.0}


def test_one_trace_for_all_weights_schedules_and_options():
    schedule = {"schedule": "cosine", "start": 0.0, "end": 2.0, "begin": 1.0, "epochs": 4.0}
    tables = [
        {"rank": {"term": "rank", "on": "b", "weight": schedule, "temperature": t}}
        for t in (0.1, 0.5)
    ]
    tables.append({"rank": tables[0]["rank"] | {"weight": schedule | {"end": 0.0}}})
    made = [objective.make_objective(rows) for rows in tables]
    assert made[0] == made[1] == made[2]

    @jax.jit
    @chex.assert_max_traces(n=1)
    def loss(epoch, hparams):
        terms = made[0].terms(sources_of, hparams, reduce=jnp.mean)
        return terms["rank"] * made[0].weights(epoch, hparams)["rank"]

    values = [loss(jnp.float32(5.0), objective.hparams(rows)) for rows in tables]
    assert values[0] != values[1]
    assert values[2] == 0.0
    assert loss(jnp.float32(3.0), objective.hparams(tables[0])) == pytest.approx(values[0] / 2)


@pytest.mark.parametrize("kind", weights.SCHEDULES)
def test_a_schedule_is_a_function_of_epoch_and_its_numbers(kind):
    _, numbers = weights.SCHEDULES[kind]
    given = {"schedule": kind} | {name: field.default for name, field in numbers.items()}
    rows = {"rank": {"term": "rank", "on": "b", "weight": given}}
    objective.validate(rows, INPUTS, domain="toy")
    at = objective.make_objective(rows).weights
    values = [float(at(e, objective.hparams(rows))["rank"]) for e in np.linspace(0.0, 40.0, 81)]
    assert np.isfinite(values).all()
    assert np.ptp(values) > 0.5


def one_step(domain, config):
    """``key -> unweighted terms`` of one batch, and the hyperparameters."""
    made, hparams = domain.make_task(config), config_lib.hparams(config)

    def run(key):
        params, aux = made.init(key, hparams)
        batch = jax.tree.map(lambda leaf: leaf[0], made.batches(jnp.int32(0), key))
        outputs = made.forward(params, aux, batch, key, hparams)
        return made.terms(outputs, batch, hparams)

    return run


def tiny(task):
    config = config_lib.default(task)
    config.update_from_flattened_dict(dict(registry.get(task).tiny))
    return config


TASKS = ["dual_vae", "hierarchy", "hyperbolic_vae", "projected_vae"]


@pytest.mark.parametrize("task", TASKS)
def test_a_domain_offers_what_it_states(task):
    """The names that validation knows are those that the terms are given."""
    domain, config = registry.get(task), tiny(task)
    offered = {}

    def note(sides):
        def terms(self, sources, hparams, **_):
            for side in sides:
                offered[side] = set(sources(side))
            return {}

        return terms

    inputs = domain.inputs(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objective.Objective, "terms", note(inputs))

        jax.eval_shape(one_step(domain, config), jax.random.key(0))
    shared = set(inputs.get("", ()))
    for side, names in inputs.items():
        assert offered[side] - shared == set(names) - shared, side


@pytest.mark.parametrize("task", TASKS)
def test_terms_that_draw_are_given_a_key_and_pairs(task):
    """Rows in which a term draws triplets or takes a number of pairs, on any domain."""
    domain, config = registry.get(task), tiny(task)
    flat = task == "dual_vae"
    row = {"on": "b"} if "b" in domain.inputs(config) else {}
    row |= {"inputs": {"point": "z"}} if flat else {}
    rows = {
        "triplets": {"term": "triplet", "n_triplets": 7} | row,
        "tree": {"term": "tree_metric", "n_draws": 7} | row,
        "distances": {"term": "ultrametric", "pairs": 11} | row,
    }
    for name, entries in rows.items():
        config.objective[name] = entries
    config_lib.validate(config)
    program = jax.make_jaxpr(one_step(domain, config), return_shape=True)
    jaxpr, terms = program(jax.random.key(0))
    assert {terms[name].shape for name in rows} == {()}
    assert "i32[11]" in str(jaxpr)  # ends of the pairs that were asked for
    made, hparams = domain.make_task(config), config_lib.hparams(config)

    def evaluate(key):
        return made.evaluate(*made.init(jax.random.fold_in(key, 1), hparams), key, hparams)

    jax.eval_shape(evaluate, jax.random.key(0))


def test_a_term_of_a_users_own_trains_from_a_config(tmp_path):
    @tvae.term(
        "test_shell",
        unit="squared hyperbolic length",
        per="item",
        options={"wanted": (above(0.0), "radius of the shell, hyperbolic length")},
        source="this test",
    )
    def shell(radius, *, wanted=1.0):
        """Squared distance of radii from one radius."""
        return (radius - wanted) ** 2

    config = config_lib.default("hyperbolic_vae")
    config.update_from_flattened_dict(dict(registry.get("hyperbolic_vae").tiny) | {"epochs": 1})
    config.objective.shell = {"term": "test_shell", "weight": 0.5, "wanted": 2.0}
    model = tvae.train(config, tmp_path)
    log = (tmp_path / "metrics.jsonl").read_text()
    assert "train/shell" in log
    assert "train/weighted/shell" in log
    assert model.config.objective.shell.wanted == 2.0
