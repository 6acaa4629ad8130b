"""One pass over a recording: decode a block, check it, and refuse, clip or drop its invalid events.

The compiled check `kernels.all_valid` sees every event. Only blocks that fail it take the slow way, where a stamp after
silence waits for the events that follow, so that of wrong stamps only their own events are lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT
from ..errors import DataError
from .base import BLOCK, LATEST, Decoder, Words, as_words, empty_events
from .checks import LATE, OFF_SENSOR, PADDED, POLARITY, REASONS, Changes, Invalid, NoEvents
from .disorder import (
    PADDING,
    SORT,
    WRONG,
    TrailingPadding,
    fix_of_leap,
    fix_of_order,
    leading_finding,
    leading_padding,
    number_of_leading,
)
from .kernels import BACK, FAR, LEAP, all_valid, judge
from .polarities import ZERO
from .silence import LongestSilence

_FEW = 16  # events at either end of a recording that may have wrong stamps, at most 1 % of it
_JOINED = 2  # events of x, y and t 0 that a joined recording may begin with
_REPAIRED, _SHARE = 10, 0.05  # events that may be changed for one reason, and their share of a recording
_HINT = "pass invalid='drop' to leave such events out, invalid='clip' to move them into range."


@dataclass
class _Events:
    """Decoded events whose stamps are not judged yet: fields as the file has them, and byte offsets (−1: unknown)."""

    events: NDArray[np.void]
    raw: NDArray[np.int64]  # x, y, p
    at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, index: slice) -> _Events:
        return _Events(self.events[index], self.raw[:, index], self.at[index])

    def and_then(self, later: _Events) -> _Events:
        """Return these events and later ones."""
        if not len(self):
            return later
        events = np.empty(len(self) + len(later), EVENT)
        as_words(events)[: len(self)] = as_words(self.events)
        as_words(events)[len(self) :] = as_words(later.events)
        return _Events(events, np.concatenate([self.raw, later.raw], 1), np.concatenate([self.at, later.at]))


_NO_EVENTS = _Events(empty_events(), np.empty((3, 0), np.int64), np.empty(0, np.int64))


class CheckedPass:
    """One pass over a recording; `events` counts those that remain, `decoded` those of the file."""

    def __init__(
        self, decoder: Decoder, size: tuple[int, int], invalid: Invalid, gaps: bool, changes: Changes
    ) -> None:
        self.decoder, self.changes, self.invalid, self.gaps, self.size = decoder, changes, invalid, gaps, size
        self.decoded = self.events = self.latest = 0
        self.first: int | None = None
        self._unjudged, self._ready, self._ended = _NO_EVENTS, _NO_EVENTS.events, False
        self._head: tuple[int, int, int] | None = None  # events before an early leap, the stamps around it
        self._padding: NDArray[np.uint64] | None = None  # the event that is many times at the beginning
        self._beginning = ""  # what is strange about the first events
        self._order = SORT  # what to do about events that are out of order
        self._silence, self._tail = LongestSilence(), TrailingPadding()

    def fill(self, events: NDArray[np.void]) -> int:
        """Decode and check the next events into `events`; return how many: fewer than fit at the end only."""
        count = 0
        while count < len(events):
            if len(self._ready):
                block = events[count : count + len(self._ready)]
                as_words(block)[:] = as_words(self._ready[: len(block)])
                self._ready = self._ready[len(block) :]
                count += len(block)
                continue
            if self._ended:
                break
            block = events[count : count + BLOCK]
            # whether the beginning is padding is decided at once
            short = not self.decoded and len(block) < PADDING
            if short:
                block = np.empty(PADDING, EVENT)
            decoded = self.decoder.fill(block)
            self._ended = not decoded
            block = block[:decoded]
            words = as_words(block)
            if not self.decoded and decoded:
                self._padding, self._beginning = leading_padding(words), leading_finding(words)
            fast = not short and not len(self._unjudged) and self._padding is None
            if decoded and fast and self._valid(words):
                end = int(words[-1, 1])
                if self.first is None:
                    self.first = self.latest = int(words[0, 1])
                if end - self.first > 2 * (self.latest - self.first):
                    self._silence.look(block["t"], self.first, self.latest, self.events)
                self.latest = end
                self._flip(block)
                self._tail.look(words)
                count += decoded
                self.events += decoded
            elif decoded or len(self._unjudged):
                self._ready = self._repaired(block)
            self.decoded += decoded
        return count

    @property
    def settled(self) -> bool:
        """Whether every event that was decoded is judged and was returned."""
        return not len(self._unjudged) and not len(self._ready)

    def pieces(self, piece_events: int) -> Iterator[NDArray[np.void]]:
        """Yield the remaining events, `piece_events` at a time."""
        length = self.decoder.buffer_length(piece_events)
        while True:
            piece = np.empty(length, EVENT)
            if not (count := self.fill(piece)):
                break
            yield piece[:count]

    def _valid(self, block: Words) -> bool:
        if not all_valid(block, *self.size, self.latest, self.decoder.latest):
            return False
        if self.events > _FEW:
            return True
        t = block[:, 1]  # after a leap within the first few events, these may have wrong stamps
        return int(t[min(_FEW, len(t) - 1)]) - (self.latest if self.events else int(t[0])) <= LEAP

    def _flip(self, events: NDArray[np.void]) -> None:
        if self.decoder.flip_y:
            rows = events["y"]
            np.subtract(self.size[1] - 1, rows, out=rows)

    def _repaired(self, block: NDArray[np.void]) -> NDArray[np.void]:
        """Return the events that remain of those that can be judged, or raise `DataError` at the first invalid one.

        `block` are the last `fill`'s events, none at the end.
        """
        ahead = len(self._unjudged)
        raw = np.empty((3, len(block)), np.int64)
        for n, name in enumerate("xyp" if len(block) else ""):
            raw[n] = self.decoder.raw_field(name, block)
        events = self._unjudged.and_then(_Events(block, raw, np.full(len(block), -1)))
        (width, height), (x, y, p), t = self.size, events.raw, events.events["t"].copy()
        reasons = np.zeros(len(t), np.uint8)
        reasons[(p < 0) | (p > 1)] = POLARITY
        reasons[t > self.decoder.latest] = LATE
        reasons[(x < 0) | (x >= width) | (y < 0) | (y >= height)] = OFF_SENSOR
        # an event that is dropped, for whatever reason, does not move the latest time, nor does an impossible one
        usable = reasons == 0 if self.invalid == "drop" else t <= self.decoder.latest
        verdicts, clock = np.zeros(len(t), np.uint8), np.zeros(len(t), np.int64)
        few = 0 if self.gaps else min(_FEW, (self.decoded + len(block)) // 100)
        before = self.latest
        count = judge(t, usable, before, self._ended, few, verdicts, clock)
        verdicts[(x == 0) & (y == 0) & (t == -self.decoder.origin) & (verdicts == BACK)] = PADDED
        if self._padding is not None:
            leading = number_of_leading(as_words(events.events), self._padding)
            verdicts[:leading] = PADDED
            if leading < len(events):
                self._padding = None
        reasons = np.where(reasons == 0, verdicts, reasons)[:count]
        wrong = reasons != 0
        if wrong.any() and (self.invalid == "fail" or not self.changes.first):
            self._report(events, reasons, np.concatenate([[before], clock]), ahead, len(block))
        self._accept(t[:count][~wrong], before)
        self.latest = int(clock[count - 1]) if count else before
        rest = events[slice(count, None)]
        if self.invalid == "fail" or not self.changes.first:
            for n in range(max(ahead - count, 0), len(rest)):
                rest.at[n] = self.decoder.offset(len(block), count + n - ahead)
        self._unjudged = _Events(rest.events.copy(), rest.raw.copy(), rest.at.copy())
        return self._remaining(events[slice(count)], reasons, clock[:count])

    def _accept(self, t: NDArray[np.int64], latest: int) -> None:
        """Count events whose stamps are right, and note a leap after the first few; `latest` is the stamp before."""
        if not len(t):
            return
        begin = int(t[0]) if self.first is None else self.first
        self._silence.look(t, begin, begin if self.first is None else latest, self.events)
        if self.events <= _FEW:
            first = t[0] if self.first is None else self.latest
            leaps = np.diff(t[: _FEW + 1], prepend=first) > LEAP
            for n in np.flatnonzero(leaps).tolist():
                if 0 < self.events + n <= _FEW:
                    self._head = self.events + n, int(t[n - 1] if n else first), int(t[n])
        if self.first is None:
            self.first = int(t[0])

    def _remaining(
        self, events: _Events, reasons: NDArray[np.uint8], clock: NDArray[np.int64]
    ) -> NDArray[np.void]:
        """Return judged events, invalid ones clipped or dropped."""
        remaining, wrong = events.events.copy(), reasons != 0
        if wrong.any():
            for reason, words in REASONS.items():
                if number := int((reasons == reason).sum()):
                    counts = self.changes.reasons
                    counts[words.words] = counts.get(words.words, 0) + number
            removed = wrong if self.invalid == "drop" else reasons == PADDED
            if self.invalid == "clip":
                (width, height), (x, y, p) = self.size, events.raw
                remaining["x"], remaining["y"] = x.clip(0, width - 1), y.clip(0, height - 1)
                remaining["p"], remaining["t"] = p.clip(0, 1), clock
            remaining = remaining[~removed]
            self.changes.dropped += int(removed.sum())
            self.changes.clipped += int((wrong & ~removed).sum())
        self.events += len(remaining)
        self._flip(remaining)
        if len(remaining):
            self._tail.look(as_words(remaining))
        return remaining

    def _report(
        self,
        events: _Events,
        reasons: NDArray[np.uint8],
        latest: NDArray[np.int64],
        ahead: int,
        decoded: int,
    ) -> None:
        """Raise `DataError` at the first invalid event, or keep what is wrong with it."""
        n = int((reasons != 0).argmax())
        (width, height), (x, y, p), t, back = self.size, events.raw[:, n], events.events["t"][n], latest[n]
        if reasons[n] == OFF_SENSOR:
            what = f"x {x}, y {y} lies off the sensor"
            expected = f"x below {width} and y below {height}"
            size = f"Give size=(width, height) if the sensor is not {width} × {height}"
            fix = f"{size}, or {self._other_sensor}{_HINT}"
            xs, ys = events.raw[:2]
            if min(xs.min(), ys.min()) == 1 and (xs.max() <= width and ys.max() <= height):
                larger = f"size=({width + 1}, {height + 1})"
                fix = f"x and y count from 1: subtract 1 from them in the file, or give {larger}, or {_HINT}"
        elif reasons[n] == LATE:
            first = self.decoder.latest - LATEST  # 0, but where a clock's stamps are kept
            since = "the first event" if first else "the start"
            what = f"t {t} µs is {(t - first) / 86_400e6:,.0f} days after {since}"
            expected = f"at most {self.decoder.latest:,} µs, 11.6 days after {since}"
            fix = f"{self.decoder.late_hint}, or {_HINT}"
        elif reasons[n] == POLARITY:
            what, expected = f"has polarity {0 if p == ZERO else p}", "0 (OFF) or 1 (ON)"
            fix = f"{self.decoder.polarity_hint}, or {_HINT}"
        elif reasons[n] == PADDED and (same := int((reasons == PADDED).sum())) > _JOINED:
            what = f"x {x}, y {y}, t {t + self.decoder.origin}, the same in {same:,} events or more"
            expected, fix = "events, no padding", "Pass invalid='drop' to leave padding out."
        elif reasons[n] in (BACK, PADDED):
            what = f"t {t} µs is before {back}" if back else f"t {t} µs is before the start"
            expected = "time stamps that never decrease"
            number = self.decoded - ahead + n
            self._order = fix_of_order(events.events["t"], n, int(back), self.decoder.origin, number)
            fix = f"{self._order}, or {_HINT}"
        else:
            since = "the start" if self.first is None and n == 0 else "the event before"
            what = f"t {t} µs is {(t - back) / 1e6:,.6g} s after {since}"
            expected = "a stamp near the others"
            if np.any(events.events["t"][n + 1 :] < t):
                what += ", and most of what follows is before it"
                number = self.decoded - ahead + n
                advice = fix_of_leap(events.events["t"], n, self.decoder.origin, number)
                self._order = SORT if advice == WRONG else advice
                fix = f"{advice}: {_HINT}" if advice == WRONG else f"{advice}; or {_HINT}"
            else:
                what += ", far from all others"
                fix = f"Pass gaps=True if there was such silence before the last events, or {_HINT}"
        at = events.at[n] if n < ahead else self.decoder.offset(decoded, n - ahead)
        number = self.decoded - ahead + n
        what = f"event {number}{f' at byte {at}' if at >= 0 else ''}: {what}"
        if self.invalid == "fail":
            raise DataError(f"{self.decoder.path}: {what}", expected, fix)
        self.changes.first = what

    @property
    def _other_sensor(self) -> str:
        """What else events off the sensor may mean: "…, or ", or an empty text."""
        hint = self.decoder.size_hint
        return f"{hint}, or " if hint else ""

    def finish(self) -> None:
        """Check what is known only after the last event: a truncated file, a recording without events."""
        self.changes.undated = self.decoder.undated
        self.changes.sorted = self.decoder.sorted
        rest = self.decoder.incomplete_end()
        path = self.decoder.path
        if rest and self.invalid == "fail":
            raise DataError(
                f"{path} is truncated: {rest}",
                "",
                "Fetch it again, or pass invalid='drop' to keep the complete records.",
            )
        if not self.events and self.invalid == "fail":
            raise NoEvents(
                f"{path} has no events", "", "Leave it out, or pass invalid='drop' to read it as silence."
            )
        self.changes.rest = rest
        self._check_share()
        self._check_head()
        if not self.gaps and (finding := self._silence.finding(self.events, self.first or 0, self.latest)):
            self.decoder.findings += (finding,)
        findings = [self._beginning, self._tail.finding()]
        if self.events >= PADDING and self.latest == self.first:
            findings.append(f"all {self.events:,} events have one time")
        self.decoder.findings += tuple(finding for finding in findings if finding)
        width, height = self.size
        self.decoder.check_times(self.events, self.latest - (self.first or 0), width * height)

    def _check_share(self) -> None:
        """Raise `DataError` where too many events were changed for one reason."""
        for reason in REASONS.values() if self.changes.reasons else ():
            number = self.changes.reasons.get(reason.words, 0)
            if reason.many and number > _REPAIRED and number > _SHARE * self.decoded:
                raise DataError(
                    f"{self.decoder.path}: {number:,} of {self.decoded:,} events are {reason.words}"
                    f"; first {self.changes.first}",
                    f"at most {_REPAIRED} or {_SHARE:.0%} to repair: so many mean something else",
                    reason.many.format(
                        late=self.decoder.late_hint,
                        order=self._order,
                        polarity=self.decoder.polarity_hint,
                        other=self._other_sensor,
                    ),
                )

    def _check_head(self) -> None:
        """Raise `DataError` where the first events are far before all others."""
        if self._head is None or self.gaps:
            return
        number, before, after = self._head
        if after - before > FAR * max(self.latest - after, LEAP) and self.events >= 100 * number:
            raise DataError(
                f"{self.decoder.path}: the first {'event is' if number == 1 else f'{number} events are'} "
                f"{(after - before) / 1e6:,.6g} s before all others, which last {(self.latest - after) / 1e6:,.6g} s",
                "events that belong together",
                "Remove them from the file, or pass gaps=True if there was such silence.",
            )
