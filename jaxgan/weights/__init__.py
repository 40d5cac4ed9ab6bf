"""Weight files: reading and writing of safetensors, reading of PyTorch's `.pth` without PyTorch.

`from_torch` and `to_torch` map the weights of published PyTorch networks to those of this package.
"""

from jaxgan.weights.safetensors import load as load
from jaxgan.weights.safetensors import load_arrays as load_arrays
from jaxgan.weights.safetensors import record as record
from jaxgan.weights.safetensors import save as save
from jaxgan.weights.torch_file import load_torch as load_torch
from jaxgan.weights.torch_networks import from_torch as from_torch
from jaxgan.weights.torch_networks import load_state_dict as load_state_dict
from jaxgan.weights.torch_networks import save_state_dict as save_state_dict
from jaxgan.weights.torch_networks import to_torch as to_torch
