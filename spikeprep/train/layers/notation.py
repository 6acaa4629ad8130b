"""The paper's notation for hidden layers: ``800-800``; the output layer comes from the store's classes."""

from __future__ import annotations

import re

from ...errors import CapabilityError, UsageError


def parse_arch(arch: str) -> tuple[int, ...]:
    """Return the sizes of the hidden layers that `arch` lists, input side first.

    Raises
    ------
    UsageError
        `arch` is not in the notation.
    CapabilityError
        `arch` names a convolution (``15C5``) or a pooling layer (``P2``).
    """
    sizes = []
    for part in str(arch).split("-"):
        if re.fullmatch(r"\d+[Cc]\d+|[Pp]\d+", part):
            raise CapabilityError(
                f"got the layer {part!r} in --arch {arch}",
                "fully connected layers; this version trains no convolutions and no pooling",
                "Write sizes joined by dashes, e.g. --arch 800-800.",
            )
        if not re.fullmatch(r"[1-9]\d*", part):
            raise UsageError(
                f"got {part!r} in --arch {arch}",
                "a number of neurons",
                "Write e.g. --arch 800 or --arch 800-800.",
            )
        sizes.append(int(part))
    return tuple(sizes)
