"""Event recordings in files: a format per module, behind `read`, `open_events`, `outline` and `scan`."""

from ..input_files import InputFile
from .base import ByteDecoder, Decoder, EventFormat
from .checks import ChangedEvents, Changes, Invalid
from .chunks import Chunk, ChunkDecoder
from .reading import Scan, open_events, outline, read, scan

__all__ = [
    "ByteDecoder",
    "ChangedEvents",
    "Changes",
    "Chunk",
    "ChunkDecoder",
    "Decoder",
    "EventFormat",
    "InputFile",
    "Invalid",
    "Scan",
    "open_events",
    "outline",
    "read",
    "scan",
]
