"""What ships with the code: recipes and checkpoints by name, from any folder.

The top-level folders ``configs/`` and ``checkpoints/`` are the only source. ``setup.py`` puts them
into a built package; in a source tree, and so in an editable install, they are beside the package.
"""

import os
import pathlib
import tomllib

from tvae.errors import UserError

PACKAGE = pathlib.Path(__file__).resolve().parent
_CONFIGS, _CHECKPOINTS = "configs", "checkpoints"


def folder() -> pathlib.Path:
    """The folder that holds ``configs/`` and ``checkpoints/``."""
    return PACKAGE if (PACKAGE / _CONFIGS).is_dir() else PACKAGE.parent


def source_tree() -> pathlib.Path | None:
    """The root of tvae's own source tree; None where the package is installed or copied."""
    try:
        text = (PACKAGE.parent / "pyproject.toml").read_text()
        name = tomllib.loads(text).get("project", {}).get("name")
    except (OSError, ValueError):
        return None
    return PACKAGE.parent if name == PACKAGE.name else None


def configs() -> dict[str, pathlib.Path]:
    """The recipes by name.

    >>> sorted(configs())[-2:]
    ['v5_5_base', 'v6']
    """
    return {path.stem: path for path in sorted((folder() / _CONFIGS).glob("*.py"))}


def checkpoints() -> dict[str, pathlib.Path]:
    """The folders of the checkpoints by name."""
    return {path.name: path for path in sorted((folder() / _CHECKPOINTS).glob("[!_.]*"))}


def _as_path(path: object, what: str) -> pathlib.Path:
    """A caller's path; anything else is refused."""
    if not isinstance(path, str | os.PathLike) or "\0" in str(path):
        raise UserError(f"{what}: expected a path or a name, got {type(path).__name__}")
    return pathlib.Path(path)


def find_config(path: str | os.PathLike[str]) -> pathlib.Path:
    """The file of a configuration.

    Args:
      path: of a file; or where there is none, the name of a recipe that ships, such as ``v6``,
        also written ``configs/v6.py``.

    Raises:
      UserError: if it is neither.

    >>> find_config("v6").name
    'v6.py'
    """
    given = _as_path(path, "config").expanduser()
    if given.is_file():
        return given
    known = configs()
    for name, shipped in known.items():
        if os.fspath(path) in (name, f"{_CONFIGS}/{name}.py"):
            return shipped
    names = ", ".join(known)
    raise UserError(f"config: no such file: {path}; recipes that ship: {names}")


def find_checkpoint(path: str | os.PathLike[str]) -> pathlib.Path:
    """The absolute path of a folder.

    Args:
      path: of a folder; or where there is none, the name of a checkpoint that ships, such as
        ``v6``, also written ``checkpoints/v6``.

    Raises:
      UserError: if it is neither.
    """
    given = _as_path(path, "checkpoint").expanduser().absolute()
    if given.is_dir():
        return given
    known = checkpoints()
    for name, shipped in known.items():
        if os.fspath(path).rstrip("/") in (name, f"{_CHECKPOINTS}/{name}"):
            return shipped
    names = ", ".join(known)
    raise UserError(f"checkpoint {given}: no such folder; checkpoints that ship: {names}")
