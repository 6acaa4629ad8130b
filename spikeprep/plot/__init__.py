"""Pictures: spikes, sound and events of a store, a run's training curve. The one door to matplotlib.

Every function returns a `matplotlib.figure.Figure` that belongs to nobody's global state; `save` writes it.
"""

from .sound import heard, hearing
from .spikes import MOST_CLASSES, raster
from .style import save
from .training import training_curve

__all__ = ["MOST_CLASSES", "heard", "hearing", "raster", "save", "training_curve"]
