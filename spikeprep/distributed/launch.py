"""Several processes of this machine doing one piece of work as ranks, watched over by the one that started them.

The first error of any rank, or the death of one, ends all of them: there is no rank left waiting for another. Rank 0's
records arrive where the caller is, so that one process speaks.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from .. import errors
from ..errors import RunError, SpikeprepError
from .ranks import Ranks
from .shared_memory import Meeting, SharedRanks

T = TypeVar("T")
Record = dict[str, Any]
Work = Callable[..., T]
"""Called in every rank as ``work(*args, ranks, tell, should_stop)``; a function that a new process can import."""

_LOOK = 0.1  # seconds between two looks at should_stop
_GRACE = 1.0  # seconds for processes that are done to leave by themselves


class RankFailed(Exception):
    """A rank met a bug; the message holds its traceback."""


@dataclass(frozen=True)
class _Said:
    """What a rank tells: a record, its result, or what went wrong."""

    kind: str  # "record", "done", "error", "bug"
    value: Any


class _Rank:
    """A rank as its watcher sees it."""

    def __init__(self, number: int, process: BaseProcess, ear: Connection) -> None:
        self.number, self.process, self.ear = number, process, ear
        self.listening, self.done = True, False

    def heard(self) -> list[_Said]:
        """Return what it has said by now."""
        said = []
        while self.listening and self.ear.poll():
            try:
                said.append(self.ear.recv())
            except (EOFError, OSError):
                self.listening = False
        return said

    def end(self) -> str:
        """Return how its process ended, for a person."""
        code = self.process.exitcode or 0
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def launch(
    work: Work[T],
    args: tuple[Any, ...],
    size: int,
    tell: Callable[[Record], None] = lambda record: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> T:
    """Run `work` in `size` new processes, and return rank 0's result.

    Parameters
    ----------
    work, args
        What each does, and with what; see `Work`.
    size
        How many processes.
    tell
        Given what rank 0 tells, here.
    should_stop
        Asked from time to time, here; what it says reaches every rank's own `should_stop`, in its own time.

    Raises
    ------
    SpikeprepError
        A rank's own, or `RunError` where one was killed.
    RankFailed
        A rank met a bug.
    """
    spawning = multiprocessing.get_context("spawn")
    meeting, stop = Meeting(size), spawning.RawValue("b", 0)
    ranks: list[_Rank] = []
    try:
        for number in range(size):
            ear, mouth = spawning.Pipe(duplex=False)
            given = (work, args, meeting, number, mouth, stop)
            process = spawning.Process(target=_rank, args=given, name=f"spikeprep-rank-{number}")
            process.start()
            mouth.close()  # so that its end is heard
            ranks.append(_Rank(number, process, ear))
        result: Any = None
        while not all(rank.done for rank in ranks):
            stop.value = should_stop()
            wait(
                [rank.ear for rank in ranks if rank.listening]
                + [rank.process.sentinel for rank in ranks if not rank.done],
                _LOOK,
            )
            for rank in ranks:
                over = not rank.process.is_alive()  # asked first: what it said last is heard then
                for said in rank.heard():
                    if said.kind == "record":
                        tell(said.value)
                    elif said.kind == "done":
                        rank.done = True
                        result = said.value if rank.number == 0 else result
                    else:
                        raise _error(rank.number, said)
                if over and not rank.done:
                    raise RunError(
                        f"rank {rank.number} of {size} {rank.end()}",
                        "",
                        "What was saved is whole: give the same command again with --resume.",
                    )
        return result  # type: ignore[no-any-return]
    finally:
        _end([rank.process for rank in ranks])


def _error(number: int, said: _Said) -> Exception:
    if said.kind == "bug":
        return RankFailed(f"rank {number} failed:\n{said.value}")
    kind, got, expected, hint = said.value
    made: SpikeprepError = getattr(errors, kind)(got, expected, hint)
    return made


def _end(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.join(_GRACE / len(processes))  # one that is done is on its way out
    for process in processes:
        process.kill()  # it leaves nothing half done: files are whole or not there
        process.join()
        process.close()


def _rank(
    work: Work[Any], args: tuple[Any, ...], meeting: Meeting, number: int, mouth: Any, stop: Any
) -> None:
    """Be one rank: the body of a new process."""
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.SIG_IGN)  # the watcher hears of them too, and tells
    threading.Thread(target=_end_with_parent, daemon=True).start()
    ranks: Ranks = SharedRanks(meeting, number)

    def tell(record: Record) -> None:
        if ranks.leads:
            mouth.send(_Said("record", record))

    try:
        result = work(*args, ranks, tell, lambda: bool(stop.value))
        mouth.send(_Said("done", result if ranks.leads else None))
    except SpikeprepError as error:
        # by the kind's name: a subclass may want other arguments than these three
        kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == errors.__name__)
        mouth.send(_Said("error", (kind, error.got, error.expected, error.hint)))
    except BaseException:
        mouth.send(_Said("bug", traceback.format_exc()))
    finally:
        mouth.close()


def _end_with_parent() -> None:
    """End this process when the one that watches it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
