"""Methods as functions from networks to a `Game`; one file per method."""

from jaxgan.games.adversarial_autoencoder import adversarial_autoencoder as adversarial_autoencoder
from jaxgan.games.autoencoder import autoencoder as autoencoder
from jaxgan.games.bigan import bigan as bigan
from jaxgan.games.cyclegan import cyclegan as cyclegan
from jaxgan.games.gan import gan as gan
from jaxgan.games.pix2pix import pix2pix as pix2pix
from jaxgan.games.vae import Bounds as Bounds
from jaxgan.games.vae import vae as vae
from jaxgan.games.vae import vae_bounds as vae_bounds
from jaxgan.games.vae_gan import vae_gan as vae_gan
