"""Presets of an experiment: named defaults of its flags, such as those of a published method.

A `Config` with presets has the table `PRESETS` and a field `preset`. On the command line,
`--preset NAME` sets the flags of a preset, any other flag overrides them, and with `--help` they
are shown as defaults.

Nothing here imports jax.
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from jaxgan.errors import RunError
from jaxgan.runs.config.experiment import Config

C = TypeVar("C", bound=Config)


class Preset(NamedTuple):
    """Flags of a published method.

    Attributes:
      reference: the paper, and where the flags differ from it.
      flags: values of fields of the `Config`, by name.

    Example:
      >>> @dataclasses.dataclass(frozen=True)
      ... class Mine(Config):
      ...     preset: str | None = None
      ...     width: int = 64
      ...     PRESETS = {"small": Preset("Somebody, 2026, without augmentation", {"width": 8})}
      >>> with_preset(Mine, "small").width
      8
    """

    reference: str
    flags: Mapping[str, Any]


def with_preset(config_type: type[C], name: str | None, **flags: Any) -> C:
    """The config of a preset, with other flags changed.

    Args:
      config_type: a `Config` with a table `PRESETS`.
      name: name of the preset; `None` for the defaults.
      flags: values that replace those of the preset.

    Returns:
      A config of that type.

    Raises:
      RunError: there is no such preset.

    Example:
      >>> from jaxgan.experiments.images import Config
      >>> config = with_preset(Config, "wgan_gp", latent=32)
      >>> config.loss, config.discriminator_turns, config.latent
      ('wasserstein', 5, 32)
    """
    if name is None:
        return config_type(**flags)
    presets: Mapping[str, Preset] = getattr(config_type, "PRESETS", {})
    if name not in presets:
        known = ", ".join(presets) or "none"
        raise RunError(f"--preset is {name}, which this experiment lacks; it has {known}")
    return config_type(**{"preset": name, **presets[name].flags, **flags})


def defaults(config_type: type[C], argv: Sequence[str]) -> C:
    """The config whose values are the defaults of the other flags of a command line.

    Raises:
      RunError: `--preset` names no preset.
    """
    if "preset" not in {field.name for field in dataclasses.fields(config_type)}:
        return config_type()
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--preset")
    try:
        name = parser.parse_known_args(list(argv))[0].preset
    except argparse.ArgumentError:  # no name after --preset, which the real parser will say
        return config_type()
    return with_preset(config_type, name)
