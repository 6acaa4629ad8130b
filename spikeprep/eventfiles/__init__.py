"""Event recordings in files: a format per module, behind `read`, `open_events`, `outline`, `scan`, `scan_intervals` and
`write`."""

from ..input_files import InputFile, Limits
from .base import ByteDecoder, Decoder, EventFormat
from .checks import ChangedEvents, Changes, Invalid
from .chunks import Chunk, ChunkDecoder
from .intervals import IntervalScan, scan_intervals
from .reading import Scan, open_events, outline, read, scan
from .writer import EventWriter
from .writing import Written, write

__all__ = [
    "ByteDecoder",
    "ChangedEvents",
    "Changes",
    "Chunk",
    "ChunkDecoder",
    "Decoder",
    "EventFormat",
    "EventWriter",
    "InputFile",
    "IntervalScan",
    "Invalid",
    "Limits",
    "Scan",
    "Written",
    "open_events",
    "outline",
    "read",
    "scan",
    "scan_intervals",
    "write",
]
