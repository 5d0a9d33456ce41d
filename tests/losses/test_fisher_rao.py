"""Fisher-Rao losses: recorded values, the metric by finite differences, shortest paths."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize

from tests.support.production_cases import FAST_COMPILE, all_cases
from tvae.losses import fisher_rao
from tvae.losses.pairs import Pairs


def cases(prefix):
    found = all_cases("losses", f"loss_fisher_rao/{prefix}")
    if not found:
        pytest.skip("needs ../shared/reference (outputs of the original system), which is absent")
    return found


def compare(case, function, names, output):
    """Value and gradients at the recorded inputs."""
    inputs = [jnp.asarray(case[f"in.{name}"]) for name in names]
    key = f"in.cotangent.{output}"
    cotangent = jnp.asarray(case[key]) if case.has(key) else jnp.float32(1.0)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def both(cotangent, *inputs):
        value, pull = jax.vjp(function, *inputs)
        return value, pull(cotangent)

    value, gradients = both(cotangent, *inputs)
    case.assert_close(value, f"f32.{output}")
    for name, gradient in zip(names, gradients, strict=True):
        if case.has(f"f32.grad.{output}.{name}"):
            case.assert_close(gradient, f"f32.grad.{output}.{name}")


def test_local_distances_equal_the_reference_system():
    for case in cases("distance"):
        function = fisher_rao.DISTANCES[f"local {case.params['distribution']}"]
        compare(case, function, ("mu1", "logvar1", "mu2", "logvar2"), "distance")


def test_parts_of_the_loss_equal_the_reference_system():
    for case in cases("fisher_rao_loss"):
        family = f"local {case.params.get('distance_type', 'gaussian')}"

        def parts(mu, logvar, vae, case=case, family=family):
            found = {
                "prior_distance": fisher_rao.fisher_rao_prior(mu, logvar, family=family).mean(),
                "curvature_loss": fisher_rao.variance_range(
                    logvar,
                    least=case.params.get("min_variance", 1e-6),
                    largest=case.params.get("max_variance", 10.0),
                ).mean(),
            }
            if case.has(f"in.idx1_{vae}"):
                pairs = Pairs(*(jnp.asarray(case[f"in.idx{end}_{vae}"]) for end in (1, 2)))
                found["geodesic_loss"] = fisher_rao.fisher_rao_spread(
                    mu, logvar, pairs, family=family
                )
            return found

        weights = {
            "prior_distance": 1.0,
            "geodesic_loss": case.params.get("geodesic_weight", 1.0),
            "curvature_loss": case.params.get("curvature_penalty_weight", 0.01),
        }
        for vae in case.params["vaes"]:
            at = [jnp.asarray(case[f"in.{name}_{vae}"]) for name in ("mu", "logvar")]

            def total(mu, logvar, vae=vae, parts=parts, weights=weights):
                found = parts(mu, logvar, vae)
                return sum(weights[name] * x for name, x in found.items()), found

            gradients, found = jax.jit(
                jax.grad(total, (0, 1), has_aux=True), compiler_options=FAST_COMPILE
            )(*at)
            for name, value in found.items():
                case.assert_close(value, f"f32.metric.{name}_{vae}")
            for name, gradient in zip(("mu", "logvar"), gradients, strict=True):
                case.assert_close(gradient, f"f32.grad.loss.{name}_{vae}")


def test_kl_blend_equals_the_reference_system_but_for_the_sign_of_its_logarithm():
    for case in cases("fisher_rao_kl"):
        alpha = case.params["alpha"] if case.params["use_fisher_weighting"] else 0.0
        given = case.params["priors_given"]
        prior = [jnp.asarray(case[f"in.prior_{name}"]) for name in ("mu", "logvar")]
        prior = prior if given else [jnp.zeros_like(x) for x in prior]

        def theirs(mu, logvar, alpha=alpha, prior=prior):
            ours = fisher_rao.fisher_kl(mu, logvar, *prior, alpha=alpha)
            return ours + 2.0 * alpha * (logvar - prior[1]).sum(-1)

        compare(case, theirs, ("mu", "logvar"), "kl")


def test_natural_gradient_equals_the_reference_system():
    for case in cases("natural_gradient"):
        options = {
            "condition_number": case.params.get("condition_number_target", 10.0),
            "least_variance": case.params.get("min_eigenvalue", 0.01),
        }
        compare(
            case,
            lambda *x, options=options: fisher_rao.natural_gradient(*x, **options),
            ("mu", "logvar"),
            "loss",
        )


def shortest_path(metric, start, end) -> float:
    """Length of the shortest of the circles through two points of a half plane of the metric."""
    (x0, s0), (x1, s1) = start, end
    # Geodesics of (k dx² + ds²) / s² are circles around points of the boundary s = 0.
    root = np.sqrt(metric)
    centre = optimize.brentq(
        lambda m: (root * (x0 - m)) ** 2 + s0**2 - (root * (x1 - m)) ** 2 - s1**2, -50, 50
    )
    radius = np.hypot(root * (x0 - centre), s0)
    angles = [np.arctan2(s, root * (x - centre)) for x, s in (start, end)]
    assert radius > 0
    return abs(integrate.quad(lambda a: 1 / np.sin(a), *angles)[0])


@pytest.mark.parametrize("end", [(3.0, np.e), (0.5, 0.2), (-2.0, 1.5)])
def test_closed_forms_are_lengths_of_geodesics(end):
    """Gaussian: 2 (dμ²/2 + dσ²)/σ²; Laplace: (dμ² + db²)/b² with b = σ/√2."""
    point = [jnp.asarray([x], jnp.float32) for x in (0.0, 0.0, end[0], 2 * np.log(end[1]))]
    expected = np.sqrt(2) * shortest_path(0.5, (0.0, 1.0), end)
    np.testing.assert_allclose(fisher_rao.gaussian_distance(*point), expected, rtol=1e-5)
    b = (0.0, np.sqrt(0.5)), (end[0], end[1] * np.sqrt(0.5))
    np.testing.assert_allclose(
        fisher_rao.laplace_distance(*point), shortest_path(1.0, *b), rtol=1e-5
    )


def test_near_distributions_have_the_local_distance():
    rng = np.random.default_rng(0)
    mu, logvar, u, v = jnp.asarray(rng.normal(size=(4, 5, 3)), jnp.float32)
    near = mu + 1e-2 * u, logvar + 1e-2 * v
    exact = fisher_rao.gaussian_distance(mu, logvar, *near)
    np.testing.assert_allclose(
        exact, fisher_rao.local_gaussian_distance(mu, logvar, *near), rtol=1e-3
    )
    far = fisher_rao.local_gaussian_distance(mu, logvar, 3 * u, v)
    assert (fisher_rao.gaussian_distance(mu, logvar, 3 * u, v) < far).all()


def test_fisher_kl_is_a_divergence_where_the_reference_rewards_small_variances():
    logvar = jnp.linspace(-8.0, 3.0, 12)[:, None]
    value = fisher_rao.fisher_kl(jnp.zeros((12, 1)), logvar)
    assert (value >= 0).all()
    assert value[0] > value[4] > value[7]
    theirs = value + 2.0 * logvar[:, 0]
    assert theirs[0] < -1


def test_spread_by_hand():
    """Three posteriors of unit variance on a line: distances 2√2 arsinh(Δ/√8)."""
    mu = jnp.asarray([[0.0], [1.0], [3.0]])
    where = jnp.asarray([True, True, False])
    for mask, gaps in ((None, [1.0, 2.0, 3.0]), (where, [1.0])):
        lengths = 2 * np.sqrt(2) * np.arcsinh(np.asarray(gaps) / np.sqrt(8))
        expected = np.mean((lengths - 1.5) ** 2)
        value = fisher_rao.fisher_rao_spread(mu, jnp.zeros((3, 1)), None, mask, target=1.5)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
