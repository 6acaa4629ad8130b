"""A store of a recipe's first samples, for a look at them before all are encoded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..recipes import Recipe, known_recipe
from ..results import Store
from ..urls import local_path
from .arguments import PathLike
from .encoding import encode
from .opening import open_store

_LEAST = 32  # of each split: a sample of most classes is among them


def is_recipe(what: Any) -> bool:
    """Return whether `what` is a recipe, or the name or file of one; a folder of that name is a store or a run."""
    if isinstance(what, Recipe):
        return True
    path = local_path(what) if isinstance(what, str | os.PathLike) else None
    if path is None or path.is_dir():
        return False
    return known_recipe(os.fspath(what)) or (path.suffix == ".toml" and path.is_file())


@contextmanager
def first_samples(recipe: Recipe, sample: int, source: PathLike | None, download: bool) -> Iterator[Store]:
    """Encode the samples of each split up to number `sample` into a store that is removed at the end.

    Raises
    ------
    UsageError, DataError
        As `encode`.
    """
    with tempfile.TemporaryDirectory(prefix="spikeprep-") as folder:
        name = recipe.name.replace(":", "-").replace("/", "-")
        store = Path(folder) / f"{name}.zarr"
        limit = max(sample + 1, _LEAST)
        yield open_store(encode(recipe, store, source=source, download=download, limit=limit, progress=False))
