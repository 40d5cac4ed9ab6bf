"""Operations that networks are made of, in the forms that compile well."""

from jaxgan.ops.conv import conv as conv
from jaxgan.ops.conv import conv_transpose as conv_transpose
from jaxgan.ops.moments import moments as moments
