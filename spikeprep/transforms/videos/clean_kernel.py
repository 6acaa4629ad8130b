"""The events of 8-bit videos without filter, leak and noise: `camera_kernel.Pixels`, many pixels at a time.

Without them a pixel's response is a function of its grey level alone. So each pixel keeps the lowest and the highest
grey level at which it does not fire, and 64 pixels of a frame are compared with theirs at a time. Only of those that
fire, or are in their dead time, is anything computed: in short loops over chunks of pixels whose intermediate values
stay in the first-level cache. The events are those of `camera_kernel.Pixels`, bit by bit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._jit import inline, jit
from ..._simd import bytes_outside, trailing_zeros
from .event_keys import DONE, EVENTS_FULL, KEYS_FULL, Room, event_key, write_events
from .pixel_model import NO_DEAD_TIME, on_grid, responses

_STEPS = (
    256.0  # buckets per unit of response: narrower than the distance of two levels, so each has at most one
)
_CHUNK = 2048  # pixels
_MOST = 600  # events of a pixel between two frames: ln 255 over the lowest threshold is 554
_ONE = np.uint64(1)


class _State(NamedTuple):
    """What the kernel keeps of each pixel, and two tables.

    Attributes
    ----------
    on, off
        Its thresholds, (pixel,).
    reference
        The response since which changes count, (pixel,).
    until
        End of the dead time in µs, or `NO_DEAD_TIME`, (pixel,); empty where there is no dead time.
    low, high
        The lowest and the highest grey level at which it does not fire, (pixel,); until it first changes, its own.
    values, table
        See `_levels`.
    """

    on: NDArray[np.float64]
    off: NDArray[np.float64]
    reference: NDArray[np.float64]
    until: NDArray[np.float64]
    low: NDArray[np.uint8]
    high: NDArray[np.uint8]
    values: NDArray[np.float64]
    table: NDArray[np.uint16]


class _Chunk(NamedTuple):
    """What is computed of the firing pixels of a chunk, (pixel,): see `_gather` and `_count`."""

    pixel: NDArray[np.uint32]
    z0: NDArray[np.float64]
    z1: NDArray[np.float64]
    level: NDArray[np.float64]
    step: NDArray[np.float64]
    pace: NDArray[np.float64]
    events: NDArray[np.float64]


@lru_cache(1)
def _levels() -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
    """Return the response of each grey level, then infinity, (257,); and a table from responses to levels.

    Entry i of the table is the lowest grey level of a response of at least i / `_STEPS`; 256 if there is none.
    """
    values = np.append(responses(), np.inf)
    edges = np.arange(int(values[255] * _STEPS) + 2) / _STEPS
    return values, np.searchsorted(values, edges).astype(np.uint16)


@inline
def _set_limits(s: Any, pixel: Any) -> None:
    """Write the lowest and the highest grey level at which a pixel does not fire."""
    falls = s.reference[pixel] - s.off[pixel]  # fires at or below it
    rises = s.reference[pixel] + s.on[pixel]  # and at or above it
    below = np.uint64(s.table[np.uint64(np.int64(max(falls * _STEPS, 0.0)))])
    above = np.uint64(s.table[np.uint64(np.int64(min(rises * _STEPS, s.table.size - 1.0)))])
    s.low[pixel] = below + np.uint64(s.values[below] <= falls)
    s.high[pixel] = above - np.uint64(s.values[above] >= rises)


@jit
def _firing(frame: NDArray[np.uint8], state: _State, begin: int, end: int, pixels: NDArray[np.uint32]) -> int:
    """Write which pixels from `begin` to `end` are outside their limits to `pixels`; return how many."""
    low, high = state.low, state.high
    number = np.uint64(0)
    for block in range(begin, end, 64):
        if block + 64 <= end:
            outside = bytes_outside(frame, low, high, block)
        else:
            outside = np.uint64(0)
            for n in range(end - block):
                level = frame[block + n]
                fires = level < low[block + n] or level > high[block + n]
                outside |= np.uint64(fires) << np.uint64(n)
        while outside:
            pixels[number] = block + trailing_zeros(outside)
            outside &= outside - _ONE
            number += _ONE
    return np.int64(number)  # type: ignore[return-value]


@jit
def _gather(
    old: NDArray[np.uint8], new: NDArray[np.uint8], state: _State, chunk: _Chunk, number: int
) -> None:
    """Write of each firing pixel its two responses, its reference, and its threshold, which is negative in a fall."""
    for n in range(np.uint64(number)):
        pixel = np.uint64(chunk.pixel[n])
        before, after = state.values[np.uint64(old[pixel])], state.values[np.uint64(new[pixel])]
        on, off, level = state.on[pixel], state.off[pixel], state.reference[pixel]
        chunk.z0[n], chunk.z1[n], chunk.level[n] = before, after, level
        chunk.step[n] = on if after > level else -off


@jit
def _count(chunk: _Chunk, number: int, span: float) -> float:
    """Write the µs per unit of response of each firing pixel, and how many thresholds it crosses; return their sum."""
    for n in range(number):
        chunk.pace[n] = span / (chunk.z1[n] - chunk.z0[n])
        change, size = abs(chunk.z1[n] - chunk.level[n]), abs(chunk.step[n])
        events = np.floor(change / size)  # may be one off; multiples of the threshold are exact
        events -= 1.0 if events * size > change else 0.0
        chunk.events[n] = events + (1.0 if change - events * size >= size else 0.0)
    total = 0.0
    for n in range(number):
        total += chunk.events[n]
    return total


@jit
def _emit(
    state: _State, chunk: _Chunk, number: int, span: float, latest: int, keys: NDArray[np.uint64], held: int
) -> int:
    """Write the keys of the firing pixels from key `held` on, and their references; return the number of keys."""
    at = np.uint64(held)
    for n in range(np.uint64(number)):
        pixel, left = np.uint64(chunk.pixel[n]), np.int64(chunk.events[n])
        level, z0, step, pace = chunk.level[n], chunk.z0[n], chunk.step[n], chunk.pace[n]
        while left > 0:
            level += step
            time = min(max((level - z0) * pace, 0.0), span)
            keys[at] = event_key(min(np.int64(np.rint(time)), latest), pixel, step > 0.0)
            at += _ONE
            left -= 1
        state.reference[pixel] = level
    return np.int64(at)  # type: ignore[return-value]


@jit
def _emit_with_dead_time(
    old: NDArray[np.uint8],
    new: NDArray[np.uint8],
    state: _State,
    pixels: NDArray[np.uint32],
    number: int,
    start: float,
    span: float,
    latest: int,
    dead: float,
    keys: NDArray[np.uint64],
    held: int,
) -> tuple[Any, Any]:
    """Do what `_gather`, `_count` and `_emit` do, with a dead time; return the number of keys and of pixels done."""
    at, last = np.uint64(held), np.uint64(keys.size - _MOST)
    for n in range(np.uint64(number)):
        if at > last:
            return np.int64(at), np.int64(n)
        pixel = np.uint64(pixels[n])
        z0, z1 = state.values[np.uint64(old[pixel])], state.values[np.uint64(new[pixel])]
        up, down, level = state.on[pixel], state.off[pixel], state.reference[pixel]
        free = 0.0  # µs of the interval from which the pixel is not in its dead time
        if state.until[pixel] >= 0.0:
            free = state.until[pixel] - start
            if free >= span:
                continue
            level = on_grid(z0 + (z1 - z0) * (free / span)) if free > 0.0 else z0
        pace = span / (z1 - z0)
        until = NO_DEAD_TIME
        while z1 - level >= up or level - z1 >= down:
            is_on = z1 > level
            level += up if is_on else -down
            time = min(max((level - z0) * pace, free), span)
            keys[at] = event_key(min(np.int64(np.rint(time)), latest), pixel, is_on)
            at += _ONE
            free = time + dead
            if free >= span:
                until = start + free
                break
            level = on_grid(z0 + (z1 - z0) * (free / span))
        state.reference[pixel], state.until[pixel] = level, until
    return np.int64(at), np.int64(number)


@jit
def _convert(
    frames: NDArray[np.uint8],
    before: NDArray[np.uint8],
    stamps: NDArray[np.int64],
    end: int,
    dead: float,
    state: _State,
    columns: int,
    progress: NDArray[np.int64],
    keys: NDArray[np.uint64],
    other: NDArray[np.uint64],
    counts: NDArray[np.int32],
    out: NDArray[np.uint64],
) -> int:
    """Write the events of `frames`; see `camera_kernel.Pixels.convert`."""
    pixels = before.size
    work = np.empty((6, _CHUNK))
    chunk = _Chunk(np.empty(_CHUNK, np.uint32), work[0], work[1], work[2], work[3], work[4], work[5])
    for j in range(progress[0], frames.shape[0]):
        start, span = stamps[j], float(stamps[j + 1] - stamps[j])
        latest = end - 1 - start
        old, new = frames[j - 1] if j else before, frames[j]
        held = progress[2]
        for begin in range(progress[1], pixels, _CHUNK):
            number = _firing(new, state, begin, min(begin + _CHUNK, pixels), chunk.pixel)
            if number == 0:
                continue
            if dead > 0.0:
                held, done = _emit_with_dead_time(
                    old, new, state, chunk.pixel, number, start, span, latest, dead, keys, held
                )
            else:
                _gather(old, new, state, chunk, number)
                done = 0
                if held + _count(chunk, number, span) <= keys.size:
                    held = _emit(state, chunk, number, span, latest, keys, held)
                    done = number
            for n in range(np.uint64(done)):
                pixel = np.uint64(chunk.pixel[n])
                if dead == 0.0 or state.until[pixel] < 0.0:
                    _set_limits(state, pixel)
                else:  # looked at in every frame
                    state.low[pixel], state.high[pixel] = 255, 0
            if done < number:  # the others are begun anew with more room
                progress[0], progress[1], progress[2] = j, chunk.pixel[done], held
                return KEYS_FULL
        written = progress[3]
        if written + held > len(out):
            progress[0], progress[1], progress[2] = j, pixels, held
            return EVENTS_FULL
        write_events(keys, other, held, np.int64(span), start, columns, counts, out, written)
        progress[0], progress[1], progress[2], progress[3] = j + 1, 0, 0, written + held
    return DONE


class CleanPixels:
    """The state of all pixels while a video goes by; parameters as of `camera_kernel.Pixels`."""

    def __init__(
        self,
        first: NDArray[np.uint8],
        on: NDArray[np.float64],
        off: NDArray[np.float64],
        dead: int,
        end: int,
        columns: int,
    ) -> None:
        self._dead, self._end, self._columns = float(dead), end, columns
        values, table = _levels()
        until = np.full(first.size if dead else 0, NO_DEAD_TIME)
        self._state = _State(on, off, values[first], until, first.copy(), first.copy(), values, table)

    def convert(
        self,
        frames: NDArray[np.uint8],
        before: NDArray[np.uint8],
        stamps: NDArray[np.int64],
        progress: NDArray[np.int64],
        room: Room,
        out: NDArray[np.uint64],
    ) -> int:
        """Write the events of frames; see `camera_kernel.Pixels.convert`."""
        return int(
            _convert(
                frames, before, stamps, self._end, self._dead, self._state, self._columns, progress, *room.keys,
                room.counts, out,
            )
        )  # fmt: skip
