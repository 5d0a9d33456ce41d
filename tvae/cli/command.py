"""What every door shares: one clear line on a user's mistake, and the compilation cache."""

import os
import pathlib
import signal
import sys
from collections.abc import Callable, Sequence

import jax
from absl import app, flags, logging

from tvae.errors import StoppedError, UserError

COMPILATION_CACHE = flags.DEFINE_string(
    "compilation_cache",
    None,
    "Folder of compiled programs, kept between runs; 'off' to keep none. Default: "
    "$JAX_COMPILATION_CACHE_DIR, or tvae/ in the user's cache folder.",
)

USER_ERROR_STATUS = 2
SIGNAL_STATUS = 128
"""Added to a signal's number, as shells do."""


def cache_folder(choice: str | None) -> pathlib.Path | None:
    """Where compiled programs are kept, or None for nowhere."""
    if choice == "off":
        return None
    if choice:
        return pathlib.Path(choice)
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "tvae"


def enable_compilation_cache(folder: pathlib.Path | None) -> None:
    """Let a second start compile nothing; without a writable folder, compile as ever."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logging.warning("compilation cache %s cannot be used: %s", folder, error)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _refuse(message: object) -> None:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(USER_ERROR_STATUS)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """Parse flags; a mistake in one becomes one line, with a suggestion where there is one."""
    try:
        return flags.FLAGS(list(argv))
    except flags.Error as error:
        _refuse(" ".join(str(error).split()))
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # ml_collections' message: "'epocs'" and on the next line 'Did you mean "epochs" ...?'.
        key, *suggestion = str(error.args[0]).splitlines()
        hint = f" {suggestion[0]}" if suggestion else ""
        _refuse(f"--config: unknown field or wrong value {key}.{hint}")
        raise


def _check_arguments(argv: Sequence[str], commands: Sequence[str]) -> None:
    """Refuse what is no flag, but for one of the commands where a door has some."""
    words = list(argv[1:])
    if commands:
        word = words.pop(0) if words else None
        if word not in commands:
            raise UserError(f"expected one of {', '.join(commands)}; got {word or 'none'}")
    if words:
        raise UserError(f"unexpected argument {words[0]!r}; flags begin with --")


def run(main: Callable[[Sequence[str]], None], *, commands: Sequence[str] = ()) -> None:
    """Run a door: parse flags, set the cache, call ``main``, turn a UserError into one line.

    The exit status is 0, or 2 after a user's mistake, or 128 + the signal's number after a signal:
    143 for SIGTERM, 130 for SIGINT.

    Args:
      main: takes the arguments that are no flags, the program's name first.
      commands: words of which the door needs one, before or between its flags.
    """

    def guarded(argv: Sequence[str]) -> None:
        try:
            _check_arguments(argv, commands)
            enable_compilation_cache(cache_folder(COMPILATION_CACHE.value))
            if not flags.FLAGS["verbosity"].present:
                logging.set_verbosity(logging.WARNING)  # Orbax reports every rename otherwise
            main(argv)
        except UserError as error:
            _refuse(error)
        except StoppedError as stopped:
            sys.stderr.write(f"{stopped}\n")
            sys.exit(SIGNAL_STATUS + stopped.signal_number)
        except KeyboardInterrupt:
            sys.stderr.write("stopped by SIGINT\n")
            sys.exit(SIGNAL_STATUS + signal.SIGINT)

    # Otherwise the command would end the flags.
    flags.FLAGS.set_gnu_getopt(bool(commands))
    jax.config.config_with_absl()
    app.run(guarded, flags_parser=_parse_flags)
