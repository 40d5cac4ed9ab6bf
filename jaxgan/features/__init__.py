"""Feature extractors for metrics."""

from jaxgan.features.by_name import by_name as by_name
from jaxgan.features.classifier import mnist_classifier as mnist_classifier
from jaxgan.features.fid_inception import inception as inception
from jaxgan.features.per_channel import per_channel as per_channel
from jaxgan.features.random_convolutions import random_convolutions as random_convolutions
