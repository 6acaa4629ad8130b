"""Pictures of a recipe's first samples: those of a store, without one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from spikeprep_cli.main import main

import spikeprep
from spikeprep import plot
from spikeprep.errors import DataError, UsageError
from spikeprep.recipes import load_recipe

from .sources.idx_files import pictures, write_idx
from .sources.sound_files import ti46_corpus


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A working directory and a temporary folder of the test's own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def texts(figure):
    titles = [part.get_suptitle() for part in (figure, *figure.subfigs)]
    return [*titles, *(ax.get_title(loc="left") for ax in figure.get_axes())]


def lines(figure):
    return [line.get_xydata().tolist() for ax in figure.get_axes() for line in ax.get_lines()]


@pytest.mark.parametrize("named", [str, lambda name: load_recipe(name)])
def test_it_is_the_picture_of_the_store(named, tmp_path):
    spikeprep.encode("digits", tmp_path / "s.zarr", limit=40, progress=False)
    expected = spikeprep.draw(tmp_path / "s.zarr", sample=35)
    found = spikeprep.draw(named("digits"), sample=35)
    assert texts(found) == texts(expected)
    assert lines(found) == lines(expected)
    assert os.listdir(tmp_path / "temporary") == os.listdir() == []


def test_settings_and_files_of_recipes():
    Path("mine.toml").write_text(load_recipe("digits").to_toml())
    shown = texts(spikeprep.draw("mine.toml", settings={"poisson.steps": 50}))
    assert any("in 50 steps" in text for text in shown)


def test_a_film_outlasts_its_samples():
    film = spikeprep.draw("digits", kind="animation")
    plot.save(film, "digit.gif")
    assert Path("digit.gif").read_bytes().startswith(b"GIF8")


def test_the_source_is_that_of_the_recipe(tmp_path):
    write_idx(tmp_path / "mnist", *pictures(12, 28, 28, 10, seed=0), split="train")
    write_idx(tmp_path / "mnist", *pictures(12, 28, 28, 10, seed=1), split="t10k")
    ti46_corpus(tmp_path / "corpus")
    words = [
        "plot",
        "mnist",
        "--source",
        str(tmp_path / "mnist"),
        "--set",
        "poisson.steps=40",
        "--out",
        "a.png",
    ]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert spikeprep.draw("mnist", source=tmp_path / "mnist", kind="animation")
    sound = texts(spikeprep.draw("ti46", source=tmp_path / "corpus"))
    assert any(text.startswith("waveform") for text in sound)
    with pytest.raises(DataError, match="recipe mnist has no raw data of its own"):
        spikeprep.draw("mnist")


def test_a_folder_of_that_name_is_a_store():
    spikeprep.encode("digits", "digits", limit=3, progress=False)
    with pytest.raises(UsageError, match=r"sample = 3.*0 to 2"):
        spikeprep.draw("digits", sample=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoder": "bsa"}, "got encoder = 'bsa' for a store or a run"),
        ({"settings": {"a": 1}}, "got settings = {'a': 1}"),
        ({"download": True}, "got download = True"),
    ],
)
def test_what_only_a_recipe_takes(arguments, message):
    spikeprep.encode("digits", "s.zarr", limit=3, progress=False)
    with pytest.raises(UsageError, match=message):
        spikeprep.draw("s.zarr", **arguments)


def test_what_a_recipe_has_no_picture_of():
    with pytest.raises(UsageError, match="kind = 'training' for a store"):
        spikeprep.draw("digits", kind="training")
    with pytest.raises(UsageError, match=r"sample = 5000.*0 to 354"):
        spikeprep.draw("digits", sample=5000)
