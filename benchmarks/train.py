"""Training and inference of HM2-BP from a store: milliseconds per sample, memory, and ratios to PyTorch BPTT peers.

    spikeprep encode mnist --source DIR --out mnist.zarr
    python -m benchmarks.train mnist.zarr [--arch 800] [--batch 32] [--samples 3200] [--peers]

Ours is the whole training step from packed bits on: upload, forward, error, backward, update. Both the median and the
best of the batches are given, since shared machines drift; peers run in the same process, between two halves of ours.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from spikeprep.api.training import run_settings
from spikeprep.config import leaves
from spikeprep.devices import select_backend
from spikeprep.feed.batches import BatchStream
from spikeprep.recipes import load_recipe
from spikeprep.store import SpikeStore
from spikeprep.train.layers import build_layers
from spikeprep.train.network import Network, build_network, initial_states
from spikeprep.train.settings import TrainSettings


def network(store: SpikeStore, settings: TrainSettings, threads: int | None, composed: bool) -> Network:
    """Return a fresh network on the CPU backend, with the store's sizes."""
    backend = select_backend("cpu", settings.precision, threads)
    attributes = store.attributes
    layers = build_layers(settings.arch, tuple(attributes["unit_shape"]), len(attributes["classes"]))
    states = initial_states(settings.rule, layers, settings.init, settings.seed, backend.dtype)
    return build_network(backend, settings.rule, layers, states, fused=not composed)


def timed(store: SpikeStore, settings: TrainSettings, net: Network, samples: int) -> dict[str, list[float]]:
    """Train on, then infer, `samples` samples from the store; return milliseconds per sample of every batch.

    By the clock, and as processor time of all threads.
    """
    stream = BatchStream(store["train"], settings.batch, seed=1)
    times: dict[str, list[float]] = defaultdict(list)
    for step, batch in enumerate(stream.batches(), 1):
        works: dict[str, Callable[[], Any]] = {
            "train": partial(net.train_step, batch, settings.optim, step, settings.optim.rate),
            "infer": partial(net.counts, batch),
        }
        for name, work in works.items():
            started, busy = time.perf_counter(), time.process_time()
            work()
            times[name].append((time.perf_counter() - started) / len(batch) * 1e3)
            times[f"{name}, processor time"].append((time.process_time() - busy) / len(batch) * 1e3)
        if step * settings.batch >= samples:
            break
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store")
    parser.add_argument("--arch", default="800")
    parser.add_argument("--thresholds", type=json.loads, default=[20, 8])
    parser.add_argument("--recipe", help="whose settings to use; --arch and --thresholds are then its own")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--samples", type=int, default=3200)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--precision", choices=["float32", "float64"], default="float32")
    parser.add_argument("--composed", action="store_true", help="time the composition, not the fused layers")
    parser.add_argument("--peers", action="store_true", help="also time the PyTorch peers that are installed")
    parser.add_argument("--peer-batch", type=int, help="samples of a peer's batch; default: those of ours")
    args = parser.parse_args()
    chosen = {"batch": args.batch, "precision": args.precision}
    if args.recipe:
        settings = run_settings(leaves(load_recipe(args.recipe).train), chosen)
    else:
        settings = TrainSettings().override(chosen | {"arch": args.arch, "thresholds": args.thresholds})
    store = SpikeStore.open(args.store)
    net = network(store, settings, args.threads, args.composed)
    timed(store, settings, net, 2 * settings.batch)  # compile, and read the first window
    times = timed(store, settings, net, args.samples)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peers: list[Any] = []
    if args.peers:
        from .peers import Task, available, measure

        reader = store["train"]
        density = float(reader.counts[: args.samples].mean()) / reader.units / reader.max_steps
        batch = args.peer_batch or args.batch
        layers: Any = net.layers
        task = replace(Task(), layers=layers, steps=reader.max_steps, batch=batch, density=density)
        peers = [measure(name, task) for name in available()]
        again = timed(store, settings, net, args.samples)
        times = {key: times[key] + again[key] for key in times}
    for key in times:
        best, middle = min(times[key]), statistics.median(times[key])
        print(f"{key}: {middle:.3f} ms per sample (median), {best:.3f} (best) of {len(times[key])} batches")
        for peer in peers if "processor" not in key else ():
            theirs = getattr(peer, f"{key}_ms")
            print(f"  {peer.peer} {peer.version}: {theirs:.2f} ms, {theirs / middle:.1f} × ours (median)")
    print(f"resident memory, peak before any peer: {memory:.0f} MiB")


if __name__ == "__main__":
    main()
