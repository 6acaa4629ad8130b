"""docs/plugins.md: its Python runs as written, and its tables are true."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from spikeprep_cli.main import main

import spikeprep
from spikeprep import testing
from spikeprep.cpu.backend import CpuBackend
from spikeprep.data import Audio, Events, Frames, Video
from spikeprep.devices import select_backend
from spikeprep.errors import UsageError
from spikeprep.recipes import load_recipe
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


@pytest.fixture
def fresh(monkeypatch):
    """Leave no registered class behind."""
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def test_the_encoder_encodes_both_kinds_of_images(page):
    np.testing.assert_array_equal(np.argmax(page.spikes, axis=0), [0, 10, 5, 8])
    np.testing.assert_array_equal(page.spikes.sum(axis=0), 1)
    np.testing.assert_array_equal(page.FirstSpike(steps=11)(page.image / 255), page.spikes)


def test_the_kinds_of_plugins_are_those_of_the_registries():
    by_group = {registry.group: registry for registry in REGISTRIES}
    for _, group, base, check, _ in rows("# Plugins"):
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


def test_the_encoder_of_channels(page):
    values = np.array([[0.0, 1.0], [0.5, 1.05], [0.5, 0.0]])
    rises, falls = page.Change()(values).reshape(3, 2, 2).transpose(2, 0, 1)
    np.testing.assert_array_equal(rises, [[False, False], [True, False], [False, False]])
    np.testing.assert_array_equal(falls, [[False, False], [False, False], [False, True]])


def test_the_front_end_is_taken_by_name(page, fresh):
    spikeprep.register(page.Spectrum)
    recipe = load_recipe("audio").with_front_end("spectrum")
    assert "spectrum" in [step["name"] for step in recipe.chain]
    assert page.Spectrum(frame=8).centres(8000).tolist() == [4000, 3000, 2000, 1000, 0]


def test_the_source_reaches_the_command_by_a_recipe(page, fresh, tmp_path):
    spikeprep.register(page.Bars)
    recipe, command = re.search(
        r"^```toml\n(# bars.toml\n.*?)^```\n\n`spikeprep (.*?)`", PAGE, re.DOTALL | re.MULTILINE
    ).groups()
    (tmp_path / "bars.toml").write_text(recipe)
    name, path, *options = shlex.split(command.replace("bars.zarr", str(tmp_path / "bars.zarr")))
    result = CliRunner().invoke(main, [name, str(tmp_path / path), *options])
    assert result.exit_code == 0, result.output
    store = spikeprep.open_store(tmp_path / "bars.zarr")
    assert store.attributes["classes"] == ["horizontal", "vertical"]
    assert store.attributes["unit_shape"] == [12, 12]


def test_a_source_in_place_of_a_recipe_is_explained(page, fresh, tmp_path):
    spikeprep.register(page.Bars)
    with pytest.raises(
        UsageError, match=r"unknown recipe 'bars': it is a source; .* \[source\] name = \"bars\""
    ):
        spikeprep.plan("bars", tmp_path / "bars.zarr")
    with pytest.raises(UsageError, match=r"it is an encoder.* encoder=poisson"):
        spikeprep.plan("poisson", tmp_path / "bars.zarr")


def test_a_backend_gets_the_arguments_that_it_has(page, fresh):
    class Half(CpuBackend):
        """A CPU that notes what it gets."""

        name = "half"

        def __init__(self, dtype, threads):
            self.given = dtype, threads
            super().__init__(dtype, threads)

    spikeprep.register(Half)
    assert select_backend("half", "float64", threads=1).given == ("float64", 1)
