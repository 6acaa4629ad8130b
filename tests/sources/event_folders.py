"""Small data sets of event recordings, laid out as their publishers and tonic do."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from spikeprep.data import EVENT

from ..eventfiles.writing import nmnist_bytes


def moving_bar(label: int, n: int, events: int = 400, size: tuple[int, int] = (34, 34)) -> NDArray[np.void]:
    """A bar that crosses the sensor: `label` decides where, `n` varies it; dtype `EVENT`, 300 ms."""
    rng = np.random.default_rng([label, n])
    t = np.sort(rng.integers(0, 300_000 + 1000 * n, events))
    along = np.abs((t // 1000 + n) % 60 - 30) * size[0] // 34
    across = (label * 9 + 3 + rng.integers(0, 4, events)) * size[1] // 34
    found = np.zeros(events, EVENT)
    found["x"], found["y"] = (
        (along, across) if label % 2 else (across * size[0] // size[1], along * size[1] // size[0])
    )
    found["t"], found["p"] = t, rng.integers(0, 2, events)
    return found


def put(path: Path, events: NDArray[np.void]) -> None:
    """Write a recording: N-MNIST's .bin, or an array of NumPy's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".bin":
        path.write_bytes(nmnist_bytes(events))
    else:
        np.save(path, events)


def nmnist_folder(root: Path, train: int = 30, test: int = 0) -> Path:
    """``Train/DIGIT/NUMBER.bin``, the digits in turn, and ``Test`` where it has recordings."""
    for split, count in (("Train", train), ("Test", test)):
        for n in range(count):
            put(root / split / str(n % 10) / f"{n + 1:05}.bin", moving_bar(n % 3, n))
    return root


def class_folder(root: Path, classes=("bar", "dot", "wave"), each: int = 10, suffix: str = "bin") -> Path:
    """``CLASS/NUMBER.bin``."""
    for label, name in enumerate(classes):
        for n in range(each):
            put(root / name / f"{n}.{suffix}", moving_bar(label, n))
    return root


def poker_folder(root: Path, train: int = 20, test: int = 20) -> Path:
    """Poker-DVS as tonic leaves it: an archive, and ``pips_train/SUIT/NUMBER.npy`` of columns t, x, y, p."""
    home = root / "POKERDVS"
    for split, count in (("train", train), ("test", test)):
        for n in range(count):
            events = moving_bar(n % 3, n)
            file = home / f"pips_{split}" / ("cl", "he", "di", "sp")[n % 4] / f"{n:02}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, np.stack([events[axis].astype(np.int64) for axis in "txyp"], axis=1))
        if count:
            (home / f"pips_{split}.tar.gz").write_bytes(b"the archive")
    return root


def gesture_folder(
    root: Path, train: int = 3, test: int = 2, light: tuple[str, ...] = ("led", "lab")
) -> Path:
    """DVS Gesture as tonic leaves it: ``ibmGestureTrain/userNN_LIGHT/GESTURE.npy`` of columns x, y, p, t in ms.

    Users are numbered on from 1, those of the test split last. tonic takes fewer than 100 files for not unpacked:
    there are more, in lights of further names.
    """
    home = root / "DVSGesture"
    for split, users in (("Train", range(1, train + 1)), ("Test", range(train + 1, train + test + 1))):
        for user in users:
            for n in range(0, 2 * -(-100 // (11 * max(len(users), 1)))):
                folder = home / f"ibmGesture{split}" / f"user{user:02}_{light[n % len(light)]}{n}"
                folder.mkdir(parents=True)
                for gesture in range(11):
                    events = moving_bar(gesture % 3, n)
                    columns = [events["x"], events["y"], events["p"], events["t"] // 1000]
                    np.save(folder / f"{gesture}.npy", np.stack(columns, axis=1).astype(np.int64))
        if users:
            (home / f"ibmGesture{split}.tar.gz").write_bytes(b"the archive")
    return root


def torchneuromorphic_file(path: Path, digits=range(12), train: int = 8, order: str = "pxy") -> Path:
    """Write a data set as torchneuromorphic's create_events_hdf5 does: p, x, y for N-MNIST, x, y, p for gestures."""
    train_keys, test_keys = [], []
    with h5py.File(path, "w") as file:
        data, extra = file.create_group("data"), file.create_group("extra")
        for key, digit in enumerate(digits):
            events = moving_bar(digit % 3, key)
            is_train = key < train
            (train_keys if is_train else test_keys).append(key)
            group = data.create_group(str(key))
            group.create_dataset("times", data=events["t"], dtype=np.uint32)
            group.create_dataset("addrs", data=np.stack([events[c] for c in order], 1), dtype=np.uint8)
            group.create_dataset("labels", data=digit % 3, dtype=np.uint8)
            described = {"key": str(key), "subject": f"user{key % 5:02}", "training sample": is_train}
            group.attrs["meta_info"] = str(described)
        extra.create_dataset("train_keys", data=train_keys)
        extra.create_dataset("test_keys", data=test_keys)
        extra.attrs["N"], extra.attrs["Ntrain"] = len(digits), len(train_keys)
    return path


AERTB = np.dtype([("x", np.uint16), ("y", np.uint16), ("ts", np.float32), ("p", np.int8)])


def aertb_file(path: Path, classes=("bar", "dot"), each: int = 5, off: int = 0) -> Path:
    """Write a data set as aertb's FileLoader.create_hdf5_dataset does: a group per folder of recordings."""
    with h5py.File(path, "w") as file:
        for label, name in enumerate(classes):
            group = file.create_group(name)
            for n in range(each):
                events = moving_bar(label, n)
                p = np.where(events["p"], 1, off)
                columns = [events["x"], events["y"], events["t"] / 1e6, p]
                group.create_dataset(f"obj_{n}", data=np.rec.fromarrays(columns, AERTB), compression=8)
    return path
