"""What a hierarchy gives to training and to a trained model: inputs, targets, the split."""

import dataclasses
import functools

import numpy as np
from ml_collections import ConfigDict

from tvae.domains.hierarchy import source
from tvae.domains.hierarchy.hierarchy import Hierarchy
from tvae.domains.hierarchy_vae.codes import PathCodes, make_codes
from tvae.domains.hierarchy_vae.features import Tokens, make_tokens
from tvae.domains.hierarchy_vae.lineages import Lineages
from tvae.domains.hierarchy_vae.split import seen_items
from tvae.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """A hierarchy, encoded.

    Attributes:
      known: the hierarchy.
      seen: items that training sees, bool ``(n,)``.
      codes: paths as digits.
      lineages: ancestors as classes.
      tokens: how features become tokens; None where paths are the encoder's inputs.
    """

    known: Hierarchy
    seen: np.ndarray
    codes: PathCodes
    lineages: Lineages
    tokens: Tokens | None

    @functools.cached_property
    def inputs(self) -> np.ndarray:
        """Every item as the encoder takes it: int32 ``(n, n_slots)`` or ``(n, tokens)``."""
        if self.tokens is None:
            return self.codes.classes.astype(np.int32)
        return self.tokens.of_rows(self.known.features, len(self.known))

    @functools.cached_property
    def learned(self) -> np.ndarray:
        """The seen items, ascending."""
        return np.flatnonzero(self.seen).astype(np.int32)

    @functools.cached_property
    def unseen(self) -> np.ndarray:
        """The items that are held out, ascending."""
        return np.flatnonzero(~self.seen).astype(np.int32)


def make_study(config: ConfigDict) -> Study:
    """The study of a validated configuration; equal ones are one value.

    Raises:
      UserError: if the hierarchy cannot be read, or does not fit the configuration.
    """
    data, model = config.data, config.model
    return _make(
        source.load(data),
        data.held_out_share,
        data.held_out_level,
        data.split_seed,
        model.lineage_levels,
        (data.buckets, data.tokens) if model.inputs == "features" else None,
    )


@functools.lru_cache(maxsize=8)
def _make(
    known: Hierarchy,
    share: float,
    level: int,
    seed: int,
    lineage_levels: int,
    hashing: tuple[int, int] | None,
) -> Study:
    codes = make_codes(known)
    if lineage_levels > codes.n_levels:
        raise UserError(
            f"config.model.lineage_levels: expected at most the {codes.n_levels} levels of the "
            f"hierarchy, got {lineage_levels}"
        )
    seen = seen_items(known, share=share, level=level, seed=seed)
    tokens = None
    if hashing is not None:
        tokens = make_tokens(known.features, seen, buckets=hashing[0], most=hashing[1])
    return Study(known, seen, codes, Lineages(codes, seen, lineage_levels), tokens)
