"""Puts the recipes and checkpoints into a built package; all else is in ``pyproject.toml``."""

import pathlib
import shutil

import setuptools
from setuptools.command.build_py import build_py


class BuildWithShipped(build_py):
    """Copies ``configs/`` and ``checkpoints/``; an editable install reads them where they are."""

    def run(self) -> None:
        """Build the package, then add the folders."""
        super().run()
        if self.editable_mode:
            return
        for name in ("configs", "checkpoints"):
            target = pathlib.Path(self.build_lib, "tvae", name)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(name, target, ignore=shutil.ignore_patterns("__pycache__"))


setuptools.setup(cmdclass={"build_py": BuildWithShipped})
