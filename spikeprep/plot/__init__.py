"""Pictures of spikes, signals, recordings, networks and training; the only package that imports matplotlib.

Functions return a `matplotlib.figure.Figure` outside matplotlib's global state, `animation` a film; `save` writes
either to a file. Pictures follow matplotlib's style, light or dark; `theme` chooses one of ours.
"""

from .confusion_matrix import confusion
from .encoder_comparison import Encoding, encodings, stored_encodings
from .event_counts import EventCounts, count_events
from .events import has_event_units, recording, stored_recording
from .film import Animation, animation
from .image_variants import variants
from .layer_spikes import layers
from .saving import Picture, check_picture, save
from .sound import cochleagram, has_sound, stored_sound
from .spikes import MOST_CLASSES, raster
from .style import Theme, theme
from .training import training_curve
from .weight_images import weights
from .wrong_samples import misclassified

__all__ = [
    "MOST_CLASSES",
    "Animation",
    "Encoding",
    "EventCounts",
    "Picture",
    "Theme",
    "animation",
    "check_picture",
    "cochleagram",
    "confusion",
    "count_events",
    "encodings",
    "has_event_units",
    "has_sound",
    "layers",
    "misclassified",
    "raster",
    "recording",
    "save",
    "stored_encodings",
    "stored_recording",
    "stored_sound",
    "theme",
    "training_curve",
    "variants",
    "weights",
]
