"""A process that has imported everything and forks a trainer of the toy task for each request.

Importing takes seconds, forking nothing: so dozens of runs can be killed in a test. Requests and
answers are JSON lines on standard input and output:

    {"start": {"workdir": ..., "config": {...}, "trouble": {name: argument}}} -> pid
    {"wait": pid}                                                             -> exit status

A trainer answers to trouble that it is told to make for itself, and writes its standard error to
``<workdir>.err``. Its exit status is that of a door.
"""

import errno
import json
import os
import pathlib
import resource
import shutil
import signal
import sys
import time

import jax

from tests.training import toy
from tvae import door
from tvae.training import archive, loop, writers
from tvae.types import StoppedError, UserError


def pace(seconds):
    """Take a while for each epoch."""
    write = writers.Writers.write

    def slowly(self, epoch, metrics):
        write(self, epoch, metrics)
        time.sleep(seconds)

    writers.Writers.write = slowly


def die_at(call):
    """Be killed in place of the n-th change that a save makes in the file system."""
    count = 0

    def counted(function):
        def wrapper(*arguments, **options):
            nonlocal count
            count += 1
            if count == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return wrapper

    os.fsync = counted(os.fsync)
    pathlib.Path.rename = counted(pathlib.Path.rename)
    shutil.rmtree = counted(shutil.rmtree)


def full_disk(step):
    """No space for a checkpoint of this step or later."""
    write = archive.write

    def refuse(folder, arrays, record):
        if int(folder.name) >= step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(folder, arrays, record)

    archive.write = refuse


def small_files(size):
    """Files end at this many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def nobody(_):
    """Be a user whom permissions bind, which root is not."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def other_clock(seconds):
    """Live at another time."""
    now = time.time
    time.time = lambda: now() + seconds


TROUBLE = {f.__name__: f for f in (pace, die_at, full_disk, small_files, nobody, other_clock)}


def train(workdir, config, trouble):
    """Train in this process; its exit status."""
    for name, argument in trouble.items():
        TROUBLE[name](argument)
    try:
        loop.train(toy.make_config(**config), toy.make_task(), pathlib.Path(workdir))
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return door.USER_ERROR_STATUS
    except StoppedError as stopped:
        sys.stderr.write(f"{stopped}\n")
        return door.SIGNAL_STATUS + stopped.signal_number
    return 0


def start(workdir, config, trouble):
    """Fork a trainer; its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        descriptor = os.open(f"{workdir}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(0)
        status = train(workdir, config, trouble)
    finally:
        sys.stderr.flush()
        os._exit(status)


def main(cache):
    """Answer requests until there are no more."""
    door.enable_compilation_cache(pathlib.Path(cache))
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer = start(**request["start"])
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    main(sys.argv[1])
