"""Densities and divergences by quadrature over the space, samples, and independent formulas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from tvae.errors import UserError
from tvae.geometry import hyperboloid, poincare, radial_quadrature, riemannian_normal
from tvae.geometry.distributions import RiemannianNormal, WrappedNormal

C = 1.3
LOC = {2: [0.3, -0.2], 3: [0.3, -0.2, 0.1]}
OTHER = {2: [-0.1, 0.25], 3: [-0.1, 0.25, 0.3]}
KINDS = {
    "wrapped": lambda loc, model: WrappedNormal(loc, jnp.asarray([0.6]), C, model),
    "wrapped diagonal": lambda loc, model: WrappedNormal(
        loc, jnp.linspace(0.3, 0.7, len(loc) - (model == "hyperboloid")), C, model
    ),
    "riemannian": lambda loc, model: RiemannianNormal(loc, jnp.asarray([0.5]), C, model),
}


@functools.cache
def space(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of the ball and their share of the volume: Gauss rules in polar coordinates."""
    t, share = np.polynomial.legendre.leggauss(72)
    r, radial = 3.5 * (t + 1), 3.5 * share
    phi = 2 * np.pi * (np.arange(60) + 0.5) / 60
    circle = np.stack([np.cos(phi), np.sin(phi)], -1)
    if d == 2:
        directions, angular = circle, np.full(60, 2 * np.pi / 60)
    else:
        t, share = np.polynomial.legendre.leggauss(24)
        ring = np.sqrt(1 - t**2)[:, None, None] * circle
        high = np.broadcast_to(t[:, None, None], (24, 60, 1))
        directions = np.concatenate([ring, high], -1).reshape(-1, 3)
        angular = np.repeat(share * 2 * np.pi / 60, 60)
    norm = np.tanh(np.sqrt(C) * r / 2) / np.sqrt(C)
    area = (np.sinh(np.sqrt(C) * r) / np.sqrt(C)) ** (d - 1) * radial
    points = norm[:, None, None] * directions
    return points.reshape(-1, d), (area[:, None] * angular).ravel()


def make(kind: str, loc, model: str):
    loc = jnp.asarray(loc)
    loc = hyperboloid.from_ball(loc, c=C) if model == "hyperboloid" else loc
    return KINDS[kind](loc, model)


@jax.jit
def log_densities(q, p, x):
    return q.log_prob(x), p.log_prob(x)


@jax.jit
def sampled_divergence(q, p, key):
    return q.kl(p, key=key, n_samples=4000)


@jax.jit
def log_density(q, x):
    return q.log_prob(x)


@pytest.mark.parametrize(("d", "model"), [(2, "ball"), (3, "ball"), (2, "hyperboloid")])
def test_densities_and_divergences_by_quadrature(d, model):
    with jax.enable_x64(True):
        points, volume = space(d)
        x = jnp.asarray(points)
        x = hyperboloid.from_ball(x, c=C) if model == "hyperboloid" else x
        p = make("riemannian", OTHER[d], model)
        for kind in KINDS:
            q = make(kind, LOC[d], model)
            log_q, log_p = jax.device_get(log_densities(q, p, x))
            density = volume * np.exp(log_q)
            np.testing.assert_allclose(density.sum(), 1.0, atol=2e-5)
            expected = (density * (log_q - log_p)).sum()
            if kind == "wrapped diagonal":
                value = sampled_divergence(q, p, jax.random.key(0))
                np.testing.assert_allclose(value, expected, rtol=0.05)
            else:
                np.testing.assert_allclose(q.kl(p), expected, rtol=2e-4)


def lorentz_log_prob(x, loc, scale):
    """Nagano et al. (2019), algorithm 2, in float64 and by the definitions."""
    x, loc = x * np.sqrt(C), loc * np.sqrt(C)  # to curvature -1

    def product(a, b):
        return -a[..., 0] * b[..., 0] + (a[..., 1:] * b[..., 1:]).sum(-1)

    alpha = -product(loc, x)
    length = np.arccosh(alpha)
    u = (length / np.sqrt(alpha**2 - 1))[:, None] * (x - alpha[:, None] * loc)
    origin = np.eye(len(loc))[0]
    share = product(origin - loc[0] * loc, u) / (loc[0] + 1)
    v = u + share[:, None] * (loc + origin)
    d = len(loc) - 1
    gaussian = stats.norm.logpdf(v[:, 1:], scale=np.sqrt(C) * scale).sum(-1)
    return gaussian - (d - 1) * np.log(np.sinh(length) / length) + 0.5 * d * np.log(C)


@pytest.mark.parametrize("d", [2, 3])
def test_log_densities_equal_textbook_formulas(d):
    x = np.random.default_rng(0).uniform(-0.4, 0.4, (20, d))
    scale = np.linspace(0.3, 0.7, d)
    on_sheet, loc = (
        np.asarray(hyperboloid.from_ball(jnp.asarray(a, jnp.float32), c=C), float)
        for a in (x, LOC[d])
    )
    for model in ("ball", "hyperboloid"):
        at = jnp.asarray(x if model == "ball" else on_sheet, jnp.float32)
        wrapped = log_density(make("wrapped diagonal", jnp.asarray(LOC[d], jnp.float32), model), at)
        np.testing.assert_allclose(wrapped, lorentz_log_prob(on_sheet, loc, scale), atol=2e-5)
        normal = log_density(make("riemannian", jnp.asarray(LOC[d], jnp.float32), model), at)
        apart = np.arccosh(1 + C * ((on_sheet - loc) ** 2 @ [-1, *[1] * d]) / 2) / np.sqrt(C)
        log_z = mathieu_log_normalizer(0.5, d)
        np.testing.assert_allclose(normal, -0.5 * (apart / 0.5) ** 2 - log_z, atol=2e-5)


def mathieu_log_normalizer(scale: float, d: int) -> float:
    """The closed form of Mathieu et al. (2019), appendix B.4."""
    k = np.arange(d)
    power = (d - 1 - 2 * k) * np.sqrt(C) * scale
    terms = (-1.0) ** k * special.comb(d - 1, k)
    terms *= np.exp(power**2 / 2) * (1 + special.erf(power / np.sqrt(2)))
    area = 2 * np.pi ** (d / 2) / special.gamma(d / 2)
    return np.log(area * np.sqrt(np.pi / 2) * scale / (2 * np.sqrt(C)) ** (d - 1) * terms.sum())


def test_log_densities_equal_those_of_hyperbolix():
    distributions = pytest.importorskip("hyperbolix.distributions")
    x = np.random.default_rng(0).uniform(-0.4, 0.4, (20, 3))
    at, loc = (hyperboloid.from_ball(jnp.asarray(a, jnp.float32), c=C) for a in (x, LOC[3]))
    scale = jnp.linspace(0.3, 0.7, 3)
    theirs = distributions.wrapped_normal_hyperboloid.log_prob(at, loc, scale, C)
    ours = WrappedNormal(loc, scale, C, "hyperboloid").log_prob(at)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("d", [1, 2, 5, 40])
def test_normalizer_and_its_derivative(d):
    """Against the closed form, and the mean square distance against a sum over a fine grid."""
    for scale in (0.05, 0.4, 1.2):
        value, slope = jax.value_and_grad(
            lambda s: riemannian_normal.log_normalizer(s, dimension=d, c=C)
        )(jnp.float32(scale))
        r = np.linspace(1e-6, 60 * C * scale**2 + 12 * scale, 200_001)
        root = np.sqrt(C)
        log_sinh = root * r + np.log1p(-np.exp(-2 * root * r)) - np.log(2 * root)
        log_weight = -0.5 * (r / scale) ** 2 + (d - 1) * log_sinh
        weight = np.exp(log_weight - log_weight.max())
        square = np.trapezoid(weight * r**2) / np.trapezoid(weight)
        np.testing.assert_allclose(slope, square / scale**3, rtol=2e-4)
        if d <= 5 and scale > 0.1:
            np.testing.assert_allclose(value, mathieu_log_normalizer(scale, d), atol=1e-5)


def radial_cdf(r, scale, d):
    def weight(r):
        return np.exp(-0.5 * (r / scale) ** 2) * np.sinh(np.sqrt(C) * r) ** (d - 1)

    return integrate.quad(weight, 0, r)[0] / integrate.quad(weight, 0, 12 * scale + 3 * d)[0]


def test_samples_of_the_riemannian_normal():
    """Their distances follow the radial law, about a centre of symmetry."""
    q = RiemannianNormal(jnp.asarray([LOC[3], OTHER[3]]), jnp.asarray([[0.5], [0.8]]), C)
    x = q.sample(jax.random.key(0), (500,))
    assert x.shape == (500, 2, 3)
    r = np.linspace(0.0, 8.0, 200)
    for row, scale in enumerate((0.5, 0.8)):
        distance = np.asarray(q.distance(x)[:, row])
        table = [radial_cdf(at, scale, 3) for at in r]
        assert stats.kstest(distance, lambda y, t=table: np.interp(y, r, t)).pvalue > 0.01
    centred = poincare.mobius_add(-jnp.broadcast_to(q.loc, x.shape), x, c=C)
    spread = centred.std(0) / np.sqrt(500)
    assert (jnp.abs(centred.mean(0)) < 4 * spread).all()


def test_gradients_of_samples_are_those_of_quantiles():
    uniform = jnp.asarray([[1e-3, 0.3, 0.7, 0.999]])
    quantile = functools.partial(riemannian_normal._quantile, dimension=3, c=C)
    r, slope = jax.jvp(lambda s: quantile(uniform, s), (jnp.full(1, 0.7),), (jnp.ones(1),))
    for u, radius, found in zip(uniform[0], r[0], slope[0], strict=True):
        low, exact, high = (
            optimize.brentq(lambda r, s=s, u=float(u): radial_cdf(r, s, 3) - u, 1e-3, 8.0)
            for s in (0.699, 0.7, 0.701)
        )
        np.testing.assert_allclose(radius, exact, rtol=5e-3)
        np.testing.assert_allclose(found, (high - low) / 0.002, rtol=5e-3)


def test_samples_of_the_wrapped_normal_have_its_moments():
    q = make("wrapped diagonal", jnp.asarray(LOC[3], jnp.float32), "hyperboloid")
    x = q.sample(jax.random.key(0), (4000,))
    v = hyperboloid.unwrap(jnp.broadcast_to(q.loc, x.shape), x, c=C)
    np.testing.assert_allclose(jnp.cov(v.T), np.diag(q.scale**2), atol=0.03)


def test_divergences_vanish_at_equality_and_grow_with_the_distance():
    loc = jnp.asarray([[0.0, 0.0], [0.3, 0.0], [0.6, 0.0]])
    q, scale = RiemannianNormal(loc, jnp.asarray([0.5]), C), jnp.asarray([0.5])
    kl = q.kl(RiemannianNormal(jnp.zeros_like(loc), scale, C))
    assert abs(kl[0]) < 1e-5
    assert (jnp.diff(kl) > 0.1).all()
    gradient = jax.grad(lambda z: RiemannianNormal(z, scale, C).kl(q).sum())(loc)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-5)


def test_third_side_of_far_points():
    """Beyond the range of exponentials, sides add up to the logarithm of the angle."""
    far, t = jnp.float32(90.0)[None], jnp.asarray([-1.0, 0.0, 1.0])
    side = radial_quadrature.third_side(far, jnp.float32(3.0)[None], t, c=1.0)
    np.testing.assert_allclose(side, [93.0, 90 + np.log(np.cosh(3)), 87.0], rtol=1e-6)


@pytest.mark.parametrize("d", [1, 2, 3, 7])
def test_cosines_integrate_polynomials_over_directions(d):
    """E[t²] = 1/d and E[t⁴] = 3 / (d (d + 2)) on the sphere."""
    t, weight = radial_quadrature.cosines(d)
    np.testing.assert_allclose([weight.sum(), weight @ t**2], [1.0, 1 / d])
    np.testing.assert_allclose(weight @ t**4, 3 / (d * (d + 2)))


def test_bad_arguments_are_named():
    with pytest.raises(UserError, match="model: expected 'ball' or 'hyperboloid', got 'plane'"):
        WrappedNormal(jnp.zeros(2), jnp.ones(1), 1.0, "plane")
    with pytest.raises(UserError, match=r"scale: expected 1 entries .* got shape"):
        RiemannianNormal(jnp.zeros(2), jnp.ones(2), 1.0)
    q = make("wrapped diagonal", LOC[2], "ball")
    with pytest.raises(UserError, match="needs samples, and these a key"):
        q.kl(q)
    with pytest.raises(UserError, match="models differ, 'ball' and 'hyperboloid'"):
        q.kl(make("wrapped", LOC[2], "hyperboloid"))
