"""Points and lines in a plane as SVG, without scripts."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from tvae.domains.exhibits import Plot, Series
from tvae.reporting.figures import palette

_WIDTH, _HEIGHT = 420, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 8, 38


def ticks(low: float, high: float) -> np.ndarray:
    """About five round numbers between two ends.

    >>> ticks(-0.3, 2.1).tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(size for size in (1, 2, 5, 10) if power * size >= rough)
    # Adding 0 turns -0 into 0.
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step + 0.0


def _ends(values: Sequence[np.ndarray]) -> tuple[float, float]:
    joined = np.concatenate([each[np.isfinite(each)] for each in values])
    low, high = (float(joined.min()), float(joined.max())) if joined.size else (0.0, 1.0)
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def draw(plot: Plot) -> Markup:
    """The plot as an SVG element, its legend below."""
    x_low, x_high = _ends([series.x for series in plot.series])
    y_low, y_high = _ends([series.y for series in plot.series])

    def place(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        across = _LEFT + (x - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
        down = _TOP + (y_high - y) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)
        return np.stack([across, down], 1).round(1)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(plot.title)}">']
    for value in ticks(x_low, x_high):
        at = place(np.asarray([value]), np.asarray([y_low]))[0, 0]
        parts.append(
            f'<line class="grid" x1="{at}" x2="{at}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        )
        label = _HEIGHT - _BOTTOM + 14
        parts.append(
            f'<text class="tick" x="{at}" y="{label}" text-anchor="middle">{value:.4g}</text>'
        )
    for value in ticks(y_low, y_high):
        at = place(np.asarray([x_low]), np.asarray([value]))[0, 1]
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>'
        )
        parts.append(
            f'<text class="tick" x="{_LEFT - 5}" y="{at + 4}" text-anchor="end">{value:.4g}</text>'
        )
    middle, centre = (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text class="axis" x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f"{escape(plot.x_title)}</text>"
        f'<text class="axis" transform="translate(11 {centre}) rotate(-90)" '
        f'text-anchor="middle">{escape(plot.y_title)}</text>'
    )
    colours = _colours(plot)
    parts += [
        _path(place(each.x, each.y), each, colour)
        for each, colour in zip(plot.series, colours, strict=True)
    ]
    parts.append("</svg>")
    named = [
        f'<span class="soft"><b style="color:{colour}">{"—" if each.line else "●"}</b> '
        f"{escape(each.name)}</span> "
        for each, colour in zip(plot.series, colours, strict=True)
        if each.name
    ]
    return Markup("".join([*parts, *named]))  # noqa: S704 - texts are escaped above


def _colours(plot: Plot) -> list[str]:
    """A colour for each series; grey for lines without a name."""
    if plot.ordered:
        return palette.levels(len(plot.series))
    named = iter(range(len(plot.series)))
    return [palette.line(next(named)) if each.name else palette.MARK for each in plot.series]


def _path(places: np.ndarray, series: Series, colour: str) -> str:
    """One element for all points of a series: a point is a line of no length with round ends."""
    places = places[np.isfinite(places).all(1)]
    if series.line:
        points = " ".join(f"{x:g},{y:g}" for x, y in places)
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.4"/>'
    points = "".join(f"M{x:g} {y:g}h0" for x, y in places)
    return (
        f'<path d="{points}" stroke="{colour}" stroke-width="3.4" stroke-linecap="round" '
        f'opacity="0.6"/>'
    )
