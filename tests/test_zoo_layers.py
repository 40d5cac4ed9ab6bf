"""Layers of the GANs since 2018: what they compute, against NumPy in float64, and gradients."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxgan import networks, ops
from jaxgan.networks.attention import SelfAttention
from jaxgan.networks.conditioning import ConditionalBatchNorm, ProjectionHead
from jaxgan.networks.minibatch import minibatch_stddev
from jaxgan.networks.spectral import SpectralNorm
from jaxgan.networks.style import EqualConv, EqualDense, modulated_conv
from jaxgan.parallel import axis

KEY = jax.random.key(0)


def random(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape)


def finite_differences(f, *args, order=1):
    """Gradients in float64 against finite differences, along random directions."""
    with jax.enable_x64(True):
        arrays = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), args)
        check_grads(jax.jit(f), arrays, order, modes=("rev",), atol=1e-6, rtol=1e-6)


def correlated(x, kernel, border):
    """Plain convolution of one image `[h, w, in]`, padded by zeros: sums over windows."""
    x = np.pad(x, ((border, border), (border, border), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(0, 1))
    return np.einsum("hwiab,abio->hwo", windows, kernel)


def doubled(x):
    """Zeros between the pixels of one image, and after the last ones."""
    y = np.zeros((2 * x.shape[0], 2 * x.shape[1], x.shape[2]))
    y[::2, ::2] = x
    return y


# ---- spectral normalisation


def normalized(layer, *inputs, passes, train=True):
    """Outputs of the last of several passes, parameters, and the states before and after it."""
    network = networks.from_linen(layer)
    params, state = network.init(KEY, *inputs)
    for _ in range(passes):
        before = state
        y, state = network.apply(params, state, *inputs, train=train)
    return y, params, before, state


@pytest.mark.parametrize("layer", [networks.Conv(6, (3, 3)), nn.Dense(6)])
def test_spectral_norm_is_the_exact_singular_value(layer):
    x = jnp.asarray(random(2, 4, 5, 3), jnp.float32)
    y, params, _, _ = normalized(SpectralNorm(layer, iterations=2), x, passes=30)
    (own,) = params.values()
    sigma = np.linalg.svd(np.float64(own["kernel"]).reshape(-1, 6), compute_uv=False)[0]
    expected = layer.apply({"params": {**own, "kernel": own["kernel"] / sigma}}, x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_power_iteration_is_algorithm_1_and_moves_in_training_alone():
    """One step of Miyato et al.'s algorithm 1 per pass, from the stored vector."""
    x = jnp.eye(4)
    layer = SpectralNorm(nn.Dense(3, use_bias=False))
    network = networks.from_linen(layer)
    params, _ = network.init(KEY, x)
    w, u = np.float64(params["layer"]["kernel"]).T, np.array([3.0, 0.0, 4.0])
    state = {"spectral": {"u": jnp.asarray(u, jnp.float32)}}
    evaluated, same = network.apply(params, state, x, train=False)
    trained, moved = network.apply(params, state, x, train=True)
    u = u / np.linalg.norm(u)
    v = w.T @ u / np.linalg.norm(w.T @ u)
    np.testing.assert_allclose(evaluated, w.T / (u @ w @ v), rtol=1e-5)
    u = w @ v / np.linalg.norm(w @ v)
    np.testing.assert_allclose(trained, w.T / (u @ w @ v), rtol=1e-5)
    np.testing.assert_allclose(moved["spectral"]["u"], u, rtol=1e-5)
    assert same is state


def test_the_parameter_itself_is_not_normalised():
    network = networks.from_linen(SpectralNorm(nn.Dense(30, use_bias=False)))
    params, _ = network.init(KEY, jnp.eye(20))
    assert np.std(params["layer"]["kernel"]) == pytest.approx(20**-0.5, rel=0.1)


def test_gradient_of_spectral_norm():
    """In evaluation sigma is |W^T u|, a function of W whose derivative is that with v constant."""
    layer = SpectralNorm(nn.Dense(3))
    state = {"spectral": {"u": random(3)}}

    def apply(kernel, x):
        params = {"layer": {"kernel": kernel, "bias": jnp.zeros(3)}}
        return layer.apply({"params": params, **state}, x, train=False)

    finite_differences(apply, random(4, 3), random(2, 4))


def test_a_kernel_of_zeros_is_applied_as_it_is():
    """It has no singular vectors; the power iteration begins when it has moved."""
    layer = SpectralNorm(nn.Dense(3, use_bias=False, kernel_init=nn.initializers.zeros))
    network, x = networks.from_linen(layer), jnp.asarray(random(5, 4), jnp.float32)
    params, state = network.init(KEY, x)
    loss = lambda params: jnp.sum(network.apply(params, state, x, train=True)[0])
    gradient = jax.grad(loss)(params)["layer"]["kernel"]
    expected = np.broadcast_to(x.sum(axis=0)[:, None], (4, 3))  # that of the plain layer
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
    _, after = network.apply(params, state, x, train=True)
    u = np.asarray(state["spectral"]["u"])
    np.testing.assert_allclose(after["spectral"]["u"], u / np.linalg.norm(u), rtol=1e-5)


def test_spectral_norm_of_an_embedding():
    labels = jnp.array([0, 2])
    y, params, _, _ = normalized(SpectralNorm(nn.Embed(3, 4)), labels, passes=40)
    table = np.float64(params["layer"]["embedding"])
    np.testing.assert_allclose(y, (table / np.linalg.norm(table, 2))[labels], atol=1e-4)


# ---- attention


def numpy_attention(params, x):
    kernels = [np.float64(params[f"Conv_{i}"]["kernel"])[0, 0] for i in range(4)]
    n, height, width, _ = x.shape
    f, g, h = (x @ kernel for kernel in kernels[:3])

    def pooled(y):
        if height % 2 or width % 2:
            return y
        return np.max([y[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=0)

    f, g, h = (y.reshape(n, -1, y.shape[-1]) for y in (f, pooled(g), pooled(h)))
    scores = np.exp(f @ g.transpose(0, 2, 1))
    weights = scores / scores.sum(axis=2, keepdims=True)
    return x + params["gamma"] * ((weights @ h).reshape(n, height, width, -1) @ kernels[3])


@pytest.mark.parametrize("size", [(4, 6), (3, 4)])
def test_self_attention(size):
    x = random(2, *size, 16)
    layer = SelfAttention(spectral_norm=False)
    params = layer.init(KEY, jnp.asarray(x, jnp.float32), train=False)["params"]
    assert params["gamma"] == 0.0
    params = {**params, "gamma": jnp.float32(0.7)}
    y = layer.apply({"params": params}, jnp.asarray(x, jnp.float32), train=False)
    np.testing.assert_allclose(y, numpy_attention(params, x), atol=1e-5)


@pytest.mark.slow
def test_gradient_of_self_attention():
    x = random(1, 2, 2, 8)
    init = SelfAttention(spectral_norm=False).init
    params = init(KEY, jnp.asarray(x, jnp.float32), train=False)["params"]
    layer = SelfAttention(spectral_norm=False, dtype=np.float64)
    params = {**params, "gamma": np.float64(0.7)}
    apply = lambda params, x: layer.apply({"params": params}, x, train=False)
    finite_differences(apply, jax.tree.map(np.float64, params), x, order=2)


# ---- conditional batch normalisation and the projection head


def test_conditional_batch_norm():
    x, c = random(3, 2, 2, 4), random(3, 5)
    layer = ConditionalBatchNorm(kernel_init=nn.initializers.normal(1.0))
    run = partial(layer.init_with_output, KEY, train=True)
    y, variables = run(jnp.asarray(x, jnp.float32), jnp.asarray(c, jnp.float32))
    scale, bias = (np.float64(variables["params"][name]["kernel"]) for name in ("scale", "bias"))
    centered = (x - x.mean(axis=(0, 1, 2))) / np.sqrt(x.var(axis=(0, 1, 2)) + 1e-5)
    expected = (1 + (c @ scale)[:, None, None]) * centered + (c @ bias)[:, None, None]
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_gradient_of_conditional_batch_norm():
    layer = ConditionalBatchNorm(dtype=np.float64)
    params = {name: {"kernel": random(5, 2)} for name in ("scale", "bias")}
    stats = {"BatchNorm_0": {"mean": np.zeros(2), "var": np.ones(2)}}

    def apply(params, x, c):
        variables = {"params": params, "batch_stats": stats}
        return layer.apply(variables, x, c, train=True, mutable=["batch_stats"])[0]

    finite_differences(apply, params, random(3, 1, 2, 2), random(3, 5))


def test_batch_norm_of_one_class_is_the_plain_one():
    """Scale 1 and bias 0 at first: classes differ in what they learn."""
    x = jnp.asarray(random(3, 2, 2, 4), jnp.float32)
    y, _ = ConditionalBatchNorm().init_with_output(KEY, x, jnp.eye(3), train=True)
    expected, _ = networks.BatchNorm().init_with_output(KEY, x, train=True)
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize("spectral", [False, True])
def test_projection_head(spectral):
    h, labels = random(3, 6), np.array([2, 0, 2])
    head = ProjectionHead(4, spectral_norm=spectral)
    inputs = jnp.asarray(h, jnp.float32), jnp.asarray(labels)
    y, params, _, _ = normalized(head, *inputs, passes=40)
    dense, table = (
        np.float64(params[name][kind])
        for name, kind in (("Dense_0", "kernel"), ("Embed_0", "embedding"))
    )
    if spectral:
        dense, table = (w / np.linalg.norm(w, 2) for w in (dense, table))
    expected = h @ dense[:, 0] + params["Dense_0"]["bias"] + np.sum(table[labels] * h, axis=1)
    np.testing.assert_allclose(y, expected, atol=1e-4 if spectral else 1e-5)
    with pytest.raises(ValueError, match="num_classes=4 and was called without labels"):
        head.init(KEY, inputs[0], train=False)


def test_gradient_of_the_projection_head():
    head = ProjectionHead(3)

    def apply(table, h):
        dense = {"kernel": jnp.ones((4, 1)), "bias": jnp.zeros(1)}
        params = {"Dense_0": dense, "Embed_0": {"embedding": table}}
        return head.apply({"params": params}, h, jnp.array([2, 0]), train=False)

    finite_differences(apply, random(3, 4), random(2, 4))


# ---- minibatch standard deviation


def numpy_stddev(x, size):
    groups = x.reshape(-1, size, x[0].size)
    means = np.sqrt(groups.var(axis=1) + 1e-8).mean(axis=1)
    return np.concatenate(
        [x, np.ones_like(x[..., :1]) * means.repeat(size)[:, None, None, None]], 3
    )


@pytest.mark.parametrize(("batch", "size"), [(8, 4), (6, 3), (3, 3), (7, 1)])
def test_minibatch_stddev(batch, size):
    """Groups of 4, or of the largest divisor of the batch below."""
    x = random(batch, 2, 3, 5)
    y = minibatch_stddev(jnp.asarray(x, jnp.float32), 4)
    np.testing.assert_allclose(y, numpy_stddev(x, size), atol=1e-5)


@pytest.mark.parametrize("devices", [2, 8])
@pytest.mark.slow
def test_minibatch_stddev_over_devices(devices):
    """The same groups, and the same gradients, where a device has fewer rows than a group."""
    x = jnp.asarray(random(8, 2, 2, 3), jnp.float32)
    total = lambda x: jnp.sum(jnp.sin(3 * minibatch_stddev(x, 4)))

    def of_shares(f, x):
        shares = x.reshape(devices, -1, *x.shape[1:])
        return jax.vmap(f, axis_name=axis.DATA_AXIS)(shares).reshape(x.shape[0], 2, 2, -1)

    np.testing.assert_allclose(
        of_shares(minibatch_stddev, x), minibatch_stddev(x), rtol=1e-5, atol=1e-6
    )
    # Sums of the logits of all devices: as penalties differentiate them.
    np.testing.assert_allclose(of_shares(jax.grad(total), x), jax.grad(total)(x), atol=1e-5)


def test_gradient_of_minibatch_stddev():
    finite_differences(minibatch_stddev, random(4, 1, 2, 2), order=2)


# ---- StyleGAN2's layers


def test_modulated_convolution_is_a_plain_one_per_example():
    x, kernel, styles = random(3, 4, 5, 6), random(3, 3, 6, 2), random(3, 6)
    low = [jnp.asarray(v, jnp.float32) for v in (x, kernel, styles)]
    for demodulate in (True, False):
        y = modulated_conv(*low, demodulate=demodulate)
        for image, style, found in zip(x, styles, y, strict=True):
            own = kernel * style[:, None]
            if demodulate:
                own /= np.sqrt((own**2).sum(axis=(0, 1, 2)) + 1e-8)
            np.testing.assert_allclose(found, correlated(image, own, 1), atol=1e-5)


def test_modulated_upsampling():
    """Zeros between the pixels, the example's kernel, and the filter [1, 3, 3, 1] over 4 x 4."""
    x, kernel, styles = random(2, 3, 4, 5), random(3, 3, 5, 2), random(2, 5)
    low = [jnp.asarray(v, jnp.float32) for v in (x, kernel, styles)]
    y = modulated_conv(*low, up=True)
    blur = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
    for image, style, found in zip(x, styles, y, strict=True):
        own = kernel * style[:, None]
        own /= np.sqrt((own**2).sum(axis=(0, 1, 2)) + 1e-8)
        # Convolutions commute; the border that the filter reads is computed, and not zero.
        wide = correlated(np.pad(doubled(image), ((2, 2), (2, 2), (0, 0))), own, 1)
        kernels = np.einsum("ab,io->abio", blur, np.eye(2))
        expected = correlated(wide, kernels, 0)[: 2 * image.shape[0], : 2 * image.shape[1]]
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.slow
def test_gradient_of_modulated_convolution(up):
    f = partial(modulated_conv, up=up)
    finite_differences(f, random(2, 2, 3, 2), random(3, 3, 2, 2), random(2, 2), order=2)


def test_equalised_convolution():
    x = random(2, 4, 6, 3)
    low = jnp.asarray(x, jnp.float32)
    y, variables = EqualConv(5).init_with_output(KEY, low)
    kernel = np.float64(variables["params"]["kernel"]) / np.sqrt(27)
    np.testing.assert_allclose(y[1], correlated(x[1], kernel, 1), atol=1e-5)
    y, _ = EqualConv(5, down=True).init_with_output(KEY, low)
    blurred = ops.filtered(low, padding=(2, 2))
    expected = correlated(np.float64(blurred[1]), kernel, 0)[::2, ::2]
    np.testing.assert_allclose(y[1], expected, atol=1e-5)
    y, _ = EqualConv(5, 1, use_bias=False).init_with_output(KEY, low)
    assert y.shape == (2, 4, 6, 5)


def test_equalised_dense_layer():
    x = random(2, 400)
    layer = EqualDense(300, lr_multiplier=0.01, bias_init=1.0)
    y, variables = layer.init_with_output(KEY, jnp.asarray(x, jnp.float32))
    params = variables["params"]
    assert np.std(params["kernel"]) == pytest.approx(100.0, rel=0.01)
    np.testing.assert_array_equal(params["bias"], np.full(300, 100.0))
    np.testing.assert_allclose(y, x @ np.float64(params["kernel"]) * 0.01 / 20 + 1.0, atol=1e-4)
    moved = {**params, "bias": params["bias"] + 1.0}
    after = layer.apply({"params": moved}, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(after - y, 0.01, atol=1e-5)
