"""CycleGAN: unpaired image-to-image translation between two domains.

Commands:

    python -m experiments.cyclegan --data-dir facades --direction b2a --identity-weight 0
    python -m experiments.cyclegan --data cycle_gan/horse2zebra --crop-size 256 --features 64 \
        --num-blocks 9 --patch-layers 3 --epochs 100 --decay-epochs 100
    python -m experiments.cyclegan --data recolored --crop-size 32 --features 16 --num-blocks 2 \
        --batch-size 8 --num-steps 2000 --epochs 1 --decay-epochs 1
    python -m jaxgan translate runs/cyclegan --input DIR --out DIR --direction y2x
    python -m benchmarks.facades --data-dir facades --outputs runs/cyclegan

A grid in `samples/` has one row per pair of test images: x, its translation to y and its
reconstruction; y, its translation to x and its reconstruction. `evaluation.json` has the
reconstruction error of both cycles and the distance between translations and the images of their
domain; for recoloured digits, also the distance from the true translation.

Hardware: the first command takes half an hour of one CPU core for twice 360 images of 64 pixels,
the second is for a GPU, and the third takes minutes on two CPU cores.

Results: recoloured MNIST digits are translated to within 0.064 and 0.084 (L1) of the truth after
500 steps; the untranslated images have 1.13.

Label maps of facades to photographs, the pairs of `experiments/pix2pix.py` used without their
pairing, by the same FCN-score (`benchmarks/facades.py`), after the first command: pixel accuracy
0.312 ± 0.024 and mean IoU 0.063 ± 0.007; the mean photograph has 0.342 and 0.042, real photographs
0.654 and 0.270, and the first command of pix2pix 0.570 and 0.187. Windows and cornices are mostly
where the label map has them, yet fewer pixels are classified correctly than in the mean photograph:
without pairs the generator may hide the label map in any textures from which it can be
reconstructed, here to 0.12 (L1).

Reference: Zhu, Park, Isola and Efros, *Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks*, 2017, https://arxiv.org/abs/1703.10593. The second command has the paper's
settings. The defaults differ in size and epochs, in the number of residual blocks, and in the
patches of the discriminators (34 x 34 pixels).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from jaxgan.experiments import grids, translation
from jaxgan.runs import Experiment, Translation, flag, main
from jaxgan.runs.config.training_config import frozen, network

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxgan import Game
    from jaxgan.evaluation import Evaluation
    from jaxgan.types import Array, ByPlayer

    Translate = Callable[[ByPlayer, ByPlayer, Array], Array]


@dataclasses.dataclass(frozen=True)
class Config(translation.Config):
    """Train CycleGAN on two sets of images. The defaults are for a CPU."""

    crop_size: int = 64
    """Side length of the square training crops."""
    epochs: int = 8
    """Number of epochs with a constant learning rate."""
    decay_epochs: int = 8
    """Number of epochs with linear decay of the learning rate to 0."""
    features: int = flag(32, at_least=1)
    """Channels of the first layer of every network."""
    num_blocks: int = flag(3, at_least=0)
    """Number of residual blocks of the generators; in the paper 9 from 256 pixels on, 6 below."""
    patch_layers: int = flag(2, at_least=0)
    """Stride-2 layers of the discriminators; 3 give a receptive field of 70 x 70 pixels."""
    cycle_weight: float = flag(10.0, at_least=0.0)
    """Weight of the cycle-consistency loss."""
    r1: float = flag(0.0, at_least=0.0)
    """Weight of an R1 penalty on each discriminator; 0 for none (paper)."""
    identity_weight: float = flag(0.5, at_least=0.0)
    """Weight of the identity loss, relative to the cycle-consistency loss."""
    pool_size: int = flag(50, at_least=0)
    """Size of the image buffer of each discriminator."""

    def load_data(self) -> translation.Data:
        """Two sets of images."""
        return translation.load(self, ("x", "y"), paired=False)


def make(config: Config, sets: translation.Data) -> Experiment:
    """Game, training algorithm and data."""
    import jaxgan

    game = make_game(config, sets.channels)
    adam = translation.adam(config, sets.num_train)
    x2y, y2x = translators(game)
    return Experiment(
        game=game,
        algorithm=jaxgan.alternating(
            game,
            frozen(config, {"discriminators": adam, "generators": adam}),
            turns=[("discriminators", "generators")],
            accumulate=config.accumulate,
        ),
        minibatches=sets.minibatches,
        sample_batch=lambda n: {name: jaxgan.data.as_float(x[:n]) for name, x in sets.test.items()},
        data=sets.record,
        evaluation=make_evaluation(config, sets.test, x2y, y2x),
        draw=grids.draw_columns(columns(x2y, y2x), sets.test, rows=8),
        num_steps=translation.num_steps(config, sets.num_train),
        translations={
            "x2y": Translation(x2y, sets.channels["x"], multiple=4, smallest=8),
            "y2x": Translation(y2x, sets.channels["y"], multiple=4, smallest=8),
        },
    )


def translators(game: Game) -> tuple[Translate, Translate]:
    """Both generators, each as `(params, model_state, images) -> images`."""
    import jax

    key = jax.random.key(0)

    def x2y(params, model_state, images):
        return game.sample(params, model_state, {"x": images}, key)

    def y2x(params, model_state, images):
        return game.sample(params, model_state, {"y": images}, key)

    return x2y, y2x


def columns(x2y: Translate, y2x: Translate):
    """Columns of the grid: x, its translation and its reconstruction, and the same for y."""

    def of_state(state, batch):
        learned, x, y = (state.params, state.model_state), batch["x"], batch["y"]
        fake_y, fake_x = x2y(*learned, x), y2x(*learned, y)
        return [x, fake_y, y2x(*learned, fake_y), y, fake_x, x2y(*learned, fake_x)]

    return of_state


def make_game(config: Config, channels: dict[str, int]) -> Game:
    """CycleGAN with the networks of the paper, at any width and depth."""
    import jaxgan
    from jaxgan import networks, penalties

    generator = lambda name: network(
        config, networks.ResNetGenerator(channels[name], config.features, config.num_blocks)
    )
    discriminator = network(
        config, networks.PatchDiscriminator(config.features, config.patch_layers, "instance")
    )
    return jaxgan.cyclegan(
        {"x2y": generator("y"), "y2x": generator("x")},
        {"x": discriminator, "y": discriminator},
        penalty=penalties.weighted((config.r1, penalties.r1)) if config.r1 else None,
        cycle_weight=config.cycle_weight,
        identity_weight=config.identity_weight if channels["x"] == channels["y"] else 0.0,
        pool_size=config.pool_size,
    )


def make_evaluation(config: Config, test, x2y: Translate, y2x: Translate) -> Evaluation:
    """Cycle errors, distances from the target domains, and errors where the truth is known."""
    from jaxgan import metrics
    from jaxgan.evaluation import Evaluation

    pairs = {"pairs": metrics.reconstruction()}
    distances = {"swd": metrics.sliced_wasserstein(), "kid": metrics.kernel_distance()}
    parts = {}
    for source, target, forward, backward in (("x", "y", x2y, y2x), ("y", "x", y2x, x2y)):
        direction = f"{source}2{target}"
        translated, cycled, unchanged = samples(source, forward, backward)
        parts[direction] = Evaluation(distances, test, target=target, sample=translated)
        parts[f"{direction}2{source}"] = Evaluation(pairs, test, target=source, sample=cycled)
        if config.data == "recolored":
            parts[f"truth_{direction}"] = Evaluation(pairs, test, target=target, sample=translated)
            parts[f"identity_{direction}"] = Evaluation(
                pairs, test, target=target, sample=unchanged
            )
    return Evaluation({}, test, target="y", best="x2y/swd_pixels", parts=parts)


def samples(source: str, forward: Translate, backward: Translate):
    """Sampling functions of a domain: translations, cycle reconstructions, unchanged images."""

    def translated(params, model_state, batch, key):
        return forward(params, model_state, batch[source])

    def cycled(params, model_state, batch, key):
        return backward(params, model_state, forward(params, model_state, batch[source]))

    def unchanged(params, model_state, batch, key):
        return batch[source]

    return translated, cycled, unchanged


if __name__ == "__main__":
    main(Config, make)
