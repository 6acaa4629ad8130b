"""The training loop: epochs over a store, a journal of what happened, checkpoints to resume from."""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..backend import Backend, ParameterState
from ..compilation import working_time
from ..data import PackedBatch
from ..distributed.ranks import Ranks, SingleRank, checksums_differ
from ..errors import RunError, UsageError
from ..feed.batches import BatchStream, HostStream
from ..feed.variants import VariantEncoder, VariantStream
from ..random import generator
from ..store import SpikeStore, SplitReader
from .checkpoint import pack_states, unpack_states
from .diagnosis import WATCHED_BATCHES, Diagnosis, RunWarning
from .documents import CHECKPOINT, STATS, STREAM, best_epoch, check_history, check_record
from .dropout import dropout_keys
from .early_stopping import stops_early
from .evaluation import Evaluation, evaluate
from .layers import LayerKind, build_layers
from .metrics import EpochMetrics, TrainedBatch, gather_metrics
from .network import Network, States, build_network, initial_states
from .planning import checked_size, chosen_samples
from .run_config import RunConfig
from .run_folder import RunFolder
from .sample_weights import boosted_weights
from .settings import TrainSettings
from .splits import VALIDATION

Listener = Callable[[dict[str, Any]], None]
"""Called with every journal record, with ``{"event": "network", …}`` first (see `NetworkSize`), with
``{"event": "progress", …}`` after every batch, and with ``{"event": "finished", …}`` where none is left."""

_CALIBRATION_SAMPLES = 64


class Trainer:
    """One run: a store, a run folder, a backend.

    Parameters
    ----------
    store
        Has the splits "train" and, if there are such, "validation" and "test".
    folder
        Where the run is kept; with `resume` it has one of this store already.
    settings
        Of a new run; of a resumed one what `RunFolder.resumed_settings` returns.
    backend
        What computes it.
    resume
        Go on from the last checkpoint.
    limit
        Train and test on the first samples only.
    listener
        Called with every event.
    ranks
        The processes that train together; default this one alone. Rank 0 writes the folder, the others read it.
    variants
        What encodes training samples anew in every epoch, for the setting `augment`.
    threads
        CPU threads that do so.
    """

    def __init__(
        self,
        store: SpikeStore,
        folder: RunFolder,
        settings: TrainSettings,
        backend: Backend,
        *,
        resume: bool = False,
        limit: int | None = None,
        listener: Listener | None = None,
        ranks: Ranks | None = None,
        variants: VariantEncoder | None = None,
        threads: int = 1,
    ) -> None:
        self.store, self.folder, self.backend = store, folder, backend
        self.ranks = ranks or SingleRank()
        self._listener = listener or (lambda record: None)
        self.reader = store["train"]
        self.test = store["test"] if "test" in store.splits else None
        self.classes = len(store.attributes["classes"])
        config = folder.check_store(store) if resume else None
        if config is not None:
            limit = config.limit
        self.settings, self.limit = settings, limit
        samples, self.class_weights = chosen_samples(store, settings, limit)
        self.train_samples, self.validation_samples = samples.training, samples.validation
        self.validation_reader = samples.validation_reader
        self.stream = self._stream(variants, threads)
        self.sample_weight = np.ones(len(self.reader))
        self.predicted = np.full(len(self.reader), -1, np.int64)
        self.metrics = EpochMetrics()
        self.history: list[dict[str, Any]] = []
        self.step = 0
        self._keys: tuple[int, NDArray[np.uint64]] | None = None  # an epoch, and its dropout keys
        self._device_recorded = False
        self._warned: set[str] = set()  # what warnings were about
        self._warnings: list[str] = []
        layers = build_layers(
            settings.arch, tuple(store.attributes["unit_shape"]), self.classes, settings.channels
        )
        size = checked_size(
            self.reader,
            self.train_samples,
            settings,
            layers,
            backend,
            self.ranks.size,
            self.stream.tier.host_bytes,
        )
        lines = size.lines()
        if self.validation_reader is not self.reader:
            lines.append(
                f"validation: the store's split {VALIDATION}, {len(self.validation_samples):,} samples"
            )
        with ExitStack() as on_error:
            if self.ranks.leads:
                folder.acquire(new=config is None, note=self._note)
                on_error.callback(folder.release)
                self._listener({"event": "network", **size.to_json(), "lines": lines})
            if config is None:
                states: States = initial_states(
                    settings.rule, layers, settings.init, settings.seed, backend.dtype
                )
            else:
                self.config = replace(config, settings=settings)
                states = self._restore(config, layers)
            self.network = build_network(backend, settings.rule, layers, states, dropout=settings.dropout)
            if config is None:
                self._calibrate()
                self.config = self._new_config()
                self._record(self._start())
            self._diagnosis = Diagnosis(
                self.settings,
                layers,
                self.reader.labels[self.train_samples],
                self.classes,
                config is not None or self.settings.rule is not settings.rule,
            )
            if config is None:
                self._warn(self._diagnosis.at_start(len(self.stream), len(self.validation_samples)))
                self._save(
                    self.network.states()
                )  # so that a run killed in its first epoch can be resumed too
                if self.ranks.leads:
                    folder.create(self.config)
            on_error.pop_all()

    # ------------------------------------------------------------ setting up

    def _stream(self, variants: VariantEncoder | None, threads: int) -> HostStream:
        """Return the batches of training: samples of the store, or variants of them."""
        s = self.settings
        arguments: dict[str, Any] = {
            "seed": s.seed,
            "samples": self.train_samples,
            "share": (self.ranks.rank, self.ranks.size),
            "epochs": s.epochs,
        }
        self._source_path = variants.source_path if s.augment and variants else None
        if not s.augment:
            return BatchStream(self.reader, s.batch, **arguments)
        if variants is None:
            raise UsageError("got augment = true without variants", "what encodes them", "Pass variants=….")
        return VariantStream(self.reader, s.batch, variants, threads=threads, **arguments)

    def _calibrate(self) -> None:
        """Find the rule's open settings on a few training samples; every rank takes rank 0's."""
        network, rng = self.network, generator(self.settings.seed, "calibration")
        samples = np.sort(rng.permutation(self.train_samples)[:_CALIBRATION_SAMPLES])
        rule = network.rule.calibrated(
            self.backend, network.layers, network.devices, self.reader.packed(samples)
        )
        if rule is network.rule:
            return
        text = np.frombuffer(json.dumps(rule.to_json()).encode(), np.uint8)
        size = int(self.ranks.broadcast(np.array([len(text)]))[0])
        agreed = self.ranks.broadcast(np.resize(text, size).astype(np.int64)).astype(np.uint8)
        self.settings = replace(self.settings, rule=type(rule).from_json(json.loads(agreed.tobytes())))
        self.network = replace(network, rule=self.settings.rule)

    def _new_config(self) -> RunConfig:
        attributes = self.store.attributes
        source = attributes["source"]
        read = {"reader": source.get("reader", {}), "note": source.get("note", "")}
        return RunConfig(
            secrets.token_hex(16),
            self.store.path,
            self.store.fingerprint(),
            self.store.attributes.get("contents"),
            len(self.reader),
            self.settings,
            tuple(self.store.attributes["unit_shape"]),
            tuple(self.store.attributes["classes"]),
            {key: attributes[key] for key in ("chain", "seed", "dt")} | read,
            self.limit,
            __version__,
            self._source_path,
        )

    # ------------------------------------------------------------ running

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> dict[str, Any] | None:
        """Train to the last epoch and return the summary; None where `should_stop` asked to end before.

        A stopped run is saved as it is: resuming it gives the weights that never stopping would have given.
        Afterwards other trainers may write the run folder.
        """
        try:
            return self._run(should_stop)
        finally:
            self.folder.release()

    def _run(self, should_stop: Callable[[], bool]) -> dict[str, Any] | None:
        if self._is_finished() and self.ranks.leads:
            early = self.stopped_early
            self._listener({"event": "finished", "epochs": self.stream.epoch, "stopped_early": early})
        while not self._is_finished():
            started = working_time()
            previous: TrainedBatch | None = None
            stop = False
            for batch in self.backend.feed(self.stream):
                trained = self._step(batch)
                # read the previous batch's results while the device computes this one
                stop = self._add(previous, should_stop())
                previous = trained
                if stop:
                    break
                now = working_time()
                self.metrics.seconds += now - started
                started = now
            if previous is not None:
                self._add(previous, False)
            self.metrics.seconds += working_time() - started
            if stop:
                self._record({"event": "interrupted", "epoch": self.stream.epoch, "step": self.step})
                self._save(self.network.states())
                return None
            self._after_epoch()
        return self.summary()

    @property
    def stopped_early(self) -> bool:
        """Whether validation has ended the run before its last epoch."""
        return self._stops_early() and self.stream.epoch < self.settings.epochs

    def _stops_early(self, *more: float | None) -> bool:
        """Whether the epochs so far, and one of the validation accuracy `more`, are enough."""
        accuracies = [record["validation_accuracy"] for record in self.history]
        return stops_early([*accuracies, *more], self.settings.patience)

    def _is_finished(self) -> bool:
        return self.stream.epoch >= self.settings.epochs or self._stops_early()

    def _step(self, batch: PackedBatch) -> TrainedBatch:
        """Train on a batch, or on this rank's share of one."""
        s = self.settings
        self.step += 1
        self.metrics.waited += batch.waited
        rate = s.optim.rate_at(batch.epoch + batch.position / len(self.train_samples), s.epochs)
        weight = self.sample_weight[batch.index] if s.boost else None
        if self.class_weights is not None:
            of_class = self.class_weights[batch.labels]
            weight = of_class if weight is None else weight * of_class
        result = self.network.train_step(
            batch,
            s.optim,
            self.step,
            rate,
            sample_weight=weight,
            dropout_keys=self._dropout_keys(batch) if self.network.drops else None,
            ranks=self.ranks,
        )
        return TrainedBatch.of(batch, self.step, result)

    def _dropout_keys(self, batch: PackedBatch) -> NDArray[np.uint64]:
        if self._keys is None or self._keys[0] != batch.epoch:
            self._keys = batch.epoch, dropout_keys(self.settings.seed, batch.epoch, len(self.reader))
        return self._keys[1][batch.index]

    def _add(self, batch: TrainedBatch | None, stop: bool) -> bool:
        """Add a batch's results, and return whether a rank wants to stop."""
        metrics = gather_metrics(self.ranks, batch, stop)
        if batch is not None:
            self.predicted[batch.samples] = metrics.predicted
            self.metrics.add(metrics, self.reader.labels[batch.samples])
            self._after_batch(batch)
        return metrics.stop

    def _after_batch(self, batch: TrainedBatch) -> None:
        if not self._device_recorded:
            self._device_recorded = True
            device = {"device": self.backend.name, "on": self.backend.device, "ranks": self.ranks.size}
            self._record({"event": "device", **device, "feed": asdict(self.stream.tier)})
        self._listener(
            {
                "event": "progress",
                "epoch": batch.epoch,
                "seen": self.metrics.seen,
                "samples": len(self.train_samples),
                "accuracy": self.metrics.correct / self.metrics.seen,
            }
        )
        if batch.step == WATCHED_BATCHES:
            self._warn(self._diagnosis.after_batches(self.metrics.mean_rates()))

    def _warn(self, warnings: Iterable[RunWarning]) -> None:
        """Record warnings of subjects that this run has not been warned of, earlier sessions included."""
        for warning in warnings:
            if warning.about not in self._warned:
                self._warned.add(warning.about)
                self._record({"event": "warning", **warning._asdict()})

    def _after_epoch(self) -> None:
        s, epoch = self.settings, self.stream.epoch  # the stream is at the next epoch: epochs done
        states = self.network.states()
        self._check_finite(pack_states(states, moments=False))
        network = self.network.without_dropout(states)
        if s.boost:
            predicted = np.full(len(self.reader), -1, np.int64)
            predicted[self.train_samples] = self.predicted[self.train_samples]
            self.sample_weight = boosted_weights(
                self.sample_weight, self.reader.labels, predicted, self.classes
            )
        validation = (
            self._evaluate(network, self.validation_reader, self.validation_samples)
            if len(self.validation_samples)
            else None
        )
        score = validation.accuracy if validation else None
        stops = epoch < s.epochs and self._stops_early(score)
        last = epoch == s.epochs or stops
        test = None
        if self.test is not None and (last or (s.test_every and epoch % s.test_every == 0)):
            test = self._evaluate(network, self.test, np.arange(len(self.test))[: self.limit])
        metrics = self.metrics
        before = [r["train_accuracy"] for r in self.history]
        self._warn(self._diagnosis.after_epoch(metrics, epoch, self.step, before))
        record = {
            "event": "epoch",
            "epoch": epoch,
            "train_accuracy": metrics.correct / max(metrics.seen, 1),
            "validation_accuracy": score,
            "test_accuracy": test.accuracy if test else None,
            "loss": metrics.loss / max(metrics.seen, 1),
            "seconds": metrics.seconds,
            "samples_per_second": metrics.seen / max(metrics.seconds, 1e-9),
            "stall_fraction": metrics.waited / max(metrics.seconds, 1e-9),
            "feed": self.stream.tier.name,
            "learning_rate": s.optim.rate_at(epoch - 1, s.epochs),
            "rates": metrics.mean_rates(),
        }
        self.history.append(record)
        self._record(record)
        if stops:  # ahead of the checkpoint, which covers it
            self._record({"event": "stopped", "epoch": epoch, "patience": s.patience})
        self.metrics = EpochMetrics()
        if best_epoch(self.history) == epoch:
            self._save_best(states if network is self.network else network.states())
        self._save(states)

    def _evaluate(self, network: Network, reader: SplitReader, samples: NDArray[np.int64]) -> Evaluation:
        batch = max(64, self.settings.batch)  # results do not depend on it
        return evaluate(network, reader, self.classes, batch=batch, samples=samples, ranks=self.ranks)

    def summary(self) -> dict[str, Any]:
        """Return what `train --json` prints: the last epoch, and the one that validation chose."""
        tested = [r for r in self.history if r["test_accuracy"] is not None]
        best = self.history[best_epoch(self.history) - 1]
        seconds = [r["seconds"] for r in self.history]
        thresholds = self.settings.to_json().get("thresholds")
        return {
            "run": str(self.folder.path),
            "epochs": len(self.history),
            "batch": self.settings.batch,
            "arch": self.settings.arch,
            "rule": self.settings.rule.name,
            **({} if thresholds is None else {"thresholds": thresholds}),
            "device": self.backend.name,
            "ranks": self.ranks.size,
            "feed": self.history[-1].get("feed"),
            "train_accuracy": self.history[-1]["train_accuracy"],
            "validation_accuracy": self.history[-1]["validation_accuracy"],
            "test_accuracy": tested[-1]["test_accuracy"] if tested else None,
            "stopped_early": self.stopped_early,
            "best_epoch": best["epoch"],
            "best_test_accuracy": best["test_accuracy"],
            "seconds_per_epoch": float(np.mean(seconds)),
            "samples_per_second": float(len(self.train_samples) / np.mean(seconds)),
            "stall_fraction": float(np.average([r["stall_fraction"] for r in self.history], weights=seconds)),
            "warnings": list(self._warnings),
        }

    # ------------------------------------------------------------ journal and checkpoints

    def _record(self, record: dict[str, Any]) -> None:
        if self.ranks.leads:
            self.folder.record(record)
            self._listener(record)
            if record["event"] == "warning":
                self._warnings.append(record["message"])

    def _start(self) -> dict[str, Any]:
        return {"event": "start", "config": self.config.to_json()}

    def _save(self, states: States) -> None:
        arrays = pack_states(states, moments=True)
        arrays |= {"sample_weight": self.sample_weight, "predicted": self.predicted}
        self._check_finite(arrays)
        self._check_agreement(arrays)
        if not self.ranks.leads:
            return
        record = {
            "stream": self.stream.get_state(),
            "step": self.step,
            "stats": asdict(self.metrics),
            "journal": self.folder.journal.size(),
            **self._bound(),
        }
        self.folder.save_last(arrays, record)

    def _check_finite(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Stop before values that are not finite are evaluated or saved: the last checkpoint stays."""
        damaged = [name for name, array in arrays.items() if not np.isfinite(array).all()]
        if not np.isfinite(self.metrics.loss):
            damaged.append("the loss")
        if damaged:
            raise RunError(
                f"{damaged[0]} is not finite after epoch {self.stream.epoch}, step {self.step}",
                "finite numbers",
                f"Lower {self.settings.rule.runaway}, and train into another run folder: run=…. This one keeps the "
                "checkpoint before; resumed it would end here again.",
            )

    def _check_agreement(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        if self.ranks.size == 1:
            return
        checksum = 0
        for name in sorted(arrays):
            checksum = zlib.crc32(arrays[name].tobytes(), checksum)
        if checksums_differ(self.ranks, checksum):
            raise RunError(
                f"weights diverged across the {self.ranks.size} ranks",
                "the same weights on each of them",
                "Give them devices of one kind, and resume from the last checkpoint.",
            )

    def _save_best(self, states: States) -> None:
        if self.ranks.leads:
            self.folder.save_best(pack_states(states, moments=False), self._bound())

    def _bound(self) -> dict[str, Any]:
        """Return what every checkpoint says of its run: its configuration and the finished epochs."""
        return {"config": self.config.to_json(), "history": self.history}

    def _note(self, message: str) -> None:
        self._listener({"event": "warning", "message": message})

    def _restore(self, config: RunConfig, layers: tuple[LayerKind, ...]) -> list[dict[str, ParameterState]]:
        """Go to where the last checkpoint is, and return the layers' arrays."""
        arrays, value, damage = self.folder.load_last(config)
        name = f"the record of {self.folder.last}"
        record = check_record(value, CHECKPOINT, name)
        stream = check_record(record["stream"], STREAM, name)
        self.metrics = EpochMetrics(**check_record(record["stats"], STATS, name, exact=True))
        self.history = check_history(record["history"], name, len(layers))
        self.stream.set_state(stream)
        self.step = record["step"]
        self.sample_weight, self.predicted = arrays["sample_weight"], arrays["predicted"]
        self._check_progress(name)
        if self.settings.epochs < self.stream.epoch:
            raise UsageError(
                f"got epochs = {self.settings.epochs} for a run of {self.stream.epoch} epochs",
                f"at least {self.stream.epoch}",
                "Leave epochs out, or train less into another run folder.",
            )
        if self.ranks.leads:
            self._resume_journal(config, record, damage)
        return unpack_states(arrays, config.settings.rule, layers)

    def _resume_journal(self, config: RunConfig, checkpoint: dict[str, Any], damage: str) -> None:
        """Rewind the journal to a checkpoint, and record what differs from an undisturbed resumption."""
        journal, epoch = self.folder.journal, self.stream.epoch
        lost = max(0, journal.last_epoch() - epoch)
        used = self.folder.previous if damage else self.folder.last
        warnings = [journal.rewind(checkpoint["journal"], self._start(), self.history, used)]
        if self.history:
            warnings.append(self._loss_of_best(config))
        if damage:
            warnings.append(
                f"{damage}. Training goes on from the checkpoint before, after epoch {epoch}: "
                f"{lost} {'epoch is' if lost == 1 else 'epochs are'} trained again"
            )
        for record in journal.records():
            if record["event"] == "warning":
                self._warned.add(str(record.get("about")))
                self._warnings.append(str(record.get("message")))
        if self.settings != config.settings:
            self.folder.update(self.config)
        before = checkpoint["config"]["settings"]["epochs"]
        if self.settings.epochs != before:
            self._record(
                {"event": "resume", "epoch": epoch, "epochs": self.settings.epochs, "before": before}
            )
        for message in filter(None, warnings):
            self._record({"event": "warning", "message": message})

    def _loss_of_best(self, config: RunConfig) -> str:
        """Return a warning where the network of the best epoch cannot be used any more."""
        try:
            self.folder.load_best(config)
        except RunError as error:
            best = best_epoch(self.history)
            return (
                f"{error.got}: the network after epoch {best}, the best one, is lost. Restore the file; otherwise the "
                "run has no network to use until an epoch is better"
            )
        return ""

    def _check_progress(self, name: str) -> None:
        """Raise `RunError` where the parts of a checkpoint's record contradict each other or the store."""
        stream, metrics = self.stream, self.metrics
        batches = -(-stream.position // stream.batch)
        layers = len(self.history[0]["rates"]) if self.history and "rates" in self.history[0] else None
        found = {
            "epochs": len(self.history),
            "step": self.step,
            "position": stream.position,
            "classes": int(self.predicted.min(initial=0)) >= -1
            and int(self.predicted.max(initial=0)) < self.classes,
            "rates": layers is None or len(metrics.rates) in (0, layers),
            "validation": all(
                (record["validation_accuracy"] is None) != bool(len(self.validation_samples))
                for record in self.history
            ),
        }
        expected = {
            "epochs": stream.epoch,
            "step": stream.epoch * len(stream) + batches,
            "position": min(batches * stream.batch, len(stream.samples)),
            "classes": True,
            "rates": True,
            "validation": True,
        }
        for key, value in expected.items():
            if found[key] != value:
                raise RunError(
                    f"{name} contradicts itself: {key} is {found[key]}",
                    f"{value}",
                    "Train again into another run folder.",
                )


def load_network(folder: RunFolder, backend: Backend) -> Network:
    """Return the network of a run's best epoch, ready to predict."""
    config = folder.config()
    layers = config.layers()
    states = unpack_states(folder.load_best(config), config.settings.rule, layers)
    return build_network(backend, config.settings.rule, layers, states)
