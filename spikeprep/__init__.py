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

from ._version import __version__

if TYPE_CHECKING:
    from .api import (
        convert,
        draw,
        encode,
        evaluate,
        export,
        open_run,
        open_store,
        plan,
        plan_training,
        predict,
        train,
        tune,
        verify,
    )
    from .encoding.arrays import write_store
    from .registry import register

__all__ = [
    "__version__",
    "convert",
    "draw",
    "encode",
    "evaluate",
    "export",
    "open_run",
    "open_store",
    "plan",
    "plan_training",
    "predict",
    "register",
    "train",
    "tune",
    "verify",
    "write_store",
]

_MODULES = {name: "spikeprep.api" for name in __all__ if name != "__version__"} | {
    "register": "spikeprep.registry",
    "write_store": "spikeprep.encoding.arrays",
}


def _function(name: str) -> Any:
    return getattr(importlib.import_module(_MODULES[name]), name)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    function = _function(name)
    return globals().setdefault(name, function)  # loading a module may have bound its folder to the name


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _CallablePackage(ModuleType):
    """A package such as `spikeprep.train`, called like the function of the same name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _function(self.__name__.rpartition(".")[2])(*args, **kwargs)

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(_function(self.__name__.rpartition(".")[2]))


class _Package(ModuleType):
    """This package, whose folders `train` and `export` stay callable when Python binds them to their names here."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("train", "export") and isinstance(value, ModuleType):
            value.__class__ = _CallablePackage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
