"""Convolutions: every form and every derivative of it against `jax.lax`'s own."""

import re
import sys
from functools import partial

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import ops
from jaxgan.ops import canonical, columns, cpu, phases, plain, spectral, tpu
from jaxgan.ops.target import by_platform, compiled_for
from jaxgan.parallel.axis import DATA_AXIS
from tests.support import normal

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
OPERATIONS = ("conv", "input_gradient", "kernel_gradient")


def plain_conv(x, w, *, stride, padding):
    return jax.lax.conv_general_dilated(x, w, stride, padding, dimension_numbers=DIMENSIONS)


def plain_conv_transpose(x, w, *, stride, padding):
    return jax.lax.conv_transpose(x, w, stride, padding)


FORMS = {
    "conv": (ops.conv, plain_conv),
    "conv_transpose": (ops.conv_transpose, plain_conv_transpose),
}


def total(f):
    """A scalar that is linear in nothing."""
    return lambda x, w: jnp.sum(jnp.sin(f(x, w)))


def penalized(f):
    """The gradient of a gradient penalty."""
    return jax.grad(lambda w, x: jnp.sum(jax.grad(total(f))(x, w) ** 2))


DERIVATIVES = {
    "value": lambda f, x, w: f(x, w),
    "gradients": lambda f, x, w: jax.grad(total(f), (0, 1))(x, w),
    "jvp": lambda f, x, w: jax.jvp(f, (x, w), (jnp.cos(x), jnp.cos(w))),
    "gradient penalty": lambda f, x, w: penalized(f)(w, x),
    "forward over reverse": lambda f, x, w: jax.jvp(
        jax.grad(total(f), (0, 1)), (x, w), (jnp.cos(x), jnp.cos(w))
    ),
    "forward over forward": lambda f, x, w: jax.jvp(
        lambda x: jax.jvp(lambda x: f(x, w), (x,), (x,))[1], (x,), (jnp.cos(x),)
    ),
}


def assert_close(values, expected, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(values), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.abs(a - b).max(initial=0) <= tolerance * max(np.abs(b).max(initial=0), 1e-6)


def assert_equal_functions(ours, plain, *args, tolerance=1e-5):
    """Compares what two functions return; one program computes both."""
    values, expected = jax.jit(lambda *args: (ours(*args), plain(*args)))(*args)
    assert_close(values, expected, tolerance)


def all_derivatives(f, names=tuple(DERIVATIVES)):
    return lambda x, w: {name: DERIVATIVES[name](f, x, w) for name in names}


def arguments(height=6, width=5, taps=(4, 4), channels=(9, 10), batch=2):
    x = normal(batch, height, width, channels[0])
    # Values of the order of 1: the sine of large ones would show their rounding.
    scale = (taps[0] * taps[1] * channels[0]) ** -0.5
    return x, np.float32(scale) * normal(*taps, *channels, seed=1)


def pair_of(name, stride, padding):
    return [lambda x, w, f=f: f(x, w, stride=stride, padding=padding) for f in FORMS[name]]


def check_examples(examples, strategies, check):
    """Checks the examples that hypothesis generates, always the same ones."""
    settings = hypothesis.settings(max_examples=examples, deadline=None, derandomize=True)
    settings(hypothesis.given(**strategies)(check))()


SHAPES_OF_FORMS = {
    "name": st.sampled_from(sorted(FORMS)),
    "size": st.tuples(st.integers(3, 9), st.integers(3, 9)),
    "taps": st.tuples(st.integers(1, 7), st.integers(1, 7)),
    "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "padding": st.sampled_from(["SAME", "VALID", ((1, 2), (0, 3))]),
    "channels": st.tuples(st.sampled_from([1, 3, 8, 11]), st.sampled_from([1, 2, 9])),
    "derivative": st.sampled_from(sorted(DERIVATIVES)),
}


def check_form(name, size, taps, stride, padding, channels, derivative):
    if padding != "SAME" and name == "conv":
        hypothesis.assume(all(n >= k for n, k in zip(size, taps, strict=True)))
    if padding == "VALID" and name == "conv_transpose":
        hypothesis.assume(all(k >= s for k, s in zip(taps, stride, strict=True)))
    x, w = arguments(*size, taps, channels)
    ours, plain = pair_of(name, stride, padding)
    hypothesis.assume(0 not in jax.eval_shape(plain, x, w).shape)
    assert_equal_functions(*(partial(DERIVATIVES[derivative], f) for f in (ours, plain)), x, w)


SHAPES_OF_OPERATIONS = {
    "size": st.tuples(st.integers(2, 9), st.integers(2, 9)),
    "taps": st.tuples(st.integers(1, 7), st.integers(1, 7)),
    "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "padding": st.tuples(*2 * [st.tuples(st.integers(0, 4), st.integers(0, 4))]),
    "channels": st.tuples(st.integers(1, 9), st.integers(1, 9)),
    "batch": st.integers(1, 3),
}


def check_operations(size, taps, stride, padding, channels, batch):
    sides = zip(size, taps, padding, strict=True)
    hypothesis.assume(all(n + sum(pad) >= k for n, k, pad in sides))
    at = {"stride": stride, "padding": padding}

    @jax.jit
    def computed_and_expected(x, w):
        y = plain.conv(x, w, **at)
        g = jnp.cos(y)
        of_input = plain.input_gradient(g, w, **at, size=size)
        of_kernel = plain.kernel_gradient(x, g, **at, taps=taps)
        pairs = [(columns.kernel_gradient(x, g, **at, taps=taps), of_kernel)]
        for module in (cpu, spectral) if stride == (1, 1) else (cpu,):
            pairs.append((module.conv(x, w, **at), y))
            pairs.append((module.input_gradient(g, w, **at, size=size), of_input))
            pairs.append((module.kernel_gradient(x, g, **at, taps=taps), of_kernel))
        if min(taps) >= max(stride):
            for form in (phases.input_gradient, phases.sum_of_taps):
                pairs.append((form(g, w, **at, size=size), of_input))
        return pairs

    for values, expected in computed_and_expected(*arguments(*size, taps, channels, batch)):
        assert_close(values, expected)


@pytest.mark.parametrize("examples", [5, pytest.param(40, marks=pytest.mark.slow)])
def test_every_form_is_the_plain_one(examples):
    check_examples(examples, SHAPES_OF_FORMS, check_form)


@pytest.mark.parametrize("examples", [5, pytest.param(24, marks=pytest.mark.slow)])
def test_every_form_of_the_three_operations(examples):
    """Whatever a form is chosen for, it holds for every shape."""
    check_examples(examples, SHAPES_OF_OPERATIONS, check_operations)


CHOSEN = {
    # of (taps, channels, batch, height and width, stride), by C, T and W
    "frequencies": ((5, 5), (128, 128), 64, 7, 1, "spectral spectral spectral"),
    "hidden to image": ((7, 7), (16, 3), 2, 12, 1, "sum_of_taps canonical columns"),
    "image to hidden": ((7, 7), (3, 16), 2, 12, 1, "plain sum_of_taps columns"),
    "image to hidden, stride 2": ((4, 4), (1, 16), 2, 12, 2, "plain sum_of_taps canonical"),
    "hidden to hidden, stride 2": ((4, 4), (8, 16), 2, 12, 2, "plain phases canonical"),
    "hidden to hidden": ((3, 3), (8, 16), 2, 6, 1, "plain canonical canonical"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOSEN)
def test_the_choice_on_a_cpu(name, monkeypatch):
    taps, channels, batch, side, stride, expected = CHOSEN[name]
    chosen = {}

    def spy(module, form):
        sums = form.__name__ == "sum_of_taps"
        label = form.__name__ if sums else module.__name__.split(".")[-1]

        def spied(*args, **at):
            chosen.setdefault(current, label)
            return form(*args, **at)

        return spied

    forms = [(columns, "kernel_gradient")]
    forms += [(canonical, "input_gradient"), (canonical, "kernel_gradient")]
    forms += [(module, name) for module in (plain, spectral) for name in OPERATIONS]
    for module, operation in [*forms, (phases, "input_gradient"), (phases, "sum_of_taps")]:
        monkeypatch.setattr(module, operation, spy(module, getattr(module, operation)))
    x, w = arguments(side, side, taps, channels, batch)
    padding = tuple(jax.lax.padtype_to_pads((side, side), taps, (stride, stride), "SAME"))
    at = {"stride": (stride, stride), "padding": padding}
    g = jax.lax.conv_general_dilated(x, w, *at.values(), dimension_numbers=DIMENSIONS)
    for current, args, more in (
        ("conv", (x, w), {}),
        ("input_gradient", (g, w), {"size": (side, side)}),
        ("kernel_gradient", (x, g), {"taps": taps}),
    ):
        getattr(cpu, current)(*args, **at, **more)
    assert " ".join(chosen[operation] for operation in OPERATIONS) == expected


@pytest.mark.parametrize("groups", [1, 12])
@pytest.mark.parametrize("name", CHOSEN)
def test_convolutions_are_lowered_in_the_layout_of_the_fast_one(name, groups):
    """XLA brings no other into it within loops and conditions: there it is 250 times as slow."""
    taps, channels, batch, side, stride, chosen = CHOSEN[name]
    if groups > 1 and (channels[0] % groups or channels[1] % groups):
        channels = (12, 24)
    x, w = arguments(side, side, taps, channels, batch)
    f = partial(ops.conv, stride=stride, groups=groups)
    derive = DERIVATIVES["gradient penalty"]
    text = jax.jit(partial(derive, f)).lower(x, w[:, :, : channels[0] // groups]).as_text()
    lines = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert lines or "spectral" in chosen
    for line in lines:
        assert "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]" in line
        assert "true" not in line  # no window is reversed


SLOW_DERIVATIVES = [pytest.param(name, marks=pytest.mark.slow) for name in ("gradients", "jvp")]


@pytest.mark.parametrize("derivative", ["gradient penalty", *SLOW_DERIVATIVES])
@pytest.mark.parametrize("name", CHOSEN)
def test_derivatives_of_every_choice(name, derivative):
    taps, channels, batch, side, stride, _ = CHOSEN[name]
    x, w = arguments(side, side, taps, channels, batch)
    ours, of_jax = pair_of("conv", (stride, stride), "SAME")
    derive = DERIVATIVES[derivative]
    assert_close(jax.jit(partial(derive, ours))(x, w), jax.jit(partial(derive, of_jax))(x, w))


@pytest.mark.slow
@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize("name", FORMS)
def test_the_dcgans_own_convolutions(name, derivative):
    ours, plain = pair_of(name, (2, 2), "SAME")
    found, expected = (
        jax.jit(lambda x, w, f=f: DERIVATIVES[derivative](f, x, w)) for f in (ours, plain)
    )
    assert_close(found(*arguments()), expected(*arguments()))


@pytest.mark.parametrize("in_axes", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("name", FORMS)
def test_under_vmap(name, in_axes):
    x, w = arguments()
    stacked = [
        np.stack([v, np.cos(v), -v]) if axis == 0 else v
        for v, axis in zip((x, w), in_axes, strict=True)
    ]
    names = ("value", "gradients", "jvp")
    pair = pair_of(name, (2, 2), "SAME")
    assert_equal_functions(*(jax.vmap(all_derivatives(f, names), in_axes) for f in pair), *stacked)


@pytest.mark.parametrize(("platform", "groups"), [("cpu", 1), ("gpu", 3)])
def test_mapped_kernels_are_a_loop_on_a_cpu_and_groups_elsewhere(platform, groups):
    stacked = [np.stack([v, np.cos(v), -v]) for v in arguments()]
    gradients = jax.grad(total(jax.vmap(partial(ops.conv, stride=2))), (0, 1))
    with compiled_for(platform):
        text = jax.jit(gradients).lower(*stacked).as_text()
    assert text.count("stablehlo.convolution") > 0
    counts = [int(n) for n in re.findall(r"(?:feature|batch)_group_count = (\d+)", text)]
    assert max(counts) == groups
    assert ("stablehlo.while" in text) == (platform == "cpu")


@pytest.mark.parametrize("name", FORMS)
def test_under_scan_and_pmap(name):
    x, w = arguments()
    for wrap in (
        lambda f: (
            lambda x, w: jax.lax.scan(
                lambda w, x: (w - 0.01 * jax.grad(total(f), 1)(x, w), f(x, w)),
                w,
                np.stack([x, -x]),
            )
        ),
        lambda f: (
            lambda x, w: jax.pmap(
                lambda x: jax.lax.pmean(jax.grad(total(f))(x, w), DATA_AXIS), DATA_AXIS
            )(x[None])
        ),
    ):
        values, expected = (wrap(f)(x, w) for f in pair_of(name, (2, 2), "SAME"))
        assert_close(values, expected)


@pytest.mark.parametrize("name", FORMS)
def test_bfloat16_to_its_precision(name):
    x, w = arguments()
    ours, plain = pair_of(name, (2, 2), "SAME")
    low = jax.jit(ours)(x.astype(jnp.bfloat16), w.astype(jnp.bfloat16))
    assert low.dtype == jnp.bfloat16
    assert_close(np.float32(low), jax.jit(plain)(x, w), 8e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOSEN)
def test_every_choice_in_bfloat16(name):
    taps, channels, _, side, stride, _ = CHOSEN[name]
    x, w = arguments(side, side, taps, channels)
    ours, of_jax = pair_of("conv", (stride, stride), "SAME")
    low = [v.astype(jnp.bfloat16) for v in (x, w)]
    sums = lambda f: jax.grad(lambda x, w: jnp.sum(f(x, w)), (0, 1))
    values, expected = (
        jax.jit(lambda x, w, f=f: [DERIVATIVES[d](f, x, w) for d in ("value", "jvp")])
        for f in (ours, of_jax)
    )
    for computed, reference in (
        (values(*low), expected(x, w)),
        (jax.jit(sums(ours))(*low), jax.jit(sums(of_jax))(x, w)),
    ):
        assert {leaf.dtype for leaf in jax.tree.leaves(computed)} == {jnp.dtype(jnp.bfloat16)}
        computed = jax.tree.map(lambda a: a.astype(jnp.float32), computed)
        assert_close(computed, reference, 8e-3)


@pytest.mark.parametrize("name", FORMS)
def test_other_platforms_get_the_plain_form(name):
    """Lowered on this machine for a GPU or a TPU: one `lax` convolution, for any batch size."""
    ours, _ = pair_of(name, (2, 2), "SAME")
    (batch,) = jax.export.symbolic_shape("b")
    shapes = [
        jax.ShapeDtypeStruct((batch, 6, 6, 9), jnp.float32),
        jax.ShapeDtypeStruct((4, 4, 9, 10), jnp.float32),
    ]
    count = {}
    for platform in ("cpu", "cuda", "tpu"):
        text = jax.export.export(jax.jit(ours), platforms=[platform])(*shapes).mlir_module()
        count[platform] = text.count("stablehlo.convolution")
    assert count["cuda"] == count["tpu"] == 1
    assert count["cpu"] == (4 if name == "conv_transpose" else 1)  # a convolution per phase


def grouped_conv(x, w, *, groups):
    return jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=DIMENSIONS, feature_group_count=groups
    )


@pytest.mark.parametrize("groups", [3, 12])
def test_grouped_convolutions(groups):
    """Of 16 channels, and of 4, which are joined on a CPU."""
    x, w = arguments(5, 4, (3, 3), (48, 24))
    w = w[:, :, : 48 // groups]
    pair = [partial(f, groups=groups) for f in (ops.conv, grouped_conv)]
    names = ("value", "gradients", "gradient penalty")
    assert_equal_functions(*(all_derivatives(f, names) for f in pair), x, w)
    stacked = np.stack([x, np.cos(x)]), np.stack([w, np.cos(w)])
    assert_equal_functions(*(jax.vmap(all_derivatives(f, names[:2])) for f in pair), *stacked)
    with pytest.raises(AssertionError):
        ops.conv(x, w[..., :-1], groups=groups)


@pytest.mark.parametrize(
    ("groups", "channels", "left"),
    [(24, (48, 24), 1), (12, (192, 96), 2), (3, (384, 96), 3), (1, (4, 6), 1)],
)
def test_groups_are_joined_on_a_tpu(groups, channels, left):
    """As many as have 128 channels; the operations are those of all groups."""
    x, w = arguments(5, 4, (3, 3), channels)
    w = w[:, :, : channels[0] // groups]
    at = {"stride": (2, 1), "padding": ((1, 1), (0, 1)), "groups": groups}
    out = plain.conv(x, w, **at)
    for name, arrays, sizes in (
        ("conv", (x, w), {}),
        ("input_gradient", (out, w), {"size": x.shape[1:3]}),
        ("kernel_gradient", (x, out), {"taps": (3, 3)}),
    ):
        expected = jax.jit(partial(getattr(plain, name), **at, **sizes))(*arrays)
        form = jax.jit(partial(getattr(tpu, name), **at, **sizes))
        np.testing.assert_allclose(form(*arrays), expected, rtol=1e-4, atol=1e-4, err_msg=name)
        text = form.lower(*arrays).as_text()
        assert re.search(rf"(feature|batch)_group_count = {left} ", text)


def test_a_grouped_kernel_gradient_is_one_ordinary_convolution_on_a_cpu():
    x, w = arguments(5, 4, (3, 3), (12, 24))
    for groups, expected in ((1, 1), (3, 1), (12, 1)):
        of_kernel = jax.grad(lambda w, n=groups: jnp.sum(ops.conv(x, w, groups=n)))
        text = jax.jit(of_kernel).lower(w[:, :, : 12 // groups]).as_text()
        assert text.count("stablehlo.convolution") == expected
        assert "batch_group_count = 1 " in text


# ---- resampling


def dense_resampled(x, taps, up, down, padding):
    """Zeros inserted and padded, then products with every tap: NumPy in float64."""
    f = np.outer(taps, taps) / np.sum(taps) ** 2
    n, height, width, channels = x.shape
    u = np.zeros((n, up * height, up * width, channels))
    u[:, ::up, ::up] = x
    u = np.pad(u, ((0, 0), padding, padding, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(u, f.shape, axis=(1, 2))
    return up**2 * np.einsum("nhwcij,ij->nhwc", windows, f)[:, ::down, ::down]


@pytest.mark.parametrize(
    ("taps", "up", "down", "padding"),
    [
        ((1, 3, 3, 1), 2, 1, (2, 1)),
        ((1, 3, 3, 1), 1, 2, (1, 1)),
        ((1, 3, 3, 1), 1, 1, (2, 2)),
        ((1, 2, 1), 3, 1, (1, 1)),
        ((1, 2, 1), 1, 2, (0, 1)),
    ],
)
def test_filtered_is_the_dense_sum(taps, up, down, padding):
    x = arguments(6, 4, channels=(3, 1))[0]
    found = jax.jit(lambda x: ops.filtered(x, taps, up=up, down=down, padding=padding))(x)
    np.testing.assert_allclose(found, dense_resampled(x, taps, up, down, padding), atol=1e-5)


def test_upsampling_and_downsampling_are_adjoint():
    """<up x, y> = 4 <x, down y>, and nearest neighbours and means likewise."""
    x = arguments(3, 5, channels=(2, 1))[0]
    y = normal(2, 6, 10, 2, seed=1)
    for up, down in ((ops.upsample, ops.downsample), (ops.nearest, ops.average_pool)):
        larger, smaller = jax.jit(lambda x, y, up=up, down=down: (up(x), down(y)))(x, y)
        assert np.vdot(larger, y) == pytest.approx(4 * np.vdot(x, smaller), rel=1e-5)


def test_bilinear_upsampling_interpolates_a_plane():
    rows, columns = np.meshgrid(np.arange(6.0), np.arange(8.0), indexing="ij")
    plane = np.float32(2 * rows - columns)[None, ..., None]
    fine = 2 * (np.arange(12)[:, None] - 0.5) / 2 - (np.arange(16)[None] - 0.5) / 2
    inside = np.s_[0, 2:-2, 2:-2, 0]
    smooth, copied = (np.asarray(jax.jit(up)(plane)) for up in (ops.upsample, ops.nearest))
    np.testing.assert_allclose(smooth[inside], fine[2:-2, 2:-2], atol=1e-5)
    np.testing.assert_array_equal(jax.jit(ops.average_pool)(copied), plane)
    np.testing.assert_array_equal(copied[0, 1::2, 1::2], plane[0])


def test_channels_and_ranks_are_checked():
    x, w = arguments()
    for f, _ in FORMS.values():
        with pytest.raises(AssertionError, match="rank"):
            f(x[0], w)
        with pytest.raises(AssertionError, match="9 != 3"):
            f(x, w[:, :, :3])


def plain_moments(x, axes):
    mean = jnp.mean(x, axes, keepdims=True)
    return mean, jnp.mean((x - mean) ** 2, axes, keepdims=True)


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2), (3,)])
def test_moments_and_their_derivatives(axes):
    """Against autodiff of the textbook form; a shift by the weights makes a function of two."""
    x = arguments()[0] + np.float32(3.0)
    w = np.linspace(-1.0, 1.0, x.size, dtype=np.float32).reshape(x.shape)
    names = ("value", "gradients", "jvp", "gradient penalty")
    derivatives = lambda moments, i: all_derivatives(lambda x, w: moments(x * w, axes)[i], names)
    for i in (0, 1):
        assert_equal_functions(derivatives(ops.moments, i), derivatives(plain_moments, i), x, w)


def compiled_for_accelerators(monkeypatch):
    module = sys.modules["jaxgan.ops.moments"]
    monkeypatch.setattr(module, "by_platform", lambda on_cpu, otherwise: otherwise)


@pytest.mark.parametrize("mean", [0.0, 10.0])
def test_moments_of_accelerators_are_those_of_cpus(mean, monkeypatch):
    """The one-pass variance, which a CPU's program does not have: values and derivatives."""
    x = arguments()[0] + np.float32(mean)
    names = ("value", "gradients", "gradient penalty")
    derivatives = lambda moments: jax.jit(
        all_derivatives(lambda x, w: moments(x * w, (0, 1, 2))[1], names)
    )(x, np.ones_like(x))
    expected = derivatives(plain_moments)
    compiled_for_accelerators(monkeypatch)
    assert_close(derivatives(ops.moments), expected, 2e-5 if mean == 0.0 else 2e-4)


def test_a_variance_of_accelerators_is_not_negative(monkeypatch):
    compiled_for_accelerators(monkeypatch)
    x = jnp.full((7, 3), 1000.1) + 1e-4 * jnp.arange(7.0)[:, None]
    assert np.asarray(ops.moments(x, (0,))[1]).min() >= 0.0


def test_choice_by_platform_under_vmap():
    a, b = jnp.arange(3.0), jnp.array(9.0)
    np.testing.assert_array_equal(jax.vmap(by_platform, (0, None))(a, b), a)
    export = jax.export.export(jax.jit(jax.vmap(by_platform, (0, None))), platforms=["cuda"])
    assert "broadcast_in_dim" in export(a, b).mlir_module()  # of b
