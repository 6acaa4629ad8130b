from __future__ import annotations

import io
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import Task, dense, measure
from benchmarks.peers.page import SHAPES, Entry, Measured, entries, page, table
from benchmarks.peers.served import Served, serve
from benchmarks.peers.task import Works
from benchmarks.peers.torch_networks import BUILDERS

TINY = Task(dense(12, 8, 3), steps=20, batch=4, density=0.3, batches=2)
OURS, JELLY, SNN, SPYX = Entry("spikeprep"), Entry("spikingjelly"), Entry("snntorch"), Entry("spyx")


class Fake:
    """A process whose batches take given times, the last one for ever; `heard` notes who was asked for what."""

    def __init__(self, name: str, heard: list[tuple[str, str]], *times: float) -> None:
        self.name, self.heard, self.times, self.version = name, heard, list(times), "1.2"

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        self.heard.append((self.name, "ends"))

    def milliseconds(self, what: str) -> float:
        self.heard.append((self.name, what))
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


def measured(*rows: tuple[Entry, float, float]) -> Measured:
    """Return what two batches of each took: theirs, and all of ours around."""
    result = Measured()
    for entry, theirs, ours in rows:
        result.alternate(Fake("ours", [], ours), Fake("theirs", [], theirs), entry, 2)  # type: ignore[arg-type]
    return result


def test_a_ratio_is_of_a_batch_to_four_of_ours_around_it() -> None:
    heard: list[tuple[str, str]] = []
    result = Measured()
    ours, theirs = Fake("ours", heard, 1, 2, 4, 50, 10), Fake("theirs", heard, 30, 40)
    result.alternate(ours, theirs, JELLY, 2)  # type: ignore[arg-type]
    assert heard[:10] == [("ours", "train")] * 2 + [("theirs", "train")] + [("ours", "train")] * 4 + [
        ("theirs", "train"),
        ("ours", "train"),
        ("ours", "train"),
    ]
    assert result.ratios[JELLY, "train"] == [30 / 3, 40 / 10]
    assert result.times[OURS, "train"] == [1, 2, 4, 50, 10, 10, 10, 10]
    assert result.times[JELLY, "train"] == [30, 40]
    assert result.ratios[JELLY, "infer"] == [4, 4]


def test_the_fastest_is_so_by_ratio_whatever_the_load_was() -> None:
    # Spyx had a machine that was ten times as slow
    result = measured((JELLY, 20, 1), (SPYX, 100, 10))
    assert result.fastest([JELLY, SPYX], "train") == SPYX


def test_a_table_has_times_ratios_and_both_comparisons() -> None:
    result = measured((JELLY, 20, 1), (SNN, 30, 1), (SPYX, 10, 2))
    text = table(SHAPES["mnist"], [OURS, JELLY, SNN, SPYX], result)
    assert "| spikeprep | 1.2 | 1.00 | 1.00 | | 1.00 | 1.00 | |" in text
    assert "| SpikingJelly | 1.2 | 20.00 | 20.00 | 20.0 × (20.0 to 20.0) | 20.00 |" in text
    assert "training 5.0 × (5.0 to 5.0) against Spyx (JAX), the fastest" in text
    assert (
        "training 20.0 × (20.0 to 20.0) against the faster of SpikingJelly and snnTorch, SpikingJelly" in text
    )


def test_slow_batches_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.page.LONGEST", 0)
    result = measured((SNN, 30, 1))
    assert result.ratios[SNN, "train"] == result.ratios[SNN, "infer"] == [30]


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


def test_a_page_has_new_processes_each_round_and_says_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[tuple[str, str]] = []
    monkeypatch.setattr("benchmarks.peers.page.served", lambda entry, shape: Fake(entry.name, heard, 1))
    monkeypatch.setattr("benchmarks.peers.page.commit_of", lambda: "abc")
    text = "\n\n".join(page(["snntorch"], ["mnist"], rounds=2, batches=1))
    assert [name for name, what in heard if what == "ends"] == ["snntorch", "spikeprep"] * 2
    assert "commit abc" in text
    assert "Not installed, so left out: SpikingJelly, norse, Spyx (JAX)." in text


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(SystemExit, match=r"(?s)Spyx: .*invalid choice: 'nothing'"):
        Served("Spyx", ["--serve", "nothing"]).__enter__()


def test_serving_warms_up_and_then_does_what_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = []
    works = Works(lambda: done.append("train"), lambda: done.append("infer"), warm=3)
    monkeypatch.setattr("sys.stdin", io.StringIO("infer\ntrain\n"))
    answers = os.open(tmp_path / "answers", os.O_RDWR | os.O_CREAT)
    monkeypatch.setattr("os.dup", lambda _: answers)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    serve(works, "1.2", TINY)
    lines = [json.loads(line) for line in (tmp_path / "answers").read_text().splitlines()]
    assert done == ["train"] * 3 + ["infer", "infer", "train"]
    assert lines[0] == "1.2"
    assert len(lines) == 3
    assert min(lines[1:]) > 0


def test_input_has_the_density_of_the_task() -> None:
    spikes = Task(density=0.021).spikes(8)
    assert spikes.shape == (400, 8, 784)
    assert spikes.mean() == pytest.approx(0.021, rel=0.01)
    concentrated = Task(density=0.021, active=0.2).spikes(40)
    assert concentrated.mean() == pytest.approx(0.021, rel=0.03)
    assert concentrated.any(axis=0).mean() == pytest.approx(0.2, rel=0.03)


def test_ours_times_every_batch_on_the_task() -> None:
    result = measure("spikeprep", TINY)
    assert len(result.train) == len(result.infer) == 2
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
