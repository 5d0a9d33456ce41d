"""Trainers in processes of their own, to be killed."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


class Trainers:
    """Starts trainers of the toy task through :mod:`tests.training.zygote`."""

    def __init__(self, cache):
        command = [sys.executable, "-m", "tests.training.zygote", str(cache)]
        self._zygote = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _ask(self, **request):
        self._zygote.stdin.write(json.dumps(request) + "\n")
        self._zygote.stdin.flush()
        return int(self._zygote.stdout.readline())

    def start(self, workdir, config=None, **trouble):
        """Start one; its process id. It goes on where the working directory stopped."""
        workdir.mkdir(exist_ok=True)
        request = {"workdir": str(workdir), "config": config or {}, "trouble": trouble}
        return self._ask(start=request)

    def wait(self, pid):
        """Exit status, or minus the signal that ended it."""
        return self._ask(wait=pid)

    def run(self, workdir, config=None, **trouble):
        """Start one and wait: ``(exit status, what it said)``."""
        status = self.wait(self.start(workdir, config, **trouble))
        return status, said(workdir)

    def close(self):
        self._zygote.stdin.close()
        self._zygote.wait(60)
        self._zygote.stdout.close()


def said(workdir):
    """What the trainers of a working directory wrote to standard error, progress bars aside."""
    lines = pathlib.Path(f"{workdir}.err").read_text().replace("\r", "\n").splitlines()
    return [line for line in lines if line and "epoch/s" not in line]


@pytest.fixture(scope="session")
def trainers(tmp_path_factory):
    trainers = Trainers(tmp_path_factory.mktemp("programs"))
    yield trainers
    trainers.close()
