"""Running of a command: flags, help, the compilation cache, errors as one line, exit statuses."""

import functools
import importlib
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

import jax
from absl import app, flags, logging

from tvae.cli.signals import SIGNALS
from tvae.errors import StoppedError, UserError
from tvae.runs import text

USER_ERROR_STATUS = 2
SIGNAL_STATUS = 128
"""Added to a signal's number, as shells do."""


class Command(Protocol):
    """A module with ``define_flags`` and ``main``. Its docstring is the text of ``--help``.

    A command of several actions also has ``ACTIONS``, a mapping from their names; ``main`` then
    gets the name as its second argument. One with ``more_help`` adds its text, made from the
    arguments, to the help.
    """

    define_flags: Callable[[flags.FlagValues], None]
    main: Callable[..., None]


def run(name: str) -> None:
    """Run the command of a module, such as "tvae.cli.report", with ``sys.argv``.

    The exit status is 0, or 2 after a user's mistake, or 128 + the signal's number after a signal:
    143 for SIGTERM, 130 for SIGINT.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    command = cast(Command, importlib.import_module(name))
    actions: Mapping[str, object] = getattr(command, "ACTIONS", {})
    _add_jax_flags()
    options = flags.FlagValues()
    define_flags(command, options)
    if {"-h", "--help"} & set(sys.argv[1:]):
        try:
            sys.stdout.write(_help(command, options))
        except UserError as error:
            _refuse(error)
        return

    def parse(argv: Sequence[str]) -> list[str]:
        options.append_flag_values(flags.FLAGS)
        # Otherwise the action would end the flags.
        options.set_gnu_getopt(bool(actions))
        words = _parse_flags(options, argv)
        flags.FLAGS.mark_as_parsed()
        return words

    def main(argv: Sequence[str]) -> None:
        try:
            action = _check_arguments(argv[1:], tuple(actions))
            enable_compilation_cache(cache_folder(options.compilation_cache))
            if not flags.FLAGS["verbosity"].present:
                logging.set_verbosity(logging.WARNING)  # Orbax reports every rename otherwise
            command.main(options, *action)
        except UserError as error:
            _refuse(error)
        except StoppedError as stopped:
            sys.stderr.write(f"{stopped}\n")
            sys.exit(SIGNAL_STATUS + stopped.signal_number)

    app.run(main, flags_parser=parse)


def _stop(number: int, _: object) -> None:
    """End the process with a line, where no run has to be saved."""
    sys.stderr.write(f"stopped by {signal.Signals(number).name}\n")
    sys.exit(SIGNAL_STATUS + number)


def define_flags(command: Command, options: flags.FlagValues) -> None:
    """Add a command's own flags and those that all commands have."""
    command.define_flags(options)
    flags.DEFINE_string(
        "compilation_cache",
        None,
        "Folder of compiled programs, kept between runs; 'off' to keep none. Default: "
        "$JAX_COMPILATION_CACHE_DIR, or tvae/ in the user's cache folder.",
        flag_values=options,
    )


@functools.cache
def _add_jax_flags() -> None:
    """Let every setting of JAX be a flag; a process can do so once."""
    jax.config.config_with_absl()


def _help(command: Command, options: flags.FlagValues) -> str:
    own = "\n".join(map(options.module_help, options.flags_by_module_dict()))
    more = getattr(command, "more_help", lambda _: "")(sys.argv[1:])
    whole = f"{(command.__doc__ or '').strip()}\n\nFlags:\n{own}\n\n--helpfull: those of JAX too.\n"
    return whole + (f"\n{more}" if more else "")


def _refuse(message: object) -> None:
    # Names from files may hold any signs.
    sys.stderr.write(f"error: {text.printable(str(message))}\n")
    sys.exit(USER_ERROR_STATUS)


def _parse_flags(options: flags.FlagValues, argv: Sequence[str]) -> list[str]:
    """Parse flags; a mistake in one becomes one line, with a suggestion where there is one."""
    try:
        return options(list(argv))
    except flags.Error as error:
        # A UserError that absl took for its own parser's.
        own = isinstance(error.__context__, UserError)
        _refuse(error.__context__ if own else " ".join(str(error).split()))
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        _refuse(f"--config: wrong value: {' '.join(str(error).split())}")
        raise


def _check_arguments(words: Sequence[str], actions: Sequence[str]) -> Sequence[str]:
    """The action in a list where the command has some; other words are refused."""
    action, rest = (words[:1], words[1:]) if actions else ((), words)
    if actions and (not action or action[0] not in actions):
        raise UserError(f"expected one of {', '.join(actions)}; got {(*action, 'none')[0]}")
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r}; flags begin with --")
    return action


def cache_folder(choice: str | None) -> pathlib.Path | None:
    """Folder of compiled programs from the flag ``--compilation_cache``, or None for none."""
    if choice == "off":
        return None
    if choice:
        return pathlib.Path(choice)
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "tvae"


def enable_compilation_cache(folder: pathlib.Path | None) -> None:
    """Keep compiled programs in a folder; without a writable one, compile as ever."""
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
