"""The list of commands, their help, and what is not a command."""

import importlib
import os
import signal
import tomllib

import pytest
from absl import flags

from tests.conftest import REPOSITORY
from tvae import config as config_lib
from tvae.__main__ import COMMANDS, run
from tvae.cli import command as cli_command


@pytest.mark.parametrize("arguments", [(), ("absent",), ("--help",)])
def test_commands_are_listed(monkeypatch, capsys, arguments):
    monkeypatch.setattr("sys.argv", ["tvae", *arguments])
    if arguments == ("--help",):
        run()
        listed = capsys.readouterr().out
    else:
        with pytest.raises(SystemExit, match="2"):
            run()
        listed = capsys.readouterr().err
        assert listed.startswith(f"error: expected a command; got {(*arguments, 'none')[0]}\n")
    assert all(f"  {name} " in listed for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_defines_flags_anew_for_each_caller(name):
    module = importlib.import_module(COMMANDS[name][0])
    for _ in range(2):
        options = flags.FlagValues()
        module.define_flags(options)
        assert len(options) > 1
        assert module.__doc__
    assert not set(options) & set(flags.FLAGS)


def test_help_shows_the_flags_of_a_command(command):
    out, err = command("report", "--help").communicate(timeout=300)
    assert err == ""
    assert out.startswith("Write a run's report")
    assert "--workdir" in out
    assert "--compilation_cache" in out


def test_help_lists_the_fields_of_a_configuration(command):
    process = command("main", "--config=v6", "--help")
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert "--config=v6 --help" in out
    for path, field in config_lib.fields("hyperbolic_vae").items():
        if not path.startswith("targets.") and path != "objective":
            assert f"--config.{path}=" in out
            assert field.meaning in out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_outside_a_run_ends_with_a_line(monkeypatch, capsys, number):
    """While a command is imported, reads its configuration or writes its report."""
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]

    def interrupted(name):
        os.kill(os.getpid(), number)
        raise AssertionError("stopped before this line")

    monkeypatch.setattr(importlib, "import_module", interrupted)
    try:
        with pytest.raises(SystemExit) as stopped:
            cli_command.run("tvae.main")
    finally:
        for each, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(each, handler)
    assert stopped.value.code == 128 + number
    assert capsys.readouterr().err == f"stopped by {number.name}\n"


def test_the_console_script_runs_the_commands():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"tvae": "tvae.__main__:run"}
