"""The conformance checks of rules, layer kinds and backends: passed by ours, failed by ones with a mistake."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from spikeprep.backend import ArraySpec
from spikeprep.cpu.backend import CpuBackend
from spikeprep.reference.backend import ReferenceBackend
from spikeprep.registry import LAYERS
from spikeprep.testing import check_backend, check_layer, check_rule
from spikeprep.testing.networks import dense_layers
from spikeprep.train.layers import LayerKind
from spikeprep.train.layers.conv import Conv
from spikeprep.train.layers.dense import Dense
from spikeprep.train.layers.pool import Pool
from spikeprep.train.network import initial_states
from spikeprep.train.rules.hm2bp import Hm2bp
from spikeprep.train.rules.lee2016 import Lee2016
from spikeprep.train.rules.loss import LossSettings

from .backends import BACKENDS, DOUBLE, backend


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend(name: str) -> None:
    check_backend(backend(name))


@pytest.mark.parametrize("loss", ["rate", "softmax"])
def test_hm2bp(loss: str) -> None:
    rule = Hm2bp((4.0, 3.0), loss=LossSettings(loss, target=10, off_target=1, margin=1))  # type: ignore[arg-type]
    check_rule(rule, [backend(name) for name in DOUBLE])


@pytest.mark.parametrize(
    "layer",
    [
        Dense((7,), 5),
        Dense((2, 3), 1),
        Conv((5, 6), (2, 3), channels_out=3),
        Conv((2, 7, 5), (3, 3), (2, 1), (1, 2), channels_out=4),
        Conv((4, 5, 3), (1, 5), channels="last", channels_out=2),
        Conv((2, 3, 4, 4), (4, 4), channels_out=1),
        Pool((5, 6), (2, 2), (2, 2)),
        Pool((3, 7, 5), (3, 2), (2, 1)),
        Pool((4, 5, 3), (2, 2), (2, 2), channels="last"),
    ],
    ids=repr,
)
def test_layers(layer: LayerKind) -> None:
    check_layer(layer)


def wrong_layer(**methods: Any) -> type[Dense]:
    return dataclass(frozen=True)(
        type("Wrong", (Dense,), {"__doc__": "A layer with a mistake.", "__module__": __name__, **methods})
    )


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            {"transpose": lambda self, xp, arrays, y: y @ arrays["weight"] * 2},
            "transpose is not the transpose",
        ),
        ({"transpose": lambda self, xp, arrays, y: y}, "transpose returns"),
        (
            {"correlate": lambda self, xp, arrays, y, x: {"weight": np.zeros((5, 7))}},
            "correlate, weight is not the derivative of apply",
        ),
        ({"correlate": lambda self, xp, arrays, y, x: {}}, "correlate, weight has the shape None"),
        ({"correlate": lambda self, xp, arrays, y, x: None}, "dense: check_layer met TypeError"),
        ({"parse": classmethod(lambda cls, text: {"units_out": 1})}, "parse accepts 'no layer'"),
    ],
)
def test_layers_with_a_mistake(
    monkeypatch: pytest.MonkeyPatch, methods: dict[str, Any], message: str
) -> None:
    cls = wrong_layer(**methods)
    monkeypatch.setitem(LAYERS._builtin, "dense", f"{__name__}:Wrong")
    monkeypatch.setitem(globals(), "Wrong", cls)
    with pytest.raises(AssertionError, match=message):
        check_layer(cls((7,), 5))


class Deaf(CpuBackend):
    """Ignores lateral inhibition."""

    def simulate(self, drive: Any, steps: Any, neuron: Any, lateral: float = 0.0) -> Any:
        return super().simulate(drive, steps, neuron)


class Shifted(CpuBackend):
    """Gates one step late."""

    def gate(self, post: Any, neuron: Any, psp: Any) -> Any:
        return np.roll(super().gate(post, neuron, psp), 1, axis=1)


class Wide(CpuBackend):
    """Fused layers of another refractory time."""

    fused = {  # noqa: RUF012
        ("hm2bp", "dense"): lambda device, layer, states: WideLayer(
            CpuBackend.fused["hm2bp", "dense"](device, layer, states)
        )
    }


class WideLayer:
    def __init__(self, layer: Any) -> None:
        self.layer, self.parameters = layer, layer.parameters

    def forward(self, pre: Any, constants: Any) -> Any:
        return self.layer.forward(pre, replace(constants, neuron=replace(constants.neuron, refractory=5)))

    def backward(self, *args: Any, **more: Any) -> Any:
        return self.layer.backward(*args, **more)


@pytest.mark.parametrize(
    ("device", "message"),
    [(Deaf, "neurons: simulate, lateral 0.5"), (Shifted, "spikes: gate"), (Wide, "fused layers")],
)
def test_backends_with_a_mistake(device: type[CpuBackend], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_backend(device(np.float64))


@dataclass(frozen=True)
class Odd(Hm2bp):
    """HM2-BP, doubled on the CPU."""

    name = "odd"

    def backward(self, backend: Any, connection: Any, pre: Any, post: Any, signal: Any, *args: Any) -> Any:
        factor = 1 if isinstance(backend, ReferenceBackend) else 2
        doubled = replace(signal, error=signal.error * factor)
        return super().backward(backend, connection, pre, post, doubled, *args)


def test_a_rule_whose_results_depend_on_the_backend() -> None:
    with pytest.raises(AssertionError, match="odd on cpu, fused, against the reference: gradient"):
        check_rule(Odd((4.0, 3.0)), [CpuBackend(np.float64)])


@dataclass(frozen=True)
class Mute(Hm2bp):
    """A rule without an output error."""

    name = "mute"

    def output_error(self, *args: Any) -> Any:
        return None


def test_a_rule_without_an_output_error() -> None:
    with pytest.raises(AssertionError, match="output_error of the rule mute returned None"):
        check_rule(Mute((4.0, 3.0)))


@dataclass(frozen=True)
class Signed(Hm2bp):
    """HM2-BP that sees the sign of the error alone, so that no weight of a sample has an effect."""

    name = "signed"

    def backward(self, backend: Any, connection: Any, pre: Any, post: Any, signal: Any, *args: Any) -> Any:
        signal = replace(signal, error=backend.xp.sign(signal.error))
        return super().backward(backend, connection, pre, post, signal, *args)


@dataclass(frozen=True)
class Content(Hm2bp):
    """HM2-BP that finds no error."""

    name = "content"

    def output_error(self, *args: Any) -> Any:
        output = super().output_error(*args)
        return replace(output, signal=replace(output.signal, error=0 * output.signal.error))


def test_a_rule_that_ignores_the_weights_of_samples() -> None:
    with pytest.raises(
        AssertionError,
        match=r"signed: class weights and boost do not scale .* gradient of layer 0, weight is off",
    ):
        check_rule(Signed((4.0, 3.0)))


def test_a_rule_that_learns_nothing() -> None:
    with pytest.raises(AssertionError, match="content: no gradient depends on the error of any sample"):
        check_rule(Content((4.0, 3.0)))


def test_a_part_of_a_gradient_may_be_independent_of_the_error() -> None:
    check_rule(Lee2016(alpha=1.0, balance=0.5))


@dataclass(frozen=True)
class Scaled(Hm2bp):
    """HM2-BP with an array of its own, whose methods the tests replace."""

    name = "scaled"

    def specs(self, layer: Any) -> Any:
        return {"gain": ArraySpec(layer.out_shape)}

    def initial(self, layer: Any, number: int, arrays: Any) -> Any:
        return {"gain": np.ones(layer.out_shape, np.float32)}


def test_a_rule_may_return_its_own_arrays_alone() -> None:
    check_rule(Scaled((4.0, 3.0)))
    states = initial_states(Scaled(4.0), dense_layers(3, 2), 1.0, 0, np.dtype(np.float32))
    assert list(states[0]) == ["weight", "gain"]


RULES_WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"specs": lambda self, layer: None},
        "specs of the rule scaled returned None; expected name → ArraySpec",
    ),
    ({"initial": lambda self, *_: None}, "initial of the rule scaled returned None; expected arrays by name"),
    (
        {"initial": lambda self, *_: {}},
        "initial of the rule scaled returned for 'gain' None; expected an array of sh",
    ),
    ({"initial": lambda self, *_: {"gain": np.ones(7)}}, r"returned for 'gain' an array of shape \(7,\)"),
    (
        {"step": lambda self, *_: None},
        "step of the rule scaled returned None for 'weight'; expected an OptimiserStep",
    ),
    ({"step": lambda self, *_: {}["x"]}, "KeyError: 'x'"),
    (
        {"step": lambda self, layer, array, step: replace(step, rate=np.inf)},
        "not finite in 'weight' of layer 0",
    ),
    ({"defaults": None}, "has defaults = None; expected training settings by dotted name"),
    ({"defaults": {1: 2}}, "has defaults = {1: 2}; expected training settings by dotted name"),
    ({"defaults": {"optim.rat": 0.1}}, r"defaults has 'optim.rat', which .* Did you mean 'optim.rate'\?"),
    ({"defaults": {"loss.target": 3}}, "defaults has 'loss.target', which is no setting of training"),
    ({"defaults": {"optim.rate": -1}}, "defaults has a value that is not allowed: .*optim.rate"),
]


@pytest.mark.parametrize(("changes", "words"), RULES_WRONG)
def test_a_rule_that_cannot_train(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setattr(Scaled, name, value)
    with pytest.raises(AssertionError, match=words):
        check_rule(Scaled((4.0, 3.0)))
