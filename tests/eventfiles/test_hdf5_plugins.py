"""Filters of HDF5 that come as plugins, such as Prophesee's codec ECF."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from ..cuda.emulator import compiler
from .writing import events_of

h5py = pytest.importorskip("h5py")

ECF = 0x8ECF
# a filter with the number of ECF that inverts every byte; the layout of H5Z_class2_t is that of HDF5's H5Zpublic.h
PLUGIN = """
#include <cstddef>
extern "C" {
static size_t invert(unsigned, size_t, const unsigned *, size_t bytes, size_t *, void **buffer) {
  for (size_t n = 0; n < bytes; ++n) ((unsigned char *)*buffer)[n] ^= 0xff;
  return bytes;
}
static const struct {
  int version, id; unsigned encodes, decodes; const char *name; void *can_apply, *set_local;
  size_t (*filter)(unsigned, size_t, const unsigned *, size_t, size_t *, void **);
} FILTER = {1, 0x8ecf, 1, 1, "inverts", nullptr, nullptr, invert};
int H5PLget_plugin_type(void) { return 0; }
const void *H5PLget_plugin_info(void) { return &FILTER; }
}
"""
READ = "import sys; from spikeprep.eventfiles import read; print(read(sys.argv[1]).array.tolist())"


@pytest.mark.skipif(compiler() is None, reason="needs Linux and a C++ compiler (g++, clang++ or $CXX)")
def test_a_plugin_in_the_folder_of_plugins_is_used(tmp_path):
    (tmp_path / "plugin.cpp").write_text(PLUGIN)
    library = tmp_path / "plugins" / "libinverts.so"
    library.parent.mkdir()
    subprocess.run([compiler(), "-shared", "-fPIC", "-o", library, tmp_path / "plugin.cpp"], check=True)
    events = events_of([3, 4, 5], [1, 2, 3], [0, 1000, 2000], [1, 0, 1])
    stored = np.zeros(3, [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for name in "xytp":
        stored[name] = events[name]
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((3,))
        properties.set_filter(
            ECF, h5py.h5z.FLAG_OPTIONAL
        )  # not installed here: the chunk is written as it is given
        kind = h5py.h5t.py_create(stored.dtype)
        space = h5py.h5s.create_simple((3,))
        data = h5py.h5d.create(file.create_group("CD").id, b"events", kind, space, properties)
        data.write_direct_chunk((0,), bytes(255 - byte for byte in stored.tobytes()))
        file.attrs["geometry"] = "1280x720"
    for folder, expected in (
        (tmp_path, "is compressed with filter 36559"),
        (library.parent, "[(3, 1, 0, 1), ("),
    ):
        environment = os.environ | {"HDF5_PLUGIN_PATH": str(folder)}
        command = [sys.executable, "-c", READ, path]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert expected in done.stdout + done.stderr
