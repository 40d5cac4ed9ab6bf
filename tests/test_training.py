"""Training algorithms, computed by hand for small games."""

import re
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from jaxgan import Game, LossAux, latents, losses, penalties
from jaxgan.game import own_gradient
from jaxgan.networks import MLP, MaxoutMLP, PatchDiscriminator, StyleGAN2Discriminator
from jaxgan.training import play_turn
from jaxgan.training.state import strongly_typed
from jaxgan.training.turns import group_turns
from tests import games
from tests.support import normal

KEY = jax.random.key(0)
SGD = optax.sgd(0.1)


def quadratic_game() -> Game:
    """Three players on numbers a, b, c: losses a b, b c, c a; a state that counts own turns, and
    has the number before the last."""

    def init(key, batch):
        params = {"a": jnp.array(1.0), "b": jnp.array(2.0), "c": jnp.array(3.0)}
        state = {"turns": jnp.zeros((), jnp.int32), "before": jnp.zeros(())}
        return params, dict.fromkeys(params, state)

    def loss_of(player, other):
        def loss(params, model_state, batch, key, step):
            own = {"turns": model_state[player]["turns"] + 1, "before": params[player]}
            metrics = {"other": params[other], "batch": batch["image"][0]}
            return params[player] * params[other], LossAux(own, metrics)

        return loss

    losses = {"a": loss_of("a", "b"), "b": loss_of("b", "c"), "c": loss_of("c", "a")}
    return Game(init, losses, lambda params, model_state, batch, key: batch["image"])


GAME = quadratic_game()
OPTIMIZERS = dict.fromkeys(GAME.losses, SGD)


def batches(n):
    return {"image": jnp.arange(float(n))[:, None]}


def play(turns, **kwargs):
    algorithm = jaxgan.alternating(GAME, OPTIMIZERS, turns=turns, **kwargs)
    state = algorithm.init(KEY, {"image": jnp.zeros(1)})
    return algorithm.update(state, batches(algorithm.num_minibatches), KEY)


def test_alternating_players_respond_to_earlier_turns():
    state, metrics = play(["a", "b", "c"])
    a = 1 - 0.1 * 2.0
    b = 2 - 0.1 * 3.0
    c = 3 - 0.1 * a
    np.testing.assert_allclose([state.params[p] for p in "abc"], [a, b, c], rtol=1e-6)
    np.testing.assert_allclose(metrics["c"]["other"], a, rtol=1e-6)
    np.testing.assert_allclose(metrics["c"]["loss"], 3 * a, rtol=1e-6)


def test_players_of_one_turn_move_by_the_parameters_before_it():
    state, _ = play([("a", "b", "c")])
    np.testing.assert_allclose(
        [state.params[p] for p in "abc"], [1 - 0.2, 2 - 0.3, 3 - 0.1], rtol=1e-6
    )


def test_mixed_turns():
    state, _ = play([("a", "b"), "c"])
    np.testing.assert_allclose(
        [state.params[p] for p in "abc"], [0.8, 1.7, 3 - 0.1 * 0.8], rtol=1e-6
    )


def test_metrics_are_means_over_turns():
    state, metrics = play(["a", "a", "b", "a", "c"], share_minibatches=False)
    assert float(metrics["a"]["batch"]) == pytest.approx((0 + 1 + 3) / 3)
    assert float(metrics["b"]["batch"]) == 2
    assert [int(state.model_state[p]["turns"]) for p in "abc"] == [3, 1, 1]
    b = 2 - 0.1 * 3
    np.testing.assert_allclose(state.params["a"], 1 - 0.2 - 0.2 - 0.1 * b, rtol=1e-6)


@pytest.mark.parametrize(
    ("turns", "shared", "apart"),
    [
        ("abc", [0, 0, 0], [0, 1, 2]),
        ("aab", [0, 1, 1], [0, 1, 2]),
        ("aabc", [0, 1, 1, 1], [0, 1, 2, 3]),
        ("aba", [0, 0, 1], [0, 1, 2]),
        ("abbc", [0, 0, 1, 1], [0, 1, 2, 3]),
        ("abab", [0, 0, 1, 1], [0, 1, 2, 3]),
    ],
)
def test_which_turns_share_a_minibatch(turns, shared, apart):
    for share_minibatches, draws in ((True, shared), (False, apart)):
        runs = group_turns(tuple((player,) for player in turns), share_minibatches)
        moves = [(*movers, draw) for movers, run in runs for draw in range(run.start, run.stop)]
        assert moves == list(zip(turns, draws, strict=True))


@pytest.mark.slow
def test_shared_minibatches_are_equal_minibatches():
    """Computed once or turn by turn: the same parameters, with SGD."""
    game = games.CASES["normalized_gan"]().game
    algorithm = jaxgan.alternating(game, games.SGD)
    state = apart = jax.jit(algorithm.init)(KEY, games.minibatch())
    update = jax.jit(algorithm.update)
    turns = {name: jax.jit(partial(play_turn, game, games.SGD, (name,))) for name in game.losses}
    for step in range(5):
        state, _ = update(state, games.minibatches(0, 1), KEY)
        (key,) = jax.random.split(jax.random.fold_in(KEY, step), 1)
        for turn in turns.values():
            apart, _ = turn(apart, games.minibatch(), key)
    chex.assert_trees_all_close(state.params, apart.params, rtol=1e-6, atol=1e-6)


def test_ema_once_per_step_after_all_turns():
    decay = 0.9
    algorithm = jaxgan.alternating(GAME, OPTIMIZERS, turns=["a", "a", "b", "c"], ema={"a": decay})
    state = algorithm.init(KEY, {"image": jnp.zeros(1)})
    expected, before = float(state.params["a"]), 0.0
    for _ in range(3):
        state, _ = algorithm.update(state, batches(2), KEY)
        expected = decay * expected + (1 - decay) * float(state.params["a"])
        before = decay * before + (1 - decay) * float(state.model_state["a"]["before"])
        np.testing.assert_allclose(state.ema_params["a"], expected, rtol=1e-6)
        np.testing.assert_allclose(state.ema_model_state["a"]["before"], before, rtol=1e-6)
    assert state.ema_model_state["a"]["turns"] == 6  # a count has no average
    assert set(state.ema_params) == set(state.ema_model_state) == {"a"}
    for values, averages, last in zip(
        jaxgan.with_ema(state),
        (state.ema_params, state.ema_model_state),
        (state.params, state.model_state),
        strict=True,
    ):
        for here, there in ((values["a"], averages["a"]), (values["b"], last["b"])):
            assert jax.tree.leaves(here) == jax.tree.leaves(there)


def test_ema_of_16_bits_moves():
    """In bfloat16 a thousandth of the difference would be rounded away: the average is float32."""
    half = lambda tree: jax.tree.map(lambda x: x.astype(jnp.bfloat16), tree)
    game = games.mlp_gan()
    params, model_state = game.init(KEY, games.minibatch())
    game = game._replace(init=lambda key, batch: (half(params), model_state))
    algorithm = jaxgan.alternating(game, games.SGD, ema={"generator": 0.999})
    state = algorithm.init(KEY, games.minibatch())
    first = jax.tree.leaves(state.ema_params["generator"])[0]
    for _ in range(20):
        state, _ = jax.jit(algorithm.update)(state, games.minibatches(0, 1), KEY)
    last = jax.tree.leaves(state.params["generator"])[0]
    average = jax.tree.leaves(state.ema_params["generator"])[0]
    assert (last.dtype, average.dtype) == (jnp.bfloat16, jnp.float32)
    moved = np.abs(average - first).max()
    assert 0.0 < moved < 0.02 * np.abs(last.astype(jnp.float32) - first).max()
    chex.assert_trees_all_equal_dtypes(jaxgan.with_ema(state)[0], state.params)


def test_ema_that_warms_up():
    """Over the last tenth of the rounds, until the decay is reached; by hand."""
    schedule = jaxgan.schedules.ema_warmup(0.2)
    algorithm = jaxgan.alternating(GAME, OPTIMIZERS, turns=["a", "b", "c"], ema={"a": schedule})
    state = algorithm.init(KEY, {"image": jnp.zeros(1)})
    expected = float(state.params["a"])
    for decay in (1 / 10, 2 / 11, 0.2, 0.2):
        state, _ = algorithm.update(state, batches(1), KEY)
        expected = decay * expected + (1 - decay) * float(state.params["a"])
        np.testing.assert_allclose(state.ema_params["a"], expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"the decay of an average is 1\.5"):
        jaxgan.schedules.ema_warmup(1.5)


def test_simultaneous_is_one_turn_for_all():
    algorithm = jaxgan.simultaneous(GAME, OPTIMIZERS)
    assert algorithm.num_minibatches == 1
    state, _ = algorithm.update(algorithm.init(KEY, {"image": jnp.zeros(1)}), batches(1), KEY)
    np.testing.assert_array_equal(state.params["c"], play([("a", "b", "c")])[0].params["c"])


def test_keys_differ_by_turn_and_by_step():
    seen = []

    def loss(params, model_state, batch, key, step):
        number = jax.random.uniform(key)
        return params["a"] * number, LossAux({}, {"number": number})

    game = Game(lambda key, batch: ({"a": jnp.array(1.0)}, {"a": {}}), {"a": loss}, None)
    algorithm = jaxgan.alternating(game, {"a": SGD}, turns=["a"])
    state = algorithm.init(KEY, {"image": jnp.zeros(1)})
    for _ in range(4):
        state, metrics = algorithm.update(state, batches(1), KEY)
        seen.append(float(metrics["a"]["number"]))
    assert len(set(seen)) == 4
    two = jaxgan.alternating(game, {"a": SGD}, turns=["a", "a"])
    mean = float(
        two.update(two.init(KEY, {"image": jnp.zeros(1)}), batches(2), KEY)[1]["a"]["number"]
    )
    assert not any(mean == pytest.approx(number) for number in seen)


def test_own_gradient_against_finite_differences():
    """In a direction of the owner's parameters, for both players of a GAN with a penalty."""
    with jax.enable_x64(True):
        game = jaxgan.gan(
            jaxgan.from_linen(MLP((8,), (3,), activation=jnp.tanh, dtype=jnp.float64)),
            jaxgan.from_linen(MLP((8,), activation=jnp.tanh, dtype=jnp.float64)),
            latent=lambda key, n: jax.random.normal(key, (n, 2)),
            loss=losses.relativistic_average(),
            penalty=penalties.weighted((1.0, penalties.wgan_gp)),
        )
        batch, eps = {"image": jax.random.normal(KEY, (5, 3))}, 1e-6
        params, model_state = jax.jit(game.init)(KEY, batch)
        params = jax.tree.map(lambda x: x.astype(jnp.float64), params)
        for player, loss in game.losses.items():
            own = params[player]
            direction = jax.tree.map(lambda x: jnp.cos(jnp.arange(x.size)).reshape(x.shape), own)

            @jax.jit
            def derivatives(own, player=player, loss=loss, direction=direction):
                everyone = {**params, player: own}
                _, gradient = own_gradient(loss, player, everyone, model_state, batch, KEY, 0)
                moved = lambda t: {**params, player: optax.tree.add_scale(own, t, direction)}
                value = lambda t: loss(moved(t), model_state, batch, KEY, 0)[0]
                difference = (value(eps) - value(-eps)) / (2 * eps)
                return optax.tree.vdot(gradient, direction), difference

            slope, difference = derivatives(own)
            np.testing.assert_allclose(slope, difference, rtol=1e-6)


def flops(algorithm):
    """Floating-point operations of the compiled update."""
    state = jax.eval_shape(algorithm.init, KEY, games.minibatch())
    batches = games.minibatches(0, algorithm.num_minibatches)
    return jax.jit(algorithm.update).lower(state, batches, KEY).compile().cost_analysis()["flops"]


@pytest.mark.slow
def test_equal_forward_passes_are_computed_once():
    """XLA merges those of the generator, whose products alone are 2 * 8 * (3 * 16 + 16 * 64)."""
    game = games.mlp_gan()
    apart = flops(jaxgan.alternating(game, games.SGD, share_minibatches=False))
    shared = flops(jaxgan.alternating(game, games.SGD))
    assert apart - shared >= 2 * 8 * (3 * 16 + 16 * 64)
    assert flops(jaxgan.simultaneous(game, games.SGD)) <= shared


# ---- one pass for two


def conditional_gan(*, one_pass=False, **kwargs):
    return jaxgan.gan(
        games.mlp_generator(num_classes=3),
        games.mlp_discriminator(num_classes=3),
        latent=games.LATENT,
        conditions=("label",),
        one_pass=one_pass,
        **kwargs,
    )


def test_arguments_of_another_kind_are_refused():
    game, adam = games.mlp_gan(), optax.adam(1e-3)
    optimizers = dict.fromkeys(game.losses, adam)
    algorithm = jaxgan.alternating(game, optimizers)
    for message, call in {
        "game is a dict, expected a Game": lambda: jaxgan.alternating(optimizers, game),
        "the optimizer of generator is 'adam', expected one of optax": lambda: jaxgan.alternating(
            game, optimizers | {"generator": optax.adam}
        ),
        "ema is 0.9, expected a dict": lambda: jaxgan.alternating(game, optimizers, ema=0.9),
        "minibatches is a int, expected": lambda: jaxgan.fit(algorithm, 5, key=KEY, num_steps=1),
        "algorithm is a Game, expected": lambda: jaxgan.fit(
            game, games.minibatches, key=KEY, num_steps=1
        ),
        "augment is 'color', expected": lambda: games.mlp_gan(augment="color"),
        "module is MLP, expected an instance": lambda: jaxgan.from_linen(MLP),
    }.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            call()
    raw = {"image": np.zeros((8, 8, 8, 1), np.uint8), "label": np.zeros(8, np.int32)}
    with pytest.raises(ValueError, match="image has the dtype uint8, expected floats"):
        jax.eval_shape(lambda key: game.init(key, raw), KEY)


def test_one_pass_is_two_passes():
    """Of a discriminator that reads the labels: `(w x)_c`, the coordinate of its class."""
    weight = normal(2, 3)
    discriminator = jaxgan.Network(
        lambda key, x, label: (weight, {}),
        lambda params, state, x, label, **_: (
            jnp.sum((x @ params) * jax.nn.one_hot(label, 3), axis=1),
            state,
        ),
    )
    generator = jaxgan.Network(
        lambda key, z, label: (normal(2, 2, seed=1), {}),
        lambda params, state, z, label, **_: (z @ params + label[:, None], state),
    )
    batch = {"image": normal(6, 2, seed=2), "label": jnp.arange(6) % 3}
    make = lambda **options: jaxgan.gan(
        generator, discriminator, latent=latents.normal(2), conditions=("label",), **options
    )
    params, state = make().init(KEY, batch)
    for player in ("discriminator", "generator"):
        two, one = (
            jax.jit(make(one_pass=one_pass).losses[player])(params, state, batch, KEY, 0)[0]
            for one_pass in (False, True)
        )
        np.testing.assert_allclose(one, two, rtol=1e-6)


def convolutional_gan(**kwargs):
    return games.dcgan(batch_norm=False, classes=3, **kwargs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "loss"),
    [
        (conditional_gan, "non_saturating"),
        (conditional_gan, "relativistic_average"),
        (conditional_gan, "minimax"),
        (conditional_gan, "wasserstein"),
        (conditional_gan, "relativistic_paired"),
        (convolutional_gan, "relativistic_average"),
    ],
)
def test_one_stage_has_the_gradients_of_simultaneous_descent(make, loss):
    penalty = penalties.weighted((1.0, penalties.r1), (1.0, penalties.wgan_gp))
    batch = games.minibatch()
    params, state = jax.jit(make().init)(KEY, batch)
    for one_pass in (False, True):
        game = make(loss=getattr(losses, loss)(), penalty=penalty, one_pass=one_pass)

        @jax.jit
        def gradients(params, game=game):
            joint = game.joint_gradients(params, state, batch, KEY, 0)
            own = {
                player: own_gradient(of_player, player, params, state, batch, KEY, 0)
                for player, of_player in game.losses.items()
            }
            return joint, own

        joint, own = gradients(params)
        assert jax.tree.structure(joint) == jax.tree.structure(own)
        for a, b in zip(jax.tree.leaves(joint), jax.tree.leaves(own), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


@pytest.mark.slow
def test_one_stage_takes_one_backward_pass_less():
    """Generated examples go back through the discriminator's second layer once, not twice."""
    discriminator = jaxgan.from_linen(MLP((64, 64)))
    game = jaxgan.gan(games.mlp_generator(), discriminator, latent=games.LATENT)
    saved = flops(jaxgan.simultaneous(game, games.SGD)) - flops(jaxgan.one_stage(game, games.SGD))
    assert saved >= 2 * 8 * 64 * 64


@pytest.mark.slow
def test_one_discriminator_pass_is_two_passes():
    params = []
    for one_pass in (False, True):
        algorithm = jaxgan.jit(jaxgan.alternating(conditional_gan(one_pass=one_pass), games.SGD))
        state = jaxgan.fit(algorithm, games.minibatches, key=KEY, num_steps=5)
        params.append(state.params)
    for a, b in zip(*map(jax.tree.leaves, params), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * max(1.0, np.abs(a).max()))


def networks_of_stylegan2(*, one_pass):
    """A game whose discriminator has no state, and computes with groups of examples."""
    discriminator = jaxgan.from_linen(StyleGAN2Discriminator(2, max_features=2))
    return jaxgan.gan(games.mlp_generator(), discriminator, latent=games.LATENT, one_pass=one_pass)


def test_requirements_of_one_stage_and_one_pass():
    hinge, normed = games.mlp_gan(loss=losses.hinge()), games.CASES["normalized_gan"]().game
    networks = games.normalized_generator(), games.normalized()
    one_pass = jaxgan.gan(*networks, latent=games.LATENT, one_pass=True)
    dropout = jaxgan.gan(
        games.mlp_generator(),
        jaxgan.from_linen(MaxoutMLP((8,), pieces=2)),
        latent=games.LATENT,
        one_pass=True,
    )
    patches = jaxgan.gan(
        games.mlp_generator(),
        jaxgan.from_linen(PatchDiscriminator(2, 1, norm="none")),
        latent=games.LATENT,
    )
    stddev = networks_of_stylegan2(one_pass=False), networks_of_stylegan2(one_pass=True)
    with pytest.raises(ValueError, match="this game has no joint_gradients; use simultaneous"):
        jaxgan.one_stage(GAME, OPTIMIZERS)
    for game, function, error, message in (
        (hinge, hinge.joint_gradients, ValueError, "not monotone"),
        (normed, normed.joint_gradients, ValueError, "one_stage needs a discriminator without"),
        (patches, patches.joint_gradients, ValueError, r"shape \(8, 2, 2\); one_stage needs one"),
        (one_pass, one_pass.losses["discriminator"], ValueError, "one_pass needs a discriminator"),
        (dropout, dropout.losses["discriminator"], ValueError, "dropout was given no key"),
        (stddev[0], stddev[0].joint_gradients, ValueError, "one_stage needs .* minibatch_stddev"),
        (stddev[1], stddev[1].losses["generator"], ValueError, "one_pass needs .* minibatch_std"),
    ):
        params, state = jax.eval_shape(game.init, KEY, games.minibatch())
        with pytest.raises(error, match=message):
            jax.eval_shape(function, params, state, games.minibatch(), KEY, 0)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"turns": ["a", "b", "critic"]}, "turns names critic; the players are a, b, c"),
        ({"turns": ["a", "b"]}, "turns lacks c; the players are a, b, c"),
        ({"turns": [("a", "a"), "b", "c"]}, "names a player twice"),
        ({"ema": {"d": 0.9}}, "ema names d; the players are a, b, c"),
        ({"ema": {"a": 1.5}}, r"ema of a is 1.5, expected a decay in \[0, 1\]"),
        ({"ema": {"a": np.float64(1.5)}}, r"expected a decay in \[0, 1\]"),
        ({"ema": {"a": "0.9"}}, r"ema of a is '0.9', expected a decay in \[0, 1\]"),
        ({"ema": {"a": None}}, r"ema of a is None, expected a decay in \[0, 1\]"),
    ],
)
def test_names_that_do_not_agree(kwargs, message):
    with pytest.raises(ValueError, match=message):
        jaxgan.alternating(GAME, OPTIMIZERS, **kwargs)


def test_optimizers_that_do_not_agree():
    with pytest.raises(ValueError, match="optimizers lacks c; the players are a, b, c"):
        jaxgan.alternating(GAME, {"a": SGD, "b": SGD})
    with pytest.raises(ValueError, match="optimizers names d"):
        jaxgan.alternating(GAME, OPTIMIZERS | {"d": SGD})


def test_as_many_minibatches_as_turns():
    algorithm = jaxgan.alternating(GAME, OPTIMIZERS)
    state = algorithm.init(KEY, {"image": jnp.zeros(1)})
    with pytest.raises(AssertionError, match="assert_tree_shape_prefix"):
        algorithm.update(state, batches(2), KEY)


def test_scan_steps_errors_and_counts():
    algorithm = jaxgan.scan_steps(jaxgan.alternating(GAME, OPTIMIZERS), 4)
    assert (algorithm.num_minibatches, algorithm.steps_per_update) == (4, 4)
    three_turns = jaxgan.scan_steps(games.CASES["three_discriminator_turns"]().algorithm, 2)
    assert (three_turns.num_minibatches, three_turns.steps_per_update) == (6, 2)
    with pytest.raises(ValueError, match="steps_per_update is 0"):
        jaxgan.scan_steps(algorithm, 0)


# ---- the loop


def test_fit_starts_from_the_state_that_it_is_given():
    calls = []

    def minibatches(start, count):
        calls.append((start, count))
        return {"image": jnp.arange(float(start), start + count)[:, None]}

    algorithm = jaxgan.jit(jaxgan.alternating(GAME, OPTIMIZERS))
    steps = []
    record = lambda step, state, metrics: steps.append((step, int(state.step)))
    state = jaxgan.fit(algorithm, minibatches, key=KEY, num_steps=2, callbacks=[record])
    state = jaxgan.fit(
        algorithm, minibatches, key=KEY, num_steps=4, state=state, callbacks=[record]
    )
    assert calls == [(0, 1), (0, 1), (1, 1), (2, 1), (3, 1)]
    assert steps == [(1, 1), (2, 2), (3, 3), (4, 4)]
    scanned = jaxgan.jit(jaxgan.scan_steps(jaxgan.alternating(GAME, OPTIMIZERS), 2))
    calls.clear()
    at_once = jaxgan.fit(scanned, minibatches, key=KEY, num_steps=4)
    assert calls == [(0, 1), (0, 2), (2, 2)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), state, at_once)


def test_fit_compiles_what_is_not_compiled():
    algorithm, count = games.CASES["minimax"]().algorithm, []

    def update(*args):
        count.append(1)
        return algorithm.update(*args)

    ends = [
        jaxgan.fit(own, games.minibatches, key=jax.random.key(0), num_steps=5)
        for own in (algorithm._replace(update=update), jaxgan.jit(algorithm))
    ]
    assert len(count) == 1
    jax.tree.map(np.testing.assert_array_equal, *ends)


def test_fit_takes_the_batches_of_an_epoch():
    """A list of three, which the fourth step begins again."""
    algorithm = games.CASES["one_stage_with_state"]().algorithm
    assert algorithm.num_minibatches == 1
    epoch = [{name: rows[0] for name, rows in games.minibatches(i, 1).items()} for i in range(3)]
    again = lambda start, count: games.minibatches(start % 3, count)
    ends = [
        jaxgan.fit(algorithm, given, key=jax.random.key(0), num_steps=5) for given in (epoch, again)
    ]
    jax.tree.map(np.testing.assert_array_equal, *ends)


def test_fit_stops_when_a_callback_says_so():
    def stop(step, state, metrics):
        if step == 3:
            raise jaxgan.StopTraining

    algorithm = jaxgan.alternating(GAME, OPTIMIZERS)
    minibatches = lambda start, count: {"image": jnp.zeros((count, 1))}
    assert int(jaxgan.fit(algorithm, minibatches, key=KEY, num_steps=9, callbacks=[stop]).step) == 3


def test_weakly_typed_arrays_become_any_others():
    leaves = strongly_typed([jnp.array(1.5), 2, jnp.int8([3])])
    assert [x.weak_type for x in leaves] == 3 * [False]
    assert [x.dtype for x in leaves] == [jnp.float32, jnp.int32, jnp.int8]
    assert [np.ravel(x).tolist() for x in leaves] == [[1.5], [2], [3]]


def test_fit_checks_that_the_steps_come_out_even():
    algorithm = jaxgan.scan_steps(jaxgan.alternating(GAME, OPTIMIZERS), 4)
    minibatches = lambda start, count: {"image": jnp.zeros((count, 1))}
    with pytest.raises(ValueError, match="6 steps remain, expected a multiple"):
        jaxgan.fit(algorithm, minibatches, key=KEY, num_steps=6)
    state = algorithm.init(KEY, {"image": jnp.zeros((1,))})._replace(step=jnp.int32(8))
    with pytest.raises(ValueError, match="num_steps is 4, and the state is of step 8"):
        jaxgan.fit(algorithm, minibatches, key=KEY, num_steps=4, state=state)


def test_fit_gives_every_step_its_own_minibatches():
    """Of three turns on two minibatches, the steps begin at 0, 2 and 4."""
    starts = []

    def minibatches(start, count):
        starts.append((start, count))
        return {"image": jnp.zeros((count, 1))}

    algorithm = jaxgan.alternating(GAME, OPTIMIZERS, turns=["a", "a", ("b", "c")])
    assert algorithm.num_minibatches == 2
    jaxgan.fit(algorithm, minibatches, key=KEY, num_steps=3)
    assert starts[-3:] == [(0, 2), (2, 2), (4, 2)]


def test_fit_takes_any_tree_of_arrays():
    """And metrics of any form, of which one that is not finite is named."""
    state = jaxgan.training.TrainState(jnp.array(0), {}, {}, {}, {}, {})

    def update(state, batches, key):
        return state._replace(step=state.step + 1), {"loss": jnp.log(batches["a"]["b"][0])}

    algorithm = jaxgan.TrainingAlgorithm(lambda key, batch: state, update, num_minibatches=1)
    nested = lambda value: lambda start, count: {"a": {"b": np.full((count, 2), value, np.float32)}}
    assert int(jaxgan.fit(algorithm, nested(1.0), key=KEY, num_steps=2).step) == 2
    with pytest.warns(UserWarning, match=r"training diverged: loss is .*inf.* at step 2"):
        jaxgan.fit(algorithm, nested(0.0), key=KEY, num_steps=2)
