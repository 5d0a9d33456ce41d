"""A process that has imported everything and forks a trainer of the toy task for each request.

Importing takes seconds, forking nothing: so dozens of runs can be killed in a test. Requests and
answers are JSON lines on standard input and output:

    {"start": {"workdir": ..., "config": {...}, "trouble": {name: argument}}} -> pid
    {"wait": pid}                              -> [exit status, what it wrote to standard error]

A trainer makes the trouble that it is asked for. Its exit status is that of a command.
"""

import errno
import functools
import json
import os
import pathlib
import resource
import signal
import sys
import time
import traceback

import jax
import orbax.checkpoint as ocp

from tests.support import toy_task
from tvae.cli import command, process
from tvae.engine import step
from tvae.errors import StoppedError, UserError
from tvae.runs import checkpoint, log


def pace(seconds):
    """Take a while for each epoch."""
    write = log.Log.write

    def slowly(self, epoch, metrics):
        write(self, epoch, metrics)
        time.sleep(seconds)

    log.Log.write = slowly


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

    for name in ("mkdir", "rename", "replace", "rmdir", "posix_fallocate"):
        setattr(os, name, counted(getattr(os, name)))


def signal_at(number_and_call):
    """Get a signal when the n-th epoch begins."""
    number, call = number_and_call
    make_engine, count = step.make_engine, 0

    def make(task, settings):
        engine = make_engine(task, settings)

        def train_epoch(state, *arguments):
            nonlocal count
            count += not isinstance(state.step, jax.core.Tracer)  # the loop looks at its shapes too
            if count == call:
                os.kill(os.getpid(), number)
                time.sleep(0.2)
            return engine.train_epoch(state, *arguments)

        return engine._replace(train_epoch=train_epoch)

    step.make_engine = make


def signal_at_the_end(number_and_when):
    """Get a signal in the final evaluation, or as the last epoch's block ends."""
    number, when = number_and_when
    send = functools.partial(os.kill, os.getpid(), number)
    if when == "final":
        final_evaluate = toy_task.LineTask.final_evaluate

        def interrupted(*arguments):
            send()
            time.sleep(5)
            return final_evaluate(*arguments)

        toy_task.LineTask.final_evaluate = interrupted
    else:
        close = checkpoint.RunCheckpoints.close

        def close_interrupted(self):
            send()
            time.sleep(0.2)
            close(self)

        checkpoint.RunCheckpoints.close = close_interrupted


def full_disk(first):
    """No space for a checkpoint of this step or later."""
    save = ocp.CheckpointManager.save

    def refuse(self, step, **options):
        if step >= first:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return save(self, step, **options)

    ocp.CheckpointManager.save = refuse


def small_files(size):
    """Files end at this many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def nobody(_):
    """Be a user whom permissions bind, which root is not."""
    jax.config.update("jax_enable_compilation_cache", False)  # it is another user's
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def poison(steps):
    """Data that are NaN in a range of steps."""
    toy_task.LineTask = functools.partial(toy_task.LineTask, poison=tuple(steps))


def other_clock(seconds):
    """Live at another time."""
    now = time.time
    time.time = lambda: now() + seconds


TROUBLES = (
    pace,
    die_at,
    signal_at,
    signal_at_the_end,
    full_disk,
    small_files,
    nobody,
    poison,
    other_clock,
)
TROUBLE = {trouble.__name__: trouble for trouble in TROUBLES}


def train(workdir, config, trouble):
    """Train in this process; its exit status."""
    for name, argument in trouble.items():
        TROUBLE[name](argument)
    try:
        with process.control_process() as control:
            task, folder = toy_task.LineTask(), pathlib.Path(workdir)
            toy_task.train(toy_task.make_config(**config), task, folder, control=control)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return command.USER_ERROR_STATUS
    except StoppedError as stopped:
        sys.stderr.write(f"{stopped}\n")
        return command.SIGNAL_STATUS + stopped.signal_number
    return 0


def start(workdir, config, trouble):
    """Fork a trainer: its process id, and the pipe that its standard error goes to."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid:
        os.close(sink)
        return pid, source
    status = 1
    try:
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.close(0)
        status = train(workdir, config, trouble)
    except BaseException:  # noqa: BLE001 (os._exit would swallow its traceback)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def main(cache):
    """Answer requests until there are no more."""
    command.enable_compilation_cache(pathlib.Path(cache))
    pipes = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer, pipe = start(**request["start"])
            pipes[answer] = pipe
        else:
            pid = request["wait"]
            with os.fdopen(pipes.pop(pid)) as pipe:
                said = pipe.read()
            answer = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    main(sys.argv[1])
