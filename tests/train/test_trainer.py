"""The trainer: it learns, resumes to the bit, keeps its folder, and speaks up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeprep import config
from spikeprep.cpu.backend import CpuBackend
from spikeprep.errors import CapabilityError, DataError, RunError, UsageError
from spikeprep.registry import RULES
from spikeprep.store import SpikeStore
from spikeprep.train.checkpoint import load_checkpoint, save_checkpoint
from spikeprep.train.diagnosis import few_updates
from spikeprep.train.evaluation import evaluate
from spikeprep.train.layers import build_layers
from spikeprep.train.optimiser import OptimiserSettings, RegularisationSettings
from spikeprep.train.rules.hm2bp import Hm2bp
from spikeprep.train.rules.lee2016 import Lee2016
from spikeprep.train.rules.loss import LossSettings, fitting_counts
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.settings import TrainSettings, describe_settings
from spikeprep.train.splits import split_validation
from spikeprep.train.trainer import Trainer, load_network

SETTINGS = TrainSettings(
    arch="30",
    epochs=2,
    optim=OptimiserSettings(rate=0.03, regularisation=RegularisationSettings(strength=0.0)),
    rule=Hm2bp(loss=LossSettings(target=15, off_target=2, margin=2)),
)


def trainer(store: SpikeStore, folder: Path, settings: TrainSettings = SETTINGS, **more: Any) -> Trainer:
    return Trainer(store, RunFolder(folder), settings, CpuBackend(threads=more.pop("threads", 2)), **more)


def weights(folder: Path) -> dict[str, bytes]:
    arrays, _ = load_checkpoint(folder / "last.npz")
    return {name: array.tobytes() for name, array in arrays.items()}


def with_rule(**changes: Any) -> TrainSettings:
    return replace(SETTINGS, rule=replace(SETTINGS.rule, **changes))


def test_it_learns_real_digits(digits: SpikeStore, tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    settings = replace(SETTINGS, arch="100", epochs=6)
    summary = trainer(digits, tmp_path / "run", settings, listener=heard.append).run()
    assert summary is not None
    assert summary["train_accuracy"] > 0.9
    assert summary["test_accuracy"] > 0.8
    journal = RunFolder(tmp_path / "run").journal.records()
    assert [r for r in heard if r["event"] not in ("network", "progress")] == journal
    assert [r["weights"] for r in heard if r["event"] == "network"] == [64 * 100 + 100 * 10]
    assert [r["event"] for r in journal] == ["start", "warning", "device"] + ["epoch"] * 6
    where = {k: journal[2][k] for k in ("device", "ranks")}
    assert where == {"device": "cpu", "ranks": 1}
    assert journal[2]["feed"]["name"] == journal[3]["feed"] == summary["feed"] == "streamed"
    seen = [r["seen"] for r in heard if r["event"] == "progress" and r["epoch"] == 0]
    assert seen[-1] == len(split_validation(digits["train"].labels, 0.05, 0)[0])


def test_the_best_epoch_is_validation_s_and_evaluates_the_same(digits: SpikeStore, tmp_path: Path) -> None:
    summary = trainer(digits, tmp_path / "run", replace(SETTINGS, validation=0.2, epochs=4)).run()
    assert summary is not None
    epochs = [r for r in RunFolder(tmp_path / "run").journal.records() if r["event"] == "epoch"]
    scores = [r["validation_accuracy"] for r in epochs]
    assert summary["best_epoch"] == max(n for n, score in enumerate(scores, 1) if score == max(scores))
    assert summary["best_test_accuracy"] == epochs[summary["best_epoch"] - 1]["test_accuracy"]
    network = load_network(RunFolder(tmp_path / "run"), CpuBackend())
    again = evaluate(network, digits["test"], 10)
    assert again.accuracy == summary["best_test_accuracy"]
    assert again.confusion.sum() == again.samples == 300


@pytest.mark.parametrize("stop", [1, 9, 13])
def test_a_stopped_run_resumes_to_the_same_bits(digits: SpikeStore, tmp_path: Path, stop: int) -> None:
    settings = replace(SETTINGS, boost=True)
    trainer(digits, tmp_path / "whole", settings, threads=2).run()
    left = iter(range(stop))
    stopped = trainer(digits, tmp_path / "parts", settings, threads=1)
    assert stopped.run(lambda: next(left, None) is None) is None
    resumed = trainer(digits, tmp_path / "parts", stopped.settings, threads=3, resume=True)
    assert resumed.run() is not None
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")
    keys = ("epoch", "train_accuracy", "validation_accuracy", "test_accuracy", "rates")
    records = [
        [
            {k: r[k] for k in keys}
            for r in RunFolder(tmp_path / name).journal.records()
            if r["event"] == "epoch"
        ]
        for name in ("whole", "parts")
    ]
    assert records[0] == records[1]


def test_a_stopped_run_with_dropout_resumes_and_keeps_the_network_without(
    digits: SpikeStore, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, dropout=(0.1, 0.3))
    trainer(digits, tmp_path / "whole", settings, threads=2).run()
    left = iter(range(9))
    stopped = trainer(digits, tmp_path / "parts", settings)
    assert stopped.run(lambda: next(left, None) is None) is None
    trainer(digits, tmp_path / "parts", stopped.settings, threads=1, resume=True).run()
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")
    folder = RunFolder(tmp_path / "parts")
    last, best = (load_checkpoint(path)[0] for path in (folder.last, folder.best))
    epochs = [r for r in folder.journal.records() if r["event"] == "epoch"]
    assert epochs[0]["validation_accuracy"] <= epochs[1]["validation_accuracy"]  # so the last is the best
    for n, share in enumerate(settings.dropout):
        name = f"layer{n}.weight"
        np.testing.assert_allclose(best[name], last[name] * np.float32(1 - share), rtol=1e-6)
    again = evaluate(load_network(folder, CpuBackend()), digits["test"], 10)
    assert again.accuracy == epochs[-1]["test_accuracy"]
    trainer(digits, tmp_path / "none", SETTINGS).run()
    assert weights(tmp_path / "none") != weights(tmp_path / "whole")


def test_a_run_killed_before_its_first_checkpoint(digits: SpikeStore, tmp_path: Path) -> None:
    killed = trainer(digits, tmp_path / "run")
    killed.folder.release()
    trainer(digits, tmp_path / "whole").run()
    trainer(digits, tmp_path / "run", killed.settings, resume=True).run()
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_what_a_checkpoint_does_not_know_is_forgotten(digits: SpikeStore, tmp_path: Path) -> None:
    left = iter(range(10))
    first = trainer(digits, tmp_path / "run")
    first.run(lambda: next(left, None) is None)
    folder = RunFolder(tmp_path / "run")
    with folder.journal.path.open("a") as f:
        f.write('{"event": "epoch", "epoch": 99}\n{"event": "cut sho')
    trainer(digits, tmp_path / "run", first.settings, resume=True).run()
    assert [r["epoch"] for r in folder.journal.records() if r["event"] == "epoch"] == [1, 2]


def test_more_epochs_than_the_run_had(digits: SpikeStore, tmp_path: Path) -> None:
    first = trainer(digits, tmp_path / "run")
    first.run()
    folder = RunFolder(tmp_path / "run")
    settings = folder.resumed_settings(digits, {"epochs": 3}, None)
    summary = trainer(digits, tmp_path / "run", settings, resume=True).run()
    assert summary is not None
    assert summary["epochs"] == 3
    assert folder.resumed_settings(digits, {"thresholds": "auto"}, None) == settings  # as the run found them


@pytest.mark.parametrize(
    ("changes", "limit", "says"),
    [
        (
            {"batch": 8},
            None,
            "got batch = 8 for the run in {}; expected 32, as it started: only epochs may change. Leave",
        ),
        ({"loss": {"target": 16}, "seed": 0}, None, "got loss.target = 16 for the run in {}; expected 15, "),
        ({"arch": "30-20"}, None, "got arch = '30-20' for the run in {}; expected '30', "),
        (
            {"rule": "lee2016", "alpha": 3.0},
            None,
            "got rule = 'lee2016' for the run in {}; expected 'hm2bp', ",
        ),
        ({"thresholds": [3.0, 2.0]}, None, "got thresholds = [3.0, 2.0] for the run in {}; expected ["),
        ({}, 7, "got limit = 7 for the run in {}; expected None, "),
    ],
)
def test_other_settings_than_a_run_s_are_named(
    digits: SpikeStore, tmp_path: Path, changes: dict[str, Any], limit: int | None, says: str
) -> None:
    trainer(digits, tmp_path / "run")
    with pytest.raises(RunError) as refused:
        RunFolder(tmp_path / "run").resumed_settings(digits, changes, limit)
    assert says.format(tmp_path / "run") in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "setting", "owner"),
    [("lee2016", "thresholds", "hm2bp"), ("lee2016", "loss.target", "hm2bp"), ("hm2bp", "alpha", "lee2016")],
)
def test_a_setting_of_another_rule_is_called_that(rule: str, setting: str, owner: str) -> None:
    path = setting.split(".")
    nested = {path[0]: {path[1]: 1}} if len(path) > 1 else {setting: 1}
    for build in (TrainSettings().override, TrainSettings.from_json):
        with pytest.raises(UsageError) as refused:
            build({"rule": rule} | nested)  # type: ignore[operator]
        assert refused.value.got == f"{setting} belongs to the rule {owner}, and this run uses {rule}"
        assert refused.value.hint == f"Leave {setting} out, or use rule={owner}."


def test_a_folder_that_is_taken_or_foreign(digits: SpikeStore, other: Path, tmp_path: Path) -> None:
    trainer(digits, tmp_path / "run", replace(SETTINGS, epochs=1)).run()
    with pytest.raises(RunError, match="a run already"):
        trainer(digits, tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(RunError, match="not empty") as refused:
        trainer(digits, tmp_path / "full")
    assert "resume" not in refused.value.hint
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(RunError, match="has other data or another encoding"):
        folder.resumed_settings(SpikeStore.open(other), {}, None)
    with pytest.raises(RunError, match="there is no folder"):
        RunFolder(tmp_path / "none").config()


def test_damaged_run_files(digits: SpikeStore, tmp_path: Path) -> None:
    trainer(digits, tmp_path / "run", replace(SETTINGS, epochs=1)).run()
    folder = RunFolder(tmp_path / "run")
    data = folder.best.read_bytes()
    folder.best.write_bytes(data[: len(data) // 2])
    with pytest.raises(RunError, match="is damaged"):
        load_network(folder, CpuBackend())
    folder.best.unlink()
    with pytest.raises(RunError, match="does not exist"):
        load_network(folder, CpuBackend())
    config = json.loads(folder.config_path.read_text())
    for text, message in (
        ("{", "is damaged"),
        (json.dumps(config | {"format": 9}), "format 9"),
        (json.dumps({k: v for k, v in config.items() if k != "unit_shape"}), "lacks 'unit_shape'"),
    ):
        folder.config_path.write_text(text)
        with pytest.raises(RunError, match=message):
            folder.config()


def test_thresholds_are_calibrated_and_kept(digits: SpikeStore, tmp_path: Path) -> None:
    run = trainer(digits, tmp_path / "run", replace(SETTINGS, arch="50-40"))
    assert len(run.settings.rule.thresholds) == 3  # type: ignore[attr-defined]
    assert RunFolder(tmp_path / "run").config().settings == run.settings
    batch = digits["train"].packed(slice(0, 64))
    *hidden, output = (run.backend.counts(s).mean() for s in run.network.forward(batch)[1:])
    assert all(1 < rate < 2 for rate in hidden)  # 0.012 a step
    assert 0.1 < output < 1.5


def warnings_of(run: Path) -> list[str]:
    return [r["message"] for r in RunFolder(run).journal.records() if r["event"] == "warning"]


@pytest.mark.parametrize("batch", [10, 300], ids=["while it trains", "after an epoch"])
def test_the_first_near_silent_layer_is_warned_about_once(
    digits: SpikeStore, tmp_path: Path, batch: int
) -> None:
    """The layers behind it are silent for its sake, and every epoch is at chance."""
    rule = replace(SETTINGS.rule, thresholds=(1e6, 5.0, 5.0))
    settings = replace(SETTINGS, arch="30-20", batch=batch, epochs=2, rule=rule)
    summary = trainer(digits, tmp_path / "run", settings).run()
    few, silent = warnings_of(tmp_path / "run")
    assert few.startswith("this run makes")
    assert silent == (
        "hidden layer 1 (30) fires 0 spikes per neuron and sample: too few to learn from. Lower its threshold, for "
        "example thresholds=[500000.0, 5.0, 5.0], or set thresholds=auto."
    )
    assert summary is not None
    assert summary["warnings"] == [few, silent]
    longer = RunFolder(tmp_path / "run").resumed_settings(digits, {"epochs": 3}, None)
    again = trainer(digits, tmp_path / "run", longer, resume=True).run()
    assert again is not None
    assert again["warnings"] == [few, silent]


def test_hints_for_silent_layers() -> None:
    layers = build_layers("3C3-P2-5", (8, 8), 10)
    lee = Lee2016()
    assert lee.silent_hint(layers, 0, False).startswith(
        "Lower its threshold, for example alpha=2 (docs/lee2016.md)"
    )
    pool = lee.silent_hint(layers, 1, False)
    assert pool.startswith("Lower the thresholds of the layer with weights ahead of it, for example alpha=2 ")
    by_layer = Lee2016(alpha=(1.0, 1.0, 4.0, 10.0))
    assert "alpha=[1.0, 1.0, 4.0, 2.0]" in by_layer.silent_hint(layers, 3, False)
    assert by_layer.silent_hint(layers, 1, False) == "Raise balance, or encode more spikes."
    assert "has no weights" in lee.silent_hint(build_layers("P2", (8, 8), 10), 0, False)
    calibrated = Hm2bp(thresholds=(4.0, 2.0, 8.0, 5.0))
    assert (
        calibrated.silent_hint(layers, 2, True)
        == "Lower its threshold, for example thresholds=[4.0, 2.0, 4.0, 5.0]."
    )
    assert calibrated.chance_hint(True) == "Lower optim.rate."


def test_guessing_is_warned_about_with_the_setting_to_change(digits: SpikeStore, tmp_path: Path) -> None:
    softmax = with_rule(loss=LossSettings("softmax"), gain_floor=None)
    idle = replace(softmax, batch=2, optim=replace(SETTINGS.optim, rate=1e-9))

    def learned(record: dict[str, Any]) -> None:
        if record["event"] == "epoch":
            record["train_accuracy"] = 0.75  # it is the history's own record

    trainer(digits, tmp_path / "run", idle, listener=learned).run()
    first, second = (w for w in warnings_of(tmp_path / "run") if "is guessing" in w)
    assert first.startswith("epoch 1 ends at ")
    assert "collapsed" not in first
    assert "down from 75.0%: training has collapsed. Set gain_floor=auto" in second
    trainer(digits, tmp_path / "good", SETTINGS).run()
    assert not [w for w in warnings_of(tmp_path / "good") if "guessing" in w]


def test_few_updates_are_warned_about(digits: SpikeStore, tmp_path: Path) -> None:
    few = trainer(digits, tmp_path / "few", SETTINGS)
    updates = SETTINGS.epochs * len(few.stream)
    assert f"this run makes {updates} updates" in warnings_of(tmp_path / "few")[0]
    trainer(digits, tmp_path / "many", replace(SETTINGS, epochs=1000))
    assert not warnings_of(tmp_path / "many")


@pytest.mark.parametrize(
    ("target", "fitting"),
    [(1, (1, 0, 0)), (4, (4, 1, 1)), (8, (8, 1, 1)), (10, (10, 1, 1)), (16, (16, 2, 2)), (35, (35, 5, 5))],
)
def test_counts_that_fit_together(target: int, fitting: tuple[int, int, int]) -> None:
    loss = LossSettings("rate", *fitting)
    assert fitting_counts(target) == "loss.target={}, loss.off_target={} and loss.margin={}".format(*fitting)
    assert Hm2bp(loss=loss).warning() == ""


def test_a_target_is_recommended_with_what_goes_with_it() -> None:
    with pytest.raises(UsageError) as refused:
        Hm2bp().check_steps(50)
    assert (
        refused.value.hint == "Use loss.target=8, loss.off_target=1 and loss.margin=1, or encode more steps."
    )
    with pytest.raises(UsageError) as refused:
        Hm2bp().check_steps(2)
    assert refused.value.hint == "Encode more steps."


@pytest.mark.parametrize(("target", "counts"), [(8, "3 to 10 spikes"), (15, "10 spikes"), (16, "")])
def test_a_loss_that_tells_nothing_apart_is_warned_about(target: int, counts: str) -> None:
    warning = Hm2bp(loss=LossSettings(target=target)).warning()
    assert counts in warning
    assert ("Use loss.target=" in warning) == bool(counts)
    assert Hm2bp(loss=LossSettings("softmax", target=target)).warning() == ""


def test_settings_are_warned_about_at_the_start(digits: SpikeStore, tmp_path: Path) -> None:
    settings = with_rule(thresholds=9.0, loss=LossSettings(target=8))
    trainer(digits, tmp_path / "a", settings, limit=60)
    few, validation, loss = warnings_of(tmp_path / "a")
    assert few.startswith("this run makes ")
    assert validation.startswith("validation=0.05 of 60 training samples, by class, holds out none: ")
    assert loss.startswith(
        "with loss.target=8, loss.off_target=5 and loss.margin=5 a neuron of 3 to 10 spikes "
    )
    share = float(validation.split("Use validation=")[1].split()[0])
    held_out = trainer(digits, tmp_path / "b", replace(settings, validation=share), limit=60)
    assert len(held_out.validation_samples) > 0
    assert len(warnings_of(tmp_path / "b")) == 2


def test_numbers_of_updates() -> None:
    assert few_updates(1, 1).startswith("this run makes 1 update (1 epoch of 1 batch); ")
    assert few_updates(3, 20).startswith("this run makes 60 updates (3 epochs of 20 batches); ")


def test_lee2016_learns_and_resumes_to_the_bit(digits: SpikeStore, tmp_path: Path) -> None:
    """The thresholds that the rule trains are part of every checkpoint."""
    settings = TrainSettings().override({"rule": "lee2016", "arch": "60", "epochs": 6, "optim.rate": 0.01})
    assert settings.optim.regularisation.steepness == 10
    whole = trainer(digits, tmp_path / "whole", settings)
    summary = whole.run()
    assert summary is not None
    assert summary["test_accuracy"] > 0.6
    stopped = trainer(digits, tmp_path / "run", settings)
    stopped.run(lambda: stopped.step == 12)
    again = trainer(digits, tmp_path / "run", settings, resume=True)
    again.run()
    for a, b in zip(whole.network.states(), again.network.states(), strict=True):
        assert set(a) == {"weight", "threshold"}
        for name in a:
            for part in ("value", "moment", "variance"):
                assert getattr(a[name], part).tobytes() == getattr(b[name], part).tobytes()
    moved = whole.network.states()[0]["threshold"]
    assert np.unique(moved.value).size > 1
    best = load_network(RunFolder(tmp_path / "run"), again.backend)
    assert (
        best.states()[0]["threshold"].value.tobytes()
        == again.network.states()[0]["threshold"].value.tobytes()
    )


def test_unfit_settings(digits: SpikeStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 40"):
        trainer(digits, tmp_path / "a", with_rule(loss=LossSettings(target=41)))
    with pytest.raises(UsageError, match="one value for all layers, or 2"):
        with_rule(thresholds=(1.0,))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes",
    [
        {"lateral": -0.5}, {"lateral": -0.02}, {"thresholds": [1e-7, 8]}, {"thresholds": [1, 0]},
        {"neuron.slack": 10, "thresholds": 8}, {"neuron.tau_m": 2}, {"psp.window": -5}, {"psp.window": 2},
        {"optim.rate": float("nan")}, {"optim.rate": -1}, {"optim.rate": 1e9}, {"optim.beta1": 2},
        {"loss.margin": -3}, {"loss.target": 0}, {"loss.margin": 35}, {"loss.off_target": 40},
        {"init": float("nan")}, {"init": float("inf")}, {"init": [1, 1, 1]}, {"init": []},
        {"optim.regularisation.scale": 0}, {"optim.regularisation.strength": [1]}, {"epochs": 0},
        {"validation": 1.5}, {"batch": "x"}, {"boost": 1}, {"seed": -1}, {"arch": "800-"}, {"arch": ""},
        {"gain_floor": 0}, {"loss.lateral_limit": 0.5}, {"neuron.refractory": 0}, {"precision": "float16"},
        {"optim": 3}, {"loss": "softmax"}, {"rule": 3}, {"rule": "hm2b"},
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SETTINGS.override(changes)


def test_messages_of_refused_settings() -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'optim\.rate'"):
        SETTINGS.override({"optim.rat": 1})
    with pytest.raises(UsageError, match=r"got training\.batch = 'x'; expected a whole number"):
        SETTINGS.override({"batch": "x"})
    with pytest.raises(UsageError, match='"rate" or "softmax"'):
        SETTINGS.override({"loss.loss": "rat"})


def test_settings_by_layer() -> None:
    changed = SETTINGS.override(
        {"thresholds": 3, "init": [0.5, 1], "optim.regularisation.strength": [0.06, 1]}
    )
    assert changed.rule.constants(1, 2).neuron.threshold == 3
    assert [changed.optim.step(1, layer, 0.1).strength for layer in (0, 1)] == [0.06, 1]
    assert TrainSettings.from_json(changed.to_json()) == changed


def test_initial_weights_by_layer(digits: SpikeStore, tmp_path: Path) -> None:
    run = trainer(digits, tmp_path / "run", replace(SETTINGS, init=(0.25, 2.0)))
    spreads = [np.abs(state["weight"].value).max() for state in run.network.states()]
    assert 0.2 < spreads[0] <= 0.25
    assert 1.5 < spreads[1] <= 2.0


def test_every_setting_is_described() -> None:
    described = {setting.name: setting for setting in describe_settings()}
    assert set(config.leaves(TrainSettings().to_json())) == set(described)
    assert all(setting.meaning and setting.allowed for setting in described.values())


def test_the_floor_of_the_gain_is_there_for_the_softmax_loss() -> None:
    assert Hm2bp(8.0).constants(0, 2).gain_floor is None
    assert Hm2bp(8.0, loss=LossSettings("softmax")).constants(0, 2).gain_floor == 0.1
    assert Hm2bp(8.0, gain_floor=None, loss=LossSettings("softmax")).constants(0, 2).gain_floor is None


def test_values_that_are_not_finite_stop_the_run(
    digits: SpikeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(digits, tmp_path / "run", replace(SETTINGS, epochs=3))
    layer = run.network.devices[0].parameters["weight"]
    after_epoch = run._after_epoch

    def spoil() -> None:
        if run.stream.epoch == 2:
            layer.weight[0, 0] = np.nan  # type: ignore[attr-defined]
        after_epoch()

    monkeypatch.setattr(run, "_after_epoch", spoil)
    with pytest.raises(RunError, match="not finite after epoch 2") as stopped:
        run.run()
    assert "Lower optim.rate, init or lateral, and train into another run folder" in stopped.value.hint
    arrays, record = load_checkpoint(tmp_path / "run" / "last.npz")
    assert len(record["history"]) == 1
    assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.parametrize("rule", ["hm2bp", "lee2016"])
def test_settings_to_lower_are_the_rule_s(rule: str) -> None:
    words = RULES.get(rule).runaway.replace(" or ", ", ").split(", ")
    assert set(words) <= {setting.name for setting in describe_settings(rule)}


def test_a_network_that_does_not_fit_in_memory(digits: SpikeStore, tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match=r"a network of [\d,]+ weights needs [\d,.]+ GB"):
        trainer(digits, tmp_path / "run", replace(SETTINGS, arch="1000000-1000000"))
    with pytest.raises(UsageError, match="'99999999999' in arch"):
        trainer(digits, tmp_path / "run", replace(SETTINGS, arch="99999999999"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"units": -1}, {"units": "64"}, {"units": 63}, {"limit": "x"}, {"limit": 0}, {"store": 5}, {"classes": [1]},
        {"unit_shape": [8.5, 8]}, {"encoding": "x"}, {"fingerprint": None},
    ],
)  # fmt: skip
def test_a_changed_configuration_is_refused(
    digits: SpikeStore, tmp_path: Path, changes: dict[str, Any]
) -> None:
    trainer(digits, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    value = json.loads(folder.config_path.read_text())
    folder.config_path.write_text(json.dumps(value | changes))
    with pytest.raises(RunError, match=next(iter(changes))):
        folder.config()
    value["settings"]["thresholds"] = "auto"
    folder.config_path.write_text(json.dumps(value))
    with pytest.raises(RunError, match="thresholds"):
        folder.config()


def test_a_run_folder_that_cannot_be_made(digits: SpikeStore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    heard: list[dict[str, Any]] = []
    for path in (tmp_path / "file", tmp_path / "file" / "run", Path("/dev/null/run")):
        with pytest.raises(
            UsageError, match=r"cannot be created \(there is a file in its place\); expected a folder"
        ):
            trainer(digits, path, listener=heard.append)
    with pytest.raises(CapabilityError, match="cannot be created") as refused:
        trainer(digits, Path("/proc/spikeprep/run"), listener=heard.append)
    assert "resume" not in str(refused.value)
    assert heard == []  # the network is shown once there is a folder


@pytest.mark.parametrize(("number", "hint"), [(1, "train again"), (2, "train again"), (4, "newer spikeprep")])
def test_a_run_folder_of_another_format_is_refused(
    digits: SpikeStore, tmp_path: Path, number: int, hint: str
) -> None:
    trainer(digits, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": number}))
    with pytest.raises(RunError, match=f"format {number}; expected format 3.*{hint}"):
        RunFolder(tmp_path / "run").config()


def test_a_checkpoint_of_another_network_is_refused(digits: SpikeStore, tmp_path: Path) -> None:
    trainer(digits, tmp_path / "run", replace(SETTINGS, epochs=1)).run()
    folder = RunFolder(tmp_path / "run")
    arrays, record = load_checkpoint(folder.best)
    save_checkpoint(folder.best, arrays | {"layer0.weight": arrays["layer0.weight"].T}, record)
    with pytest.raises(RunError, match=r"layer0\.weight as float32 \(64, 30\); expected float32 \(30, 64\)"):
        load_network(folder, CpuBackend())
    del arrays["layer1.weight"]
    save_checkpoint(folder.best, arrays, record)
    with pytest.raises(RunError, match=r"lacks the array layer1\.weight"):
        load_network(folder, CpuBackend())


def test_settings_round_trip() -> None:
    changed = SETTINGS.override({"thresholds": [3, 4], "psp.window": "none", "optim.rate": 1, "boost": True})
    assert changed.rule.thresholds == (3.0, 4.0)  # type: ignore[attr-defined]
    assert changed.rule.psp.window is None  # type: ignore[attr-defined]
    assert TrainSettings.from_json(json.loads(json.dumps(changed.to_json()))) == changed


def test_validation_is_a_share_of_each_class() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 4])
    train, held = split_validation(labels, 0.1, 0)
    assert np.bincount(labels[held], minlength=3).tolist() == [10, 5, 0]
    assert sorted([*train, *held]) == list(range(154))
    assert not np.array_equal(held, split_validation(labels, 0.1, 1)[1])
    assert split_validation(labels, 0.0, 0)[1].size == 0


def test_a_store_without_spikes(tmp_path: Path) -> None:
    from spikeprep.store import SpikeWriter, SplitLayout

    writer = SpikeWriter.open(
        tmp_path / "s.zarr",
        {
            "version": "0",
            "recipe": "none",
            "chain": [],
            "seed": 0,
            "dt": 0.001,
            "unit_shape": [5],
            "classes": ["a", "b"],
            "source": {},
        },
        {"train": SplitLayout(4, 5, 120, 4, 4)},
    )
    for shard in writer.pending():
        with writer.shard(shard) as out:
            out.append(np.zeros((4, 5, 15), np.uint8), np.full(4, 120), np.array([0, 1, 0, 1]), list("wxyz"))
    writer.complete()
    with pytest.raises(DataError, match="no spikes"):
        trainer(SpikeStore.open(tmp_path / "s.zarr"), tmp_path / "run")


def test_a_batch_is_looked_at_while_the_next_one_is_on_the_device(digits: SpikeStore, tmp_path: Path) -> None:
    log: list[str] = []

    class Watched(CpuBackend):
        def upload(self, batch: Any) -> Any:
            log.append("begin")
            return super().upload(batch)

        def fetch(self, array: Any) -> Any:
            wait = super().fetch(array)

            def looked() -> Any:
                log.append("look")
                return wait()

            return looked

    settings = replace(
        SETTINGS,
        epochs=1,
        batch=10,
        test_every=0,
        validation=0.0,
        rule=replace(SETTINGS.rule, thresholds=(4.0, 4.0)),
    )
    store = {"train": digits["train"]}

    class OneSplit:
        splits, attributes, path = ("train",), digits.attributes, digits.path
        fingerprint = staticmethod(digits.fingerprint)
        __getitem__ = store.__getitem__

    Trainer(OneSplit(), RunFolder(tmp_path / "run"), settings, Watched(threads=1), limit=40).run()  # type: ignore[arg-type]
    assert log == ["begin", "begin", "look", "begin", "look", "begin", "look", "look"]
