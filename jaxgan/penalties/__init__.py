"""Penalties and regularisers of the discriminator and the generator, and their combinations."""

from jaxgan.penalties.auxiliary import auxiliary_classifier as auxiliary_classifier
from jaxgan.penalties.auxiliary import mutual_information as mutual_information
from jaxgan.penalties.consistency import consistency as consistency
from jaxgan.penalties.consistency import latent_consistency as latent_consistency
from jaxgan.penalties.consistency import latent_diversity as latent_diversity
from jaxgan.penalties.generator import feature_matching as feature_matching
from jaxgan.penalties.generator import mode_seeking as mode_seeking
from jaxgan.penalties.generator import transport as transport
from jaxgan.penalties.gradient import approximate_r1 as approximate_r1
from jaxgan.penalties.gradient import approximate_r2 as approximate_r2
from jaxgan.penalties.gradient import dragan as dragan
from jaxgan.penalties.gradient import r1 as r1
from jaxgan.penalties.gradient import r2 as r2
from jaxgan.penalties.gradient import wgan_gp as wgan_gp
from jaxgan.penalties.lecam import lecam as lecam
from jaxgan.penalties.orthogonal import orthogonal as orthogonal
from jaxgan.penalties.path_length import path_length as path_length
from jaxgan.penalties.penalty import Critic as Critic
from jaxgan.penalties.penalty import ForwardPass as ForwardPass
from jaxgan.penalties.penalty import Penalty as Penalty
from jaxgan.penalties.penalty import Regularizer as Regularizer
from jaxgan.penalties.penalty import as_regularizer as as_regularizer
from jaxgan.penalties.penalty import lazily as lazily
from jaxgan.penalties.penalty import stateless as stateless
from jaxgan.penalties.penalty import weighted as weighted
from jaxgan.penalties.reconstruction import reconstruction as reconstruction
