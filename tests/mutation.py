"""Tests that can fail: apply single mutations of the code one by one, and run their tests.

    python -m tests.mutation                 # all of tests.support.mutations, three minutes
    python -m tests.mutation schedules b2    # those whose file or name holds one of the words

A process that has imported the libraries forks one for each mutation. It sees the changed module
through an import hook, so that no file is touched, and loads what others compiled. The exit status
is 1 if a mutation survives without a reason or its tests fail on the code as it is.
"""

import collections
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

import jax
import pytest

from tests.support.mutations import MUTATIONS
from tests.support.mutations.entry import Mutation

REPOSITORY = pathlib.Path(__file__).parent.parent
JOBS = os.cpu_count() or 1
SECONDS = 600  # a mutation may make a test run for ever
PRELOADED = (
    "chex",
    "flax.linen",
    "hypothesis",
    "ml_collections",
    "optax",
    "orbax.checkpoint",
    "scipy.stats",
)
"""Imported once, for all forks; nothing of the library itself, which the forks change."""
PASSED, FAILED, INTERRUPTED = 0, 1, 2  # of pytest; one that cannot be imported interrupts it


def say(line: str) -> None:
    """Print at once, so that a long run can be watched."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Mutant(importlib.abc.MetaPathFinder):
    """Finds the changed module in place of the file's."""

    def __init__(self, mutation: Mutation):
        self.path = REPOSITORY / mutation.file
        self.module = mutation.file.removesuffix(".py").replace("/", ".")
        source = self.path.read_text()
        if source.count(mutation.old) != 1:
            raise SystemExit(f"{mutation.file} does not hold exactly once: {mutation.old}")
        self.source = source.replace(mutation.old, mutation.new)

    def find_spec(self, fullname, path, target=None):
        if fullname != self.module:
            return None
        source, file = self.source, str(self.path)

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, fullname):
                return compile(source, file, "exec", dont_inherit=True)

        return importlib.util.spec_from_file_location(fullname, file, loader=Loader(fullname, file))


def start(tests: tuple[str, ...], cache: pathlib.Path, mutation: Mutation | None) -> int:
    """Fork a process that runs some tests; its id."""
    pid = os.fork()
    if pid:
        return pid
    status = INTERRUPTED
    try:
        signal.alarm(SECONDS)
        output = os.open(cache / f"{os.getpid()}.txt", os.O_CREAT | os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if mutation is not None:
            sys.meta_path.insert(0, Mutant(mutation))
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        options = ["-q", "-x", "-p", "no:cacheprovider", "-o", "addopts=", "-m", "not slow"]
        status = int(pytest.main([*options, *tests]))
    except BaseException:  # noqa: BLE001  (os._exit would swallow its traceback)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(jobs: list[tuple[tuple[str, ...], Mutation | None]], caches: list[pathlib.Path], report):
    """Run jobs ``(tests, mutation)``, one at a time for each cache; ``report`` takes the results.

    Each process of a pair has a cache of its own: JAX does not expect two writers.
    """
    waiting, free, running = collections.deque(jobs), list(caches), {}
    while waiting or running:
        while waiting and free:
            job, cache = waiting.popleft(), free.pop()
            running[start(job[0], cache, job[1])] = (job, cache, time.perf_counter())
        pid, status = os.wait()
        (tests, mutation), cache, began = running.pop(pid)
        free.append(cache)
        said = (cache / f"{pid}.txt").read_text()
        code = os.waitstatus_to_exitcode(status)
        report(tests, mutation, code, said, time.perf_counter() - began)


def share(caches: list[pathlib.Path]) -> None:
    """Give every cache what the others hold."""
    for source in caches:
        for target in caches:
            if source != target:
                shutil.copytree(source, target, dirs_exist_ok=True)


def verdict(code: int, said: str) -> str:
    """What became of a mutation: killed by a failing test, or by the end of its process."""
    if code == PASSED:
        return "survived"
    if code in (FAILED, INTERRUPTED):
        return "killed"
    if code < 0:
        return "timed out" if code == -signal.SIGALRM else "crashed"
    raise SystemExit(said)  # tests that do not exist


def examine(chosen: list[Mutation], folder: pathlib.Path) -> bool:
    """Print what becomes of each mutation; whether all were noticed that can be."""
    caches = [folder / str(number) for number in range(JOBS)]
    for cache in caches:
        cache.mkdir()
    sound, survivors = [], []

    def unchanged(tests, _, code, said, seconds):
        say(f"{'passes' if code == PASSED else 'FAILS':>9} {seconds:5.1f} s  {' '.join(tests)}")
        sound.append(code == PASSED)
        if code != PASSED:
            say(said)

    def changed(_, mutation, code, said, seconds):
        found = verdict(code, said)
        if found == "survived":
            survivors.append(mutation)
        say(f"{found:>9} {seconds:5.1f} s  {mutation.file}: {mutation.name}")

    files = dict.fromkeys(test for mutation in chosen for test in mutation.tests)
    run([((test,), None) for test in files], caches, unchanged)
    share(caches)
    run([(mutation.tests, mutation) for mutation in chosen], caches, changed)
    killed = len(chosen) - len(survivors)
    say(f"\n{killed} of {len(chosen)} mutations killed ({killed / len(chosen):.1%})")
    for mutation in survivors:
        reason = mutation.survives or "NO REASON: a test is missing"
        say(f"survived: {mutation.file}: {mutation.name}: {reason}")
    return all(sound) and all(mutation.survives for mutation in survivors)


def main(words: list[str]) -> int:
    """Examine the mutations that the words choose, all without words."""
    chosen = [
        mutation
        for mutation in MUTATIONS
        if not words or any(word in mutation.file or word in mutation.name for word in words)
    ]
    if not chosen:
        raise SystemExit(f"no mutation matches: {' '.join(words)}")
    os.chdir(REPOSITORY)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they take half of a short test's time
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # what is shared with the forks stays shared
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        fine = examine(chosen, pathlib.Path(folder))
    say(f"{time.perf_counter() - began:.0f} s")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
