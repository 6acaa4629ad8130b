"""Ranks of one machine: sums in the order of the ranks, whatever the arrays' sizes and strides."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from spikeprep.distributed.ranks import Alone, drifted, span
from spikeprep.distributed.shared_memory import Meeting, SharedRanks


def together(size, work, piece=4 << 20):
    """Run `work(ranks)` in as many threads as there are ranks; return what each returned."""
    meeting = Meeting(size, piece)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: work(SharedRanks(meeting, rank)), range(size)))


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
@pytest.mark.parametrize("piece", [256, 1000 * 8, 4 << 20])
def test_sums_are_in_the_order_of_the_ranks(size, piece):
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
    for got in together(size, work, piece):
        for a, b in zip(got, sums, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_small_things_between_ranks():
    def work(ranks):
        own = np.array([ranks.rank, 1.5])
        total, first = ranks.total(own), ranks.broadcast(own)
        for _ in range(100):
            ranks.barrier()
        same, differs = drifted(ranks, 7), drifted(ranks, 7 + ranks.rank)
        return own.tolist(), total.tolist(), first.tolist(), ranks.leads, same, differs

    assert together(3, work) == [
        ([rank, 1.5], [3.0, 4.5], [0.0, 1.5], rank == 0, False, True) for rank in range(3)
    ]


def test_alone_is_the_sum_of_one():
    ranks, values = Alone(), np.array([1.0, 2.0])
    ranks.all_reduce([values])
    ranks.barrier()
    assert ranks.total(values).tolist() == ranks.broadcast(values).tolist() == [1.0, 2.0]
    assert ranks.leads
    assert not drifted(ranks, 3)


@pytest.mark.parametrize(("size", "ranks"), [(0, 3), (2, 3), (7, 3), (9, 3), (1, 1)])
def test_spans_are_everything_once_and_even(size, ranks):
    spans = [span(size, rank, ranks) for rank in range(ranks)]
    assert [n for first, last in spans for n in range(first, last)] == list(range(size))
    sizes = [last - first for first, last in spans]
    assert max(sizes) - min(sizes) <= 1
