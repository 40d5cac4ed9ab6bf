"""Games: networks in, a `Game` out. One file per method."""

from jaxgan.games.gan import gan as gan
