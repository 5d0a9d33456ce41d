"""Random configurations, drawn from the ranges that the checks document."""

from hypothesis import strategies as st

from tvae import config as config_lib

# Above what the checks bound only from below: far beyond sense, within what float32 can hold.
LARGE_FLOAT, LARGE_INT = 1e6, 200
OUT_OF_RANGE = {
    "widths": [(), (0,), (16, -1)],
    "power": [0, 2, 100, 3**12],
    "boundaries": [(), (1, 2), (0, 5, 5)],
    "rates": [(-1.0,)],
    "word": ["", "of no kind"],
}

TINY = {
    "dual_vae": {
        "data.n_digits": 3,
        "data.batch_size": 8,
        "model.latent_dim": 2,
        "model.encoder_widths": (8,),
        "model.decoder_a_widths": (8,),
        "model.decoder_b_width": 8,
        "model.decoder_b_blocks": 1,
        "evaluation.prior_draws": 10,
        "evaluation.argmax_draws": 10,
    },
    "projected_vae": {
        "base_checkpoint": "",
        "data.batch_size": 64,
        "model.latent_dim": 2,
        "model.encoder_widths": (8,),
        "model.decoder_widths": (8,),
        "model.projection_width": 8,
        "model.projection_layers": 1,
        "loss.margin_pairs": 10,
        "loss.rank_pairs": 10,
        "loss.geodesic_pairs": 10,
    },
    "hyperbolic_vae": {
        "data.block": 9,
        "data.roots": 3,
        "data.anchors": 3,
        "model.latent_dim": 2,
        "model.encoder_widths": (8,),
        "model.decoder_widths": (8,),
        "model.projection_width": 8,
        "model.projection_layers": 1,
    },
}
"""Sizes that compile in seconds; the fields that are not here may be drawn."""


def _numbers(check, default):
    """``(values inside, values outside)`` of a range of numbers."""
    low, bounded, open_below = check.low, check.high is not None, check.low_excluded
    whole = isinstance(default, int)
    high = check.high if bounded else low + (LARGE_INT if whole else LARGE_FLOAT)
    if whole:
        low = int(low) + open_below
        inside = st.integers(low, int(high))
        outside = [st.integers(low - 1000, low - 1)]
        outside += [st.integers(int(high) + 1, int(high) + 1000)] if bounded else []
        return inside, st.one_of(outside)
    inside = st.floats(low, high, exclude_min=open_below, allow_subnormal=False)
    outside = [st.floats(low - 1e3, low, exclude_max=not open_below)]
    outside += [st.floats(high, high + 1e3, exclude_min=True)] if bounded else []
    return inside, st.one_of(*outside, st.sampled_from([float("nan"), float("inf")]))


def values(path, check, default):
    """``(values inside, values outside)`` of what a field's check allows."""
    if check.choices:
        return st.sampled_from(check.choices), st.sampled_from(OUT_OF_RANGE["word"])
    if check.low is not None:
        return _numbers(check, default)
    expectation = check.expectation
    if expectation.startswith("a tuple of positive integers"):
        widths = st.lists(st.integers(1, 64), min_size=1, max_size=3).map(tuple)
        return widths, st.sampled_from(OUT_OF_RANGE["widths"])
    if expectation.startswith("a power of 3"):
        return st.integers(0, 9).map(lambda k: 3**k), st.sampled_from(OUT_OF_RANGE["power"])
    if path in ("learning_rate.boundaries", "learning_rate.rates"):
        return st.just(default), st.sampled_from(OUT_OF_RANGE[path.split(".")[1]])
    # What has no range: a folder, a metric's name.
    return st.just(default), st.nothing()


def fields(task):
    """Path -> ``(values inside, values outside)`` of every field of a task."""
    known, checks = dict(config_lib.leaves(config_lib.default(task))), config_lib.checks(task)
    flags = {p: (st.booleans(), st.nothing()) for p, v in known.items() if isinstance(v, bool)}
    return flags | {
        path: values(path, check, known[path]) for path, check in checks.items() if path != "task"
    }


@st.composite
def tiny(draw, task):
    """Configurations of a tiny model, a dozen other fields somewhere in their ranges."""
    known = {path: inside for path, (inside, _) in fields(task).items() if path not in TINY[task]}
    paths = draw(st.lists(st.sampled_from(sorted(known)), min_size=12, max_size=12, unique=True))
    config = config_lib.default(task)
    changes = {path: draw(known[path]) for path in paths}
    config.update_from_flattened_dict(changes | TINY[task])
    return config


@st.composite
def changed(draw, task):
    """A default configuration with a few fields anywhere: ``(config, those out of range)``."""
    known = fields(task)
    paths = draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=4, unique=True))
    config, bad = config_lib.default(task), set()
    for path in paths:
        inside, outside = known[path]
        if not outside.is_empty and draw(st.booleans()):
            inside, _ = outside, bad.add(path)
        with config.unlocked():
            config.update_from_flattened_dict({path: draw(inside)})
    return config, bad
