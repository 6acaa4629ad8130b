"""Event recordings in the formats of cameras and data sets, one a file, behind `read` and `open_events`."""

from .base import Decoder, EventFormat
from .checks import ChangedEvents, Changes, Invalid
from .reading import open_events, outline, read

__all__ = [
    "ChangedEvents",
    "Changes",
    "Decoder",
    "EventFormat",
    "Invalid",
    "open_events",
    "outline",
    "read",
]
