"""Random numbers by position: of events, however the pieces of a recording are cut, and of images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import inline, jit
from ..errors import UsageError
from ..random import SampleKey, philox4x32

_MASK, _HALF, _ZERO, _TWO = (np.uint64(n) for n in (0xFFFFFFFF, 32, 0, 2))
_philox = inline(philox4x32)


@jit
def _draw(block: Any, purpose: Any, k0: Any, k1: Any, out: NDArray[np.uint64]) -> None:
    """Write the numbers of whole blocks, `block` and those after it, to `out`: a loop that is vectorised."""
    for n in range(out.size // 2):
        number = block + np.uint64(n)
        x0, x1, x2, x3 = _philox(number & _MASK, number >> _HALF, _ZERO, purpose, k0, k1)
        out[2 * n] = x0 << _HALF | x1
        out[2 * n + 1] = x2 << _HALF | x3


def draws(first: int, count: int, purpose: int, key: SampleKey) -> NDArray[np.uint64]:
    """Return 64 random bits for each of positions `first` … `first` + count − 1, uint64 (position,).

    Position n has ``x0 2³² + x1`` (n even) or ``x2 2³² + x3`` (n odd) of ``philox(b.lo, b.hi, 0, purpose; sample
    key)``, b = n // 2: see `spikeprep.random`.
    """
    block, skipped = divmod(first, 2)
    out = np.empty(skipped + count + (skipped + count) % 2, np.uint64)
    _draw(np.uint64(block), np.uint64(purpose), *map(np.uint64, key.philox_key()), out)
    return out[skipped : skipped + count]


def draws_reference(first: int, count: int, purpose: int, key: SampleKey) -> NDArray[np.uint64]:
    """Return the numbers of `draws`, in NumPy."""
    n = np.arange(first, first + count).astype(np.uint64)
    k0, k1 = map(np.uint64, key.philox_key())
    x = philox4x32(n // _TWO & _MASK, n // _TWO >> _HALF, _ZERO, np.uint64(purpose), k0, k1)
    return np.asarray(np.where(n % _TWO == 0, x[0] << _HALF | x[1], x[2] << _HALF | x[3]))


def uniforms(count: int, purpose: int, key: SampleKey) -> list[float]:
    """Return the first `count` numbers as fractions in [0, 1) of 53 binary digits."""
    return [(number >> 11) * 2.0**-53 for number in draws(0, count, purpose, key).tolist()]


def required_key(rng: SampleKey | None, who: str) -> SampleKey:
    """Return `rng`; raises `UsageError` where it is None."""
    if rng is None:
        raise UsageError(
            f"{who}: got no random numbers", "a SampleKey", "Pass rng=SampleKey(seed, split, n)."
        )
    return rng
