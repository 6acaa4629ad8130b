"""Pictures, by what is drawn in them: the data behind every line, bar and image."""

from __future__ import annotations

import errno
import os
import warnings
from dataclasses import dataclass

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from spikeprep.data import Audio, Frames, PackedBatch
from spikeprep.errors import CapabilityError, UsageError
from spikeprep.packing import pack
from spikeprep.plot import MOST_CLASSES, cochleagram, raster, save, training_curve
from spikeprep.transforms import Butterworth, Gammatone, Lyon, Mel


@dataclass
class Split:
    """A split in memory: dense spikes (sample, time, unit)."""

    dense: NDArray[np.bool_]
    labels: NDArray[np.int32]
    unit_shape: tuple[int, ...]

    def __post_init__(self):
        self.units = self.dense.shape[2]
        self.steps = np.full(len(self.dense), self.dense.shape[1], np.uint32)
        self.ids = np.array([f"folder/{i}.png" for i in range(len(self.dense))])

    def __len__(self):
        return len(self.dense)

    def __getitem__(self, index):
        return self.dense[index]

    def sample_by_units(self, sample):
        bits = pack(self.dense[sample])
        yield from (bits[:5], bits[5:])

    def packed(self, index):
        return PackedBatch(pack(self.dense[index]), self.steps[index], self.labels[index], index)


def split(unit_shape=(3, 4), samples=6, steps=50, classes=3):
    rng = np.random.default_rng(0)
    dense = rng.random((samples, steps, int(np.prod(unit_shape)))) < 0.2
    return Split(dense, np.arange(samples, dtype=np.int32) % classes, unit_shape)


def drawn(figure):
    return {ax.get_title(loc="left") or ax.get_ylabel(): ax for ax in figure.get_axes()}


def test_raster_draws_every_spike_at_its_time_and_unit():
    data = split()
    axes = drawn(raster(data, 2, seconds_per_step=0.001))
    (dots,) = axes["every spike"].get_lines()
    steps, units = np.nonzero(data[2])
    np.testing.assert_allclose(dots.get_xdata(), steps + 0.5)  # the middle of steps of 1 ms
    np.testing.assert_array_equal(dots.get_ydata(), units)


def test_raster_rate_keeps_all_spikes():
    data = split(steps=333)
    axes = drawn(raster(data, 0))
    values, edges, _ = axes["spikes\nper step"].patches[0].get_data()
    assert values @ np.diff(edges) == pytest.approx(data[0].sum())
    assert (edges[0], edges[-1]) == (0, 333)


@pytest.mark.parametrize("unit_shape", [(3, 4), (1, 3, 4), (2, 3, 4)])
def test_raster_of_an_image_shows_the_counts_in_place(unit_shape):
    data = split(unit_shape)
    axes = drawn(raster(data, 1))
    (image,) = axes["spikes of each unit"].get_images()
    expected = data[1].sum(axis=0).reshape(unit_shape)
    np.testing.assert_array_equal(image.get_array(), expected.reshape(-1, 3, 4).sum(axis=0))


def test_raster_of_a_colour_image_shows_its_colours():
    data = split((4, 5, 3))
    figure = raster(data, 1, classes=("a", "b", "c"))
    axes = drawn(figure)
    counts = data[1].sum(axis=0).reshape(4, 5, 3)
    title = f"spikes of each unit in its colour\n(brightest: {counts.max()})"
    np.testing.assert_array_equal(axes[title].get_images()[0].get_array(), counts / counts.max())
    small = next(ax for ax in figure.get_axes() if ax.get_title() == "b")
    np.testing.assert_array_equal(small.get_images()[0].get_array(), counts / counts.max())


def test_raster_of_channels_shows_a_bar_each():
    data = split((7,))
    axes = drawn(raster(data, 1, classes=["a", "b", "c"]))
    bars = axes["spikes of each unit"].patches
    np.testing.assert_array_equal([bar.get_width() for bar in bars], data[1].sum(axis=0))


@pytest.mark.parametrize("unit_shape", [(3, 4), (12,)])
def test_raster_shows_the_first_sample_of_each_class(unit_shape):
    data = split(unit_shape)
    figure = raster(data, 0, classes=["ant", "bee", "cat"])
    shown = {
        ax.get_title(): ax.get_images()[0]
        for ax in figure.get_axes()
        if ax.get_title() in ("ant", "bee", "cat")
    }
    assert list(shown) == ["ant", "bee", "cat"]
    if unit_shape == (3, 4):
        np.testing.assert_array_equal(shown["bee"].get_array(), data[1].sum(axis=0).reshape(3, 4))
    else:
        bins = [
            slice(start, start + 8) for start in (*range(0, 48, 8), 42)
        ]  # all of 8 steps, the last ends at 50
        expected = [data[1][steps].mean(axis=0) for steps in bins]
        np.testing.assert_allclose(shown["bee"].get_array(), np.transpose(expected))


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 50, 512, 513, 1001, 5000])
def test_a_constant_rate_is_drawn_constant(steps):
    """A unit that spikes in every step, one in every fourth, and one in the last step only."""
    spikes = np.zeros((1, steps, 3), bool)
    spikes[0, :, 0], spikes[0, ::4, 1], spikes[0, -1, 2] = True, True, True
    figure = raster(Split(spikes, np.zeros(1, np.int32), (3,)), 0, classes=["ant"])
    image = next(ax for ax in figure.get_axes() if ax.get_title() == "ant").get_images()[0].get_array()
    assert image.shape[1] <= 64
    width = min(8 * -(-steps // 512), steps)
    np.testing.assert_array_equal(image[0], 1)
    np.testing.assert_allclose(image[1], 0.25, atol=0 if steps % 4 == 0 else 1 / width)
    assert image[2, -1] == 1 / width


def test_channels_of_two_units_are_drawn_over_time():
    """Units (channel, 2), as of step-forward, are rows like those of channels, not an image of two columns."""
    figure, row = (raster(split(shape), 0, classes=["ant", "bee", "cat"]) for shape in ((6, 2), (12,)))
    assert "spikes over time" in texts(figure)[-1]
    for ours, theirs in zip(figure.get_axes(), row.get_axes(), strict=True):
        assert ours.get_title(loc="left") == theirs.get_title(loc="left")
        for image, other in zip(ours.get_images(), theirs.get_images(), strict=True):
            np.testing.assert_array_equal(image.get_array(), other.get_array())
    assert sum(len(axes.get_images()) for axes in figure.get_axes()) == 3
    widths = [bar.get_width() for bar in drawn(figure)["spikes of each unit"].patches]
    np.testing.assert_array_equal(widths, split((12,))[0].sum(axis=0))


def test_raster_shows_no_more_classes_than_fit():
    data = split(samples=30, classes=30)
    figure = raster(data, 0, classes=[f"c{i}" for i in range(30)])
    titles = {ax.get_title() for ax in figure.get_axes()}
    assert {f"c{i}" for i in range(MOST_CLASSES)} <= titles
    assert f"c{MOST_CLASSES}" not in titles
    assert any(f"{MOST_CLASSES} of 30 classes" in text for text in texts(figure))


def texts(figure):
    panels = [figure, *figure.subfigs]
    return [panel.get_suptitle() for panel in panels]


def test_raster_has_a_title():
    data = split()
    (title,) = (
        t for t in texts(raster(data, 4, classes=["ant", "bee", "cat"])) if "sample" in t and "density" in t
    )
    assert "sample 4 (folder/4.png), class bee: " in title
    assert f"{data[4].sum()} spikes of 12 units in 50 steps, density {data[4].mean():.2%}" in title


@pytest.mark.parametrize(("dt", "label"), [(None, "time (steps)"), (0.001, "time (ms)"), (0.2, "time (s)")])
def test_time_has_its_unit(dt, label):
    axes = drawn(raster(split(), 0, seconds_per_step=dt))
    assert axes["spikes\nper step"].get_xlabel() == label


def test_cochleagram_shows_sound_channels_and_spikes_on_one_time_axis():
    rng = np.random.default_rng(3)
    audio = Audio(rng.uniform(-0.5, 0.5, 1250), 12500)
    frames = Frames(rng.uniform(0, 1e-3, (6, 5)), 62.5)
    spikes = rng.random((60, 5)) < 0.2
    centres = np.array([4200.0, 2100.0, 1000.0, 500.0, 150.0])
    axes = cochleagram(audio, frames, spikes, seconds_per_step=0.0016, centres=centres, title="a").get_axes()
    wave, ear, dots = axes[:3]
    (line,) = wave.get_lines()
    np.testing.assert_array_equal(line.get_ydata(), audio.samples)
    assert line.get_xdata()[-1] == pytest.approx(1249 / 12.5)  # ms
    (image,) = ear.get_images()
    np.testing.assert_allclose(image.get_array() ** 2, frames.values.T)  # channel 0 on top
    assert image.get_extent() == [0, 96, 4.5, -0.5]
    (marks,) = dots.get_lines()
    steps, units = np.nonzero(spikes)
    np.testing.assert_allclose(marks.get_xdata(), 1.6 * (steps + 0.5))
    np.testing.assert_array_equal(marks.get_ydata(), units)
    assert wave.get_xlim() == ear.get_xlim() == dots.get_xlim() == (0, 100)
    for panel in (ear, dots):
        texts_at = zip(panel.get_yticklabels(), panel.get_yticks(), strict=True)
        labels = {text.get_text(): place for text, place in texts_at}
        assert set(labels) == {"0.2", "0.5", "1", "2", "3", "4"}
        assert (labels["1"], labels["0.5"]) == (2, 3)
        assert 1 < labels["2"] < 2
    numbered = cochleagram(audio, frames, spikes, seconds_per_step=0.0016).get_axes()[2]
    assert numbered.get_ylabel() == "channel"


def test_channels_of_two_units_and_slopes():
    """Of step-forward a channel has two units, which lie in the channel's place; signed values have no root."""
    rng = np.random.default_rng(3)
    audio = Audio(rng.uniform(-0.5, 0.5, 1250), 12500)
    frames = Frames(rng.uniform(-1, 1, (6, 5)), 62.5)
    spikes = rng.random((6, 10)) < 0.2
    centres = np.array([4200.0, 2100.0, 1000.0, 500.0, 150.0])
    figure = cochleagram(audio, frames, spikes, seconds_per_step=0.016, centres=centres)
    _, ear, dots = figure.get_axes()[:3]
    np.testing.assert_allclose(ear.get_images()[0].get_array(), frames.values.T)
    assert dots.get_ylim() == (9.5, -0.5)
    labels = {
        text.get_text(): place for text, place in zip(dots.get_yticklabels(), dots.get_yticks(), strict=True)
    }
    assert (labels["1"], labels["0.5"]) == (4.5, 6.5)
    assert figure.get_axes()[2].get_xlabel() == "time (ms)"
    more = cochleagram(
        audio, Frames(rng.uniform(0, 1, (6, 10)), 62.5), spikes, seconds_per_step=0.016, centres=centres
    )
    assert [axes.get_ylabel() for axes in more.get_axes()[1:3]] == ["channel", "channel"]


@pytest.mark.parametrize(
    ("front_end", "name", "label", "root"),
    [
        (Lyon(), "cochleagram", "√ activity", True),
        (Mel(), "mel spectrogram", "level (1: full scale, 0: −60 dB)", False),
        (Gammatone(range_db=80), "gammatone filter bank", "level (1: full scale, 0: −80 dB)", False),
        (Butterworth(compression="none"), "Butterworth filter bank", "√ power", True),
        (Mel(compression="square_root"), "mel spectrogram", "√ power", False),
        (Mel(compression="log"), "mel spectrogram", "ln power", False),
    ],
)
def test_channels_have_the_name_and_the_unit_of_their_front_end(front_end, name, label, root):
    audio = Audio(np.random.default_rng(3).uniform(-0.5, 0.5, 2500), 12500)
    frames = front_end(audio)
    figure = cochleagram(
        audio, frames, np.zeros((8, frames.values.shape[1]), bool), seconds_per_step=0.016,
        name=front_end.picture, quantity=front_end.quantity,
    )  # fmt: skip
    panel, bar = figure.get_axes()[1], figure.get_axes()[3]
    assert panel.get_title(loc="left") == f"{name}, {frames.rate:g} frames/s"
    assert bar.get_ylabel() == label
    expected = np.sqrt(frames.values) if root else frames.values
    np.testing.assert_allclose(panel.get_images()[0].get_array(), expected.T)


@pytest.mark.parametrize("index", [6, -1])
def test_a_sample_that_is_not_there(index):
    with pytest.raises(UsageError, match="0 to 5"):
        raster(split(), index)


def test_a_silent_sample_can_be_drawn():
    data = split()
    data.dense[0] = False
    (dots,) = drawn(raster(data, 0, classes=["ant", "bee", "cat"]))["every spike"].get_lines()
    assert len(dots.get_xdata()) == 0


def record(epoch, **changed):
    values = {"train_accuracy": 0.9, "validation_accuracy": 0.8 + 0.01 * epoch, "test_accuracy": 0.85}
    return {"epoch": epoch, "rates": [3.0 + epoch, 9.0]} | values | changed


def lines(axes):
    return {
        line.get_label().split(",")[0]: line
        for line in axes.get_lines()
        if not line.get_label().startswith("_")
    }


def test_training_curve_draws_each_share_and_each_layer():
    records = [record(e) for e in (1, 2, 3)]
    axes = drawn(training_curve(records, title="run"))
    accuracy, rates = lines(axes["accuracy by epoch"]), lines(axes["firing rate of each layer"])
    assert list(accuracy) == ["train", "validation", "test"]
    np.testing.assert_allclose(accuracy["validation"].get_ydata(), [0.81, 0.82, 0.83])
    assert accuracy["validation"].get_label() == "validation, last 83.00%"
    np.testing.assert_array_equal(rates["hidden 1"].get_ydata(), [4, 5, 6])
    assert list(rates) == ["hidden 1", "output"]


def test_training_curve_names_layers_by_their_notation_and_draws_no_two_alike():
    notation = [*"ABCDEF", "10"]
    records = [record(e, rates=[float(n) for n in range(7)]) for e in (1, 2)]
    rates = lines(drawn(training_curve(records, layers=notation))["firing rate of each layer"])
    assert list(rates) == [*(f"hidden {n} ({text})" for n, text in enumerate("ABCDEF", 1)), "output (10)"]
    assert len({(line.get_color(), line.get_linestyle()) for line in rates.values()}) == 7


def test_training_curve_leaves_out_what_was_not_measured():
    records = [record(1), record(2, test_accuracy=None), record(3)]
    accuracy = lines(drawn(training_curve(records))["accuracy by epoch"])
    np.testing.assert_array_equal(accuracy["test"].get_xdata(), [1, 3])
    unmeasured = [record(e, validation_accuracy=None, rates=None) for e in (1, 2)]
    assert list(lines(drawn(training_curve(unmeasured))["accuracy by epoch"])) == ["train", "test"]


def test_training_curve_marks_the_best_epoch_on_validation():
    best = {"validation_accuracy": 0.99}
    records = [record(1, **best), record(2, **best), record(3)]  # of equals the later one is kept
    axes = drawn(training_curve(records))["accuracy by epoch"]
    assert [t.get_text() for t in axes.texts] == ["best on validation: epoch 2"]


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_epochs_are_whole_numbers(epochs):
    axes = drawn(training_curve([record(e) for e in range(1, epochs + 1)]))["firing rate of each layer"]
    left, right = axes.get_xlim()
    ticks = [t for t in axes.get_xticks() if left <= t <= right]
    assert ticks
    assert all(t == round(t) for t in ticks)


def test_no_epoch_yet():
    with pytest.raises(UsageError, match="no finished epoch"):
        training_curve([])


@pytest.mark.parametrize(
    ("ending", "magic"),
    [
        ("png", b"\x89PNG"),
        ("PNG", b"\x89PNG"),
        ("svg", b"<?xml"),
        ("pdf", b"%PDF"),
        ("jpeg", b"\xff\xd8"),
        ("eps", b"%!PS"),
    ],
)
def test_save(tmp_path, ending, magic):
    path = tmp_path / f"picture.{ending}"
    save(training_curve([record(1)]), path)
    assert path.read_bytes().startswith(magic)


def test_save_replaces_its_own_pictures_and_no_others(tmp_path, monkeypatch):
    figure = Figure(figsize=(1, 1))  # what it shows adds nothing
    monkeypatch.setenv("HOME", str(tmp_path))
    save(figure, "~/curve.png")
    for ending in ("png", "svg", "pdf", "eps", "jpg", "jpeg", "PNG"):
        path = tmp_path / f"curve.{ending}"
        save(figure, path)
        save(figure, path)
        path.write_bytes(b"holiday")
        with pytest.raises(UsageError, match=r"not drawn by spikeprep.*overwrite=True"):
            save(figure, path)
        assert path.read_bytes() == b"holiday"
        save(figure, path, overwrite=True)
        assert path.read_bytes() != b"holiday"


def test_save_does_not_write_through_a_link_to_no_file(tmp_path):
    figure, link = training_curve([record(1)]), tmp_path / "link.png"
    link.symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(UsageError, match="not drawn by spikeprep"):
        save(figure, link)
    assert not (tmp_path / "elsewhere.png").exists()
    save(figure, link, overwrite=True)
    save(figure, link)  # to a picture of ours


@pytest.mark.parametrize(
    "name", ["picture.docx", "picture", "picture.tif", "picture.webp", "picture.raw", "picture.svgz"]
)
def test_save_refuses_other_formats(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.png, \.svg, \.pdf"):
        save(training_curve([record(1)]), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_drawing_changes_nothing_global():
    with warnings.catch_warnings(record=True):
        before = dict(matplotlib.rcParams)
    raster(split(), 0)
    training_curve([record(1)])
    assert dict(matplotlib.rcParams) == before


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(CapabilityError, match=r"spikeprep\[plot\]"):
        raster(split(), 0)


def test_units_of_one_row_are_drawn_as_channels():
    """SHD's units (1, 1, 700): over time, not as an image of one row."""
    from spikeprep.plot.spikes import as_image, on_one_axis

    assert [on_one_axis(shape) for shape in ((7,), (1, 1, 7), (2, 1, 7), (1, 2, 7), (3, 4))] == [True] * 2 + [
        False
    ] * 3
    assert as_image(np.ones(7), (1, 1, 7)) is None
    assert as_image(np.ones(14), (2, 1, 7)).tolist() == [[2.0] * 7]


def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    figure = training_curve([record(1)])
    save(figure, tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for name in ("a.png", "b.png"):
        with pytest.raises(CapabilityError, match=rf"{name} could not be written \(No space left"):
            save(figure, tmp_path / name)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", before)]
