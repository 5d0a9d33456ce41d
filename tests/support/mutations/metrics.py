"""Mutations of the metrics, and of the sampler of prior coverage."""

from tests.support.mutations.entry import of

_RANKS = "tests/metrics/test_rank_correlation.py"
_BY_HAND = "tests/metrics/test_by_hand.py"
_hierarchy = of("tvae/metrics/hierarchy.py", _BY_HAND)
_latent = of("tvae/metrics/latent.py", "tests/metrics/test_latent.py")
_near = of("tvae/metrics/neighbourhood.py", _BY_HAND)
_ranks = of("tvae/metrics/rank_correlation.py", _RANKS)
_sample = of("tvae/metrics/sample.py", _BY_HAND)
_measures = of("tvae/metrics/tree.py", _BY_HAND)
_embedding = of("tvae/metrics/embedding.py", _BY_HAND)
_coverage = of(
    "tvae/domains/operations/coverage.py",
    "tests/domains/operations/test_coverage.py::test_each_digit_is_drawn_as_often_as_its_softmax",
)

METRICS = (
    _hierarchy("sign of the ceiling", "return -tie_ceiling", "return tie_ceiling"),
    _hierarchy("richness over the depth", ".sum() / tree.n_levels", ".sum() / tree.depth"),
    _hierarchy(
        "unbiased richness",
        "(deviation.sum(0) / jnp.maximum(n_rows, 1))",
        "(deviation.sum(0) / jnp.maximum(n_rows - 1, 1))",
    ),
    _latent(
        "edges of the histogram", "jnp.abs(z) <= HISTOGRAM_RANGE", "jnp.abs(z) < HISTOGRAM_RANGE"
    ),
    _latent("padding in the histogram", " * mask[:, None]", ""),
    _latent("deviation for variance", "mu.var(0)", "mu.std(0)"),
    _latent(
        "a gradient through the histogram",
        "z = jax.lax.stop_gradient(z)",
        "z = z + 0.0",
        survives="Equivalent: bins and comparisons have no gradient by themselves.",
    ),
    _near(
        "matrix product at default precision",
        "jax.lax.Precision.HIGHEST",
        "jax.lax.Precision.DEFAULT",
    ),
    _near(
        "nearest without the conformal factor",
        "-jnp.maximum(euclidean, 0) * poincare.conformal_factor(z, c=c)[None, :]",
        "-jnp.maximum(euclidean, 0)",
    ),
    _near("a query is its own neighbour", "jnp.where(own, -jnp.inf, closeness)", "closeness"),
    _near("half of the inner product", "- 2 * inner", "- inner"),
    _near("ceiling counts the query", "min(k, n - 1)", "min(k, n)"),
    _near("coincident points in the dimension", "apart = first > 0", "apart = first >= 0"),
    _ranks("ranks without average", "0.5 * _tied_positions(x_sorted)", "0.5 * 2 * jnp.arange(n)"),
    _ranks(
        "a NaN of the second side", "jnp.isnan(x).any() | jnp.isnan(y).any()", "jnp.isnan(x).any()"
    ),
    _ranks("ceiling without the linear term", "sum(k**3 - k for k", "sum(k**3 for k"),
    _ranks("coarse keys", "_VALUE_BITS - exponent", "_VALUE_BITS - 16 - exponent"),
    _ranks("end of a group of ties", "reverse=True", "reverse=False"),
    _ranks(
        "centre of the classes", "2 * jnp.cumsum(counts) - counts - 1", "2 * jnp.cumsum(counts) - 1"
    ),
    _ranks("mean over the padding", ".sum(-1).sum() / x.shape[0]", ".sum(-1).sum() / padded.size"),
    _sample("a point paired with itself", "(i + number // m + 1) % m", "(i + number // m) % m"),
    _sample("triplets with equal ends", "j = j + (j >= i)", "j = j + (j > i)"),
    _sample(
        "transposed entries of a matrix",
        "self.i * x.shape[1] + self.j",
        "self.j * x.shape[1] + self.i",
    ),
    _sample(
        "signed gaps of levels", "return jnp.abs(level_i - level_j)", "return level_i - level_j"
    ),
    _measures(
        "depth for distance in the tree",
        "apart = tree.depth - tree.pair_level",
        "apart = tree.pair_level",
    ),
    _measures("an inverted hierarchy scores less", "1.5 * jnp.abs(hierarchy)", "1.5 * hierarchy"),
    _measures("strict and loose exchanged", "if strict:", "if not strict:"),
    _measures(
        "a hundred triplets are too few",
        "n_counted < _LEAST_TRIPLETS",
        "n_counted <= _LEAST_TRIPLETS",
    ),
    _measures("the two shortest sides", "sides[2] - sides[1] <=", "sides[1] - sides[0] <="),
    _measures(
        "no correlation of equal distances", "jnp.where(constant, 0.0, correlation)", "correlation"
    ),
    _measures("pairs of one level", "math.comb(level, 2)", "level * level"),
    _embedding(
        "Q of the other correlation",
        'tree.q(pairs["dist_corr_quick"], order)',
        'tree.q(pairs["dist_corr_comprehensive"], order)',
    ),
    _embedding("one sound coordinate is enough", "jnp.isfinite(z).all()", "jnp.isfinite(z).any()"),
    _coverage(
        "sign in the categorical sampler", "(uniform > cumulative)", "(uniform < cumulative)"
    ),
)
