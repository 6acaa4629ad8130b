"""Original images beside the variants that augmentation makes of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..encoders.base import Augmentation
from ..errors import DataError, UsageError
from ..random import SampleKey
from ..recipes import COPIED_SPLIT, stored_recipe
from .events import has_event_units
from .names import short_names
from .sound import has_sound
from .spikes import first_of_each_class
from .style import empty_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..store import SpikeStore

MOST_VARIANTS = 20
"""Copies of an image that are drawn, at most."""

_MOST_ROWS = 10
_INCHES = 0.85  # of an image's side


@styled
def variants(store: SpikeStore, count: int, source_path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw the first training image of each class as it is in the raw data, and copies 1 to `count` as encoded.

    Where the chain changes originals as well (`invert`), copy 0 is drawn too: the image that is encoded of an original.

    Raises
    ------
    UsageError
        `count` is not in 1 to `MOST_VARIANTS`, the samples are no images, or nothing in the chain varies them.
    DataError
        The raw data are missing, damaged, or not those that the store was made from.
    """
    if not 1 <= count <= MOST_VARIANTS:
        raise UsageError(f"got variants = {count}", f"1 to {MOST_VARIANTS}", "Draw fewer.")
    about, reader = store.attributes, store[COPIED_SPLIT]
    recipe = stored_recipe(about)
    kind = "sounds" if has_sound(store) else "recordings" if has_event_units(store) else ""
    if kind:
        raise UsageError(f"{store.path} is of {kind}", "a store of images", "Use another kind of picture.")
    chain, source = recipe.build_chain(), recipe.open_source(source_path)
    if not any(isinstance(step, Augmentation) for step in chain.transforms):
        steps = ", ".join(step["name"] for step in chain.to_config())
        raise UsageError(
            f"{store.path} has the chain {steps}, which varies no copies",
            "a transform that does",
            "Encode a store with one (`spikeprep list transforms`), e.g. elastic.use=true.",
        )
    originals = len(reader) // recipe.copies
    shown = first_of_each_class(reader.labels[:originals], len(about["classes"]))
    rows = dict(list(shown.items())[:_MOST_ROWS])
    images: list[list[NDArray[Any]]] = []  # of each row the original, then copies 0 to count
    for index in rows.values():
        sample = source.read(COPIED_SPLIT, index)
        if sample.id != str(reader.ids[index]):
            raise DataError(
                f"the source has {sample.id} as sample {index} of {COPIED_SPLIT}",
                f"{reader.ids[index]}, as in the store",
                "Pass the raw data that the store was made from.",
            )
        keys = [SampleKey(about["seed"], COPIED_SPLIT, index, copy) for copy in range(count + 1)]
        images.append([sample.signal, *(chain.prepare(sample.signal, rng=key) for key in keys)])
    titles = ["original", *(f"copy {copy}" for copy in range(count + 1))]
    if all(_alike(row[0], row[1]) for row in images):  # copy 0 is the original, as it mostly is
        titles, images = [titles[0], *titles[2:]], [row[1:] for row in images]
    figure = empty_figure(_INCHES * len(titles) + 0.4, _INCHES * len(rows) + 0.5)
    panels = figure.subplots(len(rows), len(titles), squeeze=False)
    names = short_names(about["classes"], 2.0, 9)
    for axes, row, label in zip(panels, images, rows, strict=True):
        for panel, image in zip(axes, row, strict=True):
            _draw(panel, image)
        axes[0].set_ylabel(names[label], rotation=0, ha="right", va="center")
    for panel, title in zip(panels[0], titles, strict=True):
        panel.set_title(title, loc="center")
    steps = ", ".join(step.name for step in chain.transforms)
    figure.suptitle(f"originals and variants: {steps}", fontsize=10, x=0.01, ha="left")
    return figure


def _alike(original: Any, image: Any) -> bool:
    """Whether a chain left an image as it was, which of bool becomes bytes of 0 and 255."""
    if isinstance(original, np.ndarray) and original.dtype == np.bool_ and image.dtype == np.uint8:
        original = np.where(original, 255, 0)
    return np.array_equal(original, image)


def _draw(panel: Any, image: NDArray[Any]) -> None:
    """Draw a grey or colour image, (row, column[, channel])."""
    if not isinstance(image, np.ndarray) or image.ndim not in (2, 3):
        raise UsageError(f"got a signal of type {type(image).__name__}", "an image", "Leave variants out.")
    white = 255 if image.dtype == np.uint8 else 1
    grey = image if image.ndim == 2 else image[..., 0] if image.shape[2] not in (3, 4) else None
    if grey is None:
        panel.imshow(image)
    else:
        panel.imshow(grey, cmap="gray", vmin=0, vmax=white)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_visible(False)
