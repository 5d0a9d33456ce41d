"""Features of items as sets of hashed tokens: words and their neighbours, values, thresholds.

A text has as tokens its words, pairs of neighbouring words, itself as a category, and all strings
of four letters in its words, ends included, which join forms of a word and parts of compounds; a
number has one token for each threshold that it reaches.
"""

import dataclasses
import itertools
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tvae.errors import UserError

NONE = -1
"""In place of a token where an item has fewer."""
_PART = 4  # letters
_LONGEST_CATEGORY = 40  # letters; a longer text is no category
_THRESHOLDS = 15  # of a column of numbers, at equal shares of its values


@dataclasses.dataclass(frozen=True, eq=False)
class Tokens:
    """How columns of features become tokens.

    Attributes:
      texts: names of the columns of text and categories.
      thresholds: column of numbers -> its thresholds, ascending.
      buckets: number of different tokens after hashing.
      most: tokens of an item at most.
    """

    texts: tuple[str, ...]
    thresholds: Mapping[str, np.ndarray]
    buckets: int
    most: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""
        return (*self.texts, *self.thresholds)

    def of_rows(self, columns: Mapping[str, Sequence[Any] | np.ndarray], n: int) -> np.ndarray:
        """Tokens of ``n`` items, int32 ``(n, most)``, :data:`NONE` where there are fewer.

        Args:
          columns: name -> ``n`` values; a missing column is one without values.
          n: number of items.
        """
        names: list[list[str]] = [[] for _ in range(n)]
        for name in self.texts:
            for found, value in zip(names, columns.get(name, ()), strict=False):
                found.extend(_of_text(name, value))
        for name, edges in self.thresholds.items():
            for found, value in zip(names, columns.get(name, ()), strict=False):
                found.extend(f"{name}>={edge:.9g}" for edge in edges[edges <= _number(name, value)])
        table = np.full((n, self.most), NONE, np.int32)
        for row, found in zip(table, names, strict=True):
            hashed = [zlib.crc32(token.encode()) % self.buckets for token in dict.fromkeys(found)]
            row[: len(hashed)] = hashed[: self.most]
        return table


def _of_text(column: str, value: Any) -> Iterator[str]:
    """Tokens of one text, the most telling ones first."""
    text = str(value).casefold() if value is not None else ""
    words = re.findall(r"\w+", text)
    yield from words
    yield from ("_".join(pair) for pair in itertools.pairwise(words))
    if words and len(text) <= _LONGEST_CATEGORY:
        yield f"{column}={text}"
    for word in (f"<{word}>" for word in words):
        yield from (f"#{word[i : i + _PART]}" for i in range(max(1, len(word) - _PART + 1)))


def _number(column: str, value: Any) -> float:
    """A number, NaN for none."""
    try:
        return float(value) if value not in (None, "") else np.nan
    except (TypeError, ValueError) as error:
        raise UserError(f"features: {column}: expected a number, got {value!r:.60}") from error


def make_tokens(
    columns: Mapping[str, np.ndarray], seen: np.ndarray, *, buckets: int, most: int
) -> Tokens:
    """How the columns of a hierarchy become tokens.

    Args:
      columns: name -> one value an item.
      seen: which items thresholds may be taken from, bool ``(n,)``.
      buckets: see :class:`Tokens`.
      most: see :class:`Tokens`.

    Raises:
      UserError: if there is no column.
    """
    if not columns:
        raise UserError(
            "config.model.inputs: 'features' needs columns beside the parents; the hierarchy has "
            "none"
        )
    numeric = {k: v for k, v in columns.items() if np.issubdtype(v.dtype, np.number)}
    shares = (np.arange(_THRESHOLDS) + 0.5) / _THRESHOLDS
    thresholds = {}
    for name, values in numeric.items():
        finite = values[seen & np.isfinite(values)]
        thresholds[name] = np.unique(np.quantile(finite, shares)) if finite.size else np.zeros(0)
    texts = tuple(name for name in columns if name not in numeric)
    return Tokens(texts, thresholds, buckets, most)
