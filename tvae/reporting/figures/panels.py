"""Line plots over epochs, which charts.js draws in the page."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tvae.reporting.figures import palette
from tvae.reporting.figures.encoding import encode_array


class Line(NamedTuple):
    """A line of a panel: ``y`` over epochs ``x``, ``(n,)`` each.

    Attributes:
      name: in the legend.
      x: epochs.
      y: values.
      colour: as "#rrggbb".
      steps: whether a value holds until the next one.
      markers: whether each value is marked.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    steps: bool = False
    markers: bool = False


class Mark(NamedTuple):
    """A labelled line across a panel, at a position on its axis."""

    at: float
    text: str
    colour: str = palette.MARK


@dataclasses.dataclass(frozen=True)
class Panel:
    """A line plot over epochs.

    Attributes:
      title: heading.
      lines: at least one.
      log: whether the vertical axis is logarithmic.
      levels: horizontal marks, such as a ceiling.
      events: vertical marks, such as the best epoch.
      low: lower end of the vertical axis; None: chosen from the values.
      high: upper end of the vertical axis.
      epochs: upper end of the horizontal axis; None: chosen from the lines.
    """

    title: str
    lines: Sequence[Line]
    log: bool = False
    levels: Sequence[Mark] = ()
    events: Sequence[Mark] = ()
    low: float | None = None
    high: float | None = None
    epochs: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The panel as ``charts.js`` takes it."""
        return {
            "kind": "lines",
            "lines": [
                {
                    "name": line.name,
                    **_epochs(line.x),
                    "y": encode_array(np.asarray(line.y, float)),
                    "colour": line.colour,
                    "steps": line.steps,
                    "markers": line.markers,
                }
                for line in self.lines
            ],
            "log": self.log,
            "low": self.low,
            "high": self.high,
            "epochs": self.epochs or max(float(line.x[-1]) for line in self.lines),
            "levels": [mark._asdict() for mark in self.levels],
            "events": [mark._asdict() for mark in self.events],
        }


def _epochs(x: np.ndarray) -> dict[str, Any]:
    """Horizontal positions of a line; consecutive epochs take one number."""
    every = x.size > 1 and np.array_equal(x, x[0] + np.arange(x.size))
    return {"x0": float(x[0])} if every else {"x": encode_array(np.asarray(x, float))}
