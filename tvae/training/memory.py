"""Memory of the process: compiling is what fills it, not the model."""

import ctypes
import gc

import jax

_M_ARENA_MAX = -8
"""glibc's name for the number of arenas, from malloc.h."""


def _glibc() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("libc.so.6")
    except OSError:
        return None


def limit_arenas() -> None:
    """Let all threads allocate from two arenas, where glibc can; call it before threads start.

    The compiler's threads otherwise fill an arena each and keep what they free: some 60 MB more at
    the peak of the largest program. In a single arena threads wait for each other: v5.12.4 takes
    60 s in place of 54.
    """
    glibc = _glibc()
    if glibc is not None:
        glibc.mallopt(_M_ARENA_MAX, 2)


def return_freed_pages() -> None:
    """Give pages that the compiler freed back to the operating system, where glibc can.

    100 to 250 MB after a large program, which would add to the peak of the next one.
    """
    glibc = _glibc()
    if glibc is not None:
        glibc.malloc_trim(0)


def forget_programs() -> None:
    """Drop all compiled programs: those of a phase that is over would only take room.

    What is called again is compiled again, or loaded from the compilation cache.
    """
    jax.clear_caches()
    gc.collect()
    return_freed_pages()
