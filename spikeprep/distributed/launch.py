"""Launch several processes of this machine as ranks, supervise them, and return rank 0's result.

The first rank that fails, dies or is stopped ends all of them, so that none waits for another. Rank 0's records are
sent to the caller, which is the only process that reports them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from .. import errors
from ..errors import RunError, SpikeprepError
from .ranks import Ranks
from .shared_memory import SharedGroup, SharedRanks

T = TypeVar("T")
Record = dict[str, Any]
Work = Callable[..., T]
"""Called in every rank as ``work(*args, ranks, report, should_stop)``; a function that a new process can import."""

_POLL = 0.1  # seconds between two calls of should_stop
_BEAT = 1.0  # seconds between two signs of life of a rank
_SILENT = 60.0  # seconds without one after which a rank is taken for stopped; compiling does not hold them up
_STARTING = 600.0  # the same before the first sign of life: a new process imports libraries first
_GRACE = 1.0  # seconds in which processes that have finished may exit


class RankFailed(Exception):
    """A rank raised an exception that is not a `SpikeprepError`; the message has its traceback."""


@dataclass(frozen=True)
class _Message:
    """What a rank sends: a record, its result, or its error."""

    kind: str  # "record", "result", "error", "bug"
    content: Any


class _Rank:
    """A rank as seen by the process that launched it."""

    def __init__(self, number: int, process: BaseProcess, connection: Connection) -> None:
        self.number, self.process, self.connection = number, process, connection
        self.is_open, self.is_done = True, False
        self._beats, self._silent = 0, 0.0

    def silent(self, beats: int, seconds: float) -> float:
        """Return for how long the rank has given no sign of life, `seconds` after the last call.

        A call counts for a second at most: the launching process may have been suspended too, and its ranks with it.
        """
        self._silent = 0.0 if beats != self._beats else self._silent + min(seconds, 1.0)
        self._beats = beats
        return self._silent

    def receive(self) -> list[_Message]:
        """Return the messages that have arrived."""
        messages = []
        while self.is_open and self.connection.poll():
            try:
                messages.append(self.connection.recv())
            except (EOFError, OSError):
                self.is_open = False
        return messages

    def exit_reason(self) -> str:
        """Return how the process ended, in words."""
        code = self.process.exitcode or 0
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def launch(
    work: Work[T],
    args: tuple[Any, ...],
    size: int,
    report: Callable[[Record], None] = lambda record: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> T:
    """Run `work` in `size` new processes, and return rank 0's result.

    Parameters
    ----------
    work, args
        The function that every rank calls, and its first arguments; see `Work`.
    size
        Number of processes.
    report
        Called in this process with each record that rank 0 reports.
    should_stop
        Called in this process ten times per second; the ranks' own `should_stop` return its latest answer.

    Raises
    ------
    SpikeprepError
        The error of the first rank that failed; `RunError` where a rank was killed, or stopped for a minute.
    RankFailed
        A rank raised another exception.
    """
    spawning = multiprocessing.get_context("spawn")
    group, stop = SharedGroup(size), spawning.RawValue("b", 0)
    beats = spawning.RawArray("Q", size)
    ranks: list[_Rank] = []
    try:
        for number in range(size):
            receiver, sender = spawning.Pipe(duplex=False)
            process = spawning.Process(
                target=_run_rank,
                args=(work, args, group, number, sender, stop, beats),
                name=f"spikeprep-rank-{number}",
            )
            process.start()
            sender.close()  # so that the receiver sees when the rank closes its copy
            ranks.append(_Rank(number, process, receiver))
        result: Any = None
        seen = time.monotonic()
        while not all(rank.is_done for rank in ranks):
            stop.value = should_stop()
            wait(
                [rank.connection for rank in ranks if rank.is_open]
                + [rank.process.sentinel for rank in ranks if not rank.is_done],
                _POLL,
            )
            now = time.monotonic()
            elapsed, seen = now - seen, now
            for rank in ranks:
                limit = _SILENT if beats[rank.number] else _STARTING
                if not rank.is_done and rank.silent(beats[rank.number], elapsed) > limit:
                    raise RunError(
                        f"rank {rank.number} of {size} (process {rank.process.pid}) has given no sign of life for "
                        f"{limit:g} s",
                        "",
                        "It may have been stopped, or its machine lacks memory. The last checkpoint is complete: "
                        "use resume=True.",
                    )
                ended = not rank.process.is_alive()  # before receive(), so that no last message is missed
                for message in rank.receive():
                    if message.kind == "record":
                        report(message.content)
                    elif message.kind == "result":
                        rank.is_done = True
                        result = message.content if rank.number == 0 else result
                    else:
                        raise _exception(rank.number, message)
                if ended and not rank.is_done:
                    raise RunError(
                        f"rank {rank.number} of {size} {rank.exit_reason()}",
                        "",
                        "The last checkpoint is complete: use resume=True.",
                    )
        return result  # type: ignore[no-any-return]
    finally:
        _end([rank.process for rank in ranks])


def _exception(number: int, message: _Message) -> Exception:
    if message.kind == "bug":
        return RankFailed(f"rank {number} failed:\n{message.content}")
    kind, got, expected, hint = message.content
    error: SpikeprepError = getattr(errors, kind)(got, expected, hint)
    return error


def _end(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.join(_GRACE / len(processes))
    for process in processes:
        process.kill()  # safe at any time: files are written under other names and renamed when complete
        process.join()
        process.close()


def _run_rank(
    work: Work[Any],
    args: tuple[Any, ...],
    group: SharedGroup,
    number: int,
    sender: Any,
    stop: Any,
    beats: Any,
) -> None:
    """Do the work of one rank: the main function of a new process."""
    for interrupt in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupt, signal.SIG_IGN)  # the launching process gets them too, and sets `stop`
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    threading.Thread(target=_beat, args=(beats, number), daemon=True).start()
    ranks: Ranks = SharedRanks(group, number)

    def report(record: Record) -> None:
        if ranks.leads:
            sender.send(_Message("record", record))

    try:
        result = work(*args, ranks, report, lambda: bool(stop.value))
        sender.send(_Message("result", result if ranks.leads else None))
    except SpikeprepError as error:
        # by the name of its class in `errors`: a subclass may take other arguments than these three
        kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == errors.__name__)
        sender.send(_Message("error", (kind, error.got, error.expected, error.hint)))
    except BaseException:
        sender.send(_Message("bug", traceback.format_exc()))
    finally:
        sender.close()


def _beat(beats: Any, number: int) -> None:
    """Give a sign of life every second."""
    while True:
        beats[number] += 1
        time.sleep(_BEAT)


def _exit_with_parent() -> None:
    """Exit when the process that launched this one ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
