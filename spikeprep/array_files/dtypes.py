"""What to do about arrays of values that are no numbers."""

from __future__ import annotations

from typing import Any

import numpy as np


def fix_of_type(name: str, dtype: np.dtype[Any]) -> str:
    """Return what to do about a column `name` of values that are no numbers."""
    if dtype.kind == "m":
        return f"Save {name} as whole numbers of µs: {name}.astype('timedelta64[us]').astype('int64')."
    if dtype.kind == "M":
        since = f"({name} - {name}[0])"
        return (
            f"Save the times since the first one, in µs: {since}.astype('timedelta64[us]').astype('int64')."
        )
    if dtype.kind in "SUOT":
        return f"Save {name} as numbers: {name}.astype('int64'), or {name}.astype('float64') with fractions."
    return f"Save {name} as one number for each event."
