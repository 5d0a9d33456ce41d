"""Mutations of the geometry."""

from tests.support.mutations.entry import of

_GRADIENTS = "tests/geometry/test_poincare_gradients.py"
_RATIOS = f"{_GRADIENTS}::test_ratios_join_their_series_and_closed_forms"
_DISK = "tests/geometry/test_complex_disk.py"
_TREE = "tests/geometry/test_tree.py"
_PADIC = "tests/geometry/test_padic.py"

_numerics = of("tvae/geometry/numerics.py", _GRADIENTS)
_gyro = of("tvae/geometry/gyrovectors.py", _DISK, _GRADIENTS)
_ball = of("tvae/geometry/poincare.py", _DISK, _GRADIENTS)
_padic = of("tvae/geometry/padic.py", _PADIC, _TREE)
_tree = of("tvae/geometry/tree.py", _TREE)
_wrapped = of("tvae/geometry/wrapped_normal.py", "tests/geometry/test_wrapped_normal.py")

GEOMETRY = (
    _numerics(
        "artanh without its clamp", "jnp.arctanh(jnp.clip(x, -bound, bound))", "jnp.arctanh(x)"
    ),
    _numerics(
        "norm with a NaN gradient at 0",
        "jnp.sqrt(jnp.where(positive, square, 1.0))",
        "jnp.sqrt(square)",
    ),
    _numerics(
        "first coefficient of artanh", "1.0 / 3 + q * (1.0 / 5", "1.0 / 2 + q * (1.0 / 5", _RATIOS
    ),
    _numerics("last coefficient of tanh", "2.0 / 15 - q", "2.0 / 15 + q", _RATIOS),
    _numerics(
        "root of artanh's ratio at 0",
        "jnp.where(small, 1.0 / 4, q))\n    series = 1.0 + q * (1.0 / 3",
        "q)\n    series = 1.0 + q * (1.0 / 3",
    ),
    _numerics("series used too far", "_SERIES_BELOW = 1e-4", "_SERIES_BELOW = 1e-2", _RATIOS),
    _numerics("margin of the ball in float32", "ball_margin=4e-3", "ball_margin=4e-2", _DISK),
    _numerics("margin of artanh in float64", "artanh_margin=1e-15", "artanh_margin=1e-7", _DISK),
    _gyro(
        "gap without its minimum",
        "return jnp.maximum(gap, numerics.guards(x.dtype).min_gap)",
        "return gap",
        _GRADIENTS,
    ),
    _gyro("addition with the other gap", "square * x + gap_x * w", "square * x + gap(y, c) * w"),
    _gyro(
        "addition over one gap squared", "(square + gap_x * gap(y, c))", "(square + gap_x * gap_x)"
    ),
    _gyro(
        "exponential map without curvature",
        "tanh_ratio(c * numerics.squared_norm(v",
        "tanh_ratio(numerics.squared_norm(v",
    ),
    _gyro(
        "scalar product without curvature",
        "artanh_ratio(c * numerics.squared_norm(x",
        "artanh_ratio(numerics.squared_norm(x",
    ),
    _gyro("gyration with the other gap", "gap_y * along_w", "gap_x * along_w"),
    _gyro(
        "sign in the gyration", "(gap_x * along_y - along_w) * w", "(gap_x * along_y + along_w) * w"
    ),
    _gyro("gyration without curvature", "return v + 2.0 * c * turned", "return v + 2.0 * turned"),
    _ball(
        "projection leaves points outside",
        "outside = norm > max_norm",
        "outside = norm > 2.0 * max_norm",
    ),
    _ball("radius of the ball", "ball_margin) / jnp.sqrt(c)", "ball_margin) / c"),
    _ball(
        "projection without division by the norm",
        "x * (max_norm / jnp.where(outside, norm, 1.0))",
        "x * max_norm",
    ),
    _ball(
        "half a conformal factor",
        "return 2.0 / gap(x, c)[..., 0]",
        "return 1.0 / gap(x, c)[..., 0]",
    ),
    _ball(
        "distance with one gap twice",
        "(gap(x, c) * gap(y, c))[..., 0]",
        "(gap(x, c) * gap(x, c))[..., 0]",
    ),
    _ball(
        "distance without curvature inside",
        "jnp.arcsinh(root * difference",
        "jnp.arcsinh(difference",
    ),
    _ball(
        "distance without curvature outside",
        "return 2.0 / root * jnp.arcsinh(",
        "return 2.0 * jnp.arcsinh(",
    ),
    _ball(
        "radius without curvature inside",
        "numerics.artanh(root * euclidean_norm)",
        "numerics.artanh(euclidean_norm)",
    ),
    _ball("norm of twice the radius", "jnp.tanh(root / 2.0 * radius)", "jnp.tanh(root * radius)"),
    _ball(
        "pair distances in another curvature",
        "gap(x, c) * gap(y, c).T",
        "gap(x, c) * gap(y, 1.0).T",
    ),
    _numerics(
        "half of a gradient of pairs",
        "2.0 * (own - x @ v.T - u @ y.T)",
        "2.0 * (own - x @ v.T)",
        _DISK,
    ),
    _numerics(
        "sum for a difference",
        "coordinate[0][:, None] - coordinate[1][None, :]",
        "coordinate[0][:, None] + coordinate[1][None, :]",
        _DISK,
    ),
    _ball(
        "gradient of coincident pairs",
        "jnp.sqrt(jnp.where(apart, square, 1.0))",
        "jnp.sqrt(square)",
        _DISK,
    ),
    _ball(
        "exponential map without projection",
        "project(gyrovectors.exp_origin(v, c), c=c)",
        "gyrovectors.exp_origin(v, c)",
    ),
    _ball(
        "exponential map without conformal factor",
        "exp_origin(v / gap(x, c), c)",
        "exp_origin(v, c)",
    ),
    _ball(
        "logarithm without conformal factor",
        "return gap(x, c) * log_map_origin(",
        "return log_map_origin(",
    ),
    _ball(
        "logarithm the wrong way",
        "log_map_origin(mobius_add(-x, y, c=c), c=c)",
        "log_map_origin(mobius_add(-y, x, c=c), c=c)",
    ),
    _ball(
        "transport with the inverse factor", "(gap(y, c) / gap(x, c))", "(gap(x, c) / gap(y, c))"
    ),
    _ball(
        "transport turned back", "return gyration(y, -x, v, c=c)", "return gyration(y, x, v, c=c)"
    ),
    _padic(
        "digits in reverse",
        "digit.astype(jnp.int32) @ powers",
        "digit.astype(jnp.int32)[..., ::-1] @ powers",
    ),
    _padic("valuation of 0", "jnp.arange(1, n_digits + 1, dtype", "jnp.arange(1, n_digits, dtype"),
    _padic("one index beyond an int32", "> 2**31 - 1", "> 2**31"),
    _padic("pairs counted twice", "self.n_leaves * count // 2", "self.n_leaves * count", _TREE),
    _tree(
        "range of ancestors begins early",
        "jnp.minimum(positions[i], positions[j]) + 1",
        "jnp.minimum(positions[i], positions[j])",
    ),
    _tree("windows half as long", "k = 31 - jax.lax.clz", "k = 30 - jax.lax.clz"),
    _tree(
        "level of a node with itself",
        "jnp.where(i == j, self.level(i), jnp.minimum(*ends))",
        "jnp.minimum(*ends)",
    ),
    _tree("pairs of the children not taken off", "(counts - below)", "counts"),
    _tree("a parent one past the end", "given >= given.size", "given > given.size"),
    _tree("two roots", "root.sum() > 1", "root.sum() > 2"),
    _wrapped("sample twice as far", "exp_origin(0.5 * v, c)", "exp_origin(v, c)"),
    _wrapped(
        "samples kept within radius 6",
        "_MAX_SAMPLE_NORM = 1.0 - 1e-6",
        "_MAX_SAMPLE_NORM = 1.0 - 4e-3",
    ),
    _wrapped("volume with one dimension more", "(dimension - 1) * warp", "dimension * warp"),
    _wrapped("volume without curvature", "jnp.sqrt(c) * length", "length"),
    _wrapped("sign of the scale", "-0.5 * square - log_scale", "-0.5 * square + log_scale"),
    _wrapped(
        "scale of the prior in one dimension",
        "dimension * jnp.log(prior_scale)",
        "jnp.log(prior_scale)",
    ),
    _wrapped(
        "length with a NaN gradient",
        "jnp.sqrt(jnp.maximum(square, _SMALLEST**2))",
        "jnp.sqrt(square)",
    ),
)
