"""Compare an exported network, as frameworks import it, with the network that was trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpikeprepError
from ..packing import unpack
from ..store import SplitReader
from ..train.layers.spatial import Spatial
from ..train.metrics import predict
from .frameworks import FRAMEWORKS, Spikes, framework_version, installed_frameworks, run_imported
from .network import TrainedNetwork
from .simulation import simulate


@dataclass(frozen=True)
class Agreement:
    """How far two networks agree on the same samples.

    Attributes
    ----------
    spikes
        Output spikes that both have at the same step and neuron, as a share of those that either has.
    predictions
        Share of the samples that both put into the same class.
    """

    spikes: float
    predictions: float

    @classmethod
    def of(cls, one: Spikes, other: Spikes) -> Agreement:
        """Compare output spikes bool (sample, time, class)."""
        either = int((one | other).sum())
        shared = int((one & other).sum()) / either if either else 1.0
        same = predict(one.sum(axis=1)) == predict(other.sum(axis=1))
        return cls(shared, float(same.mean()))


@dataclass(frozen=True)
class FrameworkCheck:
    """What a framework makes of an exported network.

    Attributes
    ----------
    framework, version
        Which one.
    exported
        Agreement with our network without what the format cannot say.
    trained
        Agreement with the network as trained.
    error
        What the framework raised instead; else "".
    """

    framework: str
    version: str
    exported: Agreement | None
    trained: Agreement | None
    error: str = ""


@dataclass(frozen=True)
class Comparison:
    """What was measured of an exported network.

    Attributes
    ----------
    store, split, samples
        The samples: the first of a split.
    omissions
        Agreement of our own network without what the format cannot say with the one as trained.
    accuracy, trained_accuracy
        Share of the samples that each of these two predicts right.
    frameworks
        What each framework makes of it.
    missing
        Frameworks that are not installed.
    """

    store: str
    split: str
    samples: int
    omissions: Agreement
    accuracy: float
    trained_accuracy: float
    frameworks: tuple[FrameworkCheck, ...]
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return it as lines for a person."""
        own = self.omissions
        lines = [
            f"on {self.samples:,} samples of {self.split} ({self.store}), equal spikes and predictions:",
            f"  without what NIR cannot say, against the network as trained: {_shares(own)}; "
            f"accuracy {self.accuracy:.2%} against {self.trained_accuracy:.2%}",
        ]
        for check in self.frameworks:
            name = f"  {check.framework} {check.version}"
            if check.exported is None or check.trained is None:
                lines.append(f"{name}: cannot import it ({check.error})")
            else:
                against = f"against ours without it {_shares(check.exported)}"
                lines.append(f"{name}: {against}; as trained {_shares(check.trained)}")
        if self.missing:
            lines.append(f"  not installed, not measured: {', '.join(self.missing)}")
        return lines


def _shares(agreement: Agreement) -> str:
    return f"{agreement.spikes:.2%}, {agreement.predictions:.2%}"


def compare(
    network: TrainedNetwork, file: bytes, dt: float, reader: SplitReader, samples: int, store: str
) -> Comparison:
    """Run the first samples of a split through a NIR file in every framework that is installed, and compare.

    Parameters
    ----------
    network
        The network that was exported.
    file, dt
        The NIR file, and the seconds per step that it was made for.
    reader
        The split.
    samples
        How many samples, at most.
    store
        Name of the store, for the result.
    """
    batch = reader.packed(slice(0, samples))
    count, units, steps = len(batch), reader.units, int(batch.steps.max(initial=1))
    spikes = np.zeros((count, steps, units), bool)
    for n in range(count):
        length = int(batch.steps[n])
        spikes[n, :length] = unpack(batch.bits[n], length)
    # spikeprep stops at a sample's own end: what its neurons do in the padding behind is left out
    within = np.arange(steps)[None, :, None] < batch.steps[:, None, None]
    trained = simulate(network, spikes, complete=True) & within
    exported = simulate(network, spikes, complete=False) & within
    ahead = len(network.layers)
    inputs = _as_input(network, spikes)[:, : max(steps - ahead, 0)]
    checks = []
    for name in installed_frameworks():
        outcome: Spikes | str = _run(name, file, inputs, dt)
        version = framework_version(name)
        if isinstance(outcome, str):
            checks.append(FrameworkCheck(name, version, None, None, outcome))
            continue
        later = np.zeros_like(trained)
        later[:, ahead:] = outcome
        later &= within
        checks.append(
            FrameworkCheck(name, version, Agreement.of(later, exported), Agreement.of(later, trained))
        )
    missing = tuple(name for name in FRAMEWORKS if name not in installed_frameworks())
    return Comparison(
        store,
        reader.split,
        count,
        Agreement.of(exported, trained),
        _accuracy(exported, batch.labels),
        _accuracy(trained, batch.labels),
        tuple(checks),
        missing,
    )


def _run(name: str, file: bytes, inputs: Spikes, dt: float) -> Spikes | str:
    """Return a framework's output spikes, or the error that it raised: its importer is not ours to trust."""
    try:
        return run_imported(name, file, inputs, dt)
    except SpikeprepError:
        raise
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]


def _as_input(network: TrainedNetwork, spikes: Spikes) -> Spikes:
    """Return stored units (sample, time, unit) in the order of the graph's input: channels first."""
    kind = network.layers[0].kind
    if isinstance(kind, Spatial) and kind.channels == "last" and len(kind.in_shape) > 2:
        channels, rows, columns = kind.grid
        images = spikes.reshape(*spikes.shape[:2], rows, columns, channels).transpose(0, 1, 4, 2, 3)
        return np.ascontiguousarray(images).reshape(spikes.shape)
    return spikes


def _accuracy(spikes: Spikes, labels: NDArray[np.int32]) -> float:
    return float((predict(spikes.sum(axis=1)) == labels).mean())
