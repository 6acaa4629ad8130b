"""Encoders of series on one core, compared with other libraries on the same batch, in one run.

python -m benchmarks.encoders [--series N] [--steps N] [--channels N] [--repeats N] [--json]

Ours writes packed bits by `encode_into`; peers write one number per step into arrays of their own type. Each call is
made several times, alternating between the two, and the fastest counts, in seconds of the processor. A peer that is a
loop in Python gets the first few series alone. The column "equal" is the share of steps in which both agree; where
definitions differ on purpose docs/signals.md says how. Install what is compared:

    python -m pip install snntorch norse innuce-spikify spike-encoding torchmetrics optuna colorama
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeprep.encoders import (
    BSA,
    HSA,
    LIF,
    Delta,
    Encoder,
    MovingWindow,
    StepForward,
    ZeroCrossingStepForward,
)
from spikeprep.text import table

Series = NDArray[np.float64]
Peer = Callable[[Series], Any]
TAPS, CUTOFF = 24, 0.1


@dataclass(frozen=True)
class Comparison:
    """An encoder, and a function that returns a peer's call, which takes series (sample, time, channel).

    `signed` turns what the call returns into −1, 0, 1 (sample, time, channel); `few` limits the series of slow peers.
    `rising` says that the peer makes the first of our two units per channel alone.
    """

    encoder: Encoder
    peer: str
    prepare: Callable[[], Peer]
    signed: Callable[[Any], NDArray[Any]]
    few: bool = True
    positive: bool = False
    rising: bool = False


def fir() -> tuple[float, ...]:
    from scipy.signal import firwin

    return tuple(firwin(TAPS, CUTOFF, window="hann").tolist())


def snntorch_delta() -> Peer:
    import torch
    from snntorch import spikegen

    return lambda x: spikegen.delta(
        torch.from_numpy(x.swapaxes(0, 1)), threshold=0.1, padding=True, off_spike=True
    )


def norse_lif() -> Peer:
    import torch
    from norse.torch.functional.lif import LIFParameters, lif_current_encoder

    p = LIFParameters(v_th=torch.as_tensor(0.3))

    def encode(x: Series) -> Any:
        current, v = torch.from_numpy(x), torch.zeros(len(x), x.shape[2], dtype=torch.float64)
        spikes = torch.empty(x.shape)
        for t in range(x.shape[1]):
            spikes[:, t], v = lif_current_encoder(current[:, t], v, p)
        return spikes

    return encode


def step_forward_converter() -> Peer:
    import torch

    converter = importlib.import_module("spike_encoding.step_forward_converter").StepForwardConverter(
        torch.full((1,), 0.1)
    )
    return lambda x: converter.encode(torch.from_numpy(x.swapaxes(1, 2).copy()))


def spikify(name: str, kind: str, **settings: Any) -> Callable[[], Peer]:
    def prepare() -> Peer:
        function = getattr(importlib.import_module(f"spikify.encoders.temporal.{kind}"), name)
        return lambda x: np.stack([function(series, **settings)[0] for series in x])

    return prepare


def spikify_both_units() -> Peer:
    function = spikify("zero_cross_step_forward", "contrast", threshold=0.1)()
    return lambda x: (function(x), function(-x))


def batch_first(spikes: Any) -> NDArray[Any]:
    return np.asarray(spikes).swapaxes(0, 1)


def polarities(spikes: Any) -> NDArray[Any]:
    return np.asarray(spikes[0] + spikes[1]).swapaxes(1, 2)


def comparisons() -> list[Comparison]:
    h = fir()
    filtered = {"window_length": TAPS, "cutoff": CUTOFF}
    return [
        Comparison(Delta(), "snnTorch", snntorch_delta, batch_first, few=False),
        Comparison(
            StepForward(),
            "spike-encoding",
            step_forward_converter,
            polarities,
            few=False,
        ),
        Comparison(StepForward(), "spikify", spikify("step_forward", "contrast", threshold=0.1), np.asarray),
        Comparison(
            MovingWindow(),
            "spikify",
            spikify("moving_window", "contrast", window_length=5, threshold=0.1),
            np.asarray,
        ),
        Comparison(
            ZeroCrossingStepForward(),
            "spikify",
            spikify("zero_cross_step_forward", "contrast", threshold=0.1),
            np.asarray,
            few=False,
            rising=True,
        ),
        Comparison(
            ZeroCrossingStepForward(),
            "spikify, both units",
            spikify_both_units,
            lambda halves: halves[0] - halves[1],
            few=False,
        ),
        Comparison(LIF(threshold=0.3), "norse", norse_lif, np.asarray, few=False, rising=True),
        Comparison(
            HSA(filter=h),
            "spikify",
            spikify("hough_spiker", "deconvolution", **filtered),
            np.asarray,
            positive=True,
        ),
        Comparison(
            HSA(filter=h, tolerance=0.1),
            "spikify",
            spikify(
                "modified_hough_spiker", "deconvolution", threshold=0.1 * float(np.abs(h).sum()), **filtered
            ),
            np.asarray,
            positive=True,
        ),
        Comparison(
            BSA(filter=h, scale=1.0, hold=1, delay=0, theta=0.6),
            "spikify",
            spikify("bens_spiker", "deconvolution", threshold=0.6 * sum(h), **filtered),
            np.asarray,
            positive=True,
        ),
    ]


def signals(series: int, steps: int, channels: int) -> Series:
    """Return smooth noise (sample, time, channel) with a standard deviation of about 1."""
    from scipy.signal import lfilter

    noise = np.random.default_rng(0).normal(size=(series, steps + 50, channels))
    smooth = lfilter([1], [1, -1.6, 0.64], noise, axis=1)[:, 50:]
    return np.ascontiguousarray(smooth / smooth.std())


def best(calls: list[Callable[[], Any]], repeats: int) -> list[float]:
    """Return the processor's seconds of the fastest of some calls of each, made in turn."""
    times = [float("inf")] * len(calls)
    for _ in range(repeats):
        for n, call in enumerate(calls):
            began = time.thread_time()
            call()
            times[n] = min(times[n], time.thread_time() - began)
    return times


def measure(compared: Comparison, batch: Series, repeats: int) -> dict[str, Any]:
    batch = (batch - batch.min()) / np.ptp(batch) if compared.positive else batch
    some = batch[:1] if compared.few else batch
    encoder = compared.encoder
    out = np.zeros((len(batch), encoder.describe(batch[0]).units, -(-batch.shape[1] // 8)), np.uint8)
    peer = compared.prepare()
    ours_s, peer_s = best(
        [lambda: encoder.encode_into(batch, out, rngs=[None] * len(batch)), lambda: peer(some)], repeats
    )
    spikes = np.stack([encoder(series) for series in some]).astype(np.int8)
    if spikes.shape[2] == 2 * some.shape[2]:
        pairs = spikes.reshape(*some.shape, 2)
        spikes = pairs[..., 0] - (0 if compared.rising else pairs[..., 1])
    ours, theirs = 1e9 * ours_s / batch.size, 1e9 * peer_s / some.size
    return {
        "encoder": encoder.name,
        "peer": compared.peer,
        "ours_ns": ours,
        "peer_ns": theirs,
        "ratio": theirs / ours,
        "equal": float((spikes == compared.signed(peer(some))).mean()),
        "density": float(np.abs(spikes).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--series", type=int, default=64)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--channels", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    batch = signals(arguments.series, arguments.steps, arguments.channels)
    results = []
    for compared in comparisons():
        try:
            results.append(measure(compared, batch, arguments.repeats))
        except ImportError as error:
            print(f"{compared.peer} is not installed ({error}): {compared.encoder.name} is not compared")
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    rows = [("encoder", "peer", "ours, ns/value", "peer, ns/value", "ratio", "equal", "spikes per step")]
    rows += [
        (
            r["encoder"],
            r["peer"],
            f"{r['ours_ns']:.1f}",
            f"{r['peer_ns']:.1f}",
            f"{r['ratio']:.1f}",
            f"{r['equal']:.5f}",
            f"{r['density']:.3f}",
        )
        for r in results
    ]
    print(table(rows, "llrrrrr"))


if __name__ == "__main__":
    main()
