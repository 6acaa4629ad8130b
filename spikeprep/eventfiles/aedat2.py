"""AEDAT 2.0 and 2.1, jAER's formats: lines of text that begin with ``#``, then eight bytes per event, big-endian.

They are an address and t. The camera defines the layout of an address, and which addresses are not pixel events (DAVIS:
samples of the frame and of the inertial unit). t is in µs, 32 bits of the camera's clock, and wraps after 71.6 minutes.
Source: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-2.0.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import swap_bytes
from ..data import EVENT
from ..errors import DataError
from ..input_files import InputFile
from .base import ByteDecoder, Decoder, EventFormat, Words
from .cameras import CAMERAS, camera_in
from .kernels import unwrap, unwrap_reference

_SIGNATURES, _END = (b"#!AER-DAT2.0", b"#!AER-DAT2.1"), b"#End Of ASCII Header"
_MAX_HEADER = 1 << 22  # bytes: jAER writes its preferences there, hundreds of kilobytes of them

_CONTROLS = bytes(set(range(32)) - {ord("\t")}) + b"\x7f"
_ENOUGH = 64  # events that tell whether the camera fits
_OF_V2E = "Files of v2e --dvs346 are of DAVIS346, of --dvs240 of DAVIS240, of --dvs640 of DVS640."

Camera = Literal["", "DVS128", "DAVIS128", "DAVIS208", "DAVIS240", "DAVIS346", "DAVIS640", "DVS640"]
"""A name in `CAMERAS`; empty: the camera that the header names."""


@dataclass(frozen=True)
class Address:
    """Layout of an event in 32 bits for a family of cameras; an address is an event where the bits of `other` are 0."""

    other: int
    unused: int  # bits that are 0 in every event
    x: tuple[int, int]  # lowest bit, mask of the value
    y: tuple[int, int]
    p: tuple[int, int]  # bit, and its value for OFF

    @property
    def array(self) -> NDArray[np.int64]:
        """The numbers in order, int64 (8,)."""
        return np.array([self.other, self.unused, *self.x, *self.y, *self.p])


ADDRESSES: Mapping[str, Address] = {
    "DVS": Address(0x8000, 0xFFFF0000, (1, 0x7F), (8, 0x7F), (0, 1)),
    "DAVIS": Address(0x80000400, 0x3FF, (12, 0x3FF), (22, 0x1FF), (11, 0)),
    "DVS640": Address(0x80000000, 0x7FE00000, (1, 0x3FF), (11, 0x3FF), (0, 0)),
}


@jit
def _decode(
    words: NDArray[np.uint64],
    out: Words,
    where: NDArray[np.int64],
    state: NDArray[np.int64],
    layout: NDArray[np.int64],
) -> tuple[int, int]:
    """Decode big-endian pairs of address and stamp.

    `state` is (t, stamp of the last pair or −1, `unwrap`'s anchor, number of events, and of those with unused bits that
    are set).
    """
    other, unused, x_at, x_mask, y_at, y_mask, p_at, p_off = layout
    t, before, anchor_t, anchor, events, strange = state
    if before < 0 and len(words):
        before = np.int64(swap_bytes(words[0]) & np.uint64(0xFFFFFFFF))
        t += before
    count = used = 0
    seen = np.int64(0)
    half = np.uint64(1 << 31)
    number, room, indexed = len(words), len(out), len(where) > 0  # read once: `out` could overlap them
    while used < number and count < room:
        word = swap_bytes(words[used])
        address, stamp = np.int64(word >> np.uint64(32)), np.int64(word & np.uint64(0xFFFFFFFF))
        step = stamp - before
        if np.uint64(step) >= half or anchor >= 0:  # a negative step is a large number
            t, anchor_t, anchor = unwrap(t, stamp, before, anchor_t, anchor, 32)
            step = 0
        t += step
        before = stamp
        x, y = address >> x_at & x_mask, address >> y_at & y_mask
        out[count, 0] = np.uint64(x | y << 16 | (address >> p_at & 1 ^ p_off) << 32)
        out[count, 1] = np.uint64(t)
        if indexed:
            where[count] = used
        seen |= address
        count += (address & other) == 0
        used += 1
    if seen & unused:  # counted apart: no camera sets such bits
        for n in range(used):
            address = np.int64(swap_bytes(words[n]) >> np.uint64(32))
            if (address & other) == 0 and (address & unused) != 0:
                strange += 1
    state[:] = t, before, anchor_t, anchor, events + count, strange
    return used, count


def decode_reference(raw: NDArray[np.uint8], address: Address) -> NDArray[np.void]:
    """Decode complete records, uint8 (8 · event,), without a kernel: dtype `EVENT`, t of the camera's clock."""
    word, stamp = raw.view(">u4").astype(np.int64).reshape(-1, 2).T
    events = np.zeros(len(word), EVENT)
    events["x"] = word >> address.x[0] & address.x[1]
    events["y"] = word >> address.y[0] & address.y[1]
    events["p"] = (word >> address.p[0] & 1) != address.p[1]
    events["t"] = unwrap_reference(stamp, 32)
    pixel_events: NDArray[np.void] = events[word & address.other == 0]
    return pixel_events


class _Decoder(ByteDecoder):
    record, initial_state, camera_clock = 8, (0, -1, 0, -1, 0, 0), True
    camera: str
    layout: NDArray[np.int64]

    def decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        used, count = _decode(raw.view(np.uint64), out, where, state, self.layout)
        if state[4] >= _ENOUGH:
            self._check_camera(state)
        return used, count

    def _check_camera(self, state: NDArray[np.int64]) -> None:
        """Raise `DataError` where most addresses have bits that are 0 for this camera; for others they hold x or y."""
        events, strange = state[4:].tolist()
        if 2 * strange > events:
            raise DataError(
                f"{self.path} has address bits that {self.camera} does not use, in {strange:,} of {events:,} events",
                "the camera that wrote it",
                f"Pass camera=NAME, one of: {', '.join(CAMERAS)}. {_OF_V2E}",
            )

    def incomplete_end(self) -> str:
        """Return how many bytes of an incomplete record are at the end; raises `DataError` as `_check_camera`."""
        self._check_camera(self.state)
        return super().incomplete_end()


@dataclass(frozen=True)
class Aedat2(EventFormat):
    """AEDAT 2.0 and 2.1 (.aedat); coordinates are those of the addresses, whose origin jAER draws at the bottom.

    Parameters
    ----------
    camera
        The camera, such as ``"DVS128"`` or ``"DAVIS346"``; where empty, the one that the header names.
    flip_y
        Whether to count y from the top, as the other formats do.
    """

    name: ClassVar[str] = "aedat2"
    title: ClassVar[str] = "AEDAT 2.0"
    extensions: ClassVar[tuple[str, ...]] = (".aedat", ".aedat2")
    begins: ClassVar[tuple[bytes, ...]] = _SIGNATURES

    camera: Camera = ""
    flip_y: bool = False

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the first line is that of AEDAT 2.0 or 2.1."""
        return head.startswith(_SIGNATURES)

    def decoder(self, file: InputFile) -> Decoder:
        """Read the header; see `EventFormat.decoder`."""
        path, head = file.path, file.head(_MAX_HEADER)
        if not head.startswith(_SIGNATURES):
            raise DataError(f"{path} begins with {head[:12]!r}", "the line '#!AER-DAT2.0'")
        begin = _header_length(head)
        chip = next((line for line in head[:begin].splitlines() if line.startswith(b"# AEChip:")), b"")
        chip_name = chip.partition(b":")[2].decode("latin-1").strip()
        camera = self.camera or camera_in(chip_name)
        if not camera:
            raise DataError(
                f"{path} names {f'the unknown camera {chip_name}' if chip_name else 'no camera'}",
                f"one of {', '.join(CAMERAS)}",
                "Pass camera=NAME of one with the same address layout, and size=(width, height) if the sensor differs. "
                f"{_OF_V2E}",
            )
        decoder = _Decoder(file, begin)
        family, decoder.size = CAMERAS[camera]
        decoder.camera, decoder.layout = camera, ADDRESSES[family].array
        decoder.flip_y = self.flip_y
        return decoder


def _header_length(head: bytes) -> int:
    """Return the offset of the first event: after the line that ends the header, or after its last line."""
    first = head[:4096].partition(b"\n")[0]
    line_end = b"\r" if first.endswith(b"\r") else b""  # CR LF of jAER, LF of tools that rewrite its files
    at = 0
    while head.startswith(b"#", at):
        line, newline, _ = head[at : at + 4096].partition(b"\n")
        # where no line ends the header, the first event can begin with the byte '#'; lines are text
        text = line.removesuffix(line_end)
        if not newline or not line.endswith(line_end) or text.translate(None, _CONTROLS) != text:
            break
        at += len(line) + 1
        if line.startswith(_END):
            break
    return at
