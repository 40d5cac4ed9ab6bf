"""Network architectures as flax linen modules, and adapters for any linen or nnx module.

`from_linen(module)` and `from_nnx(make)` convert a module into a `Network`, the pure pair
`(init, apply)` that games take.
"""

from jaxgan.networks.adapters import from_linen as from_linen
from jaxgan.networks.adapters import from_nnx as from_nnx
from jaxgan.networks.adapters import remat as remat
from jaxgan.networks.attention import SelfAttention as SelfAttention
from jaxgan.networks.biggan import BigGANDiscriminator as BigGANDiscriminator
from jaxgan.networks.biggan import BigGANGenerator as BigGANGenerator
from jaxgan.networks.biggan_deep import BigGANDeepDiscriminator as BigGANDeepDiscriminator
from jaxgan.networks.biggan_deep import BigGANDeepGenerator as BigGANDeepGenerator
from jaxgan.networks.classifier import ConvClassifier as ConvClassifier
from jaxgan.networks.compose import packed as packed
from jaxgan.networks.compose import with_head as with_head
from jaxgan.networks.conditioning import ConditionalBatchNorm as ConditionalBatchNorm
from jaxgan.networks.conditioning import ProjectionHead as ProjectionHead
from jaxgan.networks.dcgan import DCGANDiscriminator as DCGANDiscriminator
from jaxgan.networks.dcgan import DCGANEncoder as DCGANEncoder
from jaxgan.networks.dcgan import DCGANGenerator as DCGANGenerator
from jaxgan.networks.dcgan import DCGANHead as DCGANHead
from jaxgan.networks.fastgan import FastGANDiscriminator as FastGANDiscriminator
from jaxgan.networks.fastgan import FastGANGenerator as FastGANGenerator
from jaxgan.networks.inception_v3 import InceptionV3 as InceptionV3
from jaxgan.networks.layers import BatchNorm as BatchNorm
from jaxgan.networks.layers import Conv as Conv
from jaxgan.networks.layers import ConvTranspose as ConvTranspose
from jaxgan.networks.layers import Dropout as Dropout
from jaxgan.networks.layers import InstanceNorm as InstanceNorm
from jaxgan.networks.minibatch import minibatch_stddev as minibatch_stddev
from jaxgan.networks.mlp import MLP as MLP
from jaxgan.networks.mlp import JointMLP as JointMLP
from jaxgan.networks.mlp import MaxoutMLP as MaxoutMLP
from jaxgan.networks.patch import PatchDiscriminator as PatchDiscriminator
from jaxgan.networks.r3gan import R3GANDiscriminator as R3GANDiscriminator
from jaxgan.networks.r3gan import R3GANGenerator as R3GANGenerator
from jaxgan.networks.resnet import ResNetGenerator as ResNetGenerator
from jaxgan.networks.sngan import SNGANDiscriminator as SNGANDiscriminator
from jaxgan.networks.sngan import SNGANGenerator as SNGANGenerator
from jaxgan.networks.spectral import SpectralNorm as SpectralNorm
from jaxgan.networks.standing import standing_statistics as standing_statistics
from jaxgan.networks.style import EqualConv as EqualConv
from jaxgan.networks.style import EqualDense as EqualDense
from jaxgan.networks.style import modulated_conv as modulated_conv
from jaxgan.networks.stylegan2 import MappingNetwork as MappingNetwork
from jaxgan.networks.stylegan2 import StyleGAN2Discriminator as StyleGAN2Discriminator
from jaxgan.networks.stylegan2 import StyleGAN2Generator as StyleGAN2Generator
from jaxgan.networks.unet import UNetGenerator as UNetGenerator
