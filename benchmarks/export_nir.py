"""What frameworks make of exported networks: shares of equal spikes and predictions, and with wrong arguments.

    python benchmarks/export_nir.py RUN STORE [RUN STORE …]

Results and machine: benchmarks/RESULTS.md.
"""

from __future__ import annotations

import io
import sys
import time

import numpy as np

import spikeprep
from spikeprep.export.comparison import Agreement, compare
from spikeprep.export.frameworks import run_imported
from spikeprep.export.network import TrainedNetwork
from spikeprep.export.nir_graph import DT, nir_graph, write_nir
from spikeprep.export.simulation import simulate

SAMPLES = 100


def main(arguments: list[str]) -> None:
    for run, store in zip(arguments[::2], arguments[1::2], strict=True):
        network = TrainedNetwork.of(spikeprep.open_run(run).folder)
        file, reader = io.BytesIO(), spikeprep.open_store(store)["test"]
        write_nir(nir_graph(network), file)
        started = time.perf_counter()
        comparison = compare(network, file.getvalue(), DT, reader, SAMPLES, store)
        print(f"{run}: {network.name}, {time.perf_counter() - started:.1f} s", *comparison.lines(), sep="\n")
        print(
            f"  norse with its default dt of 1e-3 s: {norse_default(network, file.getvalue(), reader)}",
            flush=True,
        )


def norse_default(network: TrainedNetwork, file: bytes, reader: spikeprep.store.SplitReader) -> str:
    """Return the agreement of Norse with its default dt with our network without what NIR cannot say."""
    if len(network.layers) > 2:  # a grid's input needs its order; dense networks show the same
        return "not measured"
    count = min(SAMPLES, len(reader))
    spikes = np.zeros((count, reader.max_steps, reader.units), bool)
    for n in range(count):
        spikes[n, : len(reader[n])] = reader[n]
    ahead = len(network.layers)
    wrong = run_imported("norse", file, spikes[:, :-ahead], 1e-3)
    agreement = Agreement.of(wrong, simulate(network, spikes, complete=False)[:, ahead:])
    return f"{agreement.spikes:.2%}, {agreement.predictions:.2%}"


if __name__ == "__main__":
    main(sys.argv[1:])
