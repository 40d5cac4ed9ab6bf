"""Weight files: safetensors, written and read, and PyTorch's `.pth`, read without PyTorch."""

from jaxgan.weights.safetensors import load as load
from jaxgan.weights.safetensors import record as record
from jaxgan.weights.safetensors import save as save
from jaxgan.weights.torch_file import load_torch as load_torch
