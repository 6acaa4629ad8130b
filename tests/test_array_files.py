"""Files of arrays: the same arrays from .npy, .npz and HDF5, and what is refused."""

from __future__ import annotations

import gc
import io
import pickle
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from spikeprep.array_files.arrays import opened_arrays
from spikeprep.array_files.npy import NpyHeader, ObjectsError
from spikeprep.errors import DataError
from spikeprep.input_files import InputFile, Limits

TABLE = np.arange(12.0).reshape(3, 4)


def arrays_of(path, limits=None):
    file = InputFile(path, limits or Limits())
    try:
        with opened_arrays(file) as opened:
            return {name: array.all() for name, array in opened.by_name.items()}
    finally:
        file.close()


def test_the_formats_have_the_same_arrays(tmp_path):
    stored = {
        "table": TABLE,
        "turned": np.asfortranarray(TABLE),
        "one": np.int16(7),
        "none": np.empty((0, 3)),
    }
    texts = np.array(["a", "ä"])
    np.savez_compressed(tmp_path / "a.npz", names=texts, **stored)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values in stored.items():
            file[name] = values
        file["names"] = [text.encode() for text in texts]
        file.create_dataset("empty", data=h5py.Empty("f4"))  # no values: not an array
    for name in ("a.npz", "a.h5"):
        found = arrays_of(tmp_path / name)
        assert found.pop("names").tolist() == ["a", "ä"]
        assert list(found) == [*stored] or sorted(found) == sorted(stored)
        for key, values in stored.items():
            np.testing.assert_array_equal(found[key], values)
            assert found[key].dtype == values.dtype
    np.save(tmp_path / "a.npy", stored["turned"])
    np.testing.assert_array_equal(arrays_of(tmp_path / "a.npy")[""], TABLE)


def test_texts_that_are_no_utf8_stay_different(tmp_path):
    names = np.array([b"\xe9", b"\xe8"])
    np.savez(tmp_path / "a.npz", names=names)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["names"] = names
    for name in ("a.npz", "a.h5"):
        assert len(set(arrays_of(tmp_path / name)["names"].tolist())) == 2


@pytest.mark.parametrize(
    ("cut", "words"), [(-8, "it is truncated, with 88"), (None, "it goes on after its values")]
)
def test_a_length_that_the_header_does_not_state(tmp_path, cut, words):
    np.save(tmp_path / "a.npy", TABLE)
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:cut] if cut else whole + whole)
    with pytest.raises(DataError, match=rf"a\.npy cannot be read: {words}.*expected 96, as its header"):
        arrays_of(tmp_path / "a.npy")


def test_objects_and_limits(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ObjectsError, match="Python objects, which are never read") as caught:
        arrays_of(tmp_path / "a.npy")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # from another process
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["table"] = TABLE
        series = file.create_dataset("series", 2, h5py.vlen_dtype(np.int32))
        series[0], series[1] = [1], [2, 3]
    with pytest.raises(DataError, match=r"/series of .*a\.h5 has arrays of different lengths"):
        arrays_of(tmp_path / "a.h5")
    np.savez(tmp_path / "a.npz", TABLE)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["series"]
    for name in ("a.npz", "a.h5"):
        with pytest.raises(DataError, match="96 bytes of memory; expected at most 95"):
            arrays_of(tmp_path / name, Limits(max_bytes=95))


def test_a_chunk_of_any_column_that_does_not_expand_to_what_it_states(tmp_path):
    """HDF5 itself would return memory that was never written."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        table = file.create_dataset("table", (100, 4), "<i8", chunks=(100, 1), compression="gzip")
        table[:] = 1
        table.id.write_direct_chunk((0, 2), zlib.compress(bytes(700)))
    with pytest.raises(DataError, match="the chunk of /table at event 0 expands to 700 bytes; expected 800"):
        arrays_of(tmp_path / "a.h5")


def test_headers_are_read_in_many_threads():
    """Python 3.11.7 raises "AST constructor recursion depth mismatch" where the collector runs other code meanwhile."""

    class Circular:
        def __init__(self):
            self.own = self

        def __del__(self):
            sum(range(50))

    stream = io.BytesIO()
    np.save(stream, TABLE)
    data = stream.getvalue()

    def read(_):
        for _ in range(30):
            Circular()
        return NpyHeader.read("a", data, len(data)).shape

    before, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(20, 2, 2)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(read, range(3000))) == {(3, 4)}
    finally:
        gc.set_threshold(*before)
        sys.setswitchinterval(interval)
