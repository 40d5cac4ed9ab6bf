"""Experiments by name: those of jaxgan, other modules, and files.

The name of an experiment is what `config.json` records: `mnist` for one of jaxgan's, the name of
another module, or the path of a file. Commands on a run find jaxgan's and installed ones by it; the
others must be named by the user.
"""

import difflib
import importlib
import importlib.util
import inspect
import site
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import jaxgan.experiments
from jaxgan.errors import RunError


def names() -> list[str]:
    """Names of jaxgan's experiments: the modules with a `Config` and a function `make`."""
    files = {path.stem: path for path in sorted(_folder().glob("*.py"))}
    return [
        name
        for name, path in files.items()
        if "main(Config, make)" in path.read_text(encoding="utf-8")
    ]


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
    short = name.removeprefix("experiments.")  # as `python -m` names them
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


def of_run(directory: Path, name: str, *, named: str | None = None) -> ModuleType:
    """The module of a run's experiment, by the name in its `config.json`.

    The directory may come from a stranger, and a module is code that is executed: it must be one of
    jaxgan's experiments, be installed (in `site-packages`), or be named by the user.

    Args:
      directory: directory of the run.
      name: the recorded name.
      named: name of the experiment, or path of its file, by the user.

    Raises:
      RunError: it is neither shipped nor installed nor named; or an error of `find`.
    """
    if named is not None:
        return find(named)
    if name.removeprefix("experiments.") not in names() and not _is_installed(name):
        shown = name if name.isprintable() else repr(name)
        raise RunError(
            f"{directory} was trained by {shown}, which jaxgan does not have and which is not "
            f"executed unasked; if you trust it, give --experiment {shown}"
        )
    return find(name)


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


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """A question for an error message, `; did you mean NAME?`; empty if no name is similar.

    Example:
      >>> did_you_mean("mnsit", ["cifar10", "mnist"]), did_you_mean("vae", ["mnist"])
      ('; did you mean mnist?', '')
    """
    similar = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {similar[0]}?" if similar else ""


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
    if str(path.parent) not in sys.path:  # as for `python path/to/file.py`, also for late imports
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise RunError(f"{path} cannot be read as Python: {error}") from None
    return module


def _is_installed(name: str) -> bool:
    """Whether a module is one of an installed package; nothing is executed to find out."""
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    try:
        spec = importlib.util.find_spec(name.split(".")[0])
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    locations = spec.submodule_search_locations or [spec.origin or ""]
    places = [Path(place).resolve() for place in locations]
    return all(any(place.is_relative_to(site) for site in _site_packages()) for place in places)


def _site_packages() -> list[Path]:
    """Folders of installed packages."""
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [Path(folder).resolve() for folder in [*folders, *user]]


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, SyntaxError, TypeError, ValueError) as error:
        question = did_you_mean(name, names()) or f"; jaxgan has {', '.join(names())}"
        raise RunError(
            f"the experiment {name} cannot be imported ({error}); give your own by the path of "
            f"its file, or by the name of an importable module{question}"
        ) from None
