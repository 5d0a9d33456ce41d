"""``python -m tvae <command>``: report, evaluate, export, ship, artifacts."""

import importlib
import sys

COMMANDS = ("artifacts", "evaluate", "export", "report", "ship")


def run() -> None:
    """Run the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else "none"
    if name not in COMMANDS:
        sys.stderr.write(f"error: expected one of {', '.join(COMMANDS)}; got {name}\n")
        sys.exit(2)
    sys.argv = [f"tvae {name}", *sys.argv[2:]]
    module = importlib.import_module(f"tvae.cli.{name}")
    from tvae.cli import command

    command.run(module.main, commands=tuple(getattr(module, "COMMANDS", ())))


if __name__ == "__main__":
    run()
