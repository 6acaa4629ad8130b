"""What the times of a recording count from: the zero of its stamps, or its first event."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT
from .base import BLOCK, HEAD, LATEST, Decoder, EventFormat, as_words
from .disorder import PADDING, leading_padding, number_of_leading
from .kernels import LEAP

SILENCE = 1_000_000
"""µs before the first event from which on stamps are a clock's, where a format does not say what they count from."""


def origin_of(form: EventFormat, decoder: Decoder) -> int:
    """Return what to subtract from a recording's stamps, in µs; the decoder is before its first event.

    Adds to `Decoder.notes` where the data decide. Where stamps are kept, they are plausible up to `LATEST` after the
    first one, which becomes `Decoder.latest`: they may be a clock's.
    """
    if decoder.camera_clock is False and not form.origin:
        return 0
    stamps = decoder.first_stamps()
    if not len(stamps):
        return 0
    if len(stamps) >= PADDING and (stamps == stamps[0]).all():
        stamps = _after_padding(decoder, stamps)
    first = _first(stamps)
    if form.origin == "stored":
        decoder.latest = max(first, 0) + LATEST
        return 0
    if form.origin or decoder.camera_clock:
        return first
    if 0 <= first <= SILENCE:
        return 0
    decoder.notes += (
        "time counts from the first event, as stamps begin "
        + ("below 0" if first < 0 else f"more than {SILENCE // 1_000_000} s after 0")
        + "; origin='stored' keeps them",
    )
    return first


def _after_padding(decoder: Decoder, stamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first stamps behind padding, or `stamps`, those of the first events, where there is none."""
    decoder.rewind()
    buffer, padding = np.empty(decoder.buffer_length(BLOCK), EVENT), None
    while count := decoder.fill(buffer):
        words = as_words(buffer[:count])
        padding = leading_padding(words) if padding is None else padding
        if padding is None:
            break
        leading = number_of_leading(words, padding)
        if leading < count:
            stamps = buffer["t"][leading:count][:HEAD].copy()
            break
    decoder.rewind()
    return stamps


def _first(stamps: np.ndarray) -> int:
    """Return the first stamp, or a later one where most of those that follow are long before it: it is wrong then."""
    for n, stamp in enumerate(stamps.tolist()):
        after = stamps[n + 1 :]
        if 2 * np.count_nonzero(after < stamp - LEAP) <= len(after):
            return int(stamp)
    return int(stamps[0])
