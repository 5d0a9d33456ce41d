"""Settings for every test: strict JAX, one shared compilation cache, and where the data lies."""

import os
import pathlib

# Subprocesses of the suite inherit this: what one of them compiled, the next one loads.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

REPOSITORY = pathlib.Path(__file__).parent.parent
GOLDEN = REPOSITORY / "tests" / "golden"
REFERENCE = REPOSITORY.parent / "shared" / "reference"

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


@pytest.fixture(scope="session")
def reference() -> pathlib.Path:
    """Folder with checkpoints and golden outputs of the original system."""
    if not REFERENCE.is_dir():
        pytest.skip("needs ../shared/reference (outputs of the original system), which is absent")
    return REFERENCE
