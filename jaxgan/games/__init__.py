"""Games: networks in, a `Game` out. One file per method."""

from jaxgan.games.cyclegan import cyclegan as cyclegan
from jaxgan.games.gan import gan as gan
from jaxgan.games.pix2pix import pix2pix as pix2pix
