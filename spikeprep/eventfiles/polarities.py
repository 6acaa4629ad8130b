"""Polarities of columns: 0 and 1, or −1 and 1, also where −1 was stored without a sign."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

Off = Literal["", 0, -1, 1, 2]
"""The value of p that means OFF; empty: the one of 0 and −1 that a file has."""

On = Literal["", 0, 1, 2, 255]
"""The value of p that means ON; empty: 1."""

_UNSIGNED = (255, 65535, 2**32 - 1)
"""−1 in 8, 16 and 32 bits without a sign; in 64 bits, NumPy's conversion to int64 gives −1."""


ZERO = -(1 << 40)
"""Stands for a 0 that is neither OFF nor ON, as −1 is OFF."""


class Polarities:
    """One pass over the polarities of a file, which has one value for OFF."""

    def __init__(self, path: Path, off: Off, on: On = "") -> None:
        self._path, self._off, self._on_value = path, off, on
        self._found: dict[int, tuple[int, int]] = {}  # value for OFF → its first event, and as it is stored
        self._unsigned = self._on = False  # whether −1 is stored as 255, whether there was a 1

    def decode(self, values: NDArray[Any], index: int) -> NDArray[Any]:
        """Return 0 for OFF, 1 for ON, and anything else for neither; raises `DataError` where both 0 and −1 occur.

        Parameters
        ----------
        values
            Integers (event,).
        index
            Number of events before.
        """
        if self._on_value != "":
            off = 0 if self._off == "" else self._off
            integers = values.astype(np.int64)
            return np.select([integers == self._on_value, integers == off], [1, 0], -1)
        low, high = (int(values.min()), int(values.max())) if len(values) else (1, 1)
        if low >= 0 and high <= 1 and self._off != -1:
            self._on |= high == 1
            if low == 0 and 0 not in self._found:
                self._check(0, values, values, index)
            return values
        stored = values.astype(np.int64)
        self._unsigned |= bool((stored == 255).any())
        values = np.where(np.isin(stored, _UNSIGNED), -1, stored)
        self._on |= bool((values == 1).any())
        if self._off == 0:
            return values
        if self._off == "":
            for off in (0, -1):
                if off not in self._found and (values == off).any():
                    self._check(off, values, stored, index)
        if self._off == -1 or -1 in self._found:
            # such a file has no polarity 0: it must not be read as OFF
            return np.select([values == -1, values == 0], [0, ZERO], values)
        return values

    def _check(self, off: int, values: NDArray[Any], stored: NDArray[Any], index: int) -> None:
        n = int((values == off).argmax())
        self._found[off] = index + n, int(stored[n])
        if self._off == "" and len(self._found) > 1:
            found = " and ".join(f"polarity {value} (event {event})" for event, value in self._found.values())
            fix = (
                "Name the column of p; or give off=-1 if 0 is an error, off=0 if −1 is an error; off=0 and on=255 if "
                "these are OFF and ON, off=-1 and on=0 likewise. Of three values, save p as 0 and 1."
            )
            if not self._on:
                fix = {
                    -1: "Give off=-1 and on=0 if these are OFF and ON. Otherwise name the column of p, or give "
                    "off=0 if −1 is an error.",
                    255: "Give off=0 and on=255 if these are OFF and ON. Otherwise name the column of p.",
                }.get(self._found[-1][1], fix)
            elif off == -1 and (values[n:] == -1).all():
                fix = f"Cut off the events from {index + n} on if they are padding. Otherwise: {fix}"
            raise DataError(f"{self._path} has {found}", "one value that means OFF, 0 or −1", fix)

    def finish(self) -> None:
        """Raise `DataError` where nothing tells what 255 means: the OFF of −1 and 1, or the ON of 0 and 255."""
        if self._unsigned and not self._on and self._off == "":
            raise DataError(
                f"{self._path} has polarity 255 and never 1",
                "0 and 1, or −1 and 1",
                "Give off=-1 if 255 means OFF, on=255 if it means ON.",
            )
