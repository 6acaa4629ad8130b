"""Exceptions of rules, layer kinds and backends of other packages name the plugin's class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import spikeprep
from spikeprep.backend import ArraySpec, ErrorSignal
from spikeprep.cpu.backend import CpuBackend
from spikeprep.errors import PluginError, UsageError
from spikeprep.plugin_errors import plugin_errors
from spikeprep.registry import REGISTRIES
from spikeprep.train.layers import LayerKind
from spikeprep.train.rules.hm2bp import Hm2bp

LOSS = {"loss.target": 10, "loss.off_target": 1, "loss.margin": 1}


@dataclass(frozen=True)
class Fragile(Hm2bp):
    """HM2-BP with a name of its own, whose methods the tests replace."""

    name = "fragile"


@dataclass(frozen=True)
class Copied(LayerKind):
    """Every unit once more: `C` in `arch`."""

    name: ClassVar[str] = "copied"
    notation: ClassVar[str] = "C"

    @classmethod
    def parse(cls, text: str) -> Mapping[str, Any] | None:
        return {} if text == "C" else None

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.in_shape

    def specs(self) -> Mapping[str, ArraySpec]:
        return {"weight": ArraySpec((self.units,))}

    def apply(self, xp: Any, arrays: Any, x: Any) -> Any:
        return x * arrays["weight"]

    def transpose(self, xp: Any, arrays: Any, y: Any) -> Any:
        return y * arrays["weight"]

    def correlate(self, xp: Any, arrays: Any, y: Any, x: Any) -> Mapping[str, Any]:
        return {"weight": (y * x).reshape(-1, self.units).sum(axis=0)}


class Broken(CpuBackend):
    """The CPU with a name of its own."""

    name = "broken"
    fused: ClassVar[Mapping[Any, Any]] = {}


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the plugins of this module, for one test."""
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    for cls in (Fragile, Copied, Broken):
        spikeprep.register(cls)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("errors") / "s.zarr"
    spikeprep.write_store(path, rng.random((12, 40, 6)) < 0.4, np.arange(12) % 2, dt=0.001)
    return str(path)


def fails(owner: Any, *args: Any, **options: Any) -> Any:
    return {}["x"]


def train(store: str, folder: Path, arch: str, **options: Any) -> Any:
    settings = options.pop("settings", LOSS)
    return spikeprep.train(
        store, arch=arch, epochs=1, run=folder, settings=settings, progress=False, **options
    )


METHODS = {
    Fragile: ("constants", "forward", "output_error", "backward", "step", "calibrated", "specs", "initial"),
    Copied: ("apply", "transpose", "correlate", "specs", "parse", "initial"),
    Broken: ("upload", "counts", "simulate", "gate", "__init__", "free_memory"),
}
CASES = [(cls, method) for cls, methods in METHODS.items() for method in methods]


@pytest.mark.parametrize(("cls", "method"), CASES, ids=[f"{cls.__name__}.{method}" for cls, method in CASES])
def test_a_method_that_raises(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cls: Any, method: str
) -> None:
    monkeypatch.setattr(cls, method, classmethod(fails) if method == "parse" else fails)
    kind = {Fragile: "learning rule fragile", Copied: "layer kind copied", Broken: "backend broken"}[cls]
    with pytest.raises(PluginError) as caught:
        train(store, tmp_path / "run", "4-C", rule="fragile", device="broken")
    assert f"the {kind} raised KeyError: 'x', in fails (test_plugin_errors.py, line " in caught.value.got
    assert caught.value.hint.startswith(f"Correct tests.test_plugin_errors.{cls.__name__}, or report")
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(("cls", "method"), CASES, ids=[f"{cls.__name__}.{method}" for cls, method in CASES])
def test_a_method_that_takes_other_arguments(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cls: Any, method: str
) -> None:
    def function(self: Any, *, surplus: int) -> Any:
        raise AssertionError("it cannot be called")

    function.__qualname__ = f"{cls.__qualname__}.{method}"
    monkeypatch.setattr(cls, method, classmethod(function) if method == "parse" else function)
    kind = {Fragile: "learning rule fragile", Copied: "layer kind copied", Broken: "backend broken"}[cls]
    with pytest.raises(PluginError) as caught:
        train(store, tmp_path / "run", "4-C", rule="fragile", device="broken")
    words = f"the {kind} does not take the arguments of a call: {cls.__name__}.{method}() "
    assert caught.value.got.startswith(words)
    assert caught.value.hint.startswith(f"Correct tests.test_plugin_errors.{cls.__name__}, or report")
    assert isinstance(caught.value.__cause__, TypeError)


def test_the_class_is_found_by_the_variables_of_the_call() -> None:
    def same_name() -> type:
        @dataclass(frozen=True)
        class Twin(Fragile):
            """One of two classes of one name."""

            def forward(self) -> Any:  # type: ignore[override]
                return None

        return Twin

    first, second = same_name(), same_name()
    first.__module__, second.__module__ = "first", "second"
    for cls in (first, second):
        rule = cls(4.0)
        with pytest.raises(PluginError, match="does not take") as caught, plugin_errors():
            exec("holder.rule.forward(1, 2)", {"__name__": "spikeprep.x"}, {"holder": Holder(rule)})
        assert caught.value.hint.startswith(f"Correct {cls.__module__}.")


@dataclass(frozen=True)
class Holder:
    """Has a rule."""

    rule: Any


def test_a_type_error_of_spikeprep_stays() -> None:
    for call in ("len(3)", "f(1)"):
        with pytest.raises(TypeError), plugin_errors():
            exec(f"def f(): ...\n{call}", {"__name__": "spikeprep.x"})


def output_of(**changes: Any) -> Any:
    """Return an `output_error` that returns other attributes."""

    def output_error(self: Any, *args: Any) -> Any:
        output = Hm2bp.output_error(self, *args)
        return replace(output, **{name: change(output) for name, change in changes.items()})

    return output_error


@pytest.mark.parametrize(
    ("method", "result", "words"),
    [
        ("output_error", output_of(loss=lambda o: o.loss.sum()), r"as loss an array of shape \(\); expected .*,\)"),
        ("output_error", output_of(signal=lambda o: ErrorSignal(o.signal.error[0])), r"as error an array .* \(2,\)"),
        ("output_error", output_of(signal=lambda o: ErrorSignal(o.signal.error, 3.0)), r"as scale 3\.0; expected"),
        ("output_error", output_of(signal=lambda o: None), "expected an OutputError whose signal is an ErrorSignal"),
        (
            "backward",
            lambda self, backend, connection, pre, post, signal, *_: connection.correlate(signal.error.T, signal.error),
            r"raised ValueError: correlate got y of shape .*; expected \(…, 2\), its post units, in <lambda>",
        ),
        (
            "backward",
            lambda self, backend, connection, pre, post, signal, *_: connection.transpose(None),
            r"transpose got y = None; expected \(…, 2\)",
        ),
        (
            "backward",
            lambda self, backend, connection, pre, post, signal, *_: connection.correlate(
                signal.error, backend.counts(pre)[:1].astype(float)
            ),
            "correlate got y of shape .* and x of shape .*; expected equal axes but the last",
        ),
    ],
)  # fmt: skip
def test_a_rule_with_arrays_of_other_shapes(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, result: Any, words: str
) -> None:
    monkeypatch.setattr(Fragile, method, result)
    with pytest.raises(PluginError, match=words) as caught:
        train(store, tmp_path / "run", "4", rule="fragile")
    assert "rule fragile" in caught.value.got
    assert "Correct tests.test_plugin_errors.Fragile" in caught.value.hint


@pytest.mark.parametrize(
    ("method", "result", "words"),
    [
        ("specs", None, "specs of the rule fragile returned None; expected name → ArraySpec"),
        ("initial", None, "initial of the rule fragile returned None; expected arrays by name"),
        ("initial", {"weight": np.ones(1)}, r"initial .* returned for 'weight' an array of shape \(1,\)"),
        ("step", None, "step of the rule fragile returned None for 'weight'; expected an OptimiserStep"),
    ],
)
def test_a_rule_that_cannot_train(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, result: Any, words: str
) -> None:
    monkeypatch.setattr(Fragile, method, lambda self, *args: result)
    with pytest.raises(PluginError, match=words) as caught:
        train(store, tmp_path / "run", "4", rule="fragile")
    assert "Correct tests.test_plugin_errors.Fragile" in caught.value.hint


@pytest.mark.parametrize(
    ("defaults", "words"),
    [
        ({"optim.rat": 0.1}, "the defaults of the learning rule fragile do not fit: training has no setting"),
        ({"optim.rate": -1.0}, "the defaults of the learning rule fragile do not fit: .*optim.rate"),
        ({"alpha": 3.0}, "the defaults of the learning rule fragile do not fit: alpha belongs to"),
    ],
)
def test_defaults_that_are_no_settings(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defaults: Any, words: str
) -> None:
    monkeypatch.setattr(Fragile, "defaults", defaults)
    with pytest.raises(PluginError, match=words):
        train(store, tmp_path / "run", "4", rule="fragile")
    with pytest.raises(UsageError, match="no setting 'epoch'"):  # the caller's mistake comes first
        train(store, tmp_path / "run", "4", rule="fragile", settings={"epoch": 3})


def test_defaults_that_are_no_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fragile, "defaults", None)
    with pytest.raises(PluginError, match="has defaults = None; expected training settings"):
        spikeprep.register(Fragile)


def test_a_network_that_fails_when_it_predicts(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(store, tmp_path / "run", "C-4", rule="fragile")
    monkeypatch.setattr(Copied, "apply", fails)
    with pytest.raises(PluginError, match="the layer kind copied raised KeyError"):
        spikeprep.evaluate(run, store, split="train", progress=False)


def test_the_plugin_that_was_called_last_is_named() -> None:
    def of_a_rule(rule: Fragile, layer: Copied) -> None:
        of_a_layer(layer)

    def of_a_layer(layer: Copied) -> None:
        raise OSError("gone")

    with (
        pytest.raises(PluginError, match="the layer kind copied raised OSError: gone, in of_a_layer"),
        plugin_errors(),
    ):
        of_a_rule(Fragile(4.0), Copied((3,)))


@pytest.mark.parametrize(
    "error", [UsageError("got 3", "4"), MemoryError("Unable to allocate"), KeyboardInterrupt()]
)
def test_errors_that_stay_as_they_are(error: BaseException) -> None:
    def of_a_rule(rule: Fragile) -> None:
        raise error

    with pytest.raises(type(error)) as caught, plugin_errors():
        of_a_rule(Fragile(4.0))
    assert caught.value is error


def test_an_error_outside_plugins_stays() -> None:
    with pytest.raises(KeyError), plugin_errors():
        fails(3)
