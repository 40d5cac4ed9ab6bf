"""Penalties"""

from jaxgan.penalties.gradient import Critic as Critic
from jaxgan.penalties.gradient import Penalty as Penalty
from jaxgan.penalties.gradient import dragan as dragan
from jaxgan.penalties.gradient import lazily as lazily
from jaxgan.penalties.gradient import r1 as r1
from jaxgan.penalties.gradient import r2 as r2
from jaxgan.penalties.gradient import weighted as weighted
from jaxgan.penalties.gradient import wgan_gp as wgan_gp
