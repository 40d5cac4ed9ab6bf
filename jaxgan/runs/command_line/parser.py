"""How tyro reads dataclasses into command lines: help as running text, and flags in groups.

tyro keeps the line breaks of docstrings of several lines, and shows all fields of a class, those of
its base classes too, in one list. With `REGISTRY`, a docstring is one paragraph, and the flags of
an experiment are listed under the class that declares them first.

Nothing here imports jax.
"""

import dataclasses
import inspect
import re
import typing
from typing import Any

import docstring_parser
import tyro
from tyro.constructors import (
    MISSING,
    ConstructorRegistry,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from jaxgan.runs.command_line import arguments
from jaxgan.runs.config.experiment import Config

REGISTRY = ConstructorRegistry()


def parse(config_type: type[Config], words: typing.Sequence[str] | None, **options: Any) -> Any:
    """The configuration of an experiment, from the words of its command line.

    Args:
      config_type: the experiment's `Config`.
      words: the command line, `sys.argv[1:]` by default.
      options: other arguments of `tyro.cli`.
    """
    return tyro.cli(
        config_type,
        args=words,
        description=_description(config_type),
        registry=REGISTRY,
        config=(tyro.conf.OmitArgPrefixes,),  # a group is not part of a flag's name
        **options,
    )


@REGISTRY.struct_rule
def _in_one_paragraph(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The arguments of a command, with the docstrings of its fields as running text."""
    if getattr(info.type, "__module__", None) != arguments.__name__:
        return None
    return StructConstructorSpec(info.type, _fields(info))


@REGISTRY.struct_rule
def _in_groups(info: StructTypeInfo) -> StructConstructorSpec | None:
    """An experiment's configuration, as a group of flags for each class that declares some."""
    if not (isinstance(info.type, type) and issubclass(info.type, Config)):
        return None
    groups: dict[type, list[StructFieldSpec]] = {}
    for field in _fields(info):
        groups.setdefault(_declared_by(info.type, field.name), []).append(field)

    def instantiate(**members: Any) -> Config:
        flags = {name: x for group in members.values() for name, x in vars(group).items()}
        return info.type(**flags)

    fields = []
    for owner, own in groups.items():
        group = dataclasses.make_dataclass(owner.__name__, map(_field_of_group, own))
        group.__doc__ = "" if owner is info.type else _description(owner)
        title = "own" if owner is info.type else _title(owner)
        fields.append(StructFieldSpec(title, group, group()))
    return StructConstructorSpec(instantiate, tuple(fields))


def _field_of_group(spec: StructFieldSpec) -> tuple[str, Any, Any]:
    default, metadata = lambda: spec.default, {"help": spec.helptext}
    return spec.name, spec.type, dataclasses.field(default_factory=default, metadata=metadata)


def _fields(info: StructTypeInfo) -> tuple[StructFieldSpec, ...]:
    """The fields of a dataclass, with their defaults, or the values of a default instance."""
    texts, hints = _texts(info.type), typing.get_type_hints(info.type, include_extras=True)
    fields = []
    for field in dataclasses.fields(info.type):
        if isinstance(info.default, info.type):
            default = getattr(info.default, field.name)
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            default = MISSING if field.default is dataclasses.MISSING else field.default
        text = field.metadata.get("help") or texts.get(field.name)
        fields.append(StructFieldSpec(field.name, hints[field.name], default, text))
    return tuple(fields)


def _texts(config_type: type) -> dict[str, str]:
    """Docstrings of the fields of a dataclass, also of those that it inherits, in one line each."""
    texts = {}
    for base in reversed(config_type.__mro__):
        if dataclasses.is_dataclass(base):
            for field in docstring_parser.parse_from_object(base).params:
                texts[field.arg_name] = " ".join((field.description or "").split())
    return texts


def _description(config_type: type) -> str:
    """Docstring of a dataclass; empty if it is the signature that stands in for a missing one."""
    text = inspect.cleandoc(config_type.__doc__ or "")
    return "" if text.startswith(f"{config_type.__name__}(") else text


def _declared_by(config_type: type, name: str) -> type:
    """The first class that has the field; others only change its default."""
    bases = reversed(config_type.__mro__)
    return next(base for base in bases if name in vars(base).get("__annotations__", {}))


def _title(owner: type) -> str:
    """Name of a group: of the class without its suffix, or, for a `Config`, of its module."""
    name = re.sub("Config$|Flags$", "", owner.__name__) or owner.__module__.rpartition(".")[2]
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
