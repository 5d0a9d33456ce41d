"""Read an untrusted zip file: checked names, sizes and checksums."""

import io
import posixpath
import struct
import zipfile
import zlib

from tvae.errors import UserError

# Deflate can blow up a thousandfold. Trained weights hardly shrink and PyTorch packs nothing, so a
# declared size far beyond the file's is a bomb; the slack lets small files of zeros through.
MAX_EXPANSION = 8
EXPANSION_SLACK_BYTES = 16 * 2**20
# A checkpoint has one entry for each tensor, some hundreds; each takes 50 us.
MAX_ENTRIES = 5_000
_ENTRY_SIGNATURE = b"PK\x01\x02"

# What the standard library's reader raises, by the field of the file that is wrong.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,  # also NotImplementedError
    ValueError,
    OSError,
    IndexError,
)


def printable(name: str) -> str:
    r"""A name from the file as one short line of ASCII, for error messages.

    >>> printable("weight\nforged line")
    'weight\\nforged line'
    """
    text = name[:121].encode("unicode_escape").decode("ascii")
    return text if len(text) <= 120 else text[:117] + "..."


def _check_name(name: str) -> None:
    parts = name.split("/")
    drive = ":" in parts[0]
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or drive:
        raise UserError(f"entry name '{printable(name)}' leaves the archive's folder")


def _check_sizes(entries: list[zipfile.ZipInfo], file_bytes: int, max_bytes: int) -> None:
    declared = sum(entry.file_size for entry in entries)
    limit = min(max_bytes, EXPANSION_SLACK_BYTES + MAX_EXPANSION * file_bytes)
    if declared > limit:
        raise UserError(f"entries declare {declared} bytes, more than the limit of {limit}")
    for entry in entries:
        stored = entry.compress_type == zipfile.ZIP_STORED
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(f"entry '{printable(entry.filename)}' is packed in an unknown way")
        if entry.compress_size > file_bytes or (stored and entry.compress_size != entry.file_size):
            raise UserError(f"entry '{printable(entry.filename)}' is longer than the file holds")


def read_entries(data: bytes, max_bytes: int) -> dict[str, bytes]:
    """Read every entry of a zip file; entry name to contents, folders left out.

    All of them, needed or not: this tests each checksum and each name twice, so that a damaged
    name cannot hide an entry (a lost byte order would swap the bytes of all numbers).

    Raises:
      UserError: for anything broken, duplicate, pointing outside, or declared larger than
        ``max_bytes`` in all.
    """
    if data.count(_ENTRY_SIGNATURE) > MAX_ENTRIES:
        raise UserError(f"holds more than {MAX_ENTRIES} entries")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            for entry in entries:
                _check_name(entry.orig_filename)
            _check_sizes(entries, len(data), max_bytes)
            contents: dict[str, bytes] = {}
            for entry in entries:
                if entry.orig_filename in contents:
                    raise UserError(f"entry '{printable(entry.filename)}' occurs twice")
                contents[entry.orig_filename] = archive.read(entry)
    except UserError:
        raise
    except _BROKEN as error:
        reason = printable(str(error)) or type(error).__name__
        raise UserError(f"damaged zip file: {reason}") from None
    return {name: content for name, content in contents.items() if not name.endswith("/")}


def find_root(names: list[str], landmark: str) -> str:
    """Folder (with its closing slash, or empty) that holds the one entry called ``landmark``.

    >>> find_root(["best/data.pkl", "best/data/0"], "data.pkl")
    'best/'
    """
    found = [name for name in names if posixpath.basename(name) == landmark]
    if len(found) != 1:
        raise UserError(f"expected one entry {landmark}, found {len(found)}: not a PyTorch file")
    return found[0][: -len(landmark)]
