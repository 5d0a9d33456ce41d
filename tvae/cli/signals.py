"""SIGTERM and SIGINT: the first asks the run to save and stop, the second stops it at once."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Watch:
    """The signals received so far; ``received`` is the first, or None.

    While ``saved`` is a text, the run has nothing to save: a signal prints the text and ends the
    process at once.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.saved = ""

    def listen(self, descriptor: int) -> None:
        """Read signal numbers from a pipe until it is closed."""
        while number := os.read(descriptor, 1):
            if number[0] not in SIGNALS:
                continue
            name = signal.Signals(number[0]).name
            if self.saved:
                sys.stderr.write(f"\nstopped by {name} {self.saved}\n")
                sys.stderr.flush()
            if self.received is not None or self.saved:
                os._exit(128 + number[0])
            self.received = signal.Signals(number[0])
            sys.stderr.write(
                f"\n{name}: finishing what runs, then saving; once more to stop at once\n"
            )


@contextlib.contextmanager
def watch() -> Iterator[Watch]:
    """Watch for signals inside the block; the handlers before it are put back at its end.

    A thread listens, because Python runs handlers only between the steps of the main thread, which
    may be in the compiler for a minute. Outside the main thread, and for signals that the process
    ignores, nothing is watched.
    """
    asked = Watch()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    listener = threading.Thread(target=asked.listen, args=(source,), name="signals", daemon=True)
    listener.start()
    before = signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    watched = {n: h for n, h in handlers.items() if h is not signal.SIG_IGN and h is not None}
    for number in watched:
        # The pipe delivers it; this keeps Python's default handler away.
        signal.signal(number, lambda *_: None)
    try:
        yield asked
    finally:
        for number, handler in watched.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(sink)
        listener.join()
        os.close(source)
