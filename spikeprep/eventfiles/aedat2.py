"""AEDAT 2.0, jAER's format: lines of text that begin with ``#``, then eight bytes an event, big-endian: address, t.

The camera decides what an address means, and which addresses are none of a pixel's brightness (DAVIS: samples of the
frame and of the inertial unit). t is in µs, 32 bits of the camera's clock and wraps after 71.6 minutes.
Source: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-2.0.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._simd import swap_bytes
from ..data import EVENT
from ..errors import DataError, UsageError, near_miss
from .base import ByteDecoder, Decoder, EventFormat, Words, head_of
from .cameras import CAMERAS, camera_in
from .kernels import jit, onward, onward_reference

_MARK, _END = b"#!AER-DAT2.0", b"#End Of ASCII Header"
_LONGEST = 1 << 22  # bytes of a header: jAER writes its preferences there, hundreds of kilobytes of them


@dataclass(frozen=True)
class Address:
    """How a family of cameras lays an event out in 32 bits: an address is an event where those of `none` are 0."""

    none: int
    x: tuple[int, int]  # lowest bit, mask of the value
    y: tuple[int, int]
    p: tuple[int, int]  # bit, and what its value for OFF is

    @property
    def array(self) -> NDArray[np.int64]:
        """Return the numbers in order, int64 (7,)."""
        return np.array([self.none, *self.x, *self.y, *self.p])


ADDRESSES: Mapping[str, Address] = {
    "DVS": Address(0x8000, (1, 0x7F), (8, 0x7F), (0, 1)),
    "DAVIS": Address(0x80000400, (12, 0x3FF), (22, 0x1FF), (11, 0)),
}


@jit
def _decode(
    words: NDArray[np.uint64],
    out: Words,
    where: NDArray[np.int64],
    state: NDArray[np.int64],
    layout: NDArray[np.int64],
) -> tuple[int, int]:
    """Decode pairs of address and stamp, as they lie in memory; `state` is (t, stamp of the last pair or −1)."""
    none, x_at, x_mask, y_at, y_mask, p_at, p_off = layout
    t, before = state
    made = used = 0
    while used < len(words) and made < len(out):
        word = swap_bytes(words[used])
        address, stamp = np.int64(word >> np.uint64(32)), np.int64(word & np.uint64(0xFFFFFFFF))
        if before < 0:
            t += stamp
            before = stamp
        t += onward(stamp, before, 32)
        before = stamp
        x, y = address >> x_at & x_mask, address >> y_at & y_mask
        out[made, 0] = np.uint64(x | y << 16 | (address >> p_at & 1 ^ p_off) << 32)
        out[made, 1] = np.uint64(t)
        if len(where):
            where[made] = used
        made += (address & none) == 0
        used += 1
    state[:] = t, before
    return used, made


def decode_reference(raw: NDArray[np.uint8], address: Address) -> NDArray[np.void]:
    """Decode whole records, uint8 (8 · event,), literally: dtype `EVENT`, t of the camera's clock."""
    word, stamp = raw.view(">u4").astype(np.int64).reshape(-1, 2).T
    events = np.zeros(len(word), EVENT)
    events["x"] = word >> address.x[0] & address.x[1]
    events["y"] = word >> address.y[0] & address.y[1]
    events["p"] = (word >> address.p[0] & 1) != address.p[1]
    events["t"] = onward_reference(stamp, 32)
    kept: NDArray[np.void] = events[word & address.none == 0]
    return kept


class _Decoder(ByteDecoder):
    record, fresh, camera_clock = 8, (0, -1), True
    layout: NDArray[np.int64]

    def decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        return _decode(raw.view(np.uint64), out, where, state, self.layout)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Aedat2(EventFormat):
    """AEDAT 2.0 (.aedat); coordinates are the addresses' own, whose origin jAER draws at the bottom.

    Parameters
    ----------
    camera
        A name in `spikeprep.eventfiles.cameras.CAMERAS`, such as ``"DVS128"`` or ``"DAVIS346"``; where empty, the one
        that the header names.
    flip_y
        Count y from the top, as all other formats do.
    """

    name: ClassVar[str] = "aedat2"
    title: ClassVar[str] = "AEDAT 2.0"
    extensions: ClassVar[tuple[str, ...]] = (".aedat", ".aedat2")

    camera: str = ""
    flip_y: bool = False

    def __post_init__(self) -> None:
        if self.camera and self.camera not in CAMERAS:
            raise UsageError(f"aedat2: got camera {self.camera!r}", "", near_miss(self.camera, CAMERAS))

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the first line says AEDAT 2.0."""
        return head.startswith(_MARK)

    def open(self, path: Path) -> Decoder:
        """Read the header; see `EventFormat.open`."""
        head = head_of(path, _LONGEST)
        if not head.startswith(_MARK):
            raise DataError(f"{path} begins with {head[:12]!r}", "the line '#!AER-DAT2.0'")
        begin = _header_length(head)
        chip = next((line for line in head[:begin].splitlines() if line.startswith(b"# AEChip:")), b"")
        told = chip.partition(b":")[2].decode("latin-1").strip()
        camera = self.camera or camera_in(told)
        if not camera:
            raise DataError(
                f"{path} names the camera {told or 'nowhere'}",
                f"one of {', '.join(CAMERAS)}",
                "Pass camera=NAME of one with the same addresses, and size=(width, height) if the sensor differs.",
            )
        decoder = _Decoder(path, begin)
        family, decoder.size = CAMERAS[camera]
        decoder.layout = ADDRESSES[family].array
        decoder.flip_y = self.flip_y
        return decoder


def _header_length(head: bytes) -> int:
    """Return where the events begin: behind the line that ends the header, or the last that is one."""
    at = 0
    while head.startswith(b"#", at):
        line, newline, _ = head[at : at + 4096].partition(b"\n")
        # without an end of the header, a first event can begin with the byte of '#': lines are text, and end in CR LF
        if not newline or not line.endswith(b"\r") or not line[:-1].isascii():
            break
        at += len(line) + 1
        if line.startswith(_END):
            break
    return at
