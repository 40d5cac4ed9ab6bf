"""Augmentations of the real and generated images that a discriminator receives."""

from jaxgan.augment.ada import R3GAN_POLICY as R3GAN_POLICY
from jaxgan.augment.ada import ada as ada
from jaxgan.augment.augmentation import Augment as Augment
from jaxgan.augment.augmentation import Augmentation as Augmentation
from jaxgan.augment.augmentation import as_augmentation as as_augmentation
from jaxgan.augment.augmentation import chain as chain
from jaxgan.augment.augmentation import stateless as stateless
from jaxgan.augment.diff_augment import diff_augment as diff_augment
from jaxgan.augment.instance_noise import instance_noise as instance_noise
