"""Artifacts: ``python -m tvae artifacts {register,validate,promote,list,show,verify,rollback}``."""

import json
import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import flags

from tvae.artifacts import cards, ledger, names, promote, register, validate
from tvae.artifacts.checks import FAILED, Check
from tvae.artifacts.repository import STAGES, Repository
from tvae.domains import registry
from tvae.errors import UserError
from tvae.runs import files, find, table, text
from tvae.runs.run import Run


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command, those of all actions."""

    def string(name: str, default: str | None, meaning: str) -> None:
        flags.DEFINE_string(name, default, meaning, flag_values=options)

    string("root", "artifacts", "Folder of the artifacts.")
    string("name", None, "<model>/<version>; rollback takes <model> alone too.")
    string("workdir", None, "register: folder of a finished run.")
    string("note", "", "Your words for the ledger and the changelog.")
    string("stage", None, f"One of {', '.join(STAGES)}; list takes run too.")
    string("runs", "runs", "list: folder in which runs are looked for.")
    string("sort", "", "list: column, such as eval/hierarchy; -column descends.")
    string("where", "", "list: SQL condition over the columns.")
    string("seal", None, "verify: seal that the ledger had, kept elsewhere.")
    flags.DEFINE_list(
        "columns", [], "list: columns, such as name,eval/hierarchy.", flag_values=options
    )
    flags.DEFINE_integer("limit", None, "list: rows at most.", lower_bound=0, flag_values=options)
    flags.DEFINE_enum(
        "format", "table", table.FORMATS, "list, show: format of the output.", flag_values=options
    )


def _repository(options: flags.FlagValues) -> Repository:
    repository = Repository(pathlib.Path(options.root))
    repository.settle()
    return repository


def _print_checks(checks: Sequence[Check]) -> None:
    rows = ((check.aspect, check.status, "; ".join(check.reasons)) for check in checks)
    sys.stdout.write(text.table(rows) + "\n")


def _register(options: flags.FlagValues) -> None:
    if not options.workdir:
        raise UserError("register: needs --workdir, the folder of a finished run")
    name = names.parse_name(options.name)
    run = Run.open(pathlib.Path(options.workdir).absolute())
    folder = register.register(_repository(options), name, run, note=options.note)
    sys.stdout.write(f"raw  {folder}\n")


def _validate(options: flags.FlagValues) -> None:
    name, repository = names.parse_name(options.name), _repository(options)
    examined = validate.validate(repository, name, note=options.note)
    _print_checks(examined.checks)
    if examined.failed:
        raise UserError(f"validate {name}: refused: {', '.join(examined.failed)} {FAILED}")
    sys.stdout.write(f"validated  {repository.folder('validated', name)}\n")


def _promote(options: flags.FlagValues) -> None:
    name = names.parse_name(options.name)
    folder = promote.promote(_repository(options), name, note=options.note)
    sys.stdout.write(f"production  {folder}\n")


def _rollback(options: flags.FlagValues) -> None:
    left, current = promote.rollback(_repository(options), options.name, note=options.note)
    sys.stdout.write(f"current  {current}; before {left}\n")


def _list(options: flags.FlagValues) -> None:
    known = ("run", *STAGES)
    if options.stage not in (None, *known):
        raise UserError(f"--stage: expected one of {', '.join(known)}; got {options.stage!r}")
    found = [find.collect(_repository(options).rows()), find.find_runs(pathlib.Path(options.runs))]
    for line in (line for part in found for line in part.damaged):
        sys.stderr.write(f"skipped: {text.printable(line)}\n")
    rows = [row for part in found for row in part.rows if options.stage in (None, row["stage"])]
    chosen = table.select(
        rows,
        columns=options.columns,
        headline={name: registry.get(name).headline for name in registry.names()},
        where=options.where,
        sort=options.sort,
        limit=options.limit,
    )
    sys.stdout.write(table.render(chosen, options.format))


def _show(options: flags.FlagValues) -> None:
    name, repository = names.parse_name(options.name), _repository(options)
    events = [e for e in repository.events(name=name) if options.stage in (None, e.stage)]
    if not events:
        raise UserError(f"{options.stage or 'artifact'} {name}: no such artifact")
    folder = repository.folder(events[-1].stage, name)
    if options.format == "json":
        sys.stdout.write(json.dumps([e._asdict() for e in events], indent=2) + "\n")
        return
    history = text.table((e.time, e.action, e.manifest_sha256, e.note) for e in events)
    sys.stdout.write(f"{history}\n{folder}\n\n{files.read_bytes(folder / cards.README).decode()}")


def _verify(options: flags.FlagValues) -> None:
    repository = _repository(options)
    wanted = None if options.name is None else names.parse_name(options.name)
    seals = ledger.read_seals(repository.root)
    if options.seal is not None and options.seal not in seals:
        raise UserError(f"verify: the ledger never had the seal {options.seal}")
    found = repository.verify_all(stage=options.stage, name=wanted)
    if wanted is not None and not found:
        raise UserError(f"{options.stage or 'artifact'} {wanted}: no such artifact")
    for (stage, name), lines in found.items():
        sys.stdout.write(text.printable(f"{stage} {name}: {'; '.join(lines) or 'intact'}") + "\n")
    if seals:
        sys.stdout.write(f"ledger: {len(seals)} lines, seal {seals[-1]}\n")
    if damaged := sum(map(bool, found.values())):
        raise UserError(f"verify: {damaged} of {len(found)} artifacts are not what was recorded")


ACTIONS: dict[str, Callable[[flags.FlagValues], None]] = {
    "register": _register,
    "validate": _validate,
    "promote": _promote,
    "list": _list,
    "show": _show,
    "verify": _verify,
    "rollback": _rollback,
}


def main(options: flags.FlagValues, action: str) -> None:
    """Carry out one of ``ACTIONS``."""
    ACTIONS[action](options)
