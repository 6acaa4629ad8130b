"""The training loop: epochs over a store, a journal of what happened, checkpoints to go on from."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..backend import Backend, Weights, WeightState
from ..data import PackedBatch
from ..distributed.ranks import Alone, Ranks, drifted
from ..errors import RunError, UsageError
from ..feed.batches import BatchStream
from ..random import generator
from ..store import SpikeStore
from .calibrate import calibrate
from .checkpoint import load_checkpoint, save_checkpoint
from .evaluation import Evaluation, evaluate
from .layers.dense import Dense, initial_state
from .layers.notation import parse_arch
from .metrics import Drawn, EpochStats, gathered
from .network import Network
from .rules.hm2bp import boosted_weights
from .run_folder import RunConfig, RunFolder
from .settings import TrainSettings

Listener = Callable[[dict[str, Any]], None]
"""Called with every journal record, and with ``{"event": "progress", …}`` after every batch."""

_WATCHED = 20  # batches after which a layer that hardly fires is spoken of
_SILENT = 0.02  # spikes a neuron and sample


class Trainer:
    """One run: a store, a run folder, a backend.

    Parameters
    ----------
    store
        Has the splits "train" and, if there is one, "test".
    folder
        Where the run is kept; with `resume` it has one of this store already.
    settings
        Of a new run; of a resumed one what `RunFolder.resumed_settings` gives.
    ops
        The backend.
    limit
        Train and test on the first samples only.
    listener
        Told of everything.
    ranks
        The processes that train together; default this one alone. Rank 0 writes the folder, the others read it.
    """

    def __init__(
        self,
        store: SpikeStore,
        folder: RunFolder,
        settings: TrainSettings,
        ops: Backend,
        *,
        resume: bool = False,
        limit: int | None = None,
        listener: Listener | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.store, self.folder, self.ops = store, folder, ops
        self.ranks = ranks or Alone()
        self._tell = listener or (lambda record: None)
        self.reader = store["train"]
        self.test = store["test"] if "test" in store.splits else None
        self.classes = len(store.attributes["classes"])
        if resume:
            limit = folder.check_store(store).limit
        self.settings, self.limit = settings, limit
        self.train_samples, self.validation_samples = split_validation(
            self.reader.labels[:limit], settings.validation, settings.seed
        )
        if not len(self.train_samples):
            raise UsageError("no training samples are left", "at least one", "Lower --limit or validation.")
        self._check_target()
        self.stream = BatchStream(
            self.reader,
            settings.batch,
            seed=settings.seed,
            samples=self.train_samples,
            share=(self.ranks.rank, self.ranks.size),
            epochs=settings.epochs,
        )
        self.sample_weight = np.ones(len(self.reader))
        self.predicted = np.full(len(self.reader), -1, np.int64)
        self.stats = EpochStats()
        self.history: list[dict[str, Any]] = []
        self.step = 0
        self._told_where = False
        states = self._initial_states()
        if resume:
            states = self._restore()
        self.weights = [ops.dense_weights(state) for state in states]
        if settings.thresholds == "auto":
            self._calibrate()
        if not resume:
            if self.ranks.leads:
                folder.create(self._config())
            self._record({"event": "start", "config": self._config().to_json()})
            self._save()  # so that a run killed in its first epoch can be resumed too
        self.network = assemble(ops, self.weights, self.settings)

    # ------------------------------------------------------------ setting up

    def _check_target(self) -> None:
        loss, most = self.settings.loss, self.reader.max_steps // (self.settings.neuron.refractory + 1)
        if loss.loss == "rate" and loss.target > most:
            raise UsageError(
                f"got loss.target {loss.target} for samples of at most {self.reader.max_steps} steps",
                f"at most {most}: a neuron fires every {self.settings.neuron.refractory + 1} steps at best",
                f"Say --set loss.target={most // 2}, or encode more steps.",
            )

    def _initial_states(self) -> list[WeightState]:
        s = self.settings
        sizes = (self.reader.units, *parse_arch(s.arch), self.classes)
        return [
            initial_state(post, pre, s.init, generator(s.seed, "weights", n), self.ops.dtype)
            for n, (pre, post) in enumerate(pairwise(sizes))
        ]

    def _calibrate(self) -> None:
        rng = generator(self.settings.seed, "calibration")
        chosen = np.sort(rng.permutation(self.train_samples)[:64])
        found = calibrate(
            self.ops, self.weights, self.reader.packed(chosen), self.settings.neuron, self.settings.lateral
        )
        agreed = self.ranks.broadcast(np.array(found))
        self.settings = replace(self.settings, thresholds=tuple(agreed.tolist()))

    def _config(self) -> RunConfig:
        return RunConfig(
            self.store.path,
            self.store.fingerprint(),
            self.settings,
            self.reader.units,
            tuple(self.store.attributes["classes"]),
            self.limit,
            __version__,
        )

    # ------------------------------------------------------------ running

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> dict[str, Any] | None:
        """Train to the last epoch and return the summary; None where `should_stop` asked for an end first.

        A stopped run is saved as it stands: resuming it gives the weights that never stopping would have given.
        """
        while self.stream.epoch < self.settings.epochs:
            started, self.stream.waited = time.perf_counter(), 0.0
            before: Drawn | None = None
            for batch in self.ops.feed(self.stream):
                drawn = self._step(batch)
                # what the batch before came to is looked at while the device is busy with this one
                stop = self._count(before, should_stop())
                before = drawn
                if stop:
                    break
                now = time.perf_counter()
                self.stats.seconds += now - started
                self.stats.waited += self.stream.waited
                started, self.stream.waited = now, 0.0
            else:
                stop = False
            if before is not None:
                self._count(before, False)
            self.stats.seconds += time.perf_counter() - started
            self.stats.waited += self.stream.waited  # a device tells of its waits when they are over
            if stop:
                self._record({"event": "interrupted", "epoch": self.stream.epoch, "step": self.step})
                self._save()
                return None
            self._after_epoch()
        return self.summary()

    def _step(self, batch: PackedBatch) -> Drawn:
        """Train on a batch, or on this rank's part of one."""
        whole = self.stream.drawn
        self.step += 1
        progress = self.stream.epoch + (self.stream.position - len(whole)) / len(self.train_samples)
        rule = self.settings.optim.rule(self.step, progress, self.settings.epochs)
        weight = self.sample_weight[batch.index] if self.settings.boost else None
        result = self.network.train_step(batch, rule, weight, self.ranks, len(whole))
        return Drawn(self.stream.epoch, self.step, whole, result)

    def _count(self, drawn: Drawn | None, stop: bool) -> bool:
        """Take note of what a batch came to, and return whether a rank wants to stop."""
        outcome = gathered(self.ranks, drawn, stop)
        if drawn is not None:
            self.predicted[drawn.samples] = outcome.predicted
            self.stats.add(outcome, self.reader.labels[drawn.samples])
            self._after_batch(drawn)
        return outcome.stop

    def _after_batch(self, drawn: Drawn) -> None:
        if not self._told_where:
            self._told_where = True
            where = {"device": self.ops.name, "on": self.ops.device, "ranks": self.ranks.size}
            self._record({"event": "device", **where, "feed": asdict(self.stream.tier)})
        self._tell(
            {
                "event": "progress",
                "epoch": drawn.epoch,
                "seen": self.stats.seen,
                "samples": len(self.train_samples),
                "accuracy": self.stats.correct / self.stats.seen,
            }
        )
        if drawn.step == _WATCHED:
            assert self.settings.thresholds != "auto"
            for n, (rate, nu) in enumerate(
                zip(self.stats.mean_rates(), self.settings.thresholds, strict=True)
            ):
                if rate < _SILENT:
                    half = [t / 2 if i == n else t for i, t in enumerate(self.settings.thresholds)]
                    name = "the output layer" if n == len(self.weights) - 1 else f"hidden layer {n + 1}"
                    self._record(
                        {
                            "event": "warning",
                            "message": f"{name} fires {rate:.3g} spikes a neuron and sample at threshold {nu:g}: it "
                            f"learns little. Lower its threshold, e.g. --set thresholds={half}, or try auto.",
                        }
                    )

    def _after_epoch(self) -> None:
        s, epoch = self.settings, self.stream.epoch  # the stream stands at the next epoch: epochs done
        if s.boost:
            seen = np.full(len(self.reader), -1, np.int64)
            seen[self.train_samples] = self.predicted[self.train_samples]
            self.sample_weight = boosted_weights(self.sample_weight, self.reader.labels, seen, self.classes)
        validation = (
            self._evaluate(self.reader, self.validation_samples) if len(self.validation_samples) else None
        )
        last = epoch == s.epochs
        test = None
        if self.test is not None and (last or (s.test_every and epoch % s.test_every == 0)):
            test = self._evaluate(self.test, np.arange(len(self.test))[: self.limit])
        score = validation.accuracy if validation else None
        best = max((r["validation_accuracy"] or 0.0 for r in self.history), default=-1.0)
        record = {
            "event": "epoch",
            "epoch": epoch,
            "train_accuracy": self.stats.correct / max(self.stats.seen, 1),
            "validation_accuracy": score,
            "test_accuracy": test.accuracy if test else None,
            "loss": self.stats.loss / max(self.stats.seen, 1),
            "seconds": self.stats.seconds,
            "samples_per_second": self.stats.seen / max(self.stats.seconds, 1e-9),
            "stall_fraction": self.stats.waited / max(self.stats.seconds, 1e-9),
            "feed": self.stream.tier.name,
            "learning_rate": s.optim.rule(1, epoch - 1, s.epochs).rate,
            "rates": self.stats.mean_rates(),
        }
        self.history.append(record)
        self._record(record)
        self.stats = EpochStats()
        if score is None or score >= best:  # of equals the later, trained longer
            self._save_best(record)
        self._save()

    def _evaluate(self, reader: Any, samples: NDArray[np.int64]) -> Evaluation:
        batch = max(64, self.settings.batch)  # results do not depend on it
        return evaluate(self.network, reader, self.classes, batch=batch, samples=samples, ranks=self.ranks)

    def summary(self) -> dict[str, Any]:
        """Return what `train --json` prints: the last epoch, and the one that validation chose."""
        tested = [r for r in self.history if r["test_accuracy"] is not None]
        if self.validation_samples.size:
            best = max(self.history, key=lambda r: (r["validation_accuracy"], r["epoch"]))
        else:
            best = self.history[-1]
        seconds = [r["seconds"] for r in self.history]
        return {
            "run": str(self.folder.path),
            "epochs": len(self.history),
            "batch": self.settings.batch,
            "arch": self.settings.arch,
            "thresholds": list(self.settings.thresholds),
            "device": self.ops.name,
            "ranks": self.ranks.size,
            "feed": self.history[-1].get("feed"),
            "train_accuracy": self.history[-1]["train_accuracy"],
            "validation_accuracy": self.history[-1]["validation_accuracy"],
            "test_accuracy": tested[-1]["test_accuracy"] if tested else None,
            "best_epoch": best["epoch"],
            "best_test_accuracy": best["test_accuracy"],
            "seconds_per_epoch": float(np.mean(seconds)),
            "samples_per_second": float(len(self.train_samples) / np.mean(seconds)),
            "stall_fraction": float(np.average([r["stall_fraction"] for r in self.history], weights=seconds)),
        }

    # ------------------------------------------------------------ keeping

    def _record(self, record: dict[str, Any]) -> None:
        if self.ranks.leads:
            self.folder.journal.append(record)
            self._tell(record)

    def _save(self) -> None:
        arrays: dict[str, NDArray[Any]] = {"sample_weight": self.sample_weight, "predicted": self.predicted}
        for n, weights in enumerate(self.weights):
            arrays |= {f"{key}_{n}": value for key, value in asdict(self.ops.state(weights)).items()}
        self._check_agreement(arrays)
        if not self.ranks.leads:
            return
        record = {
            "stream": self.stream.get_state(),
            "step": self.step,
            "stats": asdict(self.stats),
            "history": self.history,
            "journal": self.folder.journal.size(),
        }
        save_checkpoint(self.folder.last, arrays, record)

    def _check_agreement(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        if self.ranks.size == 1:
            return
        checksum = 0
        for name in sorted(arrays):
            checksum = zlib.crc32(arrays[name].tobytes(), checksum)
        if drifted(self.ranks, checksum):
            raise RunError(
                f"the {self.ranks.size} ranks have come to differ",
                "the same weights on each of them",
                "Give them devices of one kind; go on from the last checkpoint with --resume.",
            )

    def _save_best(self, record: dict[str, Any]) -> None:
        if not self.ranks.leads:
            return
        arrays = {f"weight_{n}": self.ops.state(weights).weight for n, weights in enumerate(self.weights)}
        save_checkpoint(self.folder.best, arrays, record)

    def _restore(self) -> list[WeightState]:
        arrays, record = load_checkpoint(self.folder.last)
        try:
            self.stream.set_state(record["stream"])
            self.step, self.history, self.stats = (
                record["step"],
                record["history"],
                EpochStats(**record["stats"]),
            )
            self.sample_weight, self.predicted = arrays["sample_weight"], arrays["predicted"]
            if self.ranks.leads:
                self.folder.journal.truncate(record["journal"])
            layers = range(len(parse_arch(self.settings.arch)) + 1)
            return [
                WeightState(*(arrays[f"{key}_{n}"] for key in ("weight", "moment", "variance")))
                for n in layers
            ]
        except (KeyError, TypeError) as error:
            raise RunError(f"{self.folder.last} lacks {error}", "a checkpoint of this run") from error


def split_validation(
    labels: NDArray[Any], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return training and validation samples, int64 ascending: `share` of each class, drawn by `seed`."""
    rng = generator(seed, "validation")
    held = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        held.append(rng.permutation(members)[: round(share * len(members))])
    validation = np.sort(np.concatenate(held)) if held else np.empty(0, np.int64)
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def assemble(ops: Backend, weights: Sequence[Weights], settings: TrainSettings) -> Network:
    """Return the network of weights on a backend, input side first; the thresholds are calibrated by now."""
    assert settings.thresholds != "auto"
    last = len(weights) - 1
    layers = [
        Dense(layer, settings.neuron.at(nu), settings.lateral if n == last else 0.0)
        for n, (layer, nu) in enumerate(zip(weights, settings.thresholds, strict=True))
    ]
    return Network(ops, tuple(layers), settings.loss, settings.psp)


def load_network(folder: RunFolder, ops: Backend) -> Network:
    """Return the network of a run's best epoch, ready to predict."""
    settings = folder.config().settings
    arrays, _ = load_checkpoint(folder.best)
    found = [arrays[f"weight_{n}"] for n in range(len(settings.thresholds))]
    weights = [ops.dense_weights(WeightState(w, np.zeros_like(w), np.zeros_like(w))) for w in found]
    return assemble(ops, weights, settings)
