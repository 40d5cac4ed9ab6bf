"""Evaluation metrics: streaming, mergeable, and computed into records with their provenance."""

from jaxgan.metrics.accuracy import accuracy as accuracy
from jaxgan.metrics.averages import averages as averages
from jaxgan.metrics.frechet import frechet_distance as frechet_distance
from jaxgan.metrics.frechet import gaussian_frechet_distance as gaussian_frechet_distance
from jaxgan.metrics.inception_score import classifier_score as classifier_score
from jaxgan.metrics.kid import kernel_distance as kernel_distance
from jaxgan.metrics.memorization import memorization as memorization
from jaxgan.metrics.metric import PIXELS as PIXELS
from jaxgan.metrics.metric import RAW as RAW
from jaxgan.metrics.metric import Features as Features
from jaxgan.metrics.metric import Metric as Metric
from jaxgan.metrics.metric import MetricRecord as MetricRecord
from jaxgan.metrics.metric import Records as Records
from jaxgan.metrics.metric import collecting as collecting
from jaxgan.metrics.modes import class_coverage as class_coverage
from jaxgan.metrics.modes import mode_coverage as mode_coverage
from jaxgan.metrics.modes import reverse_kl_floor as reverse_kl_floor
from jaxgan.metrics.neighbors import nearest as nearest
from jaxgan.metrics.parzen import log_likelihoods as log_likelihoods
from jaxgan.metrics.parzen import parzen_log_likelihood as parzen_log_likelihood
from jaxgan.metrics.perceptual import lpips as lpips
from jaxgan.metrics.perceptual import lpips_distance as lpips_distance
from jaxgan.metrics.prdc import (
    precision_recall_density_coverage as precision_recall_density_coverage,
)
from jaxgan.metrics.roc import roc_auc as roc_auc
from jaxgan.metrics.segmentation import SegmentationScores as SegmentationScores
from jaxgan.metrics.segmentation import confusion_matrix as confusion_matrix
from jaxgan.metrics.segmentation import segmentation_scores as segmentation_scores
from jaxgan.metrics.sharpness import laplacian_variance as laplacian_variance
from jaxgan.metrics.sharpness import sharpness as sharpness
from jaxgan.metrics.similarity import ms_ssim as ms_ssim
from jaxgan.metrics.similarity import ms_ssim_diversity as ms_ssim_diversity
from jaxgan.metrics.similarity import psnr as psnr
from jaxgan.metrics.similarity import reconstruction as reconstruction
from jaxgan.metrics.similarity import ssim as ssim
from jaxgan.metrics.sliced import sliced_wasserstein as sliced_wasserstein
