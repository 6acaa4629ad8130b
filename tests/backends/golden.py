"""The golden networks as objects: a recorded file, and a network built from it on any backend."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeprep.backend import Backend, OptimiserStep, ParameterState
from spikeprep.data import NeuronParams, PackedBatch, PspParams
from spikeprep.packing import pack
from spikeprep.train.layers import LayerKind
from spikeprep.train.layers.conv import Conv
from spikeprep.train.layers.dense import Dense
from spikeprep.train.layers.pool import Pool
from spikeprep.train.network import Network, build_network
from spikeprep.train.rules.hm2bp import Hm2bp, NeuronSettings, PspSettings
from spikeprep.train.rules.loss import LossSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
DENSE = ("dense_rate", "dense_rate_nowindow", "dense_softmax", "dense_deep")
CONV = ("conv_rate", "conv_softmax")


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

    def layers(self) -> list[LayerKind]:
        layers: list[LayerKind] = []
        for entry in self.meta["arch"]:
            shape = layers[-1].out_shape if layers else self["input"].shape[2:]
            if entry["kind"] == "conv":
                window = (entry["kernel"], entry["kernel"])
                layers.append(Conv(shape, kernel=window, channels_out=entry["channels"]))
            elif entry["kind"] == "pool":
                layers.append(Pool(shape, (2, 2), (2, 2)))
            else:
                layers.append(Dense(shape, entry["units"]))
        return layers

    @property
    def trained(self) -> list[int]:
        """The numbers of the layers that have weights."""
        return [n for n in range(1, self.depth + 1) if f"weight_{n}" in self.arrays]

    def network(self, backend: Backend, *, fused: bool = True) -> Network:
        states = [
            {"weight": ParameterState.fresh(self[f"weight_{n}"])} if n in self.trained else {}
            for n in range(1, self.depth + 1)
        ]
        return build_network(backend, self.rule(), self.layers(), states, fused=fused)

    def batch(self, samples: slice = slice(None)) -> PackedBatch:
        spikes = self["input"][samples]
        bits = pack(spikes.reshape(*spikes.shape[:2], -1))
        labels = self["labels"][samples].astype(np.int32)
        steps = np.full(len(labels), self["input"].shape[1], np.uint32)
        return PackedBatch(bits, steps, labels, np.arange(len(labels)))

    def step(self, number: int = 1) -> OptimiserStep:
        m = self.meta
        return OptimiserStep(
            "adam", m["lr"], number, *m["adam"], strength=m["lam"], steepness=m["beta"], scale=m["reg_scale"]
        )


def spikes_of(backend: Backend, dense: np.ndarray) -> Any:
    """Upload dense spikes (sample, time, units of any shape)."""
    samples, steps = dense.shape[:2]
    dense = dense.reshape(samples, steps, -1)
    return backend.upload(
        PackedBatch(
            pack(dense), np.full(samples, steps, np.uint32), np.zeros(samples, np.int32), np.arange(samples)
        )
    )
