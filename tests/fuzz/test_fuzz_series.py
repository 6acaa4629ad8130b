"""Mutated files of series: an error of ours, or finite values."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from spikeprep.sources.series import SeriesSource

from .fuzzing import Target, both_lengths, check

X = np.arange(3 * 8 * 2, dtype=np.float32).reshape(3, 8, 2)
TS = """#c
@problemName X
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength false
@classLabel true a b
@data
1,2,3:4,5,6:a
-1.5,2e3:?,4:b
"""


def _npz() -> list[bytes]:
    files = []
    for write in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        write(
            stream, X=X, y=np.array(["a", "b", "a"]), lengths=[8, 3, 5], subject=[1, 2, 1], fs=np.float64(50)
        )
        files.append(stream.getvalue())
    return files


def _npy() -> list[bytes]:
    files = []
    for array in (X[0], X, np.asfortranarray(X[0].astype(">i2"))):
        stream = io.BytesIO()
        np.save(stream, array)
        files.append(stream.getvalue())
    return files


def _hdf5() -> list[bytes]:
    h5py = pytest.importorskip("h5py")
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("X", data=X, chunks=(1, 8, 2), compression="gzip")
        file["y"] = ["a", "b", "a"]
        file.attrs["fs"] = 50.0
    return [stream.getvalue()]


def _texts() -> list[bytes]:
    return [b"time_s,x,y\n0,1,2\n0.1,3,4\n0.2,5,\n", b"1;2,5\n3;4,5\n", b"1 2\n3 nan\n", b'"a"\t"b"\n1\t2\n']


def _tables() -> list[bytes]:
    return [
        b"id,time_s,x,y,label\na,0,1,2,up\na,0.5,3,4,up\nb,0,5,,down\nb,0.5,7,8,down\n",
        b"id;time;kind;value;label\na;0;x;1,5;1\na;0;y;2;1\nb;0;x;3;2\n",
        b"1\t0.5\t1e2\t-3\n2\t1\t2\tNaN\n1\t0\t0\t9\n2\t1\t1\t0.5\n",
        b'"",a_0,a_1,b_0,b_1,"label"\n0,1,2,3,4,"x"\n1,5,6,7,8,"y"\n',
    ]


def _edf() -> list[bytes]:
    edfio = pytest.importorskip("edfio")
    files = []
    for signal, file in ((edfio.EdfSignal, edfio.Edf), (edfio.BdfSignal, edfio.Bdf)):
        stream = io.BytesIO()
        signals = [signal(np.linspace(-9, 9, 40), 10, label=name, physical_range=(-10, 10)) for name in "ab"]
        file(signals, annotations=[edfio.EdfAnnotation(1, 2, "x")]).write(stream)
        files.append(stream.getvalue())
    return files


def _header() -> list[bytes]:
    return [b"r 2 360 8\nr.dat 16 200(0)/mV 12 0 0 36 0 I\nr.dat 16 200/mV 12 0 0 36 0 II\n"]


def _read_record(data: bytes, folder: Path) -> object:
    pytest.importorskip("wfdb")
    (folder / "r.dat").write_bytes(np.repeat(np.arange(1, 9, dtype="<i2"), 2).tobytes())
    return _read(".hea")(data, folder)


def _read_table(data: bytes, folder: Path) -> object:
    path = folder / "a.csv"
    path.write_bytes(data)
    source = SeriesSource(path=str(path), missing="zero", test_share=0)
    for split, size in source.splits().items():
        for n in range(size):
            sample = source.read(split, n)
            assert 0 <= sample.label < len(source.classes)
            assert np.isfinite(sample.signal.values).all()
            assert sample.signal.values.shape == source.outline(split, n).values.shape
    return True


def _read(suffix: str):
    def read(data: bytes, folder: Path) -> object:
        path = folder / f"a{suffix}"
        path.write_bytes(data)
        source = SeriesSource(path=str(path), missing="zero", test_share=0)
        for signal in source.signals_of(path, ""):
            assert signal.values.ndim == 2
            assert signal.values.dtype == np.float64
            assert np.isfinite(signal.values).all()
            assert 0 < signal.rate < np.inf
        if suffix in (".ts", ".npz", ".h5"):
            sample = source.read("train", 0)
            assert 0 <= sample.label < len(source.classes)
            assert sample.signal.values.shape == source.outline("train", 0).values.shape
        return True

    return read


TARGETS = [
    Target(".ts", lambda: [TS.encode()], _read(".ts")),
    Target(".npz", _npz, _read(".npz")),
    Target(".npy", _npy, _read(".npy")),
    Target("HDF5", _hdf5, _read(".h5")),
    Target("text", _texts, _read(".csv")),
    Target("tables", _tables, _read_table),
    Target("EDF", _edf, _read(".edf")),
    Target("WFDB", _header, _read_record),
]


@both_lengths(TARGETS)
def test_mutated_series(target, count):
    check(target, count)
