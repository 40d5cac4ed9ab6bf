"""jaxgan: a functional framework for generative adversarial networks on JAX.

The public names, and where they come from, are in `__init__.pyi`. Each is imported when it is first
used, so that a command line can answer before jax is loaded.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
