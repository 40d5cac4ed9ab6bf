"""Presets of the image experiments: the flags that papers give.

Sizes of networks are set by `--features`, and batch sizes, unless a method depends on them, by
`--batch-size`. A reference says where else the flags differ from the paper.
"""

from jaxgan.runs import Preset

_PLAIN = {"r1": 0.0, "ema": 0.0, "augment": "none"}  # what the first papers did without
_LEARNING_RATE = lambda rate: {"discriminator_lr": rate, "generator_lr": rate}
_ADAM = lambda rate, b1=0.5, b2=0.999: {"b1": b1, "b2": b2, **_LEARNING_RATE(rate)}

PRESETS = {
    "gan": Preset(
        "Goodfellow et al., Generative Adversarial Nets, 2014, https://arxiv.org/abs/1406.2661; "
        "Adam in place of momentum",
        {**_PLAIN, "network": "maxout", "latent": 100, **_ADAM(2e-4)},
    ),
    "dcgan": Preset(
        "Radford, Metz and Chintala, Unsupervised Representation Learning with Deep Convolutional "
        "Generative Adversarial Networks, 2016, https://arxiv.org/abs/1511.06434",
        {**_PLAIN, "latent": 100, "discriminator_norm": "batch", **_ADAM(2e-4)},
    ),
    "lsgan": Preset(
        "Mao et al., Least Squares Generative Adversarial Networks, 2017, "
        "https://arxiv.org/abs/1611.04076",
        {
            **_PLAIN,
            "loss": "least_squares",
            "latent": 100,
            "discriminator_norm": "batch",
            **_ADAM(1e-3),
        },
    ),
    "wgan": Preset(
        "Arjovsky, Chintala and Bottou, Wasserstein GAN, 2017, https://arxiv.org/abs/1701.07875",
        {
            **_PLAIN,
            "loss": "wasserstein",
            "latent": 100,
            "discriminator_norm": "batch",
            "discriminator_turns": 5,
            "optimizer": "rmsprop",
            "clip_weights": 0.01,
            **_LEARNING_RATE(5e-5),
        },
    ),
    "wgan_gp": Preset(
        "Gulrajani et al., Improved Training of Wasserstein GANs, 2017, "
        "https://arxiv.org/abs/1704.00028",
        {
            **_PLAIN,
            "loss": "wasserstein",
            "gradient_penalty": 10.0,
            "penalty_every": 1,
            "latent": 128,
            "discriminator_turns": 5,
            **_ADAM(1e-4, b1=0.0, b2=0.9),
        },
    ),
    "dragan": Preset(
        "Kodali et al., On Convergence and Stability of GANs, 2017, "
        "https://arxiv.org/abs/1705.07215; loss of the authors' code; optimizer of DCGAN",
        {
            **_PLAIN,
            "dragan": 10.0,
            "penalty_every": 1,
            "latent": 100,
            **_ADAM(2e-4),
        },
    ),
    "sngan": Preset(
        "Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018, "
        "https://arxiv.org/abs/1802.05957",
        {
            **_PLAIN,
            "network": "sngan",
            "loss": "hinge",
            "latent": 128,
            "discriminator_turns": 5,
            **_ADAM(2e-4, b1=0.0, b2=0.9),
        },
    ),
    "sagan": Preset(
        "Zhang, Goodfellow, Metaxas and Odena, Self-Attention Generative Adversarial Networks, "
        "2019, https://arxiv.org/abs/1805.08318",
        {
            **_PLAIN,
            "network": "sagan",
            "loss": "hinge",
            "latent": 128,
            **_ADAM(1e-4, b1=0.0, b2=0.9),
            "discriminator_lr": 4e-4,
        },
    ),
    "biggan": Preset(
        "Brock, Donahue and Simonyan, Large Scale GAN Training for High Fidelity Natural Image "
        "Synthesis, 2019, https://arxiv.org/abs/1809.11096; turns and rates of the authors' code "
        "for CIFAR-10, attention, orthogonal initialisation and regularisation of the paper",
        {
            **_PLAIN,
            "network": "biggan",
            "loss": "hinge",
            "latent": 128,
            "discriminator_turns": 4,
            "orthogonal": 1e-4,
            "ema": 0.9999,
            **_ADAM(2e-4, b1=0.0),
        },
    ),
    "stylegan2": Preset(
        "Karras et al., Analyzing and Improving the Image Quality of StyleGAN, 2020, "
        "https://arxiv.org/abs/1912.04958; gamma, rates, two mapping layers and no path length "
        "penalty as ADA's code for CIFAR-10, style mixing and residual discriminator of the paper",
        {
            "network": "stylegan2",
            "latent": 512,
            "r1": 0.01,
            "penalty_every": 16,
            "ema": 0.999,
            **_ADAM(2.5e-3, b1=0.0, b2=0.99),
        },
    ),
    "r3gan": Preset(
        "Huang et al., The GAN is dead; long live the GAN! A Modern GAN Baseline, 2024, "
        "https://arxiv.org/abs/2501.05441; gammas of the authors' code for ImageNet, 64 pixels, a "
        "burn-in of 10 000 steps, a constant decay of the average, augmentation by --augment",
        {
            "network": "r3gan",
            "loss": "relativistic_paired",
            "r1": 1.0,
            "r2": 1.0,
            "penalty_every": 1,
            "burn_in_steps": 10_000,
            "ema": 0.999,
            **_ADAM(2e-4, b1=0.0, b2=0.9),
        },
    ),
    "fastgan": Preset(
        "Liu et al., Towards Faster and Stabilized GAN Training for High-Fidelity Few-Shot Image "
        "Synthesis, 2021, https://arxiv.org/abs/2101.04775",
        {
            "network": "fastgan",
            "loss": "hinge",
            "latent": 256,
            "batch_size": 8,
            "r1": 0.0,
            "augment": "diff_augment",
            "ema": 0.999,
            **_ADAM(2e-4),
        },
    ),
    "acgan": Preset(
        "Odena, Olah and Shlens, Conditional Image Synthesis with Auxiliary Classifier GANs, 2017, "
        "https://arxiv.org/abs/1610.09585",
        {**_PLAIN, "conditional": True, "acgan": 1.0, "latent": 100, **_ADAM(2e-4)},
    ),
    "infogan": Preset(
        "Chen et al., InfoGAN: Interpretable Representation Learning by Information Maximizing "
        "Generative Adversarial Nets, 2016, https://arxiv.org/abs/1606.03657",
        {
            **_PLAIN,
            "network": "infogan",
            "infogan": 1.0,
            "latent": 62,
            "discriminator_norm": "batch",
            **_ADAM(1e-3),
            "discriminator_lr": 2e-4,
        },
    ),
}
