"""Original images beside the variants that augmentation makes of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError
from ..random import SampleKey
from ..recipes import COPIED_SPLIT, stored_recipe
from .spikes import first_of_each_class
from .style import empty_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..store import SpikeStore

_MOST_ROWS = 10
_INCHES = 0.85  # of an image's side


@styled
def variants(store: SpikeStore, count: int, source_path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw the first training image of each class, as an original, and copies 1 to `count` of it, as they are encoded.

    Raises
    ------
    UsageError
        `count` is below 1, the samples are no images, or nothing in the chain varies them.
    DataError
        The raw data are missing, damaged, or not those that the store was made from.
    """
    if count < 1:
        raise UsageError(f"got variants = {count}", "at least 1")
    about, reader = store.attributes, store[COPIED_SPLIT]
    recipe = stored_recipe(about)
    chain, source = recipe.build_chain(), recipe.open_source(source_path)
    if not chain.augmentations:
        names = ", ".join(step["name"] for step in chain.to_config())
        raise UsageError(
            f"{store.path} has the chain {names}, which varies no copies",
            "a transform that does",
            "Encode a store with one (`spikeprep list transforms`), e.g. elastic.use=true.",
        )
    originals = len(reader) // recipe.copies
    shown = first_of_each_class(reader.labels[:originals], len(about["classes"]))
    rows = dict(list(shown.items())[:_MOST_ROWS])
    figure = empty_figure(_INCHES * (count + 1) + 0.4, _INCHES * len(rows) + 0.5)
    panels = figure.subplots(len(rows), count + 1, squeeze=False)
    for axes, (label, index) in zip(panels, rows.items(), strict=True):
        sample = source.read(COPIED_SPLIT, index)
        if sample.id != str(reader.ids[index]):
            raise DataError(
                f"the source has {sample.id} as sample {index} of {COPIED_SPLIT}",
                f"{reader.ids[index]}, as in the store",
                "Pass the raw data that the store was made from.",
            )
        for copy, panel in enumerate(axes):
            image = chain.prepare(sample.signal, rng=SampleKey(about["seed"], COPIED_SPLIT, index, copy))
            _draw(panel, image)
        axes[0].set_ylabel(about["classes"][label], rotation=0, ha="right", va="center")
    for copy, panel in enumerate(panels[0]):
        panel.set_title(f"copy {copy}" if copy else "original", loc="center")
    names = ", ".join(step.name for step in chain.augmentations)
    figure.suptitle(f"originals and variants: {names}", fontsize=10, x=0.01, ha="left")
    return figure


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
