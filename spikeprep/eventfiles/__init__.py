"""Event recordings in the formats of cameras and data sets, one a file, behind `read` and `open_events`."""

from .base import ByteDecoder, Decoder, EventFormat
from .checks import ChangedEvents, Changes, Invalid
from .chunks import Chunk, ChunkDecoder
from .reading import open_events, outline, read

__all__ = [
    "ByteDecoder",
    "ChangedEvents",
    "Changes",
    "Chunk",
    "ChunkDecoder",
    "Decoder",
    "EventFormat",
    "Invalid",
    "open_events",
    "outline",
    "read",
]
