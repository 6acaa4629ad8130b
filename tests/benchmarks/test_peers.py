from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import Task, Timing, dense, measure, page
from benchmarks.peers.page import SHAPES, Entry, entries, in_process, ratios, table, times, to_fastest
from benchmarks.peers.torch_networks import BUILDERS

TINY = Task(dense(12, 8, 3), steps=20, batch=4, density=0.3, batches=2)
OURS, JELLY, SNN, SPYX = Entry("spikeprep"), Entry("spikingjelly"), Entry("snntorch"), Entry("spyx")


def timing(name: str, *train: float) -> Timing:
    return Timing(name, "1.2", train, tuple(value / 2 for value in train))


ROUNDS = [
    {
        OURS: timing("spikeprep", 1, 2, 3),
        JELLY: timing("spikingjelly", 20, 30, 40),
        SNN: timing("snntorch", 50),
        SPYX: timing("spyx", 10),
    },
    {
        OURS: timing("spikeprep", 2, 4, 9),
        JELLY: timing("spikingjelly", 100),
        SNN: timing("snntorch", 80),
        SPYX: timing("spyx", 16),
    },
]


def test_ratios_are_of_medians_of_one_round() -> None:
    assert ratios(ROUNDS, JELLY, "train") == [15, 25]
    assert ratios(ROUNDS, SPYX, "infer") == [5, 4]
    assert times(ROUNDS, JELLY, "train") == [20, 30, 40, 100]


def test_the_fastest_peer_is_the_one_with_the_least_median() -> None:
    assert to_fastest(ROUNDS, [JELLY, SNN, SPYX], "train") == (SPYX, [5, 4])
    assert to_fastest(ROUNDS, [JELLY, SNN], "train") == (JELLY, [15, 25])


def test_a_table_has_times_ratios_and_both_comparisons() -> None:
    text = table(SHAPES["mnist"], [OURS, JELLY, SNN, SPYX], ROUNDS)
    assert "| spikeprep | 1.2 | 2.50 | 1.00 | | 1.25 | 0.50 | |" in text
    assert "| SpikingJelly | 1.2 | 35.00 | 20.00 | 20.0 × (15.0 to 25.0) | 17.50 | 10.00 |" in text
    assert "training 4.5 × (4.0 to 5.0) against Spyx (JAX), the fastest" in text
    assert (
        "training 20.0 × (15.0 to 25.0) against the faster of SpikingJelly and snnTorch, SpikingJelly" in text
    )


def test_recurrent_peers_are_rows_of_their_own_and_ours_is_none() -> None:
    names = ["snntorch", "spyx"]
    assert entries(SHAPES["mnist"], names) == [OURS, SNN, SPYX]
    rows = entries(SHAPES["shd"], names)
    assert [str(row) for row in rows] == [
        "spikeprep",
        "snnTorch",
        "Spyx (JAX)",
        "snnTorch, recurrent",
        "Spyx (JAX), recurrent",
    ]


def test_a_page_says_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fake(entry: Entry, shape: str, batches: int) -> Timing:
        asked.append((shape, entry))
        return timing(entry.name, 1.0)

    monkeypatch.setattr("benchmarks.peers.page.in_process", fake)
    monkeypatch.setattr("benchmarks.peers.page.commit_of", lambda: "abc")
    text = "\n\n".join(page.page(["snntorch"], ["mnist"], rounds=2, batches=3))
    assert asked == [("mnist", OURS), ("mnist", SNN)] * 2
    assert "commit abc" in text
    assert "Not installed, so left out: SpikingJelly, norse, Spyx (JAX)." in text


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(SystemExit, match="invalid choice: 'nothing'"):
        in_process(SNN, "nothing", 1)


def test_input_has_the_density_of_the_task() -> None:
    spikes = Task(density=0.021).spikes(8)
    assert spikes.shape == (400, 8, 784)
    assert spikes.mean() == pytest.approx(0.021, rel=0.01)


def test_ours_times_every_batch_on_the_task() -> None:
    result = measure("spikeprep", TINY)
    assert len(result.train) == len(result.infer) == 8
    assert result.train_ms == min(result.train) > 0


def imported(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torch")
        return pytest.importorskip(name)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_recurrent_hidden_layer_has_a_weight_for_each_pair(name: str) -> None:
    imported(name if name != "norse" else "norse.torch")
    import torch

    spikes = torch.from_numpy(TINY.spikes().astype(np.float32))
    weights = {}
    for recurrent in (False, True):
        network, forward = BUILDERS[name](TINY.layers, recurrent)
        assert forward(spikes).shape == (4, 3)
        weights[recurrent] = sum(p.numel() for p in network.parameters() if p.ndim == 2)
    assert weights[False] == 12 * 8 + 8 * 3
    # SpikingJelly's container has another matrix, of what the layer is given
    assert weights[True] - weights[False] == (2 if name == "spikingjelly" else 1) * 8 * 8


def test_spyx_times_every_batch() -> None:
    imported("spyx")
    result = measure("spyx", TINY)
    assert len(result.train) == len(result.infer) == 2
