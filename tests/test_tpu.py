"""Programs for accelerators, compiled or lowered where there are none."""

import importlib.util
import itertools
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import jaxgan
from benchmarks import hlo, tpu, tpu_programs, tpu_tables
from jaxgan import networks, ops
from jaxgan.ops import target
from tests.conftest import ROOT
from tests.games import CASES, minibatch, minibatches
from tests.support import refused

# ---- what is lowered for a platform


def lowered(function, *args, platform):
    return jax.export.export(jax.jit(function), platforms=[platform])(*args).mlir_module()


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_exported_convolutions_are_plain(platform):
    """One convolution each, where a CPU's transposed one is a convolution for each phase."""
    x, w = jnp.zeros((2, 8, 8, 16)), jnp.zeros((4, 4, 16, 8))
    up = lambda x, w: ops.conv_transpose(x, w, stride=2)
    gradients = jax.grad(lambda x, w: jnp.sum(jnp.sin(up(x, w))), (0, 1))
    count = lambda f, platform: lowered(f, x, w, platform=platform).count("stablehlo.convolution")
    assert count(up, platform) == 1
    assert count(gradients, platform) == 3
    assert count(up, "cpu") == 4
    assert "lhs_dilate = [2, 2]" in lowered(up, x, w, platform=platform)


def test_gradient_of_an_adjoint_kernel_is_laid_out_as_its_parameter():
    """On TPU alone, of full vectors alone, and of the gradient alone."""
    value = lambda w: jnp.sum(jnp.sin(ops.conv_transpose(jnp.ones((2, 4, 4, 8)), w, stride=2)))
    cases = itertools.product(("cpu", "cuda", "tpu"), (64, 128), (value, jax.grad(value)))
    constrained = [
        (platform, channels, f)
        for platform, channels, f in cases
        if "LayoutConstraint"
        in jax.jit(f)
        .trace(jnp.zeros((4, 4, 8, channels)))
        .lower(lowering_platforms=(platform,))
        .as_text()
    ]
    assert [case[:2] for case in constrained] == [("tpu", 128)]
    assert constrained[0][2] is not value


def test_gradients_of_kernels_are_summed_in_float32_on_tpu():
    x, w = (jnp.ones(shape, jnp.bfloat16) for shape in ((2, 4, 4, 8), (4, 4, 8, 16)))
    gradient = jax.grad(lambda w: jnp.sum(ops.conv(x, w, stride=2)))
    for platform, dtype in (("tpu", "f32"), ("cuda", "bf16")):
        text = lowered(gradient, w, platform=platform)
        (line,) = [line for line in text.splitlines() if "stablehlo.convolution" in line]
        assert f"x{dtype}>" in line.split("->")[-1]


def test_equal_turns_are_a_loop_on_accelerators():
    algorithm = CASES["three_discriminator_turns"]().algorithm
    state = jax.eval_shape(algorithm.init, jax.random.key(0), minibatch())
    batches = minibatches(0, algorithm.num_minibatches)
    for platform in ("cpu", "tpu"):
        with target.compiled_for(platform):
            jaxpr = jax.make_jaxpr(algorithm.update)(state, batches, jax.random.key(0))
        lengths = [eqn.params["length"] for eqn in jaxpr.eqns if eqn.primitive.name == "scan"]
        assert lengths == ([3] if platform == "tpu" else [])


# ---- reading compiled programs

TEXT = """HloModule update, is_scheduled=true

%fused_conv (p0: bf16[8,4], p1: bf16[4,4]) -> bf16[8,4] {
  %p0 = bf16[8,4]{1,0} parameter(0)
  %p1 = bf16[4,4]{1,0} parameter(1)
  ROOT %convolution.1 = bf16[8,4]{1,0:T(8,128)(2,1)} convolution(%p0, %p1), dim_labels=bf_io->bf
}

%fused_sum (p: f32[8,4]) -> f32[4] {
  %p = f32[8,4]{1,0} parameter(0)
  ROOT %reduce.1 = f32[4]{0} reduce(%p, %p), dimensions={0}, to_apply=%add
}

%fused_swap (p: f32[8,4]) -> f32[4,8] {
  %p = f32[8,4]{1,0} parameter(0)
  ROOT %transpose.1 = f32[4,8]{1,0} transpose(%p), dimensions={1,0}
}

%gather (p: f32[8,4]) -> f32[64,4] {
  %p = f32[8,4]{1,0} parameter(0)
  ROOT %all-gather.1 = f32[64,4]{1,0} all-gather(%p), dimensions={0}
}

%fused_start (p: f32[8,4]) -> f32[32,4] {
  %p = f32[8,4]{1,0} parameter(0)
  %all-gather.2 = f32[32,4]{1,0} all-gather(%p), channel_id=2, dimensions={0}
  ROOT %s = f32[32,4] custom-call(%all-gather.2), custom_call_target="AsyncCollectiveStart"
}

%async_collective_fusion.1 (p: f32[8,4]) -> (f32[4], f32[32,4]) {
  %p = f32[8,4]{1,0} parameter(0)
  %all-gather.3 = f32[32,4]{1,0} all-gather(%p), channel_id=2, dimensions={0}
  %reduce.2 = f32[4]{0} reduce(%p, %p), dimensions={0}, to_apply=%add
  ROOT %both = (f32[4], f32[32,4]) tuple(%reduce.2, %all-gather.3)
}

%fused_done (p: f32[8,4]) -> f32[32,4] {
  %p = f32[8,4]{1,0} parameter(0)
  %all-gather.4 = f32[32,4]{1,0} all-gather(%p), channel_id=2, dimensions={0}
  ROOT %done = f32[32,4]{1,0} custom-call(%all-gather.4), custom_call_target="AsyncCollectiveDone"
}

%body (s: (s32[], f32[4])) -> (s32[], f32[4]) {
  %s = (s32[], f32[4]{0}) parameter(0)
  %sum = f32[4]{0:T(128)S(1)} fusion(%s), calls=%fused_sum, config={"estimated_cycles":"10"}
  ROOT %all-reduce.1 = f32[4]{0} all-reduce(%sum), to_apply=%add
}

%rarely (p: f32[4]) -> f32[4] {
  ROOT %negate.1 = f32[4]{0} negate(%p), config={"estimated_cycles":"7"}
}

%never (p: f32[4]) -> f32[4] {
  ROOT %p = f32[4]{0} parameter(0)
}

ENTRY %main.1 (a: bf16[8,4], b: f32[8,4]) -> (f32[4], /*index=1*/bf16[8,4]) {
  %a = bf16[8,4]{1,0} parameter(0)
  %f = (bf16[8,4]{1,0:T(8)S(1)}, f32[4]) fusion(%a), calls=%fused_conv, b={"estimated_cycles":"100"}
  %swap = f32[4,8]{1,0} fusion(%a), calls=%fused_swap, config={"estimated_cycles":"3"}
  %copy.1 = f32[8,4]{0,1} copy(%a), config={"estimated_cycles":"2"}
  %loop = (s32[], f32[4]{0}) while(%a), body=%body, config={"known_trip_count":{"n":"5"}}
  %all-reduce.2 = (f32[4]{0}, /*index=1*/bf16[8,4]{1,0}) all-reduce(%a, %b), to_apply=%add
  %all-reduce-start.1 = f32[8,4]{1,0} all-reduce-start(%b), to_apply=%add
  %all-reduce-done.1 = f32[8,4]{1,0} all-reduce-done(%all-reduce-start.1)
  %async = ((f32[8,4]{1,0}), f32[64,4]{1,0}) async-start(%b), calls=%gather
  %gathered = f32[64,4]{1,0} async-done(%async)
  %fusion.1 = f32[32,4] fusion(%b), kind=kCustom, calls=%fused_start
  %fusion.2 = (f32[4]) fusion(%b), calls=%async_collective_fusion.1, c={"estimated_cycles":"4"}
  %fusion.3 = (f32[4]) fusion(%b), calls=%async_collective_fusion.1, c={"estimated_cycles":"4"}
  %fusion.4 = f32[32,4]{1,0} fusion(%b), kind=kCustom, calls=%fused_done
  ROOT %lazy = f32[4]{0} conditional(%a, %b, %b), branch_computations={%rarely, %never}
}
"""


def test_cycles_and_collectives_are_read_from_the_text():
    account = hlo.account(TEXT)
    assert account.cycles == {
        "matrix unit": 100,
        "copy": 3 + 2,
        "reduction": 5 * 10 + 2 * 4,
        "elementwise": 7,
    }
    assert account.collectives == [
        hlo.Collective("all-reduce", 128, 1, "f32", True, 1),
        hlo.Collective("all-reduce", 80, 2, "bf16+f32", False, 1),
        hlo.Collective("all-reduce", 16, 1, "f32", False, 5),
        hlo.Collective("all-gather", 1024, 1, "f32", True, 1),
        hlo.Collective("all-gather", 512, 1, "f32", True, 1),  # once, not in each of its fusions
    ]


def test_bytes_of_results():
    assert hlo.tensors("(f32[64]{0}, f32[3,2]{1,0}, bf16[5]{0})") == [
        ("f32", 256),
        ("f32", 24),
        ("bf16", 10),
    ]
    assert hlo.tensors("f32[]") == [("f32", 4)]


def test_time_of_a_step_by_hand():
    """A step of 1 ms on 256 chips, with one all-reduce of gradients and three of statistics."""
    program = tpu_programs.Program("dcgan", 64, 64, 256)
    one = {"kind": "all-reduce", "arrays": 1, "dtype": "f32", "asynchronous": False}
    record = {
        "cycles": {"matrix unit": 1_000_000, "copy": 502_986},
        "operations": 98_500_000_000,
        "collectives": [one | {"bytes": 51_200_000, "count": 1}, one | {"bytes": 0, "count": 3}],
    }
    times = tpu_tables.estimate(program, record)
    assert times.computation == pytest.approx(1e-3, rel=1e-5)  # 197e12 / 131072 cycles a second
    assert times.communication == pytest.approx(2 * 51e6 / 100e9 + 4 * 2 * 16e-6)
    assert times.transfer == pytest.approx(2 * 51e6 / 200e9)
    assert tpu_tables.efficiency(*times[:2]) == pytest.approx(1 / (1 + 1.02 + 0.128), rel=1e-5)
    assert tpu_tables.of_peak(program, record) == pytest.approx(0.5, rel=1e-5)


def test_tables_of_the_page_are_made_from_the_records():
    config = tpu.Config()
    page = config.page.read_text(encoding="utf-8")
    assert page == tpu_tables.rendered(page, tpu.records(config))
    assert set(tpu.records(config)) <= set(tpu_programs.PROGRAMS)


def test_unknown_programs_are_refused():
    text = refused(tpu.main, tpu.Config(only=("dcgan-1",)))
    assert text == "error: no program dcgan-1; see --list"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs the TPU compiler")
def test_update_compiled_for_eight_chips():
    code = (
        "import json; from benchmarks import tpu; tpu.set_environment(); "
        "print(json.dumps(tpu.compiled(tpu.Program('dcgan', 16, 8))))"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": ""}
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
    )
    record = json.loads(run.stdout.splitlines()[-1])
    parameters = number_of_parameters(features=16)
    assert record["fits"]
    assert record["memory"] < 1e9
    assert record["donated"] > 3 * 4 * parameters  # with both moments of Adam
    assert {one["kind"] for one in record["collectives"]} == {"all-reduce"}
    gradients = [one for one in record["collectives"] if one["bytes"] >= tpu_tables.LARGE]
    assert sum(one["count"] for one in gradients) <= 4
    assert sum(one["count"] * one["bytes"] for one in gradients) < 4.5 * parameters


def number_of_parameters(features):
    """Of the DCGAN on 64 x 64 pixels."""
    z, x = jnp.zeros((1, 100)), jnp.zeros((1, 64, 64, 3))
    modules = {networks.DCGANGenerator((64, 64, 3), features): z}
    modules |= {networks.DCGANDiscriminator(features): x}
    params = [
        jax.eval_shape(jaxgan.from_linen(module).init, jax.random.key(0), of)[0]
        for module, of in modules.items()
    ]
    return sum(leaf.size for leaf in jax.tree.leaves(params))
