"""Convolutions and normalisation moments, in forms that XLA compiles to fast programs."""

from jaxgan.ops.conv import conv as conv
from jaxgan.ops.conv import conv_transpose as conv_transpose
from jaxgan.ops.moments import moments as moments
from jaxgan.ops.ordering import after as after
