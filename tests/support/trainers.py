"""Trainers in processes of their own, to be killed."""

import json
import subprocess
import sys

from tests.conftest import REPOSITORY


class Trainers:
    """Starts trainers of the toy task through :mod:`tests.support.trainer_server`."""

    def __init__(self, cache):
        command = [sys.executable, "-m", "tests.support.trainer_server", str(cache)]
        self._zygote = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _ask(self, **request):
        self._zygote.stdin.write(json.dumps(request) + "\n")
        self._zygote.stdin.flush()
        return json.loads(self._zygote.stdout.readline())

    def start(self, workdir, config=None, **trouble):
        """Start one; its process id. It goes on where the working directory stopped."""
        workdir.mkdir(exist_ok=True)
        request = {"workdir": str(workdir), "config": config or {}, "trouble": trouble}
        return self._ask(start=request)

    def wait(self, pid):
        """``(exit status, or minus the signal that ended it; what it said, line by line)``."""
        status, said = self._ask(wait=pid)
        lines = said.replace("\r", "\n").splitlines()
        return status, [line for line in lines if line and "%|" not in line]

    def run(self, workdir, config=None, **trouble):
        """Start one and wait."""
        return self.wait(self.start(workdir, config, **trouble))

    def close(self):
        self._zygote.stdin.close()
        self._zygote.wait(60)
        self._zygote.stdout.close()
