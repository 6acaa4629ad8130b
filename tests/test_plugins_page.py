"""docs/plugins.md: its Python runs as written, and its tables are true."""

from __future__ import annotations

import importlib
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from spikeprep import testing
from spikeprep.data import Audio, Events, Frames, Video
from spikeprep.registry import REGISTRIES, SOURCES

from .test_conformance import FOLDERS

PAGE = (Path(__file__).parent.parent / "docs/plugins.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading."""
    section = f"\n{PAGE}".partition(f"\n{heading}\n")[2]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.fixture(scope="module")
def page():
    """Run all blocks of Python in order; return what they define."""
    module = types.ModuleType("plugins_page")
    sys.modules[module.__name__] = module  # where pickle looks for the classes
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        exec(compile(block, "docs/plugins.md", "exec", dont_inherit=True), vars(module))
    yield module
    del sys.modules[module.__name__]


def test_the_encoder_encodes_both_kinds_of_images(page):
    np.testing.assert_array_equal(np.argmax(page.spikes, axis=0), [0, 10, 5, 8])
    np.testing.assert_array_equal(page.spikes.sum(axis=0), 1)
    np.testing.assert_array_equal(page.FirstSpike(steps=11)(page.image / 255), page.spikes)


def test_the_kinds_of_plugins_are_those_of_the_registries():
    by_group = {registry.group: registry for registry in REGISTRIES}
    for _, group, base, check in rows("# Plugins"):
        module, _, name = base.strip("`").rpartition(".")
        assert by_group.pop(group.strip("`")).base is getattr(importlib.import_module(module), name)
        assert check.strip("`") in testing.__all__
    assert by_group == {}


SIGNALS = {name: row for row in rows("## Signals") for name in re.findall(r"`(\w+)`", row[0])}


def test_every_source_is_in_the_table():
    assert set(SIGNALS) == set(SOURCES.names())


@pytest.mark.parametrize("name", SOURCES.names())
def test_the_signal_of_a_source_is_as_in_the_table(name, tmp_path):
    source = SOURCES.get(name)(**FOLDERS[name](tmp_path))
    signal = source.read("train", 0).signal
    _, kind, shape, dtype, _ = SIGNALS[name]
    if kind == "image":
        assert isinstance(signal, np.ndarray)
        axes = re.match(r"\(([^)]*)\)", shape)[1].split(", ")
        assert signal.ndim == len(axes)
        assert all(size == int(axis) for size, axis in zip(signal.shape, axes, strict=True) if axis.isdigit())
        assert str(signal.dtype) == dtype.split(",")[0]
        assert signal.max() <= int(dtype.split()[-1])
    else:
        assert (
            type(signal) is {"`Audio`": Audio, "`Events`": Events, "`Frames`": Frames, "`Video`": Video}[kind]
        )
    if kind == "`Audio`":
        assert np.issubdtype(signal.samples.dtype, np.floating)
        assert signal.samples.ndim == 1
    if kind == "`Frames`":
        assert str(signal.values.dtype) == dtype
        assert signal.values.ndim == 2
    if kind == "`Events`":
        fields = dict(re.findall(r"([xtp])(?:, y)? (u?int\d+)", dtype))
        assert {field: str(signal.array.dtype[field]) for field in fields} == fields
        assert len(fields) == 3
