"""Pictures: spikes, sound and events of a store, a run's training curve. The one door to matplotlib.

Every function returns a `matplotlib.figure.Figure` that belongs to nobody's global state; `save` writes it.
"""

from .event_counts import Seen, look
from .events import is_recorded, recorded, recording
from .sound import heard, hearing
from .spikes import MOST_CLASSES, raster
from .style import save
from .training import training_curve

__all__ = [
    "MOST_CLASSES",
    "Seen",
    "heard",
    "hearing",
    "is_recorded",
    "look",
    "raster",
    "recorded",
    "recording",
    "save",
    "training_curve",
]
