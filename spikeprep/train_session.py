"""One training session: a store, a run folder and a device or several, until the last epoch or an interruption."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

from .compile_ahead import Rehearsal, compiling_ahead
from .devices import connect, rank_device, select_backend
from .distributed.launch import launch
from .distributed.ranks import Ranks, SingleRank
from .errors import UsageError
from .feed.variants import VariantEncoder
from .plugin_errors import plugin_errors
from .store import SpikeStore
from .system import cores
from .train.memory import NetworkSize, memory_errors
from .train.planning import planned_size
from .train.run_folder import RunFolder
from .train.settings import TrainSettings
from .train.trainer import Trainer

Record = dict[str, Any]
Listener = Callable[[Record], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Outcome:
    """A finished run: the trainer's summary, one record per epoch, and whether this process wrote the run folder."""

    summary: Record
    history: list[Record]
    leads: bool


@dataclass(frozen=True)
class TrainSession:
    """What to train, and on which devices; small, so that it can be sent to other processes.

    Attributes
    ----------
    store
        Path or URL of the store.
    folder
        Path of the run folder.
    settings
        Of a new run complete; of a resumed one what `RunFolder.resumed_settings` returned.
    resume, limit
        See `Trainer`.
    device, threads, feed
        See `select_backend`. Each of several ranks has `threads` CPU cores, by default an equal share.
    ranks
        Number of processes that share every batch, each with a GPU of its own where they train on GPUs. They are
        started here; "mpi" uses those that `mpirun` has started, this one among them.
    variants
        What encodes training samples anew in every epoch; opened by each process itself.
    """

    store: str
    folder: str
    settings: TrainSettings
    resume: bool = False
    limit: int | None = None
    device: str = "auto"
    threads: int | None = None
    feed: str = "auto"
    ranks: int | Literal["mpi"] = 1
    variants: VariantEncoder | None = None

    def run(
        self, listener: Listener = lambda record: None, should_stop: ShouldStop = lambda: False
    ) -> Outcome | None:
        """Train to the last epoch; return None where `should_stop` returned true before.

        `listener` is called with every record of the journal, with ``{"event": "progress", …}`` after every batch, and
        with ``{"event": "ranks", …}`` before processes are started.

        Raises
        ------
        SpikeprepError
            The store, the run folder, the settings or the device do not fit; of several ranks the first one's error.
        """
        if self.ranks == "mpi":
            return self._run_by_mpi(listener, should_stop)
        if self.ranks == 1:
            return _train(self, SingleRank(), listener, should_stop)
        if self.ranks < 1:
            raise UsageError(f"got ranks = {self.ranks}", "at least 1")
        if self.ranks > self.settings.batch:
            raise UsageError(
                f"got ranks = {self.ranks} for batches of {self.settings.batch} samples",
                f"at most {self.settings.batch}: a rank without samples only waits",
                "Lower ranks, or raise batch.",
            )
        # fail before any process is started
        on_cpu = rank_device(self.device, self.ranks - 1, self.ranks) == "cpu"
        listener({"event": "ranks", "ranks": self.ranks, "cores": cores() if on_cpu else None})
        threads = self.threads or max(1, cores() // self.ranks)
        return launch(_train_as_rank, (replace(self, threads=threads),), self.ranks, listener, should_stop)

    @memory_errors("Lower batch, use a smaller arch, or choose another device.")
    def size(self) -> NetworkSize:
        """Return the network's size, by the checks that training starts with; nothing is written.

        Raises
        ------
        SpikeprepError
            The store, the settings or the device do not fit, or memory is short.
        """
        device, ranks = (self.device, 1) if self.ranks == "mpi" else (
            rank_device(self.device, 0, self.ranks), self.ranks
        )  # fmt: skip
        backend = select_backend(device, self.settings.precision, self.threads, self.feed)
        return planned_size(SpikeStore.open(self.store), self.settings, backend, self.limit, ranks)

    def _run_by_mpi(self, listener: Listener, should_stop: ShouldStop) -> Outcome | None:
        from .distributed.mpi import MpiRanks

        ranks = MpiRanks()
        try:
            device = rank_device(self.device, ranks.local_rank, ranks.local_size)
            threads = self.threads or max(1, cores() // ranks.local_size)
            session = replace(self, device=device, threads=threads)
            return _train(session, ranks, listener if ranks.leads else lambda record: None, should_stop)
        except BaseException:
            ranks.abort_at_exit()
            raise


def _train_as_rank(
    session: TrainSession, ranks: Ranks, listener: Listener, should_stop: ShouldStop
) -> Outcome | None:
    device = rank_device(session.device, ranks.rank, ranks.size)
    return _train(replace(session, device=device), ranks, listener, should_stop)


@plugin_errors()
@memory_errors("Lower batch, use a smaller arch, or choose another device.")
def _train(
    session: TrainSession, ranks: Ranks, listener: Listener, should_stop: ShouldStop
) -> Outcome | None:
    settings = session.settings
    backend = select_backend(session.device, settings.precision, session.threads, session.feed)
    store = SpikeStore.open(session.store)
    shape, classes = tuple(store.attributes["unit_shape"]), len(store.attributes["classes"])
    with compiling_ahead(Rehearsal(settings, shape, classes), backend) if ranks.leads else nullcontext():
        trainer = Trainer(
            store,
            RunFolder(session.folder),
            settings,
            backend,
            resume=session.resume,
            limit=session.limit,
            listener=listener,
            ranks=connect(backend, ranks),
            variants=session.variants,
            threads=session.threads or cores(),
        )
        summary = trainer.run(should_stop)
    return None if summary is None else Outcome(summary, trainer.history, ranks.leads)
