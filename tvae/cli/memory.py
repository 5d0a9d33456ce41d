"""Memory of the process, most of which the compiler uses: return it to the system."""

import ctypes
import functools
import gc
import threading

import jax

_M_ARENA_MAX = -8  # glibc's name for the number of arenas, from malloc.h


def _glibc() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("libc.so.6")
    except OSError:
        return None


def limit_arenas() -> None:
    """Let threads that start from now on share the arenas that there are, where glibc can.

    The compiler's threads otherwise fill an arena each and keep what they free: some 60 MB more at
    the peak of the largest program. The threads that run programs must not share: they start with
    the backend, and waiting for each other cost a quarter of v5.12.4's time.
    """
    glibc = _glibc()
    if glibc is not None:
        jax.devices()
        glibc.mallopt(_M_ARENA_MAX, 2)


_compiled = threading.Event()
_compiled.set()  # programs compiled before the first call count too


def _note(event: str, duration_secs: float, **_: str | int) -> None:
    del duration_secs
    if event.startswith("/jax/core/compile/"):
        _compiled.set()


@functools.cache
def _listen() -> None:
    jax.monitoring.register_event_duration_secs_listener(_note)


def return_freed_pages() -> None:
    """After a compilation, give pages that the compiler freed back, where glibc can.

    100 to 250 MB after a large program, which would add to the peak of the next one. Costs nothing
    where nothing was compiled since the last call.
    """
    _listen()
    glibc = _glibc()
    if glibc is not None and _compiled.is_set():
        _compiled.clear()
        glibc.malloc_trim(0)


def forget_programs() -> None:
    """Drop all compiled programs: those of a phase that is over would only take room.

    What is called again is compiled again, or loaded from the compilation cache.
    """
    jax.clear_caches()
    gc.collect()
    return_freed_pages()
