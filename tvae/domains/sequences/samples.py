"""What a model learns from: features, targets and groups of rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences.encoding import Encoding, encode
from tvae.domains.sequences.tables import Table


class Samples(NamedTuple):
    """``n`` rows with ``f`` features and ``d`` labels.

    Attributes:
      features: float32 ``(n, f)``, in [0, 1].
      targets: ``(n, d)``, NaN if missing.
      censored: int8 ``(n, d)``, 1 if the truth is at least the target, -1 if at most.
      groups: ``(n,)``, rows of one group are never divided.
    """

    features: NDArray[np.float32]
    targets: NDArray[np.float64]
    censored: NDArray[np.int8]
    groups: NDArray[np.int64]

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> "Samples":
        """Some of the rows."""
        return Samples(
            self.features[rows], self.targets[rows], self.censored[rows], self.groups[rows]
        )

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which targets were measured: ``(n, d)``."""
        return ~np.isnan(self.targets)


def make_samples(
    table: Table, encoding: Encoding, groups: NDArray[np.int64], scale: str = "log10"
) -> Samples:
    """Samples of a table.

    Args:
      table: sequences and labels.
      encoding: of the sequences.
      groups: ``(n,)``, of :mod:`tvae.domains.sequences.splits`.
      scale: of the targets, see :meth:`Table.targets
        <tvae.domains.sequences.tables.Table.targets>`.
    """
    targets = table.targets(scale)
    return Samples(encode(table.cells, encoding), targets, table.censored, groups)
