"""What is measured on a hyperbolic VAE, from deterministic embeddings of all operations.

Every figure is of the one embedding: it decodes (``eval/coverage_ball``), its radii carry the
valuation (``eval/hierarchy``), its distances the tree (``eval/tree_fidelity``).
"""

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains import latent_use
from tvae.domains.hyperbolic_vae.module import HyperbolicVAE
from tvae.domains.operations import coverage, data
from tvae.domains.operations.tree import TREE, embedding_metrics, tree_sample
from tvae.domains.views import Gaussians
from tvae.engine import compilation
from tvae.engine.task import Metrics, Params
from tvae.geometry import poincare
from tvae.metrics import hierarchy, tree
from tvae.metrics.definitions import BALL, Entry

Scale = jax.Array | float

SAMPLE_SEED = 0
"""Of the pairs that stand for the whole space: the same in every run."""


def embed_all(model: HyperbolicVAE, params: Params) -> tuple[jax.Array, jax.Array]:
    """Embedding ``(19683, latent_dim)`` of all operations, and its curvature."""
    ball, _ = model.apply({"params": params}, data.all_operations(), method=HyperbolicVAE.embed)
    return ball.z, ball.c


def reconstruction(
    model: HyperbolicVAE, params: Params, key: jax.Array, *, learned: np.ndarray
) -> Metrics:
    """Which operations decode exactly, from the embedding and from one posterior sample each.

    ``learned`` is bool ``(19683,)``, False for operations held out; where there are any,
    ``eval/coverage_ball_held_out`` is the share of *them* that decodes.
    """
    vae = model.bind({"params": params})
    z, _ = embed_all(model, params)
    exact = coverage.exact_operations(vae.decode(z))
    sampled = vae(data.all_operations(), jax.random.normal(key, z.shape))
    metrics = {
        "eval/coverage_ball": coverage.share(exact),
        "eval/coverage_sampled": coverage.share(coverage.exact_operations(sampled.logits)),
    }
    if not learned.all():
        metrics["eval/coverage_ball_held_out"] = coverage.share(exact[np.flatnonzero(~learned)])
    return metrics


def score(metrics: Metrics) -> jax.Array:
    """One number to select by: coverage * hierarchy * tree fidelity, each over its ceiling.

    At most 1 for tie-free lengths. Richness is left out: it has no ceiling of its own.
    """
    order = -metrics["eval/hierarchy"] / -hierarchy.hierarchy_ceiling(TREE)
    fidelity = metrics["eval/tree_fidelity"] / tree.tree_fidelity_ceiling(TREE)
    return metrics["eval/coverage_ball"] * order * fidelity


def headline(
    model: HyperbolicVAE, params: Params, key: jax.Array, *, learned: np.ndarray
) -> Metrics:
    """The periodic evaluation: coverage, hierarchy, richness, tree fidelity and their score.

    A part of :func:`measure`, which takes three times as long to compile.
    """
    z, c = embed_all(model, params)
    valuation = TREE.level(jnp.arange(TREE.n_leaves))
    radius = poincare.hyperbolic_radius(z, c=c)
    # The sample that embedding_metrics draws from the same seed.
    sample = tree_sample(jax.random.split(jax.random.key(SAMPLE_SEED), 3)[0])
    point = z[sample.items]
    distance = poincare.pairwise_distance(point, point, c=c)
    metrics = reconstruction(model, params, key, learned=learned) | {
        "eval/hierarchy": hierarchy.hierarchy(radius, valuation, tree=TREE),
        "eval/richness": hierarchy.richness(radius, valuation, tree=TREE),
        "eval/tree_fidelity": tree.tree_fidelity(distance, sample, tree=TREE),
    }
    return metrics | {"eval/score": score(metrics)}


def posteriors(model: HyperbolicVAE, params: Params, x: jax.Array, prior_scale: Scale) -> Gaussians:
    """The wrapped normal in normal coordinates at the origin, over the prior's scale.

    Its KL is that of the tangent Gaussians, which neglects the ball's curvature: good enough to
    tell an informative dimension from one that is not. ``prior_scale`` is a hyperbolic length.
    """
    ball, logvar = model.bind({"params": params}).embed(x)
    # log_0 in the ball's coordinates is half as long as the hyperbolic length.
    mean = 2.0 * poincare.log_map_origin(ball.z, c=ball.c)
    return {"a": (mean / prior_scale, logvar - 2.0 * jnp.log(prior_scale))}


def measure_operations(
    model: HyperbolicVAE, params: Params, key: jax.Array, *, learned: np.ndarray
) -> Metrics:
    """Reconstruction and embedding of all operations: the larger part of the final evaluation."""
    z, c = embed_all(model, params)
    measured = embedding_metrics(z, jax.random.key(SAMPLE_SEED), c=c)
    metrics = reconstruction(model, params, key, learned=learned)
    metrics |= {f"eval/{name}": value for name, value in measured.items()}
    return metrics | {"eval/score": score(metrics)}


def measure_use(model: HyperbolicVAE, params: Params, *, prior_scale: Scale) -> Metrics:
    """Use of the latents: the other part."""
    return latent_use.measure(posteriors(model, params, data.all_operations(), prior_scale))


def measure(
    model: HyperbolicVAE, params: Params, key: jax.Array, *, learned: np.ndarray, prior_scale: Scale
) -> Metrics:
    """The final evaluation, in two programs that run once; not for use inside ``jit``."""
    operations = compilation.jit_once(
        lambda params, key: measure_operations(model, params, key, learned=learned)
    )
    use = compilation.jit_once(lambda params: measure_use(model, params, prior_scale=prior_scale))
    # Apart, because the memory of compiling grows with the program.
    return operations(params, key) | use(params)


DEFINITIONS = {
    "eval/coverage_ball_held_out": Entry(
        "share of operations held out of training that decode from the ball alone",
        "points of the ball of the held-out operations",
        1.0,
    ),
    "eval/coverage_sampled": Entry(
        "share of operations reproduced from one posterior sample each",
        "one sample of the posterior of every operation",
        1.0,
    ),
    "eval/score": Entry("coverage_ball * hierarchy * tree_fidelity, over ceilings", BALL, 1.0),
}
"""Metric key without the suffix of an encoder -> entry."""
