"""Mutations of the losses."""

from tests.support.mutations.entry import of

_HAND = "tests/losses/test_dual_vae_losses.py"
_PROPERTIES = "tests/losses/test_production_properties.py"
_WORKED = "tests/losses/test_by_hand.py"
_LIKELIHOODS = "tests/losses/test_likelihoods.py"
_censored = of("tvae/losses/censored.py", _LIKELIHOODS)
_regression = of("tvae/losses/regression.py", _LIKELIHOODS)
_divergence = of("tvae/losses/divergence.py", _HAND)
_likelihood = of("tvae/losses/likelihood.py", _HAND)
_regularizers = of("tvae/losses/regularizers.py", _HAND)
_intervals = of("tvae/losses/distances.py", "tests/losses/test_intervals.py")
_distances = of("tvae/losses/distances.py", _WORKED, _PROPERTIES)
_levels = of("tvae/losses/levels.py", _WORKED, _PROPERTIES)
_means = of("tvae/losses/level_means.py", _WORKED, _PROPERTIES)
_pairs = of("tvae/losses/pairs.py", _WORKED, _PROPERTIES)
_radial = of("tvae/losses/radial.py", _WORKED, _PROPERTIES)
_ranking = of("tvae/losses/ranking.py", _WORKED, _PROPERTIES)

LOSSES = (
    _censored("bounds on the wrong side", "-censored * deviations", "censored * deviations"),
    _censored("no width in the density", " + 0.5 * predicted_logvar\n", "\n"),
    _regression("weights of missing tasks count", "mask * jnp.broadcast_to(", "jnp.broadcast_to("),
    _divergence("sign of the mean in the KL", "logvar - mu**2", "logvar + mu**2"),
    _divergence(
        "free bits as a ceiling", "jnp.maximum(kl, free_bits), kl", "jnp.minimum(kl, free_bits), kl"
    ),
    _divergence("free bits on from 1", "free_bits > 0.0", "free_bits > 1.0"),
    _divergence("mean over dimensions", ", kl).sum(-1)", ", kl).mean(-1)"),
    _likelihood("mean over positions", "[..., 0].sum(-1)", "[..., 0].mean(-1)"),
    _likelihood(
        "small losses rounded away",
        "log_p = jax.nn.log_softmax(logits)",
        "log_p = logits - jax.nn.logsumexp(logits, -1, keepdims=True)",
    ),
    _regularizers(
        "mean over padding too",
        "mask[:, None, None] / jnp.maximum(mask.sum(), 1.0)",
        "mask[:, None, None] / mask.size",
    ),
    _regularizers("logarithm of 0", "jnp.log(mean + 1e-10)", "jnp.log(mean)"),
    _regularizers(
        "a row repels itself",
        "(i[:, None] != jnp.arange(z.shape[0])[None, :]) * mask",
        "jnp.ones((i.size, z.shape[0])) * mask",
    ),
    _regularizers("scale not squared", "sigma**2", "sigma"),
    _distances("scale of the levels multiplied", ") / level_scale)", ") * level_scale)"),
    _distances(
        "the distance of a row to itself counts",
        "return value, distinct(point.shape[0], pairs)",
        "return value, jnp.ones(value.shape, bool)",
    ),
    _distances(
        "corner of the smooth loss",
        "optax.huber_loss(error) if smooth",
        "optax.huber_loss(error, 0.5) if smooth",
    ),
    _intervals("upper end is the lower", "length - interval[..., 1]", "length - interval[..., 0]"),
    _intervals("penalty not squared", "below * below + above * above", "below + above"),
    _levels("mean of nothing", "jnp.maximum(mask.sum(), 1).astype", "mask.sum().astype"),
    _levels(
        "biased variance",
        "squares / jnp.maximum(n_rows - 1, 1)",
        "squares / jnp.maximum(n_rows, 1)",
    ),
    _levels("level 0 is before no other", "(previous >= 0)", "(previous > 0)"),
    _levels(
        "sign of the gaps",
        "statistics.mean[jnp.maximum(previous, 0)] - statistics.mean",
        "statistics.mean - statistics.mean[jnp.maximum(previous, 0)]",
    ),
    _levels(
        "absent levels do not widen a gap",
        "(level - previous).astype",
        "jnp.ones_like(level).astype",
    ),
    _levels(
        "one level too many in the targets",
        "jnp.result_type(float)) / tree.depth",
        "jnp.result_type(float)) / tree.n_levels",
    ),
    _levels(
        "targets upside down",
        "return outer - share * (outer - inner)",
        "return inner + share * (outer - inner)",
    ),
    _means(
        "margin without its minimum",
        "jnp.maximum(min_margin, margin_scale * step * gaps.levels)",
        "margin_scale * step * gaps.levels",
    ),
    _means(
        "soft margin without its scale",
        "jax.nn.softplus(violation / temperature) * temperature",
        "jax.nn.softplus(violation / temperature)",
    ),
    _means(
        "target of a single level counts",
        "jnp.where(gaps.mask.any(), masked_mean(error, statistics.present), 0)",
        "masked_mean(error, statistics.present)",
    ),
    _means(
        "separation without its margin",
        "jax.nn.relu(margin - gaps.gap)",
        "jax.nn.relu(-gaps.gap)",
    ),
    _means(
        "separation as a mean",
        "jax.nn.relu(margin - gaps.gap), 0).sum()",
        "jax.nn.relu(margin - gaps.gap), 0).mean()",
    ),
    _means("richness of single rows", "statistics.n_rows > 1", "statistics.n_rows > 0"),
    _means("a flat reference", "(reference.variance + _REFERENCE_FLOOR)", "reference.variance"),
    _means(
        "richness beyond the reference is punished",
        "jax.nn.relu(min_ratio - ratio)",
        "jax.nn.relu(ratio - min_ratio)",
    ),
    _pairs("pairs of a row with itself", "jnp.where(i == j, (j + 1) % batch_size, j)", "j"),
    _pairs("a row past the end", "(j + 1) % batch_size", "j + 1"),
    _pairs("half of all pairs", "return i != j", "return i > j"),
    _radial("weight without the 1", "return 1 + jnp.exp", "return jnp.exp"),
    _radial("twice the margin", "wanted = 0.5 * levels", "wanted = levels"),
    _radial(
        "sign in the margin", "wanted - (radius_j - radius_i)", "wanted + (radius_j - radius_i)"
    ),
    _radial("pairs of both orders", "), levels > 0", "), levels != 0"),
    _ranking("no weight by levels", "jnp.abs(levels) * jax.nn.sigmoid", "jax.nn.sigmoid"),
    _ranking("sign in the rank loss", "-ordered / temperature", "ordered / temperature"),
    _ranking("pairs of one level count", ", levels != 0", ", levels == levels"),
)
