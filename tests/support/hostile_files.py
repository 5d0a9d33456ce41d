"""Small files that would cost gigabytes or hours, mutations of honest ones, and their measurement.

``python -m tests.support.hostile_files bombs`` or ``mutations COUNT`` converts one after the other
and prints for each a JSON line: its name, CPU seconds, the largest memory of the process so far in
MB, what is wrong with the outcome ("" for nothing), and the refusal ("" where there was none).
"""

import json
import pathlib
import random
import re
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.support import torch_files
from tests.support.torch_checkpoints import GOLDEN_FILE, SMALL_FILE
from tests.support.torch_files import Call, Raw, Tensor, archive, assemble, same
from tvae.convert.importer import Imported, import_checkpoint
from tvae.convert.torch_file import read_torch_file
from tvae.errors import UserError

FULL = 4 * 2**20 - 16_000
"""Bytes of the longest pickle that is read, room for the weights' names left."""
COLLIDING = 2**61 - 1
"""Python's hash of an integer is its remainder by this prime."""


def repeated(value: Any, count: int) -> Raw:
    """A list of so many references to one value."""
    return Raw(b"](" + assemble(value) + b"q\0" + b"h\0" * (count - 1) + b"e")


def called(function: str, arguments: tuple, count: int) -> Raw:
    """A list of the results of as many calls with the same arguments."""
    head = assemble(arguments) + b"q\0" + torch_files.name(function) + b"q\1"
    return Raw(b"](" + head + b"h\1h\0R" * count + b"e")


def long_paths() -> Raw:
    """Many values, each at the end of a path of megabytes, that JSON cannot hold."""
    value: Any = Raw(b"](" + b"B\0\0\0\0" * 50_000 + b"e")
    for _ in range(50):
        value = {"k" * 60_000: value}
    return value


def many_names(count: int) -> bytes:
    """A state dict of one tensor under many names."""
    tensor = assemble(Tensor("0", 1, (), ()))
    names = b"".join(assemble(f"n{i}") + b"h\0" for i in range(count))
    data = b"\x80\x02}X\x05\0\0\0model}(" + b"X\1\0\0\0n" + tensor + b"q\0" + names + b"us."
    return archive(data, {"0": bytes(4)})


def holding(state: Any, storages: dict[str, bytes] | None = None) -> bytes:
    """A whole checkpoint with one value beside its weights."""
    whole, own = torch_files.opened(SMALL_FILE)
    assert whole.endswith(b"u.")
    data = whole[:-2] + assemble("state") + assemble(state) + b"u."
    return archive(data, own | (storages or {}))


def integers(count: int, between: bytes = b"") -> bytes:
    """Integers of one hash."""
    return b"".join(assemble(k * COLLIDING) + between for k in range(1, count))


FLOATS = Raw(torch_files.name("torch.FloatStorage"))
STORAGE = Raw(assemble(("storage", FLOATS, "x", "cpu", 10**5)) + b"Q")

BOMBS: dict[str, Callable[[], bytes]] = {
    "one array, listed often": lambda: holding(
        repeated(Tensor("x", 4096, (4096,), (1,), storage="torch.CharStorage"), 300_000),
        {"x": bytes(4096)},
    ),
    "one text, listed often": lambda: holding(repeated("x" * 2**20, 300_000)),
    "one set, listed often": lambda: holding(
        repeated(Call("__builtin__.set", (list(range(10_000)),)), 100_000)
    ),
    "one storage, viewed often": lambda: holding(
        called("torch._utils._rebuild_tensor_v2", (STORAGE, 0, (10**5,), (1,)), 10_000),
        {"x": bytes(4 * 10**5)},
    ),
    "expanded": lambda: holding(Tensor("x", 1, (10**9,), (0,)), {"x": bytes(4)}),
    "sets": lambda: holding(Raw(b"(" + b"\x8f" * FULL + b"t")),
    "dictionaries": lambda: holding(Raw(b"(" + b"}" * FULL + b"t")),
    "marks": lambda: holding(Raw(b"(" * FULL)),
    "instructions": lambda: holding(Raw(b"N" + b"N0" * (FULL // 2))),
    "colliding keys": lambda: holding(Raw(b"}(" + integers(150_000, b"N") + b"u")),
    "colliding members": lambda: holding(Raw(b"\x8f(" + integers(170_000) + b"\x90")),
    "colliding floats": lambda: holding(Raw(b"}(" + b"".join(
        assemble(m * 2.0 ** (61 * j)) + b"N" for m in range(1, 12_000) for j in range(16)) + b"u")),
    "colliding slots": lambda: holding(Raw(b"N" + b"".join(
        b"r" + struct.pack("<I", 2**13 * i) for i in range(300_000)))),
    "devices": lambda: holding(called("torch.device", ("x" * 2**20, 0), 150_000)),
    "nested type": lambda: holding(
        Call("numpy.dtype", (Raw(b"(" * 150_000 + b"t" * 150_000), False, True))
    ),
    "long paths": lambda: holding(long_paths()),
    "many names": lambda: many_names(120_000),
    "far too many names": lambda: many_names(500_000),
}  # fmt: skip


def mutated(rng: random.Random) -> tuple[str, bytes]:
    """A changed byte of a file, or a changed pickle behind right checksums."""
    if rng.random() < 0.5:
        data = bytearray(rng.choice((SMALL_FILE, GOLDEN_FILE)))
        place, change = rng.randrange(len(data)), rng.randrange(1, 256)
        data[place] ^= change
        return f"byte {place} ^ {change}", bytes(data)
    size = rng.randrange(1, 12)
    change = bytes(rng.choice(torch_files.OPCODES) for _ in range(size))
    whole, storages = torch_files.opened(rng.choice((SMALL_FILE, GOLDEN_FILE)))
    place, cut = rng.randrange(len(whole)), rng.randrange(4)
    data = whole[:place] + change + whole[place + cut :]
    return f"pickle {place}: {change!r} for {cut} bytes", archive(data, storages)


def is_exact(found: Imported, honest: list[Imported]) -> bool:
    return any(same(found, each) for each in honest)


def peak_megabytes() -> float:
    """Largest resident memory; ``ru_maxrss`` would begin at that of the process that forked."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024


def convert_all(files: Iterator[tuple[str, bytes]], honest: list[Imported] | None) -> None:
    """Convert and report; a change of a byte must leave the result or be refused."""
    for name, data in files:
        start, wrong, refusal = time.process_time(), "", ""
        try:
            payload = read_torch_file(data)
            with_moments = isinstance(payload, dict) and "optimizer" in payload
            found = import_checkpoint(payload, include_optimizer=with_moments)
            if honest and name.startswith("byte") and not is_exact(found, honest):
                wrong = "read as something else"
        except UserError as error:
            refusal = str(error)
            wrong = "more than one line" if "\n" in refusal else ""
        seconds = time.process_time() - start
        row = [name, seconds, peak_megabytes(), wrong, refusal[:300], len(refusal)]
        sys.stdout.write(json.dumps(row) + "\n")


def main(kind: str, count: str = "0", seed: str = "0") -> None:
    if kind == "bombs":
        convert_all(((name, make()) for name, make in BOMBS.items()), None)
        return
    rng = random.Random(int(seed))
    honest = [
        import_checkpoint(read_torch_file(SMALL_FILE)),
        import_checkpoint(read_torch_file(GOLDEN_FILE), include_optimizer=True),
    ]
    convert_all((mutated(rng) for _ in range(int(count))), honest)


if __name__ == "__main__":
    main(*sys.argv[1:])
