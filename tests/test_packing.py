import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikeprep.packing import overrun, pack, padding_mask, popcount, unpack

spikes = hnp.arrays(
    np.bool_, st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 9)), elements=st.booleans()
)


def test_bit_k_of_byte_b_is_step_8b_plus_k():
    dense = np.zeros((11, 2), bool)
    dense[0, 0] = dense[9, 0] = dense[3, 1] = True
    np.testing.assert_array_equal(pack(dense), [[1 << 0, 1 << 1], [1 << 3, 0]])


@given(spikes)
def test_unpack_undoes_pack(dense):
    steps = dense.shape[-2]
    bits = pack(dense)
    assert bits.shape == (*dense.shape[:-2], dense.shape[-1], -(-steps // 8))
    np.testing.assert_array_equal(unpack(bits, steps), dense)
    assert unpack(bits, steps).flags.c_contiguous


@given(spikes)
def test_a_reader_without_this_package_gets_the_same(dense):
    plain = np.unpackbits(pack(dense), axis=-1, bitorder="little")[..., : dense.shape[-2]]
    np.testing.assert_array_equal(plain, np.swapaxes(dense, -1, -2))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.bool_])
def test_any_nonzero_is_a_spike(dtype):
    dense = np.array([[0, 2], [7, 0], [0, 0]]).astype(dtype)
    np.testing.assert_array_equal(unpack(pack(dense), 3), dense != 0)


@given(spikes)
def test_popcount_counts_spikes(dense):
    np.testing.assert_array_equal(popcount(pack(dense)), dense.sum(axis=-2))


@pytest.mark.parametrize("unit_bytes", [1, 7, 8, 16, 50])
def test_popcount_by_words_and_by_bytes_agree(unit_bytes):
    bits = np.random.default_rng(0).integers(256, size=(3, 5, unit_bytes), dtype=np.uint8)
    expected = np.unpackbits(bits, axis=-1).sum(axis=-1)
    np.testing.assert_array_equal(popcount(bits), expected)
    wide = np.zeros((3, 5, unit_bytes + 3), np.uint8)
    wide[..., 1:-2] = bits  # neither contiguous nor aligned
    np.testing.assert_array_equal(popcount(wide[..., 1:-2]), expected)


def test_popcount_of_no_time_is_zero():
    np.testing.assert_array_equal(popcount(np.zeros((2, 0), np.uint8)), [0, 0])


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_padding_mask_has_ones_at_and_past_the_end(lengths):
    unit_bytes = 5
    dense = np.arange(8 * unit_bytes)[None, :] >= np.array(lengths)[:, None]
    mask = padding_mask(np.array(lengths), unit_bytes)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(np.unpackbits(mask, axis=-1, bitorder="little"), dense)


@given(spikes)
def test_packed_padding_is_zero(dense):
    bits = pack(dense)
    steps = np.full(bits.shape[0], dense.shape[-2])
    assert not (bits & padding_mask(steps, bits.shape[-1])[:, None, :]).any()


@given(spikes, st.data())
def test_overrun_sees_any_spike_at_or_past_the_end(dense, data):
    bits = pack(dense)
    steps = np.array(
        data.draw(st.lists(st.integers(0, 8 * bits.shape[-1]), min_size=len(bits), max_size=len(bits)))
    )
    expected = (bits & padding_mask(steps, bits.shape[-1])[:, None]).any(axis=(1, 2))
    np.testing.assert_array_equal(overrun(bits, steps), expected)
