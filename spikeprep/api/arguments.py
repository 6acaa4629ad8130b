"""Types of arguments that several functions take."""

from __future__ import annotations

import os
from collections.abc import Callable

PathLike = str | os.PathLike[str]
"""A path, or an fsspec URL where a store is meant."""

ShowProgress = bool | Callable[[int, int], None] | None
"""True or None: a bar on a terminal and in a notebook, lines elsewhere; False: nothing; or a function that is called
with (samples done, samples in all)."""
