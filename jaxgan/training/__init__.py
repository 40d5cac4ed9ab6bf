"""Training algorithms of a game, one file each, over the turns that they share."""

from jaxgan.training.alternating import alternating as alternating
from jaxgan.training.alternating import simultaneous as simultaneous
from jaxgan.training.competitive import competitive as competitive
from jaxgan.training.consensus import consensus as consensus
from jaxgan.training.extragradient import extragradient as extragradient
from jaxgan.training.lookahead import lookahead as lookahead
from jaxgan.training.momentum import negative_momentum as negative_momentum
from jaxgan.training.momentum import optimistic as optimistic
from jaxgan.training.ode import ode as ode
from jaxgan.training.one_stage import one_stage as one_stage
from jaxgan.training.scan_steps import scan_steps as scan_steps
from jaxgan.training.state import TrainingAlgorithm as TrainingAlgorithm
from jaxgan.training.state import TrainState as TrainState
from jaxgan.training.state import with_ema as with_ema
from jaxgan.training.symplectic import symplectic as symplectic
from jaxgan.training.turns import play_turn as play_turn
from jaxgan.training.unrolled import unrolled as unrolled
