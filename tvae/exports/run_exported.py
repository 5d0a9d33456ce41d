"""Run an exported model without the library that made it: needs jax, numpy and flatbuffers alone.

    python run_exported.py                  # check everything, print a summary as one JSON object
    python run_exported.py --index 0 5 7    # reconstruct items by number, one JSON object a line
    python run_exported.py --items FILE     # the same of a JSON list of items; - is stdin

It lies in the exported folder, whose ``manifest.json`` states what the programs take.
"""

import argparse
import hashlib
import json
import pathlib
import sys
from typing import Any

import jax
import numpy as np
from jax import export

FOLDER = pathlib.Path(__file__).resolve().parent
TOLERANCE = 1e-3
"""On other hardware than the exporter's; on the same kind of processor the difference is 0."""


def load(name: str, manifest: dict[str, Any]) -> export.Exported:
    """A program such as ``decode_a``, if its file is the one that was exported."""
    path = f"programs/{name}.jax_export"
    content = (FOLDER / path).read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest["files"][path]:
        raise SystemExit(f"error: {path} is damaged: its content does not match its digest")
    return export.deserialize(bytearray(content))


def run(name: str, given: dict[str, np.ndarray], manifest: dict[str, Any]) -> Any:
    """Outputs of a program, through the programs before it.

    Args:
      name: of the program, such as ``decode_a``.
      given: ``items`` or ``index`` or both, with a leading batch axis.
      manifest: the content of ``manifest.json``.
    """
    first, *entry = manifest["programs"][name]["from"]
    value = given[first] if first in given else run(first, given, manifest)
    for key in entry:
        value = value[key]
    return jax.device_get(load(name, manifest).call(value))


def reconstruct(decoder: str, items: np.ndarray, manifest: dict[str, Any]) -> np.ndarray:
    """Items ``(n, ...)`` through a decoder such as ``decode_a``.

    Returns:
      The most probable items; the decoder's outputs where the items are not a finite set.
    """
    outputs = run(decoder, {"items": items}, manifest)
    if not manifest["items"]:
        return outputs
    index = jax.device_get(load("read", manifest).call(outputs))
    return run("inputs", {"index": index}, manifest)


def all_items(manifest: dict[str, Any]) -> np.ndarray:
    """The finite set of items, ``(count, ...)``."""
    index = np.arange(manifest["items"]["count"], dtype=np.int32)
    return run("inputs", {"index": index}, manifest)


def equal_rows(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether items ``(n, ...)`` are equal, bool ``(n,)``."""
    return (x == y).reshape(len(x), -1).all(-1)


def valid(items: np.ndarray, manifest: dict[str, Any]) -> bool:
    """Whether an array holds items: the right shape, and each one of the set if that is finite."""
    if items.dtype.kind not in "if" or list(items.shape[1:]) != manifest["input"]["shape"]:
        return False
    if not manifest["items"]:
        return True
    known = all_items(manifest)
    return all(equal_rows(known, item[None]).any() for item in items)


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to numbers above 1; equal infinities do not differ."""
    where = found != expected
    far = np.abs(found[where] - expected[where]) / np.maximum(1, np.abs(expected[where]))
    return float(far.max(initial=0))


def check(manifest: dict[str, Any]) -> dict[str, Any]:
    """Every program against the exporter's outputs, and all items through every decoder."""
    with np.load(FOLDER / "programs" / "expected.npz", allow_pickle=False) as file:
        expected = dict(file)
    given = {name: expected[name] for name in ("items", "index") if name in expected}
    differences = {}
    for name in manifest["programs"]:
        found = run(name, given, manifest)
        entries = found.items() if isinstance(found, dict) else (("", found),)
        for key, value in entries:
            label = f"{name}.{key}" if key else name
            differences[label] = difference(value, expected[label])
    coverage = {}
    if manifest["items"]:
        items = all_items(manifest)
        for name in manifest["programs"]:
            if name.startswith("decode"):
                exact = equal_rows(reconstruct(name, items, manifest), items)
                coverage[name] = float(exact.mean())
    return {
        "ok": max(differences.values()) <= TOLERANCE,
        "platform": jax.default_backend(),
        "largest_difference": differences,
        "decoded_exactly": coverage,
    }


def main() -> int:
    """Parse the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--index", type=int, nargs="+", help="numbers of items to reconstruct")
    parser.add_argument("--items", help="JSON file of items to reconstruct; - for stdin")
    parser.add_argument("--decoder", default="decode_a", help="program that decodes")
    arguments = parser.parse_args()
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    if arguments.decoder not in manifest["programs"]:
        parser.error(f"--decoder: expected one of {', '.join(manifest['programs'])}")
    if arguments.index is None and arguments.items is None:
        summary = check(manifest)
        sys.stdout.write(json.dumps(summary) + "\n")
        return 0 if summary["ok"] else 1
    if arguments.index is not None:
        if not manifest["items"]:
            parser.error("--index: the items are not a finite set; use --items")
        index, count = np.asarray(arguments.index, np.int32), manifest["items"]["count"]
        if index.min() < 0 or index.max() >= count:
            parser.error(f"--index: expected numbers in [0, {count})")
        items = run("inputs", {"index": index}, manifest)
    else:
        path = arguments.items
        text = sys.stdin.read() if path == "-" else pathlib.Path(path).read_text()
        items = np.asarray(json.loads(text))
        if not valid(items, manifest):
            shape = manifest["input"]["shape"]
            parser.error(f"--items: expected a list of items of shape {shape}; see README.md")
        items = items.astype(manifest["input"]["dtype"])
    decoded = reconstruct(arguments.decoder, items, manifest)
    exact = equal_rows(decoded, items).tolist() if manifest["items"] else None
    for row, item in enumerate(items.tolist()):
        answer: dict[str, Any] = {"item": item, "decoded": decoded[row].tolist()}
        if exact:
            answer["exact"] = exact[row]
        sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
