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

_ROOT = flags.DEFINE_string("root", "artifacts", "Folder of the artifacts.")
_NAME = flags.DEFINE_string("name", None, "<model>/<version>; rollback takes <model> alone too.")
_WORKDIR = flags.DEFINE_string("workdir", None, "register: folder of a finished run.")
_NOTE = flags.DEFINE_string("note", "", "Your words for the ledger and the changelog.")
_STAGE = flags.DEFINE_string("stage", None, f"One of {', '.join(STAGES)}; list knows run too.")
_RUNS = flags.DEFINE_string("runs", "runs", "list: folder in which runs are looked for.")
_SORT = flags.DEFINE_string("sort", "", "list: column, such as eval/hierarchy; -column descends.")
_WHERE = flags.DEFINE_string("where", "", "list: SQL condition over the columns.")
_COLUMNS = flags.DEFINE_list("columns", [], "list: columns, such as name,eval/hierarchy.")
_LIMIT = flags.DEFINE_integer("limit", None, "list: rows at most.", lower_bound=0)
_SEAL = flags.DEFINE_string("seal", None, "verify: seal that the ledger had, kept elsewhere.")
_FORMAT = flags.DEFINE_enum("format", "table", table.FORMATS, "list, show: how to print.")


def _repository() -> Repository:
    repository = Repository(pathlib.Path(_ROOT.value))
    repository.settle()
    return repository


def _print_checks(checks: Sequence[Check]) -> None:
    rows = ((check.aspect, check.status, "; ".join(check.reasons)) for check in checks)
    sys.stdout.write(text.table(rows) + "\n")


def _register() -> None:
    if not _WORKDIR.value:
        raise UserError("register: needs --workdir, the folder of a finished run")
    name = names.parse_name(_NAME.value)
    run = Run.open(pathlib.Path(_WORKDIR.value).absolute())
    folder = register.register(_repository(), name, run, note=_NOTE.value)
    sys.stdout.write(f"raw  {folder}\n")


def _validate() -> None:
    name, repository = names.parse_name(_NAME.value), _repository()
    examined = validate.validate(repository, name, note=_NOTE.value)
    _print_checks(examined.checks)
    if examined.failed:
        raise UserError(f"validate {name}: refused: {', '.join(examined.failed)} {FAILED}")
    sys.stdout.write(f"validated  {repository.folder('validated', name)}\n")


def _promote() -> None:
    name = names.parse_name(_NAME.value)
    folder = promote.promote(_repository(), name, note=_NOTE.value)
    sys.stdout.write(f"production  {folder}\n")


def _rollback() -> None:
    left, current = promote.rollback(_repository(), _NAME.value, note=_NOTE.value)
    sys.stdout.write(f"current  {current}; before {left}\n")


def _list() -> None:
    known = ("run", *STAGES)
    if _STAGE.value not in (None, *known):
        raise UserError(f"--stage: expected one of {', '.join(known)}; got {_STAGE.value!r}")
    found = [find.collect(_repository().rows()), find.find_runs(pathlib.Path(_RUNS.value))]
    for line in (line for part in found for line in part.damaged):
        sys.stderr.write(f"skipped: {text.printable(line)}\n")
    rows = [row for part in found for row in part.rows if _STAGE.value in (None, row["stage"])]
    chosen = table.select(
        rows,
        columns=_COLUMNS.value,
        headline={name: registry.get(name).headline for name in registry.names()},
        where=_WHERE.value,
        sort=_SORT.value,
        limit=_LIMIT.value,
    )
    sys.stdout.write(table.render(chosen, _FORMAT.value))


def _show() -> None:
    name, repository = names.parse_name(_NAME.value), _repository()
    events = [e for e in repository.events(name=name) if _STAGE.value in (None, e.stage)]
    if not events:
        raise UserError(f"{_STAGE.value or 'artifact'} {name}: no such artifact")
    folder = repository.folder(events[-1].stage, name)
    if _FORMAT.value == "json":
        sys.stdout.write(json.dumps([e._asdict() for e in events], indent=2) + "\n")
        return
    history = text.table((e.time, e.action, e.manifest_sha256, e.note) for e in events)
    sys.stdout.write(f"{history}\n{folder}\n\n{files.read_bytes(folder / cards.README).decode()}")


def _verify() -> None:
    repository = _repository()
    wanted = None if _NAME.value is None else names.parse_name(_NAME.value)
    seals = ledger.seals(repository.root)
    if _SEAL.value is not None and _SEAL.value not in seals:
        raise UserError(f"verify: the ledger never had the seal {_SEAL.value}")
    found = repository.verify_all(stage=_STAGE.value, name=wanted)
    if wanted is not None and not found:
        raise UserError(f"{_STAGE.value or 'artifact'} {wanted}: no such artifact")
    for (stage, name), lines in found.items():
        sys.stdout.write(text.printable(f"{stage} {name}: {'; '.join(lines) or 'intact'}") + "\n")
    if seals:
        sys.stdout.write(f"ledger: {len(seals)} lines, seal {seals[-1]}\n")
    if damaged := sum(map(bool, found.values())):
        raise UserError(f"verify: {damaged} of {len(found)} artifacts are not what was recorded")


COMMANDS: dict[str, Callable[[], None]] = {
    "register": _register,
    "validate": _validate,
    "promote": _promote,
    "list": _list,
    "show": _show,
    "verify": _verify,
    "rollback": _rollback,
}


def main(argv: Sequence[str]) -> None:
    """Carry out the command that was given."""
    COMMANDS[argv[1]]()
