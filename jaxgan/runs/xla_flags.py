"""XLA flags that were measured to help, for programs that are started by jaxgan's command line.

They are read when jax starts, so they have to be in the environment before; importing jaxgan never
sets any. docs/performance.md has the measurements.
"""

import importlib.metadata
import os
import sys

# YNNPACK fusion slows convolutions down and speeds reductions up: keep it for the latter. The flag
# is experimental, and an unknown flag ends the program, hence the versions that were tried.
CPU_FUSION = "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_REDUCE"
TRIED_ON = ("0.10.", "0.11.", "0.12.")


def set_flags() -> None:
    """Adds the flags to `$XLA_FLAGS`, unless jax is loaded, or the user has set them otherwise."""
    given = os.environ.get("XLA_FLAGS", "")
    known = importlib.metadata.version("jaxlib").startswith(TRIED_ON)
    if known and "jax" not in sys.modules and "ynn_fusion_type" not in given:
        os.environ["XLA_FLAGS"] = f"{given} {CPU_FUSION}".strip()
