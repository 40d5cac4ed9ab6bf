"""pix2pix: paired image-to-image translation, such as label maps to photographs.

Commands:

    python -m experiments.pix2pix --data-dir facades --direction b2a
    python -m experiments.pix2pix --data-dir facades --direction b2a --crop-size 64 --batch-size 4 \
        --features 32 --patch-layers 2 --load-size 80 --ema 0.995 --epochs 40 --decay-epochs 40
    python -m experiments.pix2pix --data recoloured --crop-size 32 --epochs 1 --decay-epochs 1
    python -m jaxgan translate runs/pix2pix --input DIR --output DIR

A sheet in `samples/` has one row per test pair: source, output, target. `evaluation.json` has the
distance between outputs and targets (L1, PSNR, SSIM), and the same for a baseline, the mean of all
training targets.

Hardware: the first command is for a GPU (the published models took hours); the second takes five
minutes on two CPU cores for 100 images. Results with 100 facades for training and 20 for testing,
64 pixels, label maps to photographs: windows and walls are where the label map has them after 500
steps. Most of the L1 distance is due to the colour of each house, which the label map does not
contain: 0.31 at best, against 0.319 for the mean photograph and 0.37 for the untrained network;
without the mean colour of each image 0.265, 0.284 and 0.336. These are
with `--patch-layers 1 --l1-weight 1000`, after 750 steps. With the paper's weight of 100, outputs
are sharper, and the L1 distance grows as the network overfits the 100 images (0.314 after 500
steps, 0.327 after 1000). The checkpoint with the lowest L1 distance is kept; `--step best`
translates with it.

Reference: Isola, Zhu, Zhou and Efros, *Image-to-Image Translation with Conditional Adversarial
Networks*, 2017, https://arxiv.org/abs/1611.07004. The defaults are the paper's, except for the
normalisation: instance normalisation equals the paper's batch normalisation in training with
batches of one, and in evaluation it does not depend on the other examples of the batch. The paper
has `--norm batch --stochastic`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from experiments import sheets, translation
from jaxgan.runs import Experiment, Translation, main

if TYPE_CHECKING:
    from jaxgan import Game
    from jaxgan.evaluation import Evaluation


@dataclasses.dataclass(frozen=True)
class Config(translation.Config):
    """Train pix2pix on pairs of images."""

    features: int = 64
    """Channels of the first layer of both networks."""
    levels: int | None = None
    """Stride-2 levels of the U-Net; default: down to one pixel of a training crop."""
    patch_layers: int = 3
    """Stride-2 layers of the discriminator: 3 for a receptive field of 70 x 70, 0 for 1 x 1."""
    norm: Literal["instance", "batch"] = "instance"
    """Normalisation of both networks."""
    dropout: float = 0.5
    """Dropout rate of the generator, its only source of noise."""
    l1_weight: float = 100.0
    """Weight of the L1 distance between output and target."""
    conditional: bool = True
    """Condition the discriminator on the source image."""
    stochastic: bool = False
    """Apply dropout and batch statistics in translation, as in training."""
    ema: float = 0.0
    """Decay of the moving average of the generator, used to translate; 0 for none (paper)."""


def make(config: Config) -> Experiment:
    """Game, training algorithm and data."""
    import jax

    import jaxgan
    from jaxgan import with_ema

    pairs = translation.load(config, ("source", "target"), paired=True)
    game = make_game(config, pairs.channels["target"])
    adam = translation.adam(config, pairs.num_train)
    key = jax.random.key(0)
    translate = lambda params, model_state, images: game.sample(
        params, model_state, {"source": images}, key
    )
    return Experiment(
        game=game,
        algorithm=jaxgan.alternating(
            game,
            {"discriminator": adam, "generator": adam},
            ema={"generator": config.ema} if config.ema else None,
        ),
        minibatches=pairs.minibatches,
        sample_batch=lambda n: {
            name: jaxgan.data.as_float(x[:n]) for name, x in pairs.test.items()
        },
        data=pairs.record,
        evaluation=make_evaluation(pairs),
        draw=sheets.draw_columns(
            lambda state, batch: [
                batch["source"],
                translate(*with_ema(state), batch["source"]),
                batch["target"],
            ],
            pairs.test,
            rows=10,
        ),
        num_steps=translation.num_steps(config, pairs.num_train),
        translations={
            "source2target": Translation(
                translate, pairs.channels["source"], multiple=1 << num_levels(config)
            )
        },
    )


def num_levels(config: Config) -> int:
    """Number of stride-2 levels of the U-Net; by default they reduce a crop to one pixel."""
    return config.levels or config.crop_size.bit_length() - 1


def make_game(config: Config, channels: int) -> Game:
    """pix2pix with the networks of the paper."""
    import jax.numpy as jnp

    import jaxgan
    from jaxgan import networks

    dtype = jnp.dtype(config.dtype)
    generator = networks.UNetGenerator(
        channels,
        config.features,
        num_levels(config),
        dropout=config.dropout,
        norm=config.norm,
        dtype=dtype,
    )
    discriminator = networks.PatchDiscriminator(
        config.features, config.patch_layers, config.norm, dtype
    )
    return jaxgan.pix2pix(
        jaxgan.from_linen(generator),
        jaxgan.from_linen(discriminator),
        l1_weight=config.l1_weight,
        conditional=config.conditional,
        stochastic=config.stochastic,
    )


def make_evaluation(pairs: translation.Data) -> Evaluation:
    """Paired errors and distances of outputs from targets, and errors of the mean target."""
    import jax.numpy as jnp
    import numpy as np

    from jaxgan import data, metrics
    from jaxgan.evaluation import Evaluation

    mean = np.mean(data.as_float(pairs.train["target"]), axis=0, dtype=np.float64)
    of_mean = lambda params, model_state, batch, key: jnp.broadcast_to(
        jnp.asarray(mean, jnp.float32)[None], batch["target"].shape
    )
    distances = {"pairs": metrics.reconstruction()}
    return Evaluation(
        distances | {"swd": metrics.sliced_wasserstein()},
        pairs.test,
        target="target",
        best="l1",
        more={"fid": metrics.frechet_distance, "kid": metrics.kernel_distance},
        parts={"mean_target": Evaluation(distances, pairs.test, target="target", sample=of_mean)},
    )


if __name__ == "__main__":
    main(Config, make)
