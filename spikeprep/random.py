"""Counter-based random numbers: (seed, split, sample, copy) → bits, the same on every machine and device.

The generator is Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"): a
bijection of a 128-bit counter under a 64-bit key, so that any number can be computed without its predecessors.

The mapping, exactly (all words have 32 bits; ``lo`` and ``hi`` are the halves of a 64-bit number; H is 64-bit BLAKE2b
of the UTF-8 name, little endian; ``philox(counter; key)`` returns words x0 x1 x2 x3):

- split key   = x0, x1 of ``philox(H(split).lo, H(split).hi, 0, 0x80000001; seed.lo, seed.hi)``
- sample key  = x0, x1 of ``philox(sample.lo, sample.hi, copy, 0x80000002; split key)``
- an encoder's draws = ``philox(unit, step block, depth, purpose; sample key)`` with `purpose` below 0x80000000
- draws of transforms = ``philox(block.lo, block.hi, 0, purpose; sample key)``, two numbers per block: of an event, of
  a pixel
- draws of noise events of a video's pixel = ``philox(pixel, number, 0, purpose; sample key)``
- NumPy generators have 128-bit keys, x0 + x1 2³² + x2 2⁶⁴ + x3 2⁹⁶ of a Philox block whose last counter word is
  0x80000003 (of a sample) or 0x80000004 (of `generator`, after its arguments are folded in with 0x80000005)

The last counter word separates the uses: no two of them ever evaluate the same counter under one key's role.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError

POISSON, DROP_EVENTS, TIME_JITTER = 1, 2, 3
ELASTIC, ELASTIC_OF_COPY, ELASTIC_AFFINE, ROTATION, SCALE, SHIFT, FLIP, CROP, NOISE = range(4, 13)
EVENT_FLIP, EVENT_RANDOM_CROP, EVENT_JITTER, EVENT_NOISE, EVENT_NOISE_PIXELS = range(13, 18)
RECEPTIVE_FIELDS = 18
SOUND_NOISE, SOUND_NOISE_RATIO, GAIN, TIME_SHIFT, SPEED = range(32, 37)
VIDEO_THRESHOLDS, VIDEO_LEAK, VIDEO_NOISE = 19, 20, 21
"""Purpose words, of encoders and of transforms. Numbers, once given, stay: bits of stores depend on them."""

_SPLIT, _SAMPLE, _SAMPLE_GENERATOR, _GENERATOR, _FOLD = (0x80000000 + n for n in range(1, 6))

# Typed constants: numba would turn int64 with uint64 into float64.
_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MUL_0, _MUL_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)

_SPLIT_MIX_STEP = np.uint64(0x9E3779B97F4A7C15)
_SPLIT_MIX_1, _SPLIT_MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def philox4x32(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> tuple[Any, Any, Any, Any]:
    """Return the Philox4x32-10 block of a counter under a key: four 32-bit words held in uint64.

    Every argument is a uint64 below 2³², a NumPy scalar or an array (they broadcast). The compiled kernels inline this
    same body, so they cannot differ from it.
    """
    # The masks change nothing; they tell a compiler that 32-bit multiplies suffice.
    c0, c1, c2, c3, k0, k1 = c0 & _MASK, c1 & _MASK, c2 & _MASK, c3 & _MASK, k0 & _MASK, k1 & _MASK
    for _ in range(10):
        a, b = c0 * _MUL_0, c2 * _MUL_1
        c0, c1, c2, c3 = (b >> _HALF) ^ c1 ^ k0, b & _MASK, (a >> _HALF) ^ c3 ^ k1, a & _MASK
        k0, k1 = (k0 + _WEYL_0) & _MASK, (k1 + _WEYL_1) & _MASK
    return c0, c1, c2, c3


def split_mix(key: Any, number: Any) -> Any:
    """Return number `number` (from 0) of the stream that SplitMix64 starts at `key` (Steele, Lea & Flood 2014).

    Both are uint64 arrays, of NumPy or of a like module, which broadcast; sums and products are modulo 2⁶⁴.
    """
    x = key + (number + np.uint64(1)) * _SPLIT_MIX_STEP
    x = (x ^ (x >> np.uint64(30))) * _SPLIT_MIX_1
    x = (x ^ (x >> np.uint64(27))) * _SPLIT_MIX_2
    return x ^ (x >> np.uint64(31))


def _block(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return one block: `philox4x32` in Python's integers, which take a tenth of the time of NumPy's scalars."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        a, b = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = b >> 32 ^ c1 ^ k0, b & 0xFFFFFFFF, a >> 32 ^ c3 ^ k1, a & 0xFFFFFFFF
        k0, k1 = k0 + 0x9E3779B9 & 0xFFFFFFFF, k1 + 0xBB67AE85 & 0xFFFFFFFF
    return c0, c1, c2, c3


def _halves(number: int, what: str) -> tuple[int, int]:
    if not 0 <= number < 1 << 64:
        raise UsageError(f"got {what} {number}", f"0 ≤ {what} < 2⁶⁴")
    number = int(number)  # of NumPy's, products would overflow
    return number & 0xFFFFFFFF, number >> 32


def _name_halves(name: str) -> tuple[int, int]:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return _halves(int.from_bytes(digest, "little"), "hash")


def _numpy_generator(block: tuple[int, int, int, int]) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=sum(word << 32 * i for i, word in enumerate(block))))


@lru_cache(maxsize=64)
def _split_key(seed: int, split: str) -> tuple[int, int]:
    return _block((*_name_halves(split), 0, _SPLIT), _halves(seed, "seed"))[:2]


def check_seed(seed: Any) -> None:
    """Raise `UsageError` unless a seed is a whole number, 0 ≤ seed < 2⁶⁴."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 1 << 64:
        raise UsageError(f"got seed = {seed!r}", "a whole number of at least 0 and below 2⁶⁴")


@dataclass(frozen=True, slots=True)
class SampleKey:
    """The name of one stored sample's random numbers.

    Attributes
    ----------
    seed
        Seed of the whole encoding, 0 ≤ seed < 2⁶⁴.
    split
        Name of the split, e.g. ``"train"``.
    sample
        Position of the sample in its split, before copying.
    copy
        Number of the stored copy of the sample, from 0.
    """

    seed: int
    split: str
    sample: int
    copy: int = 0

    def philox_key(self) -> tuple[int, int]:
        """Return the sample's Philox4x32 key: two 32-bit words (the module's docstring has the mapping)."""
        return _sample_key(self)

    def generator(self, purpose: str) -> np.random.Generator:
        """Return a NumPy generator, an independent stream for each (key, purpose): for transforms."""
        return _numpy_generator(_block((*_name_halves(purpose), 0, _SAMPLE_GENERATOR), self.philox_key()))


@lru_cache(maxsize=256)  # every transform of a chain asks for the key of its sample
def _sample_key(key: SampleKey) -> tuple[int, int]:
    _check_copy(key.copy)
    return _block((*_halves(key.sample, "sample"), int(key.copy), _SAMPLE), _split_key(key.seed, key.split))[
        :2
    ]


def _check_copy(copy: int) -> None:
    if not 0 <= copy < 1 << 32:
        raise UsageError(f"got copy {copy}", "0 ≤ copy < 2³²")


def philox_keys(keys: Sequence[SampleKey]) -> NDArray[np.uint64]:
    """Return the Philox4x32 keys of many samples at once, uint64 (sample, 2), each entry below 2³²."""
    sample = [_halves(key.sample, "sample") for key in keys]
    for key in keys:
        _check_copy(key.copy)
    split = [_split_key(key.seed, key.split) for key in keys]
    words = [(*s, key.copy, _SAMPLE, *k) for s, k, key in zip(sample, split, keys, strict=True)]
    x = philox4x32(*np.array(words, np.uint64).reshape(-1, 6).T)
    return np.ascontiguousarray(np.stack(x[:2], axis=-1))


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """Return a NumPy generator, an independent stream for each distinct (seed, purpose, numbers).

    For what belongs to no sample: initial weights, the order of samples. Each number is at least 0 and below 2⁶⁴.
    """
    key = _halves(seed, "seed")
    words = [_name_halves(purpose), *(_halves(number, "number") for number in numbers)]
    for position, word in enumerate(words):
        key = _block((*word, position, _FOLD), key)[:2]
    return _numpy_generator(_block((len(words), 0, 0, _GENERATOR), key))
