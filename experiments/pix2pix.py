"""pix2pix: paired image-to-image translation, such as label maps to photographs.

Commands:

    python -m experiments.pix2pix --data-dir facades --direction b2a
    python -m experiments.pix2pix --data-dir facades --direction b2a --crop-size 256 --features 64 \
        --levels 8 --patch-layers 3 --norm batch --stochastic --ema 0 \
        --epochs 100 --decay-epochs 100
    python -m experiments.pix2pix --data recolored --crop-size 32 --epochs 1 --decay-epochs 1
    python -m jaxgan translate runs/pix2pix --input DIR --out DIR
    python -m benchmarks.facades --data-dir facades --outputs runs/pix2pix

A grid in `samples/` has one row per test pair: source, output, target. `evaluation.json` has the
distance between outputs and targets (L1, PSNR, SSIM), and the same for a baseline, the mean of the
training targets (of 1000 if there are more). The checkpoint with the lowest L1 distance is kept
(`--step best`); from label maps to photographs it is a blurred one, since a label map does not
contain the colour of a house.

Hardware: the first command takes about four minutes of one CPU core for 360 images of 64 pixels;
the second is for a GPU (the published models took hours).

Results: label maps of facades to photographs, 360 pairs for training and 20 for testing, by the
FCN-score at 64 pixels (`benchmarks/facades.py`): pixel accuracy, mean IoU, and the share of the gap
in pixel accuracy between the mean and the real photographs. Steps are those of about 100 and 210
seconds of one core (2880 is `--epochs 4 --decay-epochs 4`; the defaults have 5760). One seed
each; standard errors over the test images are 0.02 and 0.015, a tenth of the gap, and one run
differs by as much between checkpoints.

                             100 s                         210 s
    four levels, as default  2880  0.542  0.187  42 %      6000  0.574  0.197  58 %
    six, batches of four      570  0.504  0.159  22 %      1240  0.583  0.205  63 %
    PyTorch, six levels       900  0.505  0.155  23 %      1850  0.537  0.197  39 %

    the mean photograph has 0.461 and 0.058, real photographs have 0.654 and 0.265

Another segmentation network reads the mean photograph differently (0.342 and 0.042; real ones 0.654
and 0.270); with it, the defaults have 0.570 ± 0.018 and 0.187, 73 % of the gap.

The second row has `--levels 6 --batch-size 4 --load-size 80`. PyTorch is the paper's pix2pix
(batch normalisation, batches of one, in evaluation mode) with 32 features and two patch layers.
Paired over the images, the pixel accuracy of four levels is higher than the other two by
0.038 ± 0.017 and 0.037 ± 0.016 after 100 seconds, and by -0.009 ± 0.010 and 0.037 ± 0.024 after
210. Windows, doors and cornices are where the label map has them; walls are mottled, of much the
same brown on every house, and skies can hardly be told from roofs. `--norm batch`, and L1
weights of 10 or (at three times the learning rate) 30, were no better in shorter runs, evaluated on
40 training pairs held out.

Reference: Isola, Zhu, Zhou and Efros, *Image-to-Image Translation with Conditional Adversarial
Networks*, 2017, https://arxiv.org/abs/1611.07004. The second command has the paper's settings. The
defaults differ in size, in a U-Net that ends at 4 x 4 pixels, in the moving average, and in the
normalisation: instance normalisation equals the paper's batch normalisation in training with
batches of one, and in evaluation it does not depend on the other examples of the batch.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from jaxgan.experiments import grids, translation
from jaxgan.runs import Experiment, Translation, flag, main
from jaxgan.runs.config.training_config import frozen, network

if TYPE_CHECKING:
    from jaxgan import Game
    from jaxgan.evaluation import Evaluation


@dataclasses.dataclass(frozen=True)
class Config(translation.Config):
    """Train pix2pix on pairs of images. The defaults are for a CPU."""

    crop_size: int = 64
    """Side length of the square training crops."""
    epochs: int = 8
    """Number of epochs with a constant learning rate."""
    decay_epochs: int = 8
    """Number of epochs with linear decay of the learning rate to 0."""
    features: int = flag(32, at_least=1)
    """Channels of the first layer of both networks."""
    levels: int | None = flag(4, at_least=1)
    """Stride-2 levels of the U-Net; None: down to one pixel of a training crop."""
    patch_layers: int = flag(2, at_least=0)
    """Stride-2 layers of the discriminator: 3 for a receptive field of 70 x 70, 0 for 1 x 1."""
    norm: Literal["instance", "batch"] = "instance"
    """Normalisation of both networks."""
    dropout: float = flag(0.5, at_least=0.0, below=1.0)
    """Dropout rate of the generator's inner levels, from 6 levels on; its only source of noise."""
    l1_weight: float = flag(100.0, at_least=0.0)
    """Weight of the L1 distance between output and target."""
    r1: float = flag(0.0, at_least=0.0)
    """Weight of an R1 penalty on the discriminator, with --norm instance; 0 for none (paper)."""
    conditional: bool = True
    """Condition the discriminator on the source image."""
    stochastic: bool = False
    """Apply dropout and batch statistics in translation, as in training."""
    ema: float = flag(0.995, at_least=0.0, below=1.0)
    """Decay of the moving average of the generator, used to translate; 0 for none (paper)."""

    def load_data(self) -> translation.Data:
        """Pairs of images."""
        return translation.load(self, ("source", "target"), paired=True)


def make(config: Config, pairs: translation.Data) -> Experiment:
    """Game, training algorithm and data."""
    import jax

    import jaxgan
    from jaxgan import with_ema

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
            frozen(config, {"discriminator": adam, "generator": adam}),
            ema={"generator": config.ema} if config.ema else None,
            accumulate=config.accumulate,
        ),
        minibatches=pairs.minibatches,
        sample_batch=lambda n: {
            name: jaxgan.data.as_float(x[:n]) for name, x in pairs.test.items()
        },
        data=pairs.record,
        evaluation=make_evaluation(pairs),
        draw=grids.draw_columns(
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
    import jaxgan
    from jaxgan import networks, penalties

    generator = networks.UNetGenerator(
        channels, config.features, num_levels(config), dropout=config.dropout, norm=config.norm
    )
    discriminator = networks.PatchDiscriminator(config.features, config.patch_layers, config.norm)
    return jaxgan.pix2pix(
        network(config, generator),
        network(config, discriminator),
        penalty=penalties.weighted((config.r1, penalties.r1)) if config.r1 else None,
        l1_weight=config.l1_weight,
        conditional=config.conditional,
        stochastic=config.stochastic,
    )


def make_evaluation(pairs: translation.Data) -> Evaluation:
    """Paired errors and distances of outputs from targets, and errors of the mean target."""
    import jax.numpy as jnp
    import numpy as np

    from jaxgan import metrics
    from jaxgan.evaluation import Evaluation

    def of_mean(params, model_state, batch, key):
        mean = np.mean(pairs.train["target"], axis=0, dtype=np.float64) / 127.5 - 1.0
        return jnp.broadcast_to(jnp.asarray(mean, jnp.float32)[None], batch["target"].shape)

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
