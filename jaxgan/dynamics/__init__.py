"""Dynamics of a game: its vector field, the Jacobian, and what they say about convergence."""

from jaxgan.dynamics.eigenvalues import Spectrum as Spectrum
from jaxgan.dynamics.eigenvalues import leading_spectrum as leading_spectrum
from jaxgan.dynamics.eigenvalues import spectrum as spectrum
from jaxgan.dynamics.field import Field as Field
from jaxgan.dynamics.field import antisymmetric_part as antisymmetric_part
from jaxgan.dynamics.field import jacobian as jacobian
from jaxgan.dynamics.field import jvp as jvp
from jaxgan.dynamics.field import symmetric_part as symmetric_part
from jaxgan.dynamics.field import vector_field as vector_field
from jaxgan.dynamics.field import vjp as vjp
from jaxgan.dynamics.path import Path as Path
from jaxgan.dynamics.path import path_angle as path_angle
from jaxgan.dynamics.plots import draw_field as draw_field
from jaxgan.dynamics.plots import draw_path as draw_path
from jaxgan.dynamics.plots import draw_spectrum as draw_spectrum
