"""Losses, one value per example: what each player pays, before any mean is taken."""

from jaxgan.losses.adversarial import AdversarialLoss as AdversarialLoss
from jaxgan.losses.adversarial import hinge as hinge
from jaxgan.losses.adversarial import least_squares as least_squares
from jaxgan.losses.adversarial import minimax as minimax
from jaxgan.losses.adversarial import non_saturating as non_saturating
from jaxgan.losses.adversarial import relativistic_average as relativistic_average
from jaxgan.losses.adversarial import relativistic_paired as relativistic_paired
from jaxgan.losses.adversarial import wasserstein as wasserstein
