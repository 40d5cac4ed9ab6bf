"""XLA flags that speed up training, set by jaxgan's command line.

jax reads them when it is initialised, so they must be in the environment before. Importing jaxgan
never sets any. For measurements, see docs/performance.md.
"""

import importlib.metadata
import os
import sys

# YNNPACK fusion slows down convolutions and speeds up reductions: enable it for reductions only.
# The flag is experimental, and an unknown flag aborts the program; hence the tested versions.
CPU_FUSION = "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_REDUCE"
TESTED_VERSIONS = ("0.10.", "0.11.", "0.12.")


def set_flags() -> None:
    """Adds the flags to `$XLA_FLAGS`, unless jax is imported already or the user has set them."""
    flags = os.environ.get("XLA_FLAGS", "")
    tested = importlib.metadata.version("jaxlib").startswith(TESTED_VERSIONS)
    if tested and "jax" not in sys.modules and "ynn_fusion_type" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {CPU_FUSION}".strip()
