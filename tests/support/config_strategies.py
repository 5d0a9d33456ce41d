"""Random configurations, drawn from the checks of the fields."""

import functools

from hypothesis import strategies as st

from tvae import config as config_lib
from tvae.domains import registry

# Above what a check bounds only from below: far beyond sense, within what float32 can hold.
LARGE = {int: 200, float: 1e6}


def _numbers(check):
    """``(values inside, values outside)`` of a range of numbers."""
    low, bounded, open_below = check.low, check.high is not None, check.low_excluded
    high = check.high if bounded else low + LARGE[check.kind]
    if check.kind is int:
        low += open_below
        inside = st.integers(low, high)
        outside = [st.integers(low - 1000, low - 1)]
        outside += [st.integers(high + 1, high + 1000)] if bounded else []
        return inside, st.one_of(outside)
    inside = st.floats(low, high, exclude_min=open_below, allow_subnormal=False)
    outside = [st.floats(low - 1e3, low, exclude_max=not open_below)]
    outside += [st.floats(high, high + 1e3, exclude_min=True)] if bounded else []
    return inside, st.one_of(*outside, st.sampled_from([float("nan"), float("inf")]))


def _elements(check):
    """``(values inside, values outside)`` of one value, or of one element of a tuple."""
    if check.kind is bool:
        return st.booleans(), st.nothing()
    if check.choices:
        wrong = ["", "of no kind"] if check.kind is str else [0, 2, 100, 3**12]
        return st.sampled_from(check.choices), st.sampled_from(wrong)
    if check.kind is str:
        outside = st.sampled_from(["", "word"]) if check.part else st.nothing()
        return st.just(f"a{check.part}b"), outside
    return _numbers(check)


def values(check):
    """``(values inside, values outside)`` of what a check allows."""
    inside, outside = _elements(check)
    if not check.several:
        return inside, outside
    if check.increasing:
        rest = st.sets(inside.filter(lambda x: x > check.low), max_size=3)
        rising = rest.map(lambda drawn: (check.low, *sorted(drawn)))
        return rising, st.sampled_from([(), (check.low + 1,), (check.low, 5, 5)])
    several = st.lists(inside, min_size=1, max_size=3).map(tuple)
    return several, st.one_of(st.just(()), st.tuples(inside, outside))


@functools.cache  # hypothesis examines each new strategy anew
def fields(task):
    """Path -> ``(values inside, values outside)`` of every field of a task but its name."""
    known = config_lib.fields(task)
    free = {path for path, field in known.items() if field.check.kind is dict}
    return {path: values(known[path].check) for path in known.keys() - free - {"task"}}


@st.composite
def tiny(draw, task):
    """Configurations of a tiny model, a dozen other fields somewhere in their ranges."""
    sizes = registry.get(task).tiny
    known = {path: inside for path, (inside, _) in fields(task).items() if path not in sizes}
    paths = draw(st.lists(st.sampled_from(sorted(known)), min_size=12, max_size=12, unique=True))
    config = config_lib.default(task)
    changes = {path: draw(known[path]) for path in paths}
    config.update_from_flattened_dict(changes | sizes)
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
