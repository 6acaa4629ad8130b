"""What convolution and pooling share: units on a grid of rows and columns, and the windows that slide over it."""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Annotated, Any, Literal

from ...backend import Array
from ...config import Meta
from ...errors import UsageError
from .base import LayerKind

Channels = Literal["auto", "first", "last"]
"""Where the channels are among the axes of the input's units."""

_MOST_CHANNELS = 4  # polarities or colours, where "auto" looks for them
_Size = Annotated[int, Meta(ge=1, le=2**15)]
_Margin = Annotated[int, Meta(ge=0, le=2**15)]

WINDOW = r"([1-9][0-9]{0,4})(?:x([1-9][0-9]{0,4}))?(?:s([1-9][0-9]{0,4})(?:x([1-9][0-9]{0,4}))?)?"
"""A window in `arch`: rows, x columns where they differ, and its stride after an s, written alike."""


@dataclass(frozen=True)
class Spatial(LayerKind, ABC):
    """A layer whose post units look at windows of a grid of pre units; post units are (channel, row, column).

    Rows and columns at the end that no window reaches are not used (`unused`), nor those between windows that are
    further apart than they are large (`skipped`).

    Parameters
    ----------
    kernel
        Rows and columns of a window.
    stride
        Rows and columns between windows.
    padding
        Rows and columns of silence on each side of the input.
    channels
        Whether the input's channels are its first axis or its last; without channels it is (row, column). Of more than
        three axes, all but two are channels.
    """

    kernel: tuple[_Size, _Size] = (1, 1)
    stride: tuple[_Size, _Size] = (1, 1)
    padding: tuple[_Margin, _Margin] = (0, 0)
    channels: Literal["first", "last"] = "first"

    @property
    def grid(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the input; raises `UsageError` where it has no rows and columns."""
        if len(self.in_shape) < 2:
            raise UsageError(
                f"got units of shape {self.in_shape}, which have no rows and columns",
                "units of shape (row, column), with channels ahead of them or behind",
                "Use fully connected layers, such as arch=800, or encode images or event recordings.",
            )
        if self.channels == "last" and len(self.in_shape) > 2:
            rows, columns, *channels = self.in_shape
        else:
            *channels, rows, columns = self.in_shape
        return prod(channels), rows, columns

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns of the output; raises `UsageError` where no window fits."""
        _, *sizes = self.grid
        padded = [n + 2 * p for n, p in zip(sizes, self.padding, strict=True)]
        if any(k > n for k, n in zip(self.kernel, padded, strict=True)):
            margin = f" with a padding of {_by(self.padding)}" if any(self.padding) else ""
            raise UsageError(
                f"got a window of {_by(self.kernel)} on {_by(sizes)} units{margin}",
                "a window no larger than its input",
                "Use windows of one column, such as 15C5x1 and P2x1."
                if sizes[1] == 1
                else "Use a smaller window, or fewer layers ahead of it.",
            )
        if any(p >= k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise UsageError(
                f"got a padding of {_by(self.padding)} for a window of {_by(self.kernel)}",
                "less padding than the window: some would see nothing else",
                "Lower the padding.",
            )
        rows, columns = ((n - k) // s + 1 for n, k, s in zip(padded, self.kernel, self.stride, strict=True))
        return rows, columns

    @property
    def unused(self) -> tuple[int, int]:
        """Rows and columns of the input, at its end, that no window reaches."""
        _, *sizes = self.grid
        reach = (
            (m - 1) * s + k - p
            for m, s, k, p in zip(self.places, self.stride, self.kernel, self.padding, strict=True)
        )
        rows, columns = (max(0, n - r) for n, r in zip(sizes, reach, strict=True))
        return rows, columns

    @property
    def skipped(self) -> tuple[int, int]:
        """Rows and columns of the input between windows, where the stride is longer than the window."""
        rows, columns = (
            (m - 1) * max(0, s - k) for m, s, k in zip(self.places, self.stride, self.kernel, strict=True)
        )
        return rows, columns

    def remark(self) -> str:
        """See `LayerKind.remark`: rows and columns that are left out."""
        last, between = _counted(self.unused, one=""), _counted(self.skipped)
        whole = f"of its {_by(self.grid[1:])} input"
        if not last:
            return f"leaves out {between} between windows {whole}" if between else ""
        return f"leaves out the last {last} {whole}" + (f", and {between} between windows" if between else "")

    # ------------------------------------------------------------ arrays

    def images(self, xp: ModuleType, x: Array) -> Array:
        """Return x (…, pre) as (image, channel, row, column), padded."""
        channels, rows, columns = self.grid
        count, (above, left) = prod(x.shape[:-1]), self.padding
        if self.channels == "last":
            x = x.reshape(count, rows, columns, channels).transpose(0, 3, 1, 2)
        x = x.reshape(count, channels, rows, columns)
        if not any(self.padding):
            return x
        padded = xp.zeros((count, channels, rows + 2 * above, columns + 2 * left), x.dtype)
        padded[:, :, above : above + rows, left : left + columns] = x
        return padded

    def blank_images(self, xp: ModuleType, y: Array) -> Array:
        """Return zeros (image, channel, row, column), padded: one image for each of y (…, post)."""
        channels, rows, columns = self.grid
        above, left = self.padding
        return xp.zeros((prod(y.shape[:-1]), channels, rows + 2 * above, columns + 2 * left), y.dtype)

    def units_of(self, images: Array, leading: tuple[int, ...]) -> Array:
        """Return padded images (image, channel, row, column) as (…, pre)."""
        channels, rows, columns = self.grid
        above, left = self.padding
        images = images[:, :, above : above + rows, left : left + columns]
        if self.channels == "last":
            images = images.transpose(0, 2, 3, 1)
        return images.reshape(*leading, channels * rows * columns)

    def taps(self) -> Iterator[tuple[int, int, tuple[slice, slice, slice, slice]]]:
        """Yield row and column of each tap of the window, and the index of what it sees in padded images."""
        (rows, columns), (down, right) = self.places, self.stride
        everything = slice(None)
        for a in range(self.kernel[0]):
            for b in range(self.kernel[1]):
                row = slice(a, a + (rows - 1) * down + 1, down)
                column = slice(b, b + (columns - 1) * right + 1, right)
                yield a, b, (everything, everything, row, column)


def channel_axis(shape: tuple[int, ...], channels: Channels) -> Literal["first", "last"]:
    """Return where the channels of the input's units are.

    "auto" takes the axis of at most 4 units (polarities, colours) for the channels where the axis at the other end is
    larger, and the first axes where there are more than three.

    Raises
    ------
    UsageError
        "auto" cannot tell.
    """
    if channels != "auto":
        return channels
    if len(shape) != 3:
        return "first"
    first, last = (shape[0] <= _MOST_CHANNELS < shape[-1]), (shape[-1] <= _MOST_CHANNELS < shape[0])
    if first == last:
        raise UsageError(
            f"got units of shape {shape}, in which channels and places look alike",
            "to know which axis is the channels",
            "Set channels=first or channels=last.",
        )
    return "first" if first else "last"


def window_settings(match: re.Match[str], group: int) -> Mapping[str, Any]:
    """Return kernel and stride of a `WINDOW` whose first group is number `group`; without a stride it is 0."""
    rows, columns, down, right = (match[group + n] for n in range(4))
    return {"kernel": _pair(rows, columns), "stride": _pair(down or "0", right)}


def _pair(rows: str, columns: str | None) -> tuple[int, int]:
    return int(rows), int(columns or rows)


def _counted(sizes: tuple[int, int], one: str = "1 ") -> str:
    """Return numbers of rows and columns in words, without those that are 0; `one` stands for a 1."""
    counts = zip(sizes, ("row", "column"), strict=True)
    return " and ".join(f"{one}{what}" if n == 1 else f"{n} {what}s" for n, what in counts if n)


def _by(sizes: Any) -> str:
    return " × ".join(map(str, sizes))
