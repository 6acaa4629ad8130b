import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from spikeprep.errors import UsageError
from spikeprep.random import SampleKey, generator, philox4x32, philox_keys, split_mix

# Random123's known answers for philox4x32-10: counter, key → block
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]
compiled = njit(philox4x32)


@pytest.mark.parametrize("philox", [philox4x32, compiled], ids=["numpy", "numba"])
@pytest.mark.parametrize(("counter", "key", "block"), KNOWN)
def test_known_answers(philox, counter, key, block):
    assert [int(x) for x in philox(*(np.uint64(word) for word in counter + key))] == block


def plain_philox(counter, key):
    """The algorithm again, in Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [b >> 32 ^ c[1] ^ k[0], b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


@given(st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6))
def test_arrays_and_scalars_agree_with_plain_integers(words):
    expected = plain_philox(words[:4], words[4:])
    arrays = philox4x32(*(np.full((2, 3), word, np.uint64) for word in words))
    assert [int(x[1, 2]) for x in arrays] == expected
    assert [int(x) for x in compiled(*(np.uint64(word) for word in words))] == expected


def test_sample_key_is_as_documented():
    """The bits of every store depend on this mapping: it must not change."""
    import hashlib

    def halves(n):
        return [n & 0xFFFFFFFF, n >> 32]

    name = int.from_bytes(hashlib.blake2b(b"train", digest_size=8).digest(), "little")
    split = plain_philox([*halves(name), 0, 0x80000001], halves(2**63 + 5))[:2]
    expected = plain_philox([*halves(2**40 + 7), 3, 0x80000002], split)[:2]
    assert SampleKey(2**63 + 5, "train", 2**40 + 7, 3).philox_key() == tuple(expected)
    assert SampleKey(0, "train", 0).philox_key() == (0xC861DE74, 0x50E13107)


def test_every_field_changes_the_key():
    base = SampleKey(0, "train", 0)
    others = [
        SampleKey(1, "train", 0),
        SampleKey(0, "test", 0),
        SampleKey(0, "train", 1),
        SampleKey(0, "train", 0, 1),
    ]
    assert len({key.philox_key() for key in [base, *others]}) == 5


def test_many_keys_at_once_equal_single_ones():
    keys = [SampleKey(5, split, n, n % 3) for split in ("train", "test") for n in range(50)]
    assert [tuple(row) for row in philox_keys(keys).tolist()] == [key.philox_key() for key in keys]
    assert philox_keys([]).shape == (0, 2)


def test_keys_of_a_whole_data_set_are_distinct():
    keys = philox_keys([SampleKey(0, "train", n) for n in range(60_000)])
    assert len(np.unique(keys, axis=0)) == 60_000


@pytest.mark.parametrize(
    "key",
    [SampleKey(-1, "a", 0), SampleKey(2**64, "a", 0), SampleKey(0, "a", -1), SampleKey(0, "a", 0, 2**32)],
)
def test_numbers_out_of_range_are_refused(key):
    with pytest.raises(UsageError, match="expected 0 ≤"):
        key.philox_key()


def test_generators_are_reproducible_and_distinct():
    def draw(rng):
        return rng.integers(0, 2**63, 4).tolist()

    assert draw(generator(0, "weights", 1)) == draw(generator(0, "weights", 1))
    streams = [
        generator(0, "weights"),
        generator(0, "weights", 0),
        generator(0, "weights", 0, 0),
        generator(0, "weights", 1),
        generator(1, "weights", 0),
        generator(0, "order", 0),
        SampleKey(0, "weights", 0).generator("order"),
        SampleKey(0, "weights", 0).generator("weights"),
        SampleKey(0, "weights", 1).generator("order"),
    ]
    assert len({tuple(draw(rng)) for rng in streams}) == len(streams)


def test_generator_stream_is_pinned():
    """Weights and shuffles of earlier runs depend on this."""
    assert generator(7, "weights", 3).integers(0, 2**32, 3).tolist() == [686178443, 3546834293, 2546302133]


@pytest.mark.parametrize(
    ("key", "numbers"),
    [
        (0, [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]),
        (1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423]),
    ],
)
def test_split_mix_is_the_published_generator(key, numbers):
    """Of the reference implementation in C (Vigna 2015) and of Java's SplittableRandom."""
    assert split_mix(np.array([key], np.uint64), np.arange(3, dtype=np.uint64)).tolist() == numbers


def test_importing_is_light():
    code = "import sys, spikeprep.random; sys.exit(bool({'numba', 'zarr', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
