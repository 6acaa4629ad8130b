"""Event recordings in files: a format per module, behind `read`, `open_events`, `outline`, `scan` and
`scan_intervals`."""

from ..input_files import InputFile
from .base import ByteDecoder, Decoder, EventFormat
from .checks import ChangedEvents, Changes, Invalid
from .chunks import Chunk, ChunkDecoder
from .intervals import IntervalScan, scan_intervals
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
    "IntervalScan",
    "Invalid",
    "Scan",
    "open_events",
    "outline",
    "read",
    "scan",
    "scan_intervals",
]
