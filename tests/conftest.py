"""Settings for every test: strict JAX, one shared compilation cache, and where the data lies."""

import importlib.util
import os
import pathlib
import signal
import subprocess
import sys

import jax
import pytest

from tests.support.production_cases import FAST_COMPILE
from tvae.domains import registry

REPOSITORY = pathlib.Path(__file__).parent.parent
GOLDEN = REPOSITORY / "tests" / "golden"
REFERENCE = REPOSITORY.parent / "shared" / "reference"

# A shell that starts the suite in the background has it ignore SIGINT, and so would all children.
signal.signal(signal.SIGINT, signal.default_int_handler)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


def pytest_configure(config: pytest.Config) -> None:
    """Compile fast: the suite's programs take longer to compile than to run.

    Long trainings, and whoever sets ``XLA_FLAGS``, get the programs that users run.
    """
    # Threads of BLAS that wait for each other cost more than they save at the sizes of tests.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    options = {"xla_cpu_parallel_codegen_split_count": 1} | FAST_COMPILE
    if jax.__version_info__ < (0, 11):  # later compilers have one emitter, and refuse the flag
        options["xla_cpu_use_fusion_emitters"] = False
    if config.option.markexpr == "not slow":
        flags = (f"--{name}={str(value).lower()}" for name, value in options.items())
        os.environ.setdefault("XLA_FLAGS", " ".join(flags))


# Files of half a minute and more. They come first, so that what is left for the end of a session on
# several processes is short.
LONG = (
    "test_docs.py",
    "test_package.py",
    "cli/test_main.py",
    "projected_vae/test_task.py",
    "engine/test_hparams.py",
    "test_config_properties.py",
    "hyperbolic_vae/test_task.py",
    "test_command.py",
    "exports/test_export.py",
    "domains/test_toy_domain.py",
    "test_model.py",
    "test_lifecycle.py",
    "test_notebooks.py",
    "engine/test_step.py",
    "losses/test_contracts.py",
    "projected_vae/test_module_golden.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; in a file, and among the others, the order stays."""

    def rank(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((i for i, end in enumerate(LONG) if path.endswith(end)), len(LONG))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def reference() -> pathlib.Path:
    """Folder with checkpoints and golden outputs of the original system."""
    if not REFERENCE.is_dir():
        pytest.skip("needs ../shared/reference (outputs of the original system), which is absent")
    return REFERENCE


@pytest.fixture(scope="session")
def compilation_cache(tmp_path_factory) -> pathlib.Path:
    """What one subprocess of the suite compiled, the next one loads."""
    return tmp_path_factory.mktemp("compilation_cache")


@pytest.fixture(scope="session")
def command(compilation_cache):
    """Start a command of the package: ``command("main", "--config=...")`` -> a running process."""

    def start(name: str, *flags: str, **options) -> subprocess.Popen:
        fixed = name in {"main", "convert_torch_ckpt"}
        module = [f"tvae.{name}"] if fixed else ["tvae", name]
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(compilation_cache)}
        return subprocess.Popen(
            [sys.executable, "-m", *module, *flags],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start


@pytest.fixture(scope="session")
def trainers(tmp_path_factory):
    """Trainers of the toy task in processes of their own, to be killed."""
    from tests.support.trainers import Trainers

    trainers = Trainers(tmp_path_factory.mktemp("programs"))
    yield trainers
    trainers.close()


def load_config(name: str):
    """The configuration of ``configs/<name>.py``."""
    path = REPOSITORY / "configs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


@pytest.fixture(scope="module")
def rings():
    """The toy domain, registered while the tests of a module run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registered", {})
        from tests.support import toy_domain

        patch.setitem(registry._registered, "rings", toy_domain.DOMAIN)
        yield toy_domain
