"""Loss functions, unreduced: one value per example."""

from jaxgan.losses.adversarial import AdversarialLoss as AdversarialLoss
from jaxgan.losses.adversarial import hinge as hinge
from jaxgan.losses.adversarial import least_squares as least_squares
from jaxgan.losses.adversarial import minimax as minimax
from jaxgan.losses.adversarial import non_saturating as non_saturating
from jaxgan.losses.adversarial import relativistic_average as relativistic_average
from jaxgan.losses.adversarial import relativistic_paired as relativistic_paired
from jaxgan.losses.adversarial import top_k as top_k
from jaxgan.losses.adversarial import wasserstein as wasserstein
from jaxgan.losses.reconstruction import absolute_error as absolute_error
from jaxgan.losses.reconstruction import squared_error as squared_error
from jaxgan.losses.variational import Likelihood as Likelihood
from jaxgan.losses.variational import bernoulli as bernoulli
from jaxgan.losses.variational import gaussian as gaussian
from jaxgan.losses.variational import gaussian_kl as gaussian_kl
from jaxgan.losses.variational import gaussian_log_prob as gaussian_log_prob
