"""Evaluation of generators: metrics of their samples, or of image files, against real examples."""

from jaxgan.evaluation.image_files import of_image_files as of_image_files
from jaxgan.evaluation.measures import MEASURES as MEASURES
from jaxgan.evaluation.measures import measurable as measurable
from jaxgan.evaluation.measures import of_images as of_images
from jaxgan.evaluation.measures import over as over
from jaxgan.evaluation.samples import Evaluation as Evaluation
from jaxgan.evaluation.samples import evaluator as evaluator
from jaxgan.evaluation.samples import trace as trace
