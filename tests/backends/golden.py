"""The golden networks as objects: a recorded file, and a network built from it on any backend."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeprep.backend import Backend, OptimiserStep
from spikeprep.data import NeuronParams, PackedBatch, PspParams
from spikeprep.packing import pack
from spikeprep.train.network import Network
from spikeprep.train.rules.hm2bp import Hm2bp, NeuronSettings, PspSettings
from spikeprep.train.rules.loss import LossSettings

from .networks import dense_network

FIXTURES = Path(__file__).parents[1] / "fixtures"
DENSE = ("dense_rate", "dense_rate_nowindow", "dense_softmax", "dense_deep")


@dataclass
class Golden:
    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @classmethod
    def load(cls, name: str) -> Golden:
        with np.load(FIXTURES / f"{name}.npz") as f:
            return cls(json.loads(str(f["meta"])), {k: f[k] for k in f if k != "meta"})

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    @property
    def depth(self) -> int:
        return len(self.meta["arch"])

    @property
    def samples(self) -> int:
        return len(self["labels"])

    def psp(self) -> PspParams:
        return self.rule().psp.params()

    def neuron(self, n: int) -> NeuronParams:
        return self.rule().constants(n - 1, self.depth).neuron

    def rule(self) -> Hm2bp:
        m = self.meta
        # the softmax file knows no targets beyond the period of the filled train
        loss = LossSettings(m["loss"], m.get("target", 35), m.get("nontarget", 5), m.get("error_margin", 5))
        return Hm2bp(
            tuple(layer["nu"] for layer in m["arch"]),
            m["arch"][-1]["lateral"] or 0.0,
            None,
            NeuronSettings(m["tau_m"], m["tau_s"], m["refrac"], m["threshold_slack"]["dense"]),
            PspSettings(m["psp_window"], m["silent_psp"], m["silent_ratio"]),
            loss,
        )

    def network(self, backend: Backend, *, fused: bool = True) -> Network:
        weights = [self[f"weight_{n}"] for n in range(1, self.depth + 1)]
        return dense_network(backend, weights, self.rule(), fused=fused)

    def batch(self, samples: slice = slice(None)) -> PackedBatch:
        bits = pack(self["input"][samples])
        labels = self["labels"][samples].astype(np.int32)
        steps = np.full(len(labels), self["input"].shape[1], np.uint32)
        return PackedBatch(bits, steps, labels, np.arange(len(labels)))

    def step(self, number: int = 1) -> OptimiserStep:
        m = self.meta
        return OptimiserStep(
            "adam", m["lr"], number, *m["adam"], strength=m["lam"], steepness=m["beta"], scale=m["reg_scale"]
        )


def spikes_of(backend: Backend, dense: np.ndarray) -> Any:
    """Upload dense spikes (sample, time, unit)."""
    samples, steps, _ = dense.shape
    return backend.upload(
        PackedBatch(
            pack(dense), np.full(samples, steps, np.uint32), np.zeros(samples, np.int32), np.arange(samples)
        )
    )
