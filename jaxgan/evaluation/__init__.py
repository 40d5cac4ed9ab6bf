"""Evaluation of generators: metrics of their samples, or of image files, against real examples."""

from jaxgan.evaluation.measures import MEASURES as MEASURES
from jaxgan.evaluation.measures import measurable as measurable
from jaxgan.evaluation.measures import of_images as of_images
from jaxgan.evaluation.measures import over as over
from jaxgan.evaluation.pictures import of_pictures as of_pictures
from jaxgan.evaluation.samples import Evaluation as Evaluation
from jaxgan.evaluation.samples import evaluator as evaluator
from jaxgan.evaluation.samples import trace as trace
