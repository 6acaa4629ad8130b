"""Pictures of spikes, sounds, event recordings and training; the only package that imports matplotlib.

Every function returns a `matplotlib.figure.Figure` outside matplotlib's global state; `save` writes it to a file.
"""

from .event_counts import EventCounts, count_events
from .events import has_event_units, recording, stored_recording
from .image_variants import variants
from .sound import cochleagram, stored_sound
from .spikes import MOST_CLASSES, raster
from .style import save
from .training import training_curve

__all__ = [
    "MOST_CLASSES",
    "EventCounts",
    "cochleagram",
    "count_events",
    "has_event_units",
    "raster",
    "recording",
    "save",
    "stored_recording",
    "stored_sound",
    "training_curve",
    "variants",
]
