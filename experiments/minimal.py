"""A GAN on MNIST with an explicit training loop, to copy and change.

Command:

    python -m experiments.minimal

It writes `minimal.png` with samples of the averaged generator. What `experiments.mnist` adds is a
run: a command line, a run directory, logs, checkpoints, exact resume, evaluation.

Hardware: two CPU cores, one minute.
"""

import jax
import optax

import jaxgan
from jaxgan import data, images, latents, losses, networks, penalties, schedules

BATCH_SIZE, NUM_STEPS, SEED = 64, 3000, 0


def main() -> None:
    dataset = data.load("auto")  # MNIST, or scikit-learn's digits where it is not available
    minibatches = data.minibatches(dataset.train, batch_size=BATCH_SIZE, seed=SEED)

    prior = latents.normal(64)
    game = jaxgan.gan(
        generator=jaxgan.from_linen(networks.DCGANGenerator((28, 28, 1), features=32)),
        discriminator=jaxgan.from_linen(networks.DCGANDiscriminator(32, batch_norm=False)),
        latent=prior,
        loss=losses.non_saturating(),
        penalty=penalties.weighted((1.0, penalties.lazily(penalties.r1, every=16))),
    )
    algorithm = jaxgan.alternating(
        game,
        {
            "discriminator": optax.adam(1e-3, b1=0.5),
            "generator": optax.adam(1e-3, b1=0.5),
        },
        ema={"generator": schedules.ema_warmup(0.998)},
    )

    init, update = jax.jit(algorithm.init), jax.jit(algorithm.update, donate_argnums=0)
    key_init, key_run, key_sample = jax.random.split(jax.random.key(SEED), 3)
    state = init(key_init, jax.tree.map(lambda x: x[0], minibatches(0, 1)))
    for step in range(NUM_STEPS):
        batches = minibatches(step, 1)  # a pure function of the step: the data have no state
        state, metrics = update(state, batches, key_run)  # the update folds the step into the key
        if (step + 1) % 500 == 0:
            d, g = metrics["discriminator"], metrics["generator"]
            print(
                f"step {step + 1}  discriminator {d['loss']:.3f}  generator {g['loss']:.3f}  "
                f"D(x) {d['real_output']:.2f}  D(G(z)) {d['fake_output']:.2f}"
            )

    params, model_state = jaxgan.with_ema(state)
    samples = game.decode(params, model_state, prior(key_sample, 100))
    images.save_grid("minimal.png", samples)


if __name__ == "__main__":
    main()
