"""A lease: at most one owner writes to a folder or store at a time, and the lease of a dead owner is taken over.

The lease is one small JSON document beside the data. It names its owner's host, boot, process and start time, and the
owner renews its heartbeat every ten seconds. Whether an owner is alive:

- on this host its process is looked up, start time included; a lease of an earlier boot is abandoned;
- on another host a heartbeat of the last two minutes counts. An older one, or one from the future, is watched for two
  heartbeats, so that clocks that disagree cannot take a lease from its owner.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from .errors import CapabilityError, SpikeprepError
from .processes import boot_id, host_id, is_running, start_time

_ATTEMPTS = 10  # to acquire a lease that others release and take at the same time
_open_tokens: set[str] = set()  # of the leases that this process holds


class Keys(Protocol):
    """What a lease needs of a folder or an object store. Writes are atomic: a reader sees a whole document or none."""

    def get(self, key: str, /) -> bytes | None:
        """Return the content of a key; None where there is none."""

    def put(self, key: str, data: bytes, /) -> None:
        """Write a key, replacing what it had."""

    def create(self, key: str, data: bytes, /) -> bool:
        """Write a key that does not exist; return False, and write nothing, where it does."""

    def delete(self, key: str, /) -> None:
        """Remove a key, if it exists."""


@dataclass(frozen=True)
class Timing:
    """Seconds between two heartbeats, and the age from which the last one is doubted."""

    heartbeat: float = 10.0
    abandoned: float = 120.0


@dataclass(frozen=True)
class Holder:
    """The owner of a lease, as the document names it.

    Attributes
    ----------
    token
        Random; tells this lease from every other.
    host, boot, pid, process_started
        See `spikeprep.processes`.
    hostname
        Name of the host, for messages.
    started, heartbeat
        When the lease was acquired and last renewed, in seconds since 1970 by the owner's clock.
    """

    token: str
    host: str
    boot: str
    pid: int
    process_started: int | None
    hostname: str
    started: float
    heartbeat: float

    @classmethod
    def this_process(cls) -> Holder:
        """Return a new holder: this process, now."""
        pid, now = os.getpid(), time.time()
        return cls(
            uuid.uuid4().hex, host_id(), boot_id(), pid, start_time(pid), socket.gethostname(), now, now
        )

    @classmethod
    def parse(cls, data: bytes | None) -> Holder | None:
        """Return the holder that a document names; None where the document is damaged or missing."""
        try:
            value = json.loads(data or b"")
            texts = [value[name] for name in ("token", "host", "boot", "hostname")]
            times = [float(value[name]) for name in ("started", "heartbeat")]
            pid, process_started = value["pid"], value["process_started"]
            datetime.fromtimestamp(times[0], UTC)  # a time that can be shown
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError, OSError):
            return None
        if not all(isinstance(text, str) for text in texts) or type(pid) is not int or not 0 < pid < 2**31:
            return None
        if process_started is not None and type(process_started) is not int:
            return None
        token, host, boot, hostname = texts
        return cls(token, host, boot, pid, process_started, hostname, *times)

    def to_bytes(self) -> bytes:
        """Return the document."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()

    def is_alive(self, abandoned: float) -> bool | None:
        """Whether the owner is alive; None where only watching its heartbeat can tell."""
        if self.host == host_id():
            if self.boot != boot_id():
                return False
            if self.pid == os.getpid() and self.process_started == start_time(self.pid):
                return self.token in _open_tokens
            running = is_running(self.pid, self.process_started)
            if running is not None:
                return running
        return True if abs(time.time() - self.heartbeat) <= abandoned else None

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.started, UTC)
        return f"process {self.pid} on {self.hostname!r}, since {since:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True)
class LeaseToken:
    """What a worker of the owner needs in order to check that the lease is still the owner's; pickles if `keys` does.

    Attributes
    ----------
    keys, key
        Where the document is.
    token
        The owner's.
    what, place
        What the lease is of, and where its document is, in words for messages.
    error
        Class of the errors raised.
    """

    keys: Keys
    key: str
    token: str
    what: str
    place: str
    error: type[SpikeprepError]

    def check(self) -> None:
        """Raise `error` if the lease is no longer the owner's: call it before anything is written that lasts."""
        data = self.keys.get(self.key)
        holder = Holder.parse(data)
        if holder is not None and holder.token == self.token:
            return
        got = (
            f"{self.place} was removed"
            if data is None
            else f"{self.what} is now in use by {holder or 'another'}"
        )
        raise self.error(
            f"{self.what} is no longer held by this process: {got}",
            "one writer at a time",
            "Leave it to the other process, or end that one and repeat the command.",
        )


class Lease:
    """The right to write, held until `release`, or until this object is dropped or the process ends.

    Attributes
    ----------
    token
        For workers of the owner: they check the same lease.
    """

    def __init__(self, token: LeaseToken, holder: Holder, timing: Timing) -> None:
        self.token = token
        self._renewal = _Renewal(token, holder, timing.heartbeat)
        self._finalizer = weakref.finalize(self, self._renewal.end)

    @classmethod
    def acquire(
        cls,
        keys: Keys,
        key: str,
        *,
        what: str,
        place: str,
        error: type[SpikeprepError],
        timing: Timing | None = None,
        note: Callable[[str], None] = lambda message: None,
    ) -> Lease:
        """Acquire a lease that is free, or whose owner is dead.

        Parameters
        ----------
        keys, key
            Where its document is.
        what, place
            What the lease is of, and where its document is, in words for messages.
        error
            Class of the errors raised.
        timing
            Of the heartbeats.
        note
            Called with a message before a wait of two heartbeats.

        Raises
        ------
        SpikeprepError
            Of the class `error`: another process holds the lease; the message says which, and what to do if that
            process is known to be dead.
        """
        timing = timing or Timing()
        holder = Holder.this_process()
        token = LeaseToken(keys, key, holder.token, what, place, error)
        _open_tokens.add(holder.token)
        try:
            _Acquisition(token, timing, note).take(holder.to_bytes())
            lease = cls(token, holder, timing)
        except BaseException:
            _open_tokens.discard(holder.token)
            raise
        try:
            lease._renewal.start()
        except RuntimeError as failure:  # no thread can be started
            lease.release()
            raise CapabilityError(
                f"no thread can be started ({failure})",
                "",
                "Raise the limit of processes or of memory (ulimit).",
            ) from failure
        return lease

    def check(self) -> None:
        """Raise an error if the lease is no longer ours: call it before anything is written that lasts."""
        self.token.check()

    def release(self) -> None:
        """Give the lease up; one that another process has taken over is left alone. May be called twice."""
        self._finalizer()


class _Acquisition:
    """Attempts of one process to get a lease."""

    def __init__(self, token: LeaseToken, timing: Timing, note: Callable[[str], None]) -> None:
        self.token, self.timing, self.note = token, timing, note
        self.keys, self.key = token.keys, token.key

    def take(self, document: bytes) -> None:
        """Write the document as the lease; raises the token's error where another process holds it."""
        for _ in range(_ATTEMPTS):
            if self.keys.create(self.key, document):
                return
            found = self.keys.get(self.key)
            if found is not None:
                self._refuse_living(self.key, found)
                if self._replace(found, document):
                    return
        raise self._in_use(None)

    def _replace(self, abandoned: bytes, document: bytes) -> bool:
        """Put the document in place of an abandoned one; False where another process was faster.

        A second key, held for the time of this function, makes replacing exclusive: of two processes that find the
        same abandoned lease the later one finds that it has changed.
        """
        takeover = f"{self.key}.takeover"
        if not self.keys.create(takeover, document):
            other = self.keys.get(takeover)
            if other is not None:
                self._refuse_living(takeover, other)
                self.keys.delete(takeover)
            return False
        try:
            if self.keys.get(self.key) != abandoned:
                return False
            self.keys.put(self.key, document)
            return True
        finally:
            self.keys.delete(takeover)

    def _refuse_living(self, key: str, found: bytes) -> None:
        holder = Holder.parse(found)
        alive = holder.is_alive(self.timing.abandoned) if holder else None
        if alive is None:
            alive = self._changes(key, found, holder)
        if alive:
            raise self._in_use(holder)

    def _changes(self, key: str, found: bytes, holder: Holder | None) -> bool:
        """Whether a document is renewed within two heartbeats."""
        seconds = 2 * self.timing.heartbeat
        owner = str(holder) if holder else "an unknown process"
        self.note(f"{self.token.what} was in use by {owner}; waiting {seconds:g} s for a sign of life")
        until = time.monotonic() + seconds
        while (now := self.keys.get(key)) == found and time.monotonic() < until:
            time.sleep(seconds / 20)
        return now is not None and now != found

    def _in_use(self, holder: Holder | None) -> SpikeprepError:
        owner = str(holder) if holder else "another process"
        return self.token.error(
            f"{self.token.what} is in use by {owner}",
            "one writer at a time",
            f"Wait until it has finished, or end it. If that process is known to be dead, delete {self.token.place}.",
        )


class _Renewal:
    """The heartbeats of a lease, in a thread that keeps no reference to the lease itself."""

    def __init__(self, token: LeaseToken, holder: Holder, interval: float) -> None:
        self._token, self._holder, self._interval = token, holder, interval
        self._ended = threading.Event()
        self._lock = threading.RLock()  # the garbage collector may call `end` inside the thread

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="spikeprep-lease", daemon=True).start()

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            with suppress(Exception):  # a full disk or a lost connection: the next heartbeat may succeed
                if not self._renew():
                    return
        self._remove()

    def _renew(self) -> bool:
        """Renew the heartbeat, if the lease is still ours; return whether it is."""
        with self._lock:
            if self._ended.is_set() or not self._is_ours():
                return False
            renewed = replace(self._holder, heartbeat=time.time())
            self._token.keys.put(self._token.key, renewed.to_bytes())
        return True

    def end(self) -> None:
        """Stop the heartbeats and remove the lease, if it is still ours."""
        if os.getpid() != self._holder.pid:  # a forked process: the lease is its parent's
            return
        self._ended.set()
        self._remove()
        _open_tokens.discard(self._holder.token)

    def _remove(self) -> None:
        with self._lock, suppress(Exception):  # one that cannot be removed is recognised as abandoned
            if self._is_ours():
                self._token.keys.delete(self._token.key)

    def _is_ours(self) -> bool:
        holder: Any = Holder.parse(self._token.keys.get(self._token.key))
        return holder is not None and holder.token == self._holder.token
