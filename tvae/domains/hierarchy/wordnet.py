"""WordNet's dictionary files: nouns and their hypernyms."""

import collections
import os
import pathlib

import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy, from_parents
from tvae.domains.hierarchy.tables import refuse, repeated
from tvae.errors import UserError

_HYPERNYMS = ("@", "@i")  # of a class and of an instance


def read_wordnet(path: str | os.PathLike[str]) -> Hierarchy:
    """The noun synsets of WordNet with their hypernyms, those of instances included.

    Names are ``lemma.n.sense``, as in ``dog.n.01``: the first lemma of the synset, and the place of
    the synset among those of the lemma in ``index.noun``.

    Args:
      path: folder with ``data.noun`` and ``index.noun``, as of Debian's ``wordnet-base``.

    Raises:
      UserError: if a file is missing or a line is not of this format.
    """
    folder = pathlib.Path(path)
    senses = _senses(folder / "index.noun")
    file = folder / "data.noun"
    offsets, names, pointers, lines = [], [], [], []
    for line, text in _lines(file):
        try:
            words = text.split(" | ", 1)[0].split()
            offset, n_lemmas = int(words[0]), int(words[3], 16)
            at = 4 + 2 * n_lemmas
            n_pointers = int(words[at])
            known = words[at + 1 : at + 1 + 4 * n_pointers]
            lemma = words[4].lower()
            sense = senses[lemma].index(offset) + 1
            kinds = zip(known[::4], known[1::4], known[2::4], strict=True)
            above = [int(to) for kind, to, part in kinds if kind in _HYPERNYMS and part == "n"]
        except (ValueError, IndexError, KeyError) as error:
            raise UserError(f"{file}:{line}: not a synset of nouns") from error
        offsets.append(offset)
        names.append(f"{lemma}.n.{sense:02d}")
        pointers.append(above)
        lines.append(line)
    number = {offset: i for i, offset in enumerate(offsets)}
    where = np.asarray(lines, int)
    refuse(
        file,
        where,
        repeated(np.asarray(offsets)),
        lambda k: f"synset {offsets[k]} is there already",
    )
    lost = np.asarray([any(to not in number for to in above) for above in pointers], bool)
    refuse(file, where, lost, lambda _: "a hypernym is no synset of the file")
    parent = [number[above[0]] if above else -1 for above in pointers]
    extra = [(i, number[k]) for i, above in enumerate(pointers) for k in dict.fromkeys(above[1:])]
    try:
        return from_parents(
            names,
            parent,
            np.asarray(extra, np.int64).reshape(-1, 2),
            line_of=lambda item, _: lines[item],
        )
    except UserError as error:
        raise UserError(f"{file}: {str(error).removeprefix('hierarchy: ')}") from error


def _lines(file: pathlib.Path) -> list[tuple[int, str]]:
    """Lines of a dictionary file with their numbers, without the licence at its head."""
    try:
        lines = file.read_text(encoding="latin-1").split("\n")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    return [(i, text) for i, text in enumerate(lines, 1) if text and not text.startswith("  ")]


def _senses(file: pathlib.Path) -> dict[str, list[int]]:
    """Synset offsets of each lemma, in the order of its senses."""
    found: dict[str, list[int]] = collections.defaultdict(list)
    for line, text in _lines(file):
        words = text.split()
        try:
            count = int(words[2])
            found[words[0]] = [int(word) for word in words[-count:]]
        except (ValueError, IndexError) as error:
            raise UserError(f"{file}:{line}: not a line of an index of nouns") from error
    return found
