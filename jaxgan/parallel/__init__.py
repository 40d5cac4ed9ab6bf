"""Data parallelism: the data axis, and `jit`, `pmap` and `sharded` over devices and hosts.

Losses and layers import `axis` from here, and the modes import the training machinery: as in
`jaxgan` itself, each name is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
