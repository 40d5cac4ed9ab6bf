"""Data parallelism: the data axis, and `jit`, `pmap` and `sharded` over devices and hosts.

Names are imported lazily, as in `jaxgan` itself: losses and layers import `axis` from here, and the
modes import the training modules.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
