"""Memory of the process: compiling is what fills it, not the model."""

import ctypes
import gc

import jax


def return_freed_pages() -> None:
    """Give pages that the compiler freed back to the operating system, where glibc can.

    Compiling on a pool of threads leaves freed memory in per-thread arenas: 100 to 250 MB after a
    large program, which would add to the peak of the next one. Elsewhere this does nothing.
    """
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return


def forget_programs() -> None:
    """Drop all compiled programs: those of a phase that is over would only take room.

    What is called again is compiled again, or loaded from the compilation cache.
    """
    jax.clear_caches()
    gc.collect()
    return_freed_pages()
