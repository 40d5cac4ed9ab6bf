"""Convolutions, moments and resampling, in forms that XLA compiles to fast programs."""

from jaxgan.ops.conv import conv as conv
from jaxgan.ops.conv import conv_transpose as conv_transpose
from jaxgan.ops.moments import moments as moments
from jaxgan.ops.ordering import after as after
from jaxgan.ops.precision import at_least_float32 as at_least_float32
from jaxgan.ops.resample import average_pool as average_pool
from jaxgan.ops.resample import downsample as downsample
from jaxgan.ops.resample import filtered as filtered
from jaxgan.ops.resample import nearest as nearest
from jaxgan.ops.resample import upsample as upsample
