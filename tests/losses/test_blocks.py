"""All pairs in blocks: the same value and gradient, in memory that grows with the rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import term_inputs
from tests.support.production_cases import FAST_COMPILE
from tests.support.term_programs import bind, differentiate, select, traced_options
from tvae.losses import blocks, registry
from tvae.losses.pairs import Block, Pairs, distinct, ends, pair_lengths

ALL_PAIRS = (
    "centroid",
    "class_contrast",
    "clip",
    "cohesion",
    "concepts",
    "decoupled",
    "dynamic_temperature",
    "entailment_cones",
    "fisher_rao_spread",
    "info_nce",
    "lattice_order",
    "level_order",
    "margin_ranking",
    "match_distance",
    "moco",
    "nt_xent",
    "property_alignment",
    "radial_hierarchy",
    "rank",
    "ranking_softmax",
    "repulsion",
    "separation",
    "shared_classes",
    "soft_ranking",
    "supervised_contrastive",
    "tree_alignment",
    "tree_geodesic",
    "ultrametric",
)
"""Terms that take all pairs of a batch, in blocks where there are many."""


def rarely(*names):
    """Of all terms, the named ones in every session, which differ in kind; the others as slow."""
    return [n if n in names else pytest.param(n, marks=pytest.mark.slow) for n in ALL_PAIRS]


@pytest.mark.parametrize("name", rarely("tree_geodesic", "centroid", "info_nce", "nt_xent"))
def test_blocks_give_the_same_value_and_gradient(name, monkeypatch):
    made = registry.get(name)
    optional = tuple(x for x in made.optional if x not in ("pairs", "related"))
    where = {"where": np.arange(7) != 2}
    arrays = select(made, term_inputs.draw(7) | where, optional=optional)
    outcomes = []
    for elements in (blocks.ELEMENTS, 4 * 7):  # one block; blocks of 4 rows, the last one padded
        monkeypatch.setattr(blocks, "ELEMENTS", elements)
        run = jax.jit(differentiate(bind(made, optional=optional)), compiler_options=FAST_COMPILE)
        outcomes.append(jax.device_get(run(*arrays, traced_options(made))))
    (value, gradient), (in_blocks, gradient_in_blocks) = outcomes
    np.testing.assert_allclose(in_blocks, value, rtol=1e-6, atol=1e-6)
    for one, other in zip(gradient.values(), gradient_in_blocks.values(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", rarely("tree_geodesic", "fisher_rao_spread", "nt_xent"))
def test_memory_of_4096_rows_of_64_numbers(name):
    """Value and gradient under 200 MB; every array of all pairs would be 64 MB."""
    made = registry.get(name)
    arrays = select(made, term_inputs.draw(2), optional=())
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(
            tuple(4096 if size == 2 else 64 if size == 3 else size for size in x.shape), x.dtype
        ),
        arrays,
    )
    run = jax.jit(differentiate(bind(made, optional=())), compiler_options=FAST_COMPILE)
    compiled = run.lower(*shapes, traced_options(made)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 200e6


def test_a_block_holds_the_pairs_of_its_rows():
    x = jnp.asarray([[0.0, 0.1], [0.3, 0.2], [0.5, 0.0]])
    where, block = jnp.asarray([True, False, True]), Block(jnp.asarray([2, 0]))

    def of(pairs):
        lengths = [pair_lengths(x, pairs, c=c) for c in (1.0, None)]
        return *lengths, distinct(3, pairs, where), jnp.subtract(*ends(x[:, 0], pairs))

    found = jax.jit(lambda: (of(block), of(None)), compiler_options=FAST_COMPILE)()
    for rows, every in zip(*found, strict=True):
        np.testing.assert_allclose(rows, every[np.asarray([2, 0])], atol=1e-7)


def test_drawn_pairs_are_not_cut_into_blocks():
    pairs = Pairs(jnp.asarray([0, 1]), jnp.asarray([1, 1]))

    def penalty(given):
        assert given is pairs
        return jnp.asarray([3.0, 5.0]), distinct(5000, given)

    assert blocks.mean_over_pairs(penalty, 5000, pairs) == 3.0
