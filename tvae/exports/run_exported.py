"""Run an exported model without the library that made it: needs jax, numpy and flatbuffers alone.

    python run_exported.py                  # check everything, print a summary as one JSON object
    python run_exported.py --index 0 5 7    # reconstruct operations, one JSON object a line
    echo '[[1,0,-1,-1,-1,-1,-1,-1,-1]]' | python run_exported.py --digits -   # the same of digits

It lies in the exported folder, whose ``manifest.json`` says what the programs take.
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
    """A program, if its file is the one that was exported.

    Args:
      name: of the program, such as ``decode_a``.
      manifest: the content of ``manifest.json``.
    """
    path = f"programs/{name}.jax_export"
    content = (FOLDER / path).read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest["files"][path]:
        raise SystemExit(f"error: {path} is damaged: its content does not match its digest")
    return export.deserialize(bytearray(content))


def digits_of(index: np.ndarray, n_digits: int) -> np.ndarray:
    """Digits -1, 0, +1 of indices ``(n,)``, least significant first: int8 ``(n, n_digits)``."""
    return (index[:, None] // 3 ** np.arange(n_digits) % 3 - 1).astype(np.int8)


def run(name: str, digits: np.ndarray, manifest: dict[str, Any]) -> Any:
    """What a program gives for operations, through the programs before it.

    Args:
      name: of the program.
      digits: int8 ``(n, n_digits)``.
      manifest: the content of ``manifest.json``.

    Returns:
      An array, or for ``encode`` a dictionary of arrays.
    """
    first, *entry = manifest["programs"][name]["from"]
    value = digits if first == "digits" else run(first, digits, manifest)
    for key in entry:
        value = value[key]
    return jax.device_get(load(name, manifest).call(value))


def check(manifest: dict[str, Any]) -> dict[str, Any]:
    """Every program against the exporter's outputs, and all operations through every decoder."""
    with np.load(FOLDER / "programs" / "expected.npz", allow_pickle=False) as file:
        expected = dict(file)
    differences = {}
    for name in manifest["programs"]:
        found = run(name, expected["digits"], manifest)
        for key in found if isinstance(found, dict) else ("",):
            label = f"{name}.{key}" if key else name
            value = found[key] if key else found
            differences[label] = float(np.abs(value - expected[label]).max())
    digits = digits_of(np.arange(manifest["n_operations"]), manifest["n_digits"])
    coverage = {
        name: float((run(name, digits, manifest).argmax(-1) - 1 == digits).all(-1).mean())
        for name in manifest["programs"]
        if name.startswith("decode")
    }
    return {
        "ok": max(differences.values()) <= TOLERANCE,
        "platform": jax.default_backend(),
        "largest_difference": differences,
        "decoded_exactly": coverage,
    }


def main() -> int:
    """Parse the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--index", type=int, nargs="+", help="operations to reconstruct")
    parser.add_argument("--digits", help="JSON file of digit rows to reconstruct; - for stdin")
    parser.add_argument("--decoder", default="decode_a", help="program that decodes")
    arguments = parser.parse_args()
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    if arguments.decoder not in manifest["programs"]:
        parser.error(f"--decoder: expected one of {', '.join(manifest['programs'])}")
    n, n_digits = manifest["n_operations"], manifest["n_digits"]
    if arguments.index is None and arguments.digits is None:
        summary = check(manifest)
        sys.stdout.write(json.dumps(summary) + "\n")
        return 0 if summary["ok"] else 1
    if arguments.index is not None:
        index = np.asarray(arguments.index)
        if index.min() < 0 or index.max() >= n:
            parser.error(f"--index: expected numbers in [0, {n})")
        digits = digits_of(index, n_digits)
    else:
        given = arguments.digits
        text = sys.stdin.read() if given == "-" else pathlib.Path(given).read_text()
        digits = np.asarray(json.loads(text))
        if digits.shape[1:] != (n_digits,) or not np.isin(digits, (-1, 0, 1)).all():
            parser.error(f"--digits: expected rows of {n_digits} digits -1, 0, 1")
        digits = digits.astype(np.int8)
    logits = run(arguments.decoder, digits, manifest)
    for row, logit in zip(digits.tolist(), logits, strict=True):
        decoded = (logit.argmax(-1) - 1).tolist()
        answer = {"digits": row, "decoded": decoded, "exact": row == decoded}
        sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
