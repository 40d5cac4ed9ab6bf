"""Augmentations of the real and generated images that a discriminator receives."""

from jaxgan.augment.augmentation import Augment as Augment
from jaxgan.augment.augmentation import Augmentation as Augmentation
from jaxgan.augment.augmentation import as_augmentation as as_augmentation
from jaxgan.augment.diff_augment import diff_augment as diff_augment
