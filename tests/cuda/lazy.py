"""A device that works as late, or as early, as its streams and events allow: missing order shows as wrong data.

Work given to a stream is done when something waits for it, or earlier, depending on `haste`; never out of its stream's
order, nor before an event that its stream waits for. New memory is filled with garbage.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from spikeprep.cuda.runtime import Runtime
from spikeprep.feed.copies import Event, Stream

GARBAGE = 0xA5


class LazyEvent(Event):
    def __init__(self, stream, at):
        self.stream, self.at, self.time = stream, at, None

    def done(self):
        with self.stream.runtime.lock:
            self.stream.runtime.progress()
            return self.stream.finished >= self.at

    def synchronize(self):
        with self.stream.runtime.lock:
            self.stream.run_to(self.at)

    def seconds_since(self, earlier):
        assert earlier.time is not None
        assert self.time is not None
        return self.time - earlier.time


class LazyStream(Stream):
    def __init__(self, runtime):
        self.runtime, self.work, self.finished = runtime, [], 0
        runtime.streams.append(self)

    def __enter__(self):
        self.runtime.stack().append(self)
        return self

    def __exit__(self, *_):
        self.runtime.stack().pop()

    def give(self, work):
        with self.runtime.lock:
            self.work.append(work)
            self.runtime.progress()

    def record(self, timed=False):
        with self.runtime.lock:
            event = LazyEvent(self, len(self.work) + 1)
            self.give(lambda: setattr(event, "time", self.runtime.clock()))
            return event

    def wait(self, event):
        self.give(event)

    def synchronize(self):
        with self.runtime.lock:
            self.run_to(len(self.work))

    def run_to(self, at):
        while self.finished < at:
            work = self.work[self.finished]
            if isinstance(work, LazyEvent):
                work.stream.run_to(work.at)
            else:
                work()
            self.finished += 1

    def step(self):
        """Do the next piece of work if it need not wait for an event; return whether it was done."""
        if self.finished == len(self.work):
            return False
        work = self.work[self.finished]
        if isinstance(work, LazyEvent) and work.stream.finished < work.at:
            return False
        self.run_to(self.finished + 1)
        return True


class LazyRuntime(Runtime):
    """A device on the host.

    Parameters
    ----------
    haste
        "late": do work only when something waits for it; "copies": do copies at once; "compute": do everything else at
        once; "all": both; "random": any work at any time.
    seed
        Of "random".
    free
        Bytes of free device memory.
    """

    name = "lazy"
    processors = 1
    shared_limit = 0

    def __init__(self, haste="late", seed=0, free=1 << 40):
        self.haste, self.rng, self.free = haste, np.random.default_rng(seed), free
        self.lock, self.local, self.streams = threading.RLock(), threading.local(), []
        self.allocated = self.pinned_bytes = 0
        self.clock = time.perf_counter
        self.computing = LazyStream(self)
        self.xp = SimpleNamespace(empty=self.empty, asarray=np.array, take=self.take, uint8=np.uint8)

    def progress(self):
        if self.haste == "random":
            for n in self.rng.permutation(len(self.streams)):
                while self.rng.random() < 0.7 and self.streams[n].step():
                    pass
        for stream in self.streams:
            if self.haste in ("all", "compute" if stream is self.computing else "copies"):
                while stream.step():
                    pass

    def empty(self, shape, dtype):
        array = np.empty(shape, dtype)
        array.view(np.uint8).fill(GARBAGE)
        self.allocated += array.nbytes
        return array

    def take(self, array, index, axis, out):
        self.current().give(lambda: np.take(array, index, axis=axis, out=out))

    def stack(self):
        if not hasattr(self.local, "stack"):
            self.local.stack = []
        return self.local.stack

    @contextmanager
    def active(self):
        yield

    def stream(self):
        return LazyStream(self)

    def current(self):
        return self.stack()[-1] if self.stack() else self.computing

    def pinned(self, shape, dtype):
        array = np.empty(shape, dtype)
        array.fill(GARBAGE)
        self.pinned_bytes += array.nbytes
        return array

    def copy_in(self, host, device):
        assert host.shape == device.shape
        assert host.dtype == device.dtype
        assert device.base is not None
        # a new thread's device is number 0, whatever the runtime's is
        assert hasattr(self.local, "adopted") or threading.current_thread() is threading.main_thread()
        self.current().give(lambda: np.copyto(device, host))

    def copy_out(self, device, host):
        raise NotImplementedError

    def to_device(self, host):
        raise NotImplementedError

    def to_host(self, device):
        self.current().synchronize()
        return device.copy()

    def adopt_thread(self):
        self.local.adopted = True

    def recorded(self, work):
        raise NotImplementedError

    def synchronize(self):
        for stream in self.streams:
            stream.synchronize()

    def memory(self):
        return self.free, 1 << 41

    def module(self, file, **defines):
        raise NotImplementedError

    def facts(self):
        return {}
