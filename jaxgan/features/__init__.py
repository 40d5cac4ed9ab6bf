"""Pretrained feature extractors for metrics."""

from jaxgan.features.classifier import mnist_classifier as mnist_classifier
from jaxgan.features.fid_inception import inception as inception
