"""Commands of the library: ``python -m tvae <command>``, or ``tvae <command>`` where installed."""

import sys

COMMANDS = {
    "train": ("tvae.main", "train a model, or resume a run"),
    "sweep": ("tvae.cli.sweep", "train a population: seeds and values of fields"),
    "search": ("tvae.cli.search", "look for the best values of fields"),
    "report": ("tvae.cli.report", "write the report of a run, or compare runs"),
    "evaluate": ("tvae.cli.evaluate", "measure a checkpoint"),
    "predict": ("tvae.cli.predict", "predict the rows of a file"),
    "export": ("tvae.cli.export", "write a model for programs that do not use this library"),
    "ship": ("tvae.cli.ship", "write the parameters of a run with a model card"),
    "artifacts": ("tvae.cli.artifacts", "register, validate, promote and list models"),
    "convert": ("tvae.convert_torch_ckpt", "convert checkpoints from PyTorch and back"),
}
"""Name -> module and purpose. ``tvae.main`` and ``tvae.convert_torch_ckpt`` also run by name."""


def _usage() -> str:
    lines = (f"  {name:<10} {purpose}\n" for name, (_, purpose) in COMMANDS.items())
    return f"usage: tvae <command> [--flags]; tvae <command> --help lists them\n\n{''.join(lines)}"


def run() -> None:
    """Run the command that the first argument names."""
    name, *rest = [*sys.argv[1:], ""]
    if name in {"-h", "--help"}:
        sys.stdout.write(_usage())
        return
    if name not in COMMANDS:
        sys.stderr.write(f"error: expected a command; got {name or 'none'}\n\n{_usage()}")
        sys.exit(2)
    sys.argv = [f"tvae {name}", *rest[:-1]]
    # Here, because a list of the commands need not wait for JAX.
    from tvae.cli import command

    command.run(COMMANDS[name][0])


if __name__ == "__main__":
    run()
