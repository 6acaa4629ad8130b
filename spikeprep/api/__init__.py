"""The functions of the package. The command line calls them and adds nothing.

A recipe's suggested training settings are applied in `training` and nowhere below, so a network trained from Python and
one trained from the command line with the same arguments are equal.
"""

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
