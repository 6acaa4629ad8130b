"""Any sequence of encodes, faults, damage and repairs against a plain model of what a store promises.

- `verify` says OK exactly if the store is byte for byte one that an undisturbed encode writes.
- A read gives the samples of the store that was opened, or raises.
- A call that returns has written the store that was asked for, unless there was damage before that `verify` sees.
- Repair heals whatever damage leaves one of the two root documents.
- Files of others are as they were.
"""

import errno
import functools
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spikeprep.errors import CapabilityError, StoreError
from spikeprep.partial_files import new_partial_name, release
from spikeprep.store import SpikeStore, SpikeWriter, SplitLayout, verify

from .stores import ATTRIBUTES, tree

LAYOUTS = {"train": SplitLayout(6, 6, 21, 2, 4), "test": SplitLayout(3, 6, 21, 2, 4)}
SEEDS = (0, 1)
FAULTS = ("kill", "torn", "ENOSPC", "EIO")


class Killed(BaseException):
    """Stands for the end of the process."""


def samples(seed, split):
    """Return bits (sample, unit, byte), steps, labels and ids; of the same sizes for every seed."""
    n = LAYOUTS[split].samples
    rng = np.random.default_rng([seed, len(split)])
    spikes = rng.random((n, 6, 24)) < 0.3
    spikes[:, :, 21:] = False
    bits = np.packbits(spikes, axis=-1, bitorder="little")
    return bits, np.full(n, 21), rng.integers(0, 3, n), [f"{split}/{i}" for i in range(n)]


def encode(path, seed, **options):
    with SpikeWriter.open(path, ATTRIBUTES | {"seed": seed}, LAYOUTS, **options) as writer:
        for shard in writer.pending():
            bits, steps, labels, ids = samples(seed, shard.split)
            with writer.shard(shard) as out:
                for start in range(shard.start, shard.stop, 2):
                    rows = slice(start, min(start + 2, shard.stop))
                    out.append(bits[rows], steps[rows], labels[rows], ids[rows])
        writer.complete()


@functools.cache
def whole(seed):
    """Return the files of an undisturbed encode."""
    with tempfile.TemporaryDirectory() as folder:
        encode(Path(folder) / "s.zarr", seed)
        return tree(Path(folder) / "s.zarr")


@contextmanager
def fault(kind, at):
    """Let the write number `at` fail."""
    real, calls = os.replace, [0]

    def failing(source, target):
        calls[0] += 1
        if calls[0] != at:
            return real(source, target)
        if kind in ("ENOSPC", "EIO"):
            number = getattr(errno, kind)
            raise OSError(number, os.strerror(number))
        target = Path(target)
        if kind == "torn":  # the new name reached the disk and half of the content did
            target.write_bytes(Path(source).read_bytes()[: os.path.getsize(source) // 2])
        left = target.with_name(new_partial_name(target.name))
        release(left.name)
        shutil.copy(source, left)  # what a dead process leaves
        raise Killed

    with mock.patch.object(os, "replace", failing):
        yield


class StoreStates(RuleBasedStateMachine):
    """One path, and everything that may happen to it."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "s.zarr"
        self.fsync = mock.patch.object(os, "fsync", return_value=None)
        self.fsync.start()
        self.whole = {seed: whole(seed) for seed in SEEDS}
        self.damaged = set()  # keys that were changed since the store was last as it should be
        self.foreign = {}
        self.readers = []

    def teardown(self):
        self.fsync.stop()
        shutil.rmtree(self.folder)

    def own(self):
        """Return the store's own files."""
        return (
            {k: v for k, v in tree(self.path).items() if k not in self.foreign} if self.path.exists() else {}
        )

    def seed(self):
        """Return the seed of the undamaged store at the path; None where there is none."""
        own = self.own()
        return next((seed for seed in SEEDS if own == self.whole[seed]), None)

    @initialize(note=st.booleans())
    def begin(self, note):
        if note:
            encode(self.path, 0)
            (self.path / "notes.txt").write_text("mine")
            self.foreign["notes.txt"] = True

    @rule(seed=st.sampled_from(SEEDS), overwrite=st.booleans())
    def encode(self, seed, overwrite):
        before = self.own()
        try:
            encode(self.path, seed, overwrite=overwrite)
        except StoreError:
            assert before  # a new store is always written
            return
        self.succeeded(seed)

    @rule(
        seed=st.sampled_from(SEEDS),
        overwrite=st.booleans(),
        kind=st.sampled_from(FAULTS),
        at=st.integers(1, 30),
    )
    def encode_with_a_fault(self, seed, overwrite, kind, at):
        try:
            with fault(kind, at):
                encode(self.path, seed, overwrite=overwrite)
        except (StoreError, CapabilityError, Killed):
            if kind == "torn":
                self.damaged.add("torn")
            return
        self.succeeded(seed)

    def succeeded(self, seed):
        if not self.damaged:
            assert self.seed() == seed
        if self.seed() is not None:
            self.damaged.clear()

    @rule(seed=st.sampled_from(SEEDS))
    def repair(self, seed):
        was = self.seed()
        try:
            encode(self.path, seed, repair=True)
        except StoreError as error:
            if was == seed:
                raise AssertionError("an undamaged store is refused") from error
            return  # another configuration, or nothing is left that says what the store was
        assert self.seed() == seed
        self.damaged.clear()

    @precondition(lambda self: self.seed() is not None)
    @rule(
        choice=st.randoms(use_true_random=False),
        kind=st.sampled_from(["flip", "delete", "cut", "swap", "zero"]),
    )
    def damage_and_repair(self, choice, kind):
        """Any one damage of a complete store heals."""
        seed = self.seed()
        self.damage(choice, kind)
        if self.seed() is None:
            assert not verify(self.path).ok
        encode(self.path, seed, repair=True)
        assert self.seed() == seed
        self.damaged.clear()

    @precondition(lambda self: len(self.own()) > 1)
    @rule(
        choice=st.randoms(use_true_random=False),
        kind=st.sampled_from(["flip", "delete", "cut", "swap", "zero"]),
    )
    def damage(self, choice, kind):
        key = choice.choice(sorted(self.own()))
        file = self.path / key
        data = file.read_bytes()
        if not data:
            return
        if kind == "delete":
            file.unlink()
        elif kind == "swap":
            other = self.path / choice.choice(sorted(self.own()))
            file.write_bytes(other.read_bytes())
            other.write_bytes(data)
            self.damaged.add(other.name)
        else:
            at = choice.randrange(len(data))
            flipped = data[:at] + bytes([data[at] ^ choice.randrange(1, 256)]) + data[at + 1 :]
            file.write_bytes({"flip": flipped, "cut": data[:at], "zero": bytes(len(data))}[kind])
        self.damaged.add(key)

    @rule(seed=st.sampled_from(SEEDS), overwrite=st.booleans(), repair=st.booleans())
    def second_writer(self, seed, overwrite, repair):
        """While one writer is at work no other begins, and none of the first one's work is lost."""
        with suppress(StoreError):
            writer = SpikeWriter.open(self.path, ATTRIBUTES | {"seed": seed}, LAYOUTS)
            with writer:
                if not writer.pending():
                    return
                with pytest.raises(StoreError):
                    encode(self.path, 1 - seed, overwrite=overwrite, repair=repair and not overwrite)
            if not self.damaged:
                encode(self.path, seed)
                self.succeeded(seed)

    @precondition(lambda self: self.seed() is not None)
    @rule()
    def open(self):
        self.readers.append((self.seed(), SpikeStore.open(self.path)))

    @precondition(lambda self: self.readers)
    @rule(choice=st.randoms(use_true_random=False))
    def read(self, choice):
        """An open store gives its own samples or an error, whatever was encoded over it since."""
        seed, store = choice.choice(self.readers)
        if self.damaged:  # a swapped shard is for `verify` to find
            return
        split = choice.choice(sorted(LAYOUTS))
        bits, _, labels, ids = samples(seed, split)
        with suppress(StoreError):
            batch = store[split].packed(slice(None))
            np.testing.assert_array_equal(batch.bits, bits)
            np.testing.assert_array_equal(batch.labels, labels)
            assert store[split].ids.tolist() == ids
            if self.seed() is not None:
                assert self.seed() == seed

    @rule()
    def remove(self):
        """What nothing can be made of any more is removed by hand."""
        if self.seed() is None and self.damaged:
            shutil.rmtree(self.path, ignore_errors=True)
            self.foreign.clear()
            self.damaged.clear()

    @invariant()
    def verify_tells_the_truth(self):
        try:
            ok = verify(self.path).ok
        except StoreError:
            ok = False
        assert ok == (self.seed() is not None and not self.foreign)

    @invariant()
    def files_of_others_are_untouched(self):
        assert all((self.path / key).read_text() == "mine" for key in self.foreign)


TestShort = StoreStates.TestCase
TestShort.settings = settings(
    max_examples=int(os.environ.get("SPIKEPREP_STATES", "8")),
    stateful_step_count=int(os.environ.get("SPIKEPREP_STEPS", "15")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
def test_long():
    from hypothesis.stateful import run_state_machine_as_test

    long = settings(TestShort.settings, max_examples=200, stateful_step_count=50, derandomize=False)
    run_state_machine_as_test(StoreStates, settings=long)
