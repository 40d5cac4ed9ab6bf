"""Experiments by name: those of jaxgan, modules of one's own, and files of one's own.

The name of an experiment is what `config.json` records, and how commands find it again: `mnist` for
one of jaxgan's, the name of another module, or the path of a file.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jaxgan.experiments
from jaxgan.errors import RunError
from jaxgan.runs.experiment import Config


def names() -> list[str]:
    """Names of jaxgan's experiments: the modules with a `Config` and a function `make`."""
    files = {path.stem: path for path in sorted(_folder().glob("*.py"))}
    return [name for name, path in files.items() if "main(Config, make)" in path.read_text()]


def find(name: str) -> ModuleType:
    """The module of an experiment.

    Args:
      name: a name of `names()`, a module such as `my_package.my_experiment`, or the path of a file
        that ends in `.py`.

    Raises:
      RunError: there is no such experiment, or it lacks `Config` or `make`.

    Example:
      >>> find("mnist").Config.__name__
      'Config'
    """
    short = name.removeprefix("experiments.")  # as earlier versions recorded them
    if name.endswith(".py"):
        module = _from_file(Path(name))
    elif short in names():
        module = importlib.import_module(f"jaxgan.experiments.{short}")
    else:
        module = _imported(name)
    if missing := [part for part in ("Config", "make") if not hasattr(module, part)]:
        raise RunError(
            f"{name} has no {' and no '.join(missing)}; an experiment is a module with a dataclass "
            "Config and a function make(config, data)"
        )
    return module


def experiment_of(directory: Path, record: Mapping[str, Any]) -> tuple[Config, Any]:
    """Configuration of a run, and the function `make` of its experiment.

    Args:
      directory: directory of the run.
      record: content of its `config.json`.

    Raises:
      RunError: the experiment is not found, or is another version.
    """
    name = record["experiment"]
    if name.endswith(".py") and Path(name).resolve().is_relative_to(directory.resolve()):
        raise RunError(f"{directory} names a file of its own as its code, {name}, which is not run")
    module = find(name)
    try:
        return module.Config(**record["config"]), module.make
    except TypeError as error:
        raise RunError(
            f"{directory} was made by another version of {name} ({error}); use that version"
        ) from None


def name_of(make: Callable[..., object]) -> str:
    """The name by which `find` finds the module of a function `make`."""
    file = Path(inspect.getfile(make)).resolve()
    if file.parent == _folder().resolve():
        return file.stem
    spec = sys.modules[make.__module__].__spec__
    return str(file) if spec is None or spec.name.startswith(_PREFIX) else spec.name


def summary(name: str) -> str:
    """First line of the docstring of an experiment's module."""
    return (find(name).__doc__ or "").split("\n")[0]


_PREFIX = "jaxgan_file_"  # of the names of modules that were loaded from a path


def _folder() -> Path:
    """The folder of jaxgan's experiments, in a wheel or in a clone."""
    return Path(list(jaxgan.experiments.__path__)[-1])


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise RunError(f"the experiment's file {path} does not exist; give the path of its file")
    path = path.resolve()
    name = f"{_PREFIX}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look up annotations
    sys.path.insert(0, str(path.parent))  # as for `python path/to/file.py`
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise RunError(f"{path} cannot be read as Python: {error}") from None
    finally:
        sys.path.remove(str(path.parent))
    return module


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RunError(
            f"the experiment {name} cannot be imported ({error}); jaxgan has {', '.join(names())}, "
            "and others are found where their module can be imported, or by the path of their file"
        ) from None
