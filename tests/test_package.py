"""The built package: all that it needs is inside, and it works from an empty folder."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.conftest import REPOSITORY

SHIPPED = [
    path.relative_to(REPOSITORY).as_posix()
    for folder in ("configs", "checkpoints")
    for path in (REPOSITORY / folder).rglob("*")
    if path.is_file() and path.suffix != ".pyc"
]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")


def build(tree, kind):
    """A distribution of a source tree, by the build backend."""
    code = f"import setuptools.build_meta as b; b.build_{kind}('dist')"
    subprocess.run([sys.executable, "-c", code], cwd=tree, check=True, capture_output=True)
    (built,) = (tree / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the source distribution of a copy without git."""
    found = [each for each in metadata.distributions() if each.name == "setuptools"]
    if not found or int(found[0].version.partition(".")[0]) < 77:
        pytest.skip("needs setuptools 77, which the extra 'test' installs")
    place = tmp_path_factory.mktemp("build")
    tree = place / "tree"
    for folder in ("tvae", "configs", "checkpoints"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / folder, tree / folder, ignore=ignored)
    (tree / "configs" / "__pycache__").mkdir()
    (tree / "configs" / "__pycache__" / "v6.pyc").write_bytes(b"")
    for name in SOURCES:
        shutil.copy(REPOSITORY / name, tree / name)
    with tarfile.open(build(tree, "sdist")) as archive:
        archive.extractall(place, filter="data")
    (unpacked,) = (path for path in place.iterdir() if path != tree)
    return build(unpacked, "wheel")


def test_the_wheel_holds_what_ships_and_marks_its_types(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    extra = [name for name in names if name.startswith(("tvae/configs/", "tvae/checkpoints/"))]
    assert sorted(extra) == sorted(f"tvae/{name}" for name in SHIPPED)
    assert "tvae/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {"tvae", "tvae-0.1.0.dist-info"}


def test_dependencies_are_bounded_and_hold_the_tested_versions():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    tools = ("docs", "test")
    extras = project["optional-dependencies"]
    lines = [line for name in extras.keys() - tools for line in extras[name]]
    needed = [Requirement(line) for line in [*project["dependencies"], *lines]]
    for each in needed:
        assert each.name == "tvae" or {">=", "<"} == {bound.operator for bound in each.specifier}
    results = json.loads((REPOSITORY / "experiments" / "versions" / "results.json").read_text())
    for environment in results["environments"].values():
        tested = environment["versions"]
        assert Version(tested.pop("python")) in SpecifierSet(project["requires-python"])
        bounded = {each.name: each.specifier for each in needed}
        assert all(version in bounded[name] for name, version in tested.items())


# Without the extra "report", and with the tests' own toy domain, which trains in a second.
SCRIPT = """
import importlib, json, pathlib, sys

sys.modules["matplotlib"] = None
import tvae
from tvae import config, shipped
from tvae.__main__ import COMMANDS
from tvae.cli import command
from tvae.domains import registry

for module, _ in COMMANDS.values():
    importlib.import_module(module)
for name in shipped.configs():
    config.validate(config.read_file(name))
registry.make_task(config.read_file("v5_12_4"))  # reads its base
model = tvae.load("v6")
digits = model.decode(model.embed([9841])).argmax(-1) - 1
print(json.dumps({
    "place": tvae.__file__,
    "configs": list(shipped.configs()),
    "checkpoints": [info.name for info in tvae.list_checkpoints()],
    "digits": digits.tolist(),
}))
pathlib.Path("toy.py").write_text('''
from tests.support import toy_domain
from tvae import config

def get_config():
    return config.default(toy_domain.DOMAIN.name)
''')
sys.argv = ["tvae train", "--config=toy.py", "--workdir=run"]
command.run("tvae.main")
"""


def test_the_wheel_works_from_an_empty_folder_without_plotting_libraries(
    wheel, tmp_path, compilation_cache
):
    place, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    zipfile.ZipFile(wheel).extractall(place)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)  # of another project
    environment = os.environ | {
        "PYTHONPATH": f"{place}{os.pathsep}{REPOSITORY}",
        "JAX_COMPILATION_CACHE_DIR": str(compilation_cache),
    }
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=empty, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout.splitlines()[0])
    assert found["place"] == str(place / "tvae" / "__init__.py")
    assert {f"configs/{name}.py" for name in found["configs"]} < set(SHIPPED)
    assert len(found["configs"]) == sum(name.startswith("configs/") for name in SHIPPED)
    assert found["checkpoints"] == ["v5_12_4", "v5_5", "v5_5_faithful", "v6"]
    assert found["digits"] == [[0] * 9]
    assert json.loads((empty / "run" / "run.json").read_text())["git_commit"] is None
    assert "train/epochs" in process.stdout
    assert "warning" not in process.stderr
    # The page does without plotting libraries; only images of the disk need them.
    assert (empty / "run" / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_the_wheel_works_in_a_fresh_environment(wheel, tmp_path):
    """What a user does: install, train, load, report, from an empty folder."""
    home = tmp_path / "environment"
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def call(program, *arguments):
        process = subprocess.run(
            [home / "bin" / program, *arguments],
            cwd=empty, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert process.returncode == 0, process.stderr
        return process.stdout

    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    call("pip", "install", "-q", wheel)
    out = call("tvae", "train", "--config=v6", "--workdir=run")
    assert f"report   {empty / 'run' / 'report.html'}" in out
    lines = (
        "import tvae",
        "model = tvae.load('v6')",
        "print(model.decode(model.embed([9841])).argmax(-1) - 1)",
    )
    assert call("python", "-c", "\n".join(lines)) == "[[0 0 0 0 0 0 0 0 0]]\n"
    metrics = json.loads(call("tvae", "evaluate", "--checkpoint=run", "--format=json"))
    assert metrics["eval/coverage_ball"] == 1.0
    (empty / "run" / "report.html").unlink()
    assert call("tvae", "report", "--workdir=run") == f"{empty / 'run' / 'report.html'}\n"
    # The same from a copy of the source tree.
    tree = tmp_path / "tree"
    for folder in ("tvae", "configs", "checkpoints"):
        shutil.copytree(REPOSITORY / folder, tree / folder)
    for name in SOURCES:
        shutil.copy(REPOSITORY / name, tree / name)
    call("pip", "install", "-q", "--no-deps", "-e", tree)
    lines = ("import tvae, tvae.config", "print(tvae.list_checkpoints()[-1].path)")
    assert call("python", "-c", "\n".join(lines)) == f"{tree / 'checkpoints' / 'v6'}\n"
