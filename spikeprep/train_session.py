"""One training session: a store, a run folder, a device or several, from here to the end or an interruption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from .devices import connect, rank_device, select_backend
from .distributed.launch import launch
from .distributed.ranks import Ranks, SingleRank
from .errors import UsageError
from .store import SpikeStore
from .system import cores
from .train.run_folder import RunFolder
from .train.settings import TrainSettings
from .train.trainer import Trainer

Record = dict[str, Any]


@dataclass(frozen=True)
class Session:
    """What to train, and where.

    Attributes
    ----------
    store
        Path or URL of the store.
    folder
        Path of the run folder.
    settings
        Of a new run; of a resumed one what `RunFolder.resumed_settings` gives.
    resume, limit
        See `Trainer`.
    device, threads, feed
        See `select_backend`; of several ranks each has `threads` CPU cores, by default an even share.
    ranks
        Processes that share every batch, on GPUs each with one of its own: so many, started here, or "mpi": those that
        `mpirun` has started, this one among them.
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

    def run(
        self,
        tell: Callable[[Record], None] = lambda record: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Record | None:
        """Train to the end and return the summary; None where `should_stop` asked for an end first.

        Raises
        ------
        SpikeprepError
            Whatever is wrong with store, run, settings or device; of several ranks the first one's error.
        """
        if self.ranks == "mpi":
            return self._run_by_mpi(tell, should_stop)
        if self.ranks == 1:
            return _train(self, SingleRank(), tell, should_stop)
        if self.ranks < 1:
            raise UsageError(f"got {self.ranks} ranks", "at least one")
        # before any process is started: what does not fit is said at once
        rank_device(self.device, self.ranks - 1, self.ranks)
        threads = self.threads or max(1, cores() // self.ranks)
        return launch(_train_as_rank, (replace(self, threads=threads),), self.ranks, tell, should_stop)

    def _run_by_mpi(self, tell: Callable[[Record], None], should_stop: Callable[[], bool]) -> Record | None:
        from .distributed.mpi import MpiRanks

        ranks = MpiRanks()
        try:
            device = rank_device(self.device, ranks.local_rank, ranks.local_size)
            threads = self.threads or max(1, cores() // ranks.local_size)
            session = replace(self, device=device, threads=threads)
            return _train(session, ranks, tell if ranks.leads else lambda record: None, should_stop)
        except BaseException:
            ranks.abort_at_exit()
            raise


def _train_as_rank(
    session: Session, ranks: Ranks, tell: Callable[[Record], None], should_stop: Callable[[], bool]
) -> Record | None:
    device = rank_device(session.device, ranks.rank, ranks.size)
    return _train(replace(session, device=device), ranks, tell, should_stop)


def _train(
    session: Session, ranks: Ranks, tell: Callable[[Record], None], should_stop: Callable[[], bool]
) -> Record | None:
    backend = select_backend(session.device, session.settings.precision, session.threads, session.feed)
    trainer = Trainer(
        SpikeStore.open(session.store),
        RunFolder(session.folder),
        session.settings,
        backend,
        resume=session.resume,
        limit=session.limit,
        listener=tell,
        ranks=connect(backend, ranks),
    )
    return trainer.run(should_stop)
