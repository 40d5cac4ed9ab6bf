"""Latent space of a trained game: codes of images, inversion of a generator, and directions."""

from jaxgan.latent_space.codes import ANOMALY_SCORES as ANOMALY_SCORES
from jaxgan.latent_space.codes import NUM_NORMAL as NUM_NORMAL
from jaxgan.latent_space.codes import analogy as analogy
from jaxgan.latent_space.codes import anomaly_scores as anomaly_scores
from jaxgan.latent_space.codes import code_distance as code_distance
from jaxgan.latent_space.codes import interpolate as interpolate
from jaxgan.latent_space.codes import latent_map as latent_map
from jaxgan.latent_space.codes import reconstruct as reconstruct
from jaxgan.latent_space.directions import Directions as Directions
from jaxgan.latent_space.directions import first_layer as first_layer
from jaxgan.latent_space.directions import principal_components as principal_components
from jaxgan.latent_space.directions import sefa as sefa
from jaxgan.latent_space.inversion import Projection as Projection
from jaxgan.latent_space.inversion import project as project
