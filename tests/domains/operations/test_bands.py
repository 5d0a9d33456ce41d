"""Tables of intervals against brute force over all operations and the promises of their text."""

import numpy as np
import pytest

from tvae.domains.operations import bands
from tvae.geometry import padic
from tvae.geometry.padic import N_DIGITS

N = padic.count()
LEVEL, LEADING = bands.valuations(), bands.leading_digits()
RECIPE = {"outer": 3.56, "inner": 0.05, "gap": 0.7}


def radius_table(**lengths):
    return np.asarray(bands.radius_intervals(LEVEL, LEADING, **lengths))


def test_valuations_and_leading_digits_by_brute_force():
    for index in range(0, N, 7):
        digits = [index // 3**k % 3 for k in range(N_DIGITS)]
        nonzero = [(k, digit) for k, digit in enumerate(digits) if digit]
        level, leading = nonzero[0] if nonzero else (N_DIGITS, 0)
        assert (LEVEL[index], LEADING[index]) == (level, leading)
    np.testing.assert_array_equal(np.bincount(LEVEL), padic.level_counts())


def test_bands_touch_and_their_widths_go_as_the_free_digits():
    table = np.asarray(bands.level_bands(outer=3.56, inner=0.05))
    np.testing.assert_allclose(table[0, 1], 3.56, rtol=1e-6)
    np.testing.assert_array_equal(table[1:, 1], table[:-1, 0])
    # 3.51 in 9 + 8 + ... + 1 = 45 parts of 0.078.
    widths = np.diff(table[:9].astype(np.float64))[:, 0]
    np.testing.assert_allclose(widths, 0.078 * np.arange(9, 0, -1), rtol=1e-5)
    np.testing.assert_allclose(table[9], [0.0, 0.05], rtol=1e-5)


def test_radii_inside_the_intervals_are_ordered_by_level():
    table = radius_table(**RECIPE, margin=0.05)
    assert table.dtype == np.float32
    assert (table[:, 0] <= table[:, 1]).all()
    for level in range(N_DIGITS):
        inner, outer = table[level + 1 == LEVEL], table[level == LEVEL]
        assert inner[:, 1].max() < outer[:, 0].min()


def test_each_leading_digit_has_its_half_of_a_band():
    table = radius_table(**RECIPE, margin=0.05)
    # Level 0: [2.858, 3.56], middle 3.209, half 0.351.
    one, two = table[1], table[2]
    np.testing.assert_allclose(one, [3.209 - 0.95 * 0.351, 3.209 - 0.7 * 0.351], rtol=1e-6)
    np.testing.assert_allclose(two, [3.209 + 0.7 * 0.351, 3.209 + 0.95 * 0.351], rtol=1e-6)
    np.testing.assert_array_equal(table[(LEVEL == 0) & (LEADING == 2)], np.tile(two, (6561, 1)))


def test_the_richness_of_any_radii_inside_is_at_least_the_floor():
    table = radius_table(**RECIPE, margin=0.05)
    # The nearest to each other that the two halves of a level can be.
    radius = np.where(LEADING == 1, table[:, 1], table[:, 0]).astype(np.float64)
    richness = sum(radius[v == LEVEL].var() for v in range(N_DIGITS)) / 10
    floor = bands.richness_floor(**RECIPE)
    np.testing.assert_allclose(richness, floor, rtol=1e-5)
    # 0.49 / 10 * 0.039² * (9² + ... + 1²) = 0.49 * 0.001521 * 28.5.
    np.testing.assert_allclose(floor, 0.49 * 0.001521 * 28.5, rtol=1e-6)
    # The acceptance asks for 0.0125.
    assert floor > 0.0125


def test_a_negative_margin_lets_levels_overlap():
    table = radius_table(outer=3.56, inner=0.05, gap=1.0, margin=-0.3)
    assert table[(LEVEL == 1) & (LEADING == 2), 1].max() > table[LEVEL == 0, 0].min()
    assert table.min() >= 0.0


def test_tree_intervals_are_ordered_and_apart():
    table = bands.tree_intervals(outer=3.7, ratio=0.7, margin=0.05, depth=4)
    np.testing.assert_allclose(table[0], [3.75, np.inf])
    np.testing.assert_allclose(table[1], [3.7 * 0.7 + 0.05, 3.7 - 0.05], rtol=1e-6)
    # Valuation 4 and deeper: only the upper edge binds.
    np.testing.assert_allclose(table[4], [0.0, 3.7 * 0.7**3 - 0.05], rtol=1e-6)
    assert (table[1:, 1] < table[:-1, 0])[:3].all()
    assert (np.diff(table[:, 1]) < 0).all()


def test_chord_intervals():
    table = bands.chord_intervals(same=0.8, far=1.4, margin=0.05)
    assert table.shape == (10, 2)
    np.testing.assert_allclose(table[0], [0.0, 0.75], rtol=1e-6)
    np.testing.assert_allclose(table[1], [0.85, 1.35], rtol=1e-6)
    np.testing.assert_allclose(table[2:], np.tile([1.45, np.inf], (8, 1)), rtol=1e-6)


@pytest.mark.parametrize("bound", [1, 2])
def test_most_pairs_are_few_levels_apart(bound):
    counts = np.array(padic.level_counts())
    gap = np.abs(np.subtract.outer(np.arange(10), np.arange(10)))
    share = np.outer(counts, counts)[gap <= bound].sum() / N**2
    assert share > {1: 0.83, 2: 0.94}[bound]
