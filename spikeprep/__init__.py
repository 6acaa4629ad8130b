"""spikeprep: real data to bit-packed spike stores, and spiking networks trained straight from them.

>>> import spikeprep
>>> store = spikeprep.encode("digits", "digits.zarr")
>>> run = spikeprep.train(store, arch="200", run="run")
>>> spikeprep.evaluate(run, store).accuracy

The functions are loaded when they are first used, so importing the package is fast.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import encode, evaluate, open_run, open_store, plan, predict, train
    from .registry import register
    from .write_store import write_store

__all__ = [
    "__version__",
    "encode",
    "evaluate",
    "open_run",
    "open_store",
    "plan",
    "predict",
    "register",
    "train",
    "write_store",
]

_MODULES = dict.fromkeys(
    ("encode", "evaluate", "open_run", "open_store", "plan", "predict", "train"), "spikeprep.api"
) | {"register": "spikeprep.registry", "write_store": "spikeprep.write_store"}


def _function(name: str) -> Any:
    return getattr(importlib.import_module(_MODULES[name]), name)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, _function(name))  # set already where a submodule has the name


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Callable(ModuleType):
    """A module that is called like the function of the same name: `spikeprep.train`, `spikeprep.write_store`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _function(self.__name__.rpartition(".")[2])(*args, **kwargs)

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(_function(self.__name__.rpartition(".")[2]))


class _Package(ModuleType):
    """This package. Python binds an imported submodule to its name here; a function of that name must stay callable."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _MODULES and isinstance(value, ModuleType):
            value.__class__ = _Callable
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
