"""Data: loading of image sets, and minibatches as a pure function of (seed, index)."""

from jaxgan.data.decode import PictureOptions as PictureOptions
from jaxgan.data.idx import read_idx as read_idx
from jaxgan.data.load import Dataset as Dataset
from jaxgan.data.load import blank as blank
from jaxgan.data.load import load as load
from jaxgan.data.load import load_tfds_sets as load_tfds_sets
from jaxgan.data.mixtures import Mixture as Mixture
from jaxgan.data.mixtures import gaussian as gaussian
from jaxgan.data.mixtures import grid as grid
from jaxgan.data.mixtures import ring as ring
from jaxgan.data.mixtures import sampled_minibatches as sampled_minibatches
from jaxgan.data.mixtures import spiral as spiral
from jaxgan.data.mixtures import swiss_roll as swiss_roll
from jaxgan.data.pictures import Pictures as Pictures
from jaxgan.data.pictures import conversions_in_words as conversions_in_words
from jaxgan.data.pictures import load_folder as load_folder
from jaxgan.data.pictures import load_pairs as load_pairs
from jaxgan.data.pictures import load_sets as load_sets
from jaxgan.data.recoloured import recoloured as recoloured
from jaxgan.data.sampler import as_float as as_float
from jaxgan.data.sampler import minibatches as minibatches
from jaxgan.data.shuffle import shuffled as shuffled
from jaxgan.data.streamed import streamed as streamed
from jaxgan.data.translation import Jitter as Jitter
from jaxgan.data.translation import resized_examples as resized_examples
from jaxgan.data.translation import translation_minibatches as translation_minibatches
