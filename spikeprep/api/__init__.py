"""The functions of the package. The command line calls them and adds nothing.

A recipe's suggested training settings are applied in `training` and nowhere below, so a network trained from Python and
one trained from the command line with the same arguments are equal.

A function's module is imported when the function is first used: a command starts with what it needs alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .arguments import PathLike, ShowProgress
    from .converting import convert
    from .drawing import draw
    from .encoding import encode, plan
    from .evaluation import evaluate
    from .exporting import export
    from .opening import open_run, open_store
    from .prediction import predict
    from .training import plan_training, run_settings, train
    from .tuning import tune
    from .verification import verify

__all__ = [
    "PathLike",
    "ShowProgress",
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
    "run_settings",
    "train",
    "tune",
    "verify",
]

_MODULES = {
    "PathLike": "arguments",
    "ShowProgress": "arguments",
    "convert": "converting",
    "draw": "drawing",
    "encode": "encoding",
    "evaluate": "evaluation",
    "export": "exporting",
    "open_run": "opening",
    "open_store": "opening",
    "plan": "encoding",
    "plan_training": "training",
    "predict": "prediction",
    "run_settings": "training",
    "train": "training",
    "tune": "tuning",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    function = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    return globals().setdefault(name, function)
