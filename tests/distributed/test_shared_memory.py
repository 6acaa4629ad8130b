"""Ranks of one machine: sums in the order of the ranks, for all sizes and strides of the arrays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from spikeprep.distributed.ranks import SingleRank, checksums_differ, rank_range
from spikeprep.distributed.shared_memory import SharedGroup, SharedRanks


def together(size, work, block=4 << 20):
    """Run `work(ranks)` in as many threads as there are ranks; return what each returned."""
    group = SharedGroup(size, block)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: work(SharedRanks(group, rank)), range(size)))


def arrays(rank):
    rng = np.random.default_rng(rank)
    strided = rng.normal(size=(3, 4, 50, 8)).astype(np.float32)[:, 0]
    return [
        rng.normal(size=(40, 30)).astype(np.float32),
        strided,
        rng.normal(size=7),
        np.zeros((0, 3)),
        rng.integers(0, 99, (1, 2000)),
        np.float64(rng.normal(size=())),
    ]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("block", [256, 1000 * 8, 4 << 20])
def test_sums_are_in_the_order_of_the_ranks(size, block):
    def work(ranks):
        mine = [np.array(a) if a.flags.c_contiguous else a for a in arrays(ranks.rank)]
        for _ in range(3):
            ranks.all_reduce(mine)
        return mine

    want = [arrays(rank) for rank in range(size)]
    for _ in range(3):
        sums = []
        for terms in zip(*want, strict=True):
            total = np.array(terms[0])
            for term in terms[1:]:
                total = total + term
            sums.append(total)
        want = [sums] * size
    for got in together(size, work, block):
        for a, b in zip(got, sums, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_small_arrays_are_exchanged():
    def work(ranks):
        values = np.array([ranks.rank, 1.5])
        total, first = ranks.total(values), ranks.broadcast(values)
        for _ in range(100):
            ranks.barrier()
        same, differs = checksums_differ(ranks, 7), checksums_differ(ranks, 7 + ranks.rank)
        return values.tolist(), total.tolist(), first.tolist(), ranks.leads, same, differs

    assert together(3, work) == [
        ([rank, 1.5], [3.0, 4.5], [0.0, 1.5], rank == 0, False, True) for rank in range(3)
    ]


def test_a_single_rank_is_its_own_sum():
    ranks, values = SingleRank(), np.array([1.0, 2.0])
    ranks.all_reduce([values])
    ranks.barrier()
    assert ranks.total(values).tolist() == ranks.broadcast(values).tolist() == [1.0, 2.0]
    assert ranks.leads
    assert not checksums_differ(ranks, 3)


@pytest.mark.parametrize(("size", "ranks"), [(0, 3), (2, 3), (7, 3), (9, 3), (1, 1)])
def test_the_ranges_of_ranks_cover_everything_once_and_evenly(size, ranks):
    ranges = [rank_range(size, rank, ranks) for rank in range(ranks)]
    assert [n for start, stop in ranges for n in range(start, stop)] == list(range(size))
    sizes = [stop - start for start, stop in ranges]
    assert max(sizes) - min(sizes) <= 1
