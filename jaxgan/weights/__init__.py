"""Weight files: reading and writing of safetensors, reading of PyTorch's `.pth` without PyTorch."""

from jaxgan.weights.safetensors import load as load
from jaxgan.weights.safetensors import record as record
from jaxgan.weights.safetensors import save as save
from jaxgan.weights.torch_file import load_torch as load_torch
