"""Process control of a command that trains: memory, signals and a progress bar."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from tqdm import tqdm

from tvae.cli import memory, signals
from tvae.engine.loop import Control, Phase
from tvae.errors import StoppedError
from tvae.runs import text

_SAVED = "after the last epoch, which is saved; --resume repeats the final evaluation"


@contextlib.contextmanager
def control_process(headline: Sequence[str] = (), *, title: str = "") -> Iterator[Control]:
    """Hand the process to one training run, until the end of the block.

    From the start to the last epoch SIGTERM and SIGINT ask the run to save and stop; after it they
    end the process at once, since all is saved. Freed memory goes back to the system between
    epochs, compiled programs are dropped after initialisation, and a bar on standard error shows
    the epochs, with the ``headline`` beside the training loss, and that it compiles before.
    """
    with contextlib.ExitStack() as whole, contextlib.ExitStack() as epochs:
        watch: list[signals.Watch] = []
        bars: list[tqdm] = []

        def between(phase: Phase) -> None:
            if phase == Phase.START:
                if title:
                    sys.stderr.write(f"{title}\n")
                memory.limit_arenas()
                watch.append(whole.enter_context(signals.watch()))
            elif phase == Phase.INITIALISED:
                memory.forget_programs()
            elif phase == Phase.BLOCK:
                memory.return_freed_pages()
            else:
                epochs.close()
                watch[0].saved = _SAVED
                # Between the last epoch's end and here.
                if received := watch[0].received:
                    raise StoppedError(f"stopped by {received.name} {_SAVED}", received)

        def progress(done: int, total: int, metrics: Mapping[str, Any]) -> None:
            if not bars:
                bars.append(epochs.enter_context(contextlib.closing(_bar(done, total))))
                bars[0].set_postfix_str("compiling")  # until the first block of epochs is done
            if metrics:
                bars[0].set_postfix_str(text.summarise(metrics, headline), refresh=False)
            bars[0].update(done - bars[0].n)

        yield Control(lambda: watch[0].received if watch else None, between, progress)


def use_all_cores() -> None:
    """Give the CPU a device for each core, for populations; other platforms have their own.

    After JAX's first use, or where XLA_FLAGS decide, all stays as it is.
    """
    with contextlib.suppress(RuntimeError, ValueError):
        jax.config.update("jax_num_cpu_devices", os.cpu_count())


def _bar(done: int, total: int) -> tqdm:
    """A bar over epochs with rate and time left, on standard error."""
    return tqdm(
        total=total,
        initial=done,
        unit="epoch",
        dynamic_ncols=True,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
    )
