"""Golden cases of the production line: those in tests/golden, or all of the reference data."""

import json
import pathlib
from typing import NamedTuple

import numpy as np

HERE = pathlib.Path(__file__).parent.parent / "golden"
REFERENCE = HERE.parent.parent.parent / "shared" / "reference" / "golden"

# Dozens of small programs, each run once: compiling them well would take longer than the tests.
FAST_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
# With vector instructions, whose sums round as the goldens' do: added up one by one, some are off
# by a hundredth more than 1e-5.
VECTORISED = {"xla_backend_optimization_level": 1}


class Case(NamedTuple):
    """One recorded call of the original system."""

    name: str
    params: dict
    tolerance: dict
    arrays: dict[str, np.ndarray]

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def has(self, key: str) -> bool:
        return key in self.arrays

    def assert_close(self, actual, key: str) -> None:
        """Compare within the recorded tolerance (absolute, beside 1e-5 relative)."""
        expected = self.arrays[key]
        atol = self.tolerance[key]
        np.testing.assert_allclose(
            actual, expected, rtol=1e-5, atol=atol, err_msg=f"{self.name} {key}"
        )


def kept(family: str, topic: str = "") -> list[Case]:
    """Cases of tests/golden/production_<family>.npz whose name starts with ``topic``."""
    with np.load(HERE / f"production_{family}.npz") as data:
        arrays: dict[str, dict[str, np.ndarray]] = {}
        for key in data.files:
            name, _, array = key.partition("|")
            if name.startswith(topic):
                arrays.setdefault(name, {})[array] = data[key]
    return [
        Case(name, json.loads(str(a.pop("params"))), json.loads(str(a.pop("tolerance"))), a)
        for name, a in arrays.items()
    ]


def referenced(topic: str) -> list[Case]:
    """All cases of a topic of the reference data; none where that is absent."""
    if not REFERENCE.is_dir():
        return []
    cases = []
    for case in json.loads((REFERENCE / "manifest.json").read_text())["cases"]:
        if case["id"].startswith(topic):
            with np.load(REFERENCE / case["file"]) as data:
                arrays = {key: data[key] for key in data.files}
            cases.append(Case(case["id"], case["params"], case["tolerance"], arrays))
    return cases


def all_cases(family: str, topic: str = "") -> list[Case]:
    """The kept cases, and those of the reference data that are not kept."""
    here = kept(family, topic)
    names = {case.name for case in here}
    return here + [case for case in referenced(topic) if case.name not in names]
