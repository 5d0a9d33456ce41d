"""Single mutations of the numerical code, and the tests that must notice them.

Each is a file of the package, text that it holds exactly once, what replaces it, and tests to run,
those most likely to fail first. ``tests/mutation.py`` applies them one by one.
"""

from tests.support.mutations.engine import ENGINE
from tests.support.mutations.geometry import GEOMETRY
from tests.support.mutations.losses import LOSSES
from tests.support.mutations.metrics import METRICS

MUTATIONS = GEOMETRY + LOSSES + METRICS + ENGINE
