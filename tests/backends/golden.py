"""The golden networks as objects: a recorded file, and a network built from it on any backend."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeprep.backend import Backend, UpdateRule, WeightState
from spikeprep.data import NeuronParams, PackedBatch, PspParams
from spikeprep.packing import pack
from spikeprep.train.layers.dense import Dense
from spikeprep.train.network import Network
from spikeprep.train.rules.hm2bp import LossParams

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
        return PspParams(self.meta["psp_window"], self.meta["silent_psp"], self.meta["silent_ratio"])

    def neuron(self, n: int) -> NeuronParams:
        m = self.meta
        return NeuronParams(
            m["arch"][n - 1]["nu"], m["tau_m"], m["tau_s"], m["refrac"], m["threshold_slack"]["dense"]
        )

    def network(self, ops: Backend) -> Network:
        m = self.meta
        layers = []
        for n in range(1, self.depth + 1):
            w = self[f"weight_{n}"]
            weights = ops.dense_weights(WeightState(w, np.zeros_like(w), np.zeros_like(w)))
            layers.append(Dense(weights, self.neuron(n), m["arch"][n - 1]["lateral"] or 0.0))
        # the softmax file knows no targets beyond the period of the filled train
        loss = LossParams(m["loss"], m.get("target", 35), m.get("nontarget", 5), m.get("error_margin", 5))
        return Network(ops, tuple(layers), loss, self.psp())

    def batch(self, samples: slice = slice(None)) -> PackedBatch:
        bits = pack(self["input"][samples])
        labels = self["labels"][samples].astype(np.int32)
        steps = np.full(len(labels), self["input"].shape[1], np.uint32)
        return PackedBatch(bits, steps, labels, np.arange(len(labels)))

    def rule(self, step: int = 1) -> UpdateRule:
        m = self.meta
        return UpdateRule(
            "adam", m["lr"], step, *m["adam"], strength=m["lam"], steepness=m["beta"], scale=m["reg_scale"]
        )


def spikes_of(ops: Backend, dense: np.ndarray) -> Any:
    """Upload dense spikes (sample, time, unit)."""
    samples, steps, _ = dense.shape
    return ops.upload(
        PackedBatch(
            pack(dense), np.full(samples, steps, np.uint32), np.zeros(samples, np.int32), np.arange(samples)
        )
    )
