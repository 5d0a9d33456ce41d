"""The operation space: enumeration and valuation."""

import jax.numpy as jnp
import numpy as np
import pytest

from tvae.geometry import padic


def brute_force_valuation(n: int, *, n_digits: int, p: int) -> int:
    if n == 0:
        return n_digits
    power = 0
    while power < n_digits and n % p == 0:
        n, power = n // p, power + 1
    return power


def test_enumeration_endpoints():
    # From the specification: 0 is all -1, 1 changes the first entry, 9841 is all 0, 19682 all +1.
    index = jnp.asarray([0, 1, 2, 3, 9841, 19682])
    expected = [
        [-1] * 9,
        [0] + [-1] * 8,
        [1] + [-1] * 8,
        [-1, 0] + [-1] * 7,
        [0] * 9,
        [1] * 9,
    ]
    np.testing.assert_array_equal(padic.values(index), expected)


@pytest.mark.parametrize(("n_digits", "p"), [(9, 3), (4, 3), (1, 3), (5, 2), (4, 5)])
def test_digits_and_index_are_inverse_over_the_whole_space(n_digits, p):
    index = jnp.arange(padic.count(n_digits=n_digits, p=p))
    digit = padic.digits(index, n_digits=n_digits, p=p)
    assert digit.min() == 0
    assert digit.max() == p - 1
    np.testing.assert_array_equal(padic.index_of(digit, p=p), index)


@pytest.mark.parametrize(("n_digits", "p"), [(9, 3), (4, 3), (5, 2), (4, 5)])
def test_valuation_and_level_counts_agree_with_brute_force(n_digits, p):
    n = padic.count(n_digits=n_digits, p=p)
    got = np.asarray(padic.valuation(jnp.arange(n), n_digits=n_digits, p=p))
    expected = [brute_force_valuation(i, n_digits=n_digits, p=p) for i in range(n)]
    np.testing.assert_array_equal(got, expected)
    counts = np.bincount(got, minlength=n_digits + 1)
    np.testing.assert_array_equal(counts, padic.level_counts(n_digits=n_digits, p=p))


@pytest.mark.parametrize(
    "sizes", [{"n_digits": 0}, {"p": 1}, {"n_digits": 20}, {"n_digits": 31, "p": 2}]
)
def test_impossible_spaces_are_refused(sizes):
    with pytest.raises(ValueError, match="n_digits"):
        padic.count(**sizes)
