"""Pictures of networks, by what is drawn in them."""

from __future__ import annotations

import matplotlib.style
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from spikeprep import plot
from spikeprep.errors import UsageError
from spikeprep.plot.event_counts import action_box
from spikeprep.plot.names import short_names
from spikeprep.plot.style import DARK, LIGHT, palette, paper

from .test_plot import split


def titles(figure):
    return {ax.get_title(loc="left"): ax for ax in figure.get_axes() if ax.get_title(loc="left")}


def words(figure):
    return [text.get_text() for ax in figure.get_axes() for text in ax.texts]


# ---------------------------------------------------------------- confusion

COUNTS = np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]])


def test_confusion_shows_every_number_and_the_share_of_each_class():
    figure = plot.confusion(COUNTS, ["ant", "bee", "cat"], title="test")
    matrix, bars, _ = figure.get_axes()
    np.testing.assert_allclose(matrix.get_images()[0].get_array(), [[0.8, 0.2, 0], [0.1, 0.9, 0], [0, 0, 0]])
    assert {t.get_text(): t.get_position() for t in matrix.texts} == {
        "8": (0, 0), "2": (1, 0), "1": (0, 1), "9": (1, 1),
    }  # fmt: skip
    assert [bar.get_width() for bar in bars.patches] == [80, 90, 0]
    assert [t.get_text() for t in bars.texts] == ["80", "90", "no samples"]
    assert figure.get_suptitle() == "test: accuracy 85.00%, 20 samples"
    assert [t.get_text() for t in matrix.get_yticklabels()] == ["ant", "bee", "cat"]


@pytest.mark.parametrize("number", [1, 2, 30, 300])
def test_confusion_of_few_and_many_classes(number):
    counts = np.eye(number, dtype=np.int64) * 5
    counts[0, -1] += 7
    figure = plot.confusion(counts, [f"class {n}" for n in range(number)])
    figure.draw_without_rendering()
    listed = any(f"class 0 → class {number - 1}: 7" in text for text in words(figure))
    assert listed == (number == 300)
    assert figure.get_size_inches().max() < 12


def test_a_confusion_without_samples():
    assert "accuracy 0.00%, 0 samples" in plot.confusion(np.zeros((2, 2), int)).get_suptitle()


@pytest.mark.parametrize(("shape", "classes"), [((2, 3), ()), ((0, 0), ()), ((3,), ()), ((2, 2), ("a",))])
def test_what_is_no_confusion(shape, classes):
    with pytest.raises(UsageError, match="got"):
        plot.confusion(np.zeros(shape, int), classes)


# ---------------------------------------------------------------- layers


def trains(*units, steps=40):
    rng = np.random.default_rng(1)
    return [rng.random((steps, n)) < 0.2 for n in units]


def test_layers_draw_every_spike_of_every_layer():
    spikes = trains(48, 80, 3)
    figure = plot.layers(
        spikes, [(2, 4, 6), (5, 4, 4), (3,)], names=["input", "5C3", "output"], classes=["a", "b", "c"], label=0,
        seconds_per_step=0.002,
    )  # fmt: skip
    axes = figure.get_axes()
    for dots, train in zip(axes[::2], spikes, strict=True):
        steps, units = np.nonzero(train)
        (line,) = dots.get_lines()
        np.testing.assert_allclose(line.get_xdata(), 2 * (steps + 0.5))  # ms
        np.testing.assert_array_equal(line.get_ydata(), units)
    assert (
        axes[0].get_title(loc="left")
        == f"input: 48 units, {spikes[0].sum()} spikes, {spikes[0].sum() / 48:.3g} each"
    )
    np.testing.assert_array_equal(
        axes[1].get_images()[0].get_array(), spikes[0].sum(axis=0).reshape(2, 4, 6).sum(axis=0)
    )
    mosaic = axes[3].get_images()[0].get_array()
    np.testing.assert_array_equal(
        mosaic[:4, 5:9], spikes[1].sum(axis=0).reshape(5, 4, 4)[1]
    )  # beside channel 0
    counts = spikes[2].sum(axis=0)
    assert [bar.get_width() for bar in axes[5].patches] == counts.tolist()
    winner = "abc"[counts.argmax()]
    assert axes[5].get_title(loc="left") == f"predicted {winner}" + (", true a" if winner != "a" else "")


@pytest.mark.parametrize("shape", [(4, 3, 3), (3, 4, 5), (8, 6, 3)])
def test_maps_of_a_hidden_layer_are_no_colours(shape):
    units = int(np.prod(shape))
    spikes = trains(units, units, 2)
    first, hidden = plot.layers(spikes, [shape, shape, (2,)]).get_axes()[1:4:2]
    assert first.get_images()[0].get_array().shape[-1] == 3  # the input may be a colour image
    maps = hidden.get_images()[0].get_array()
    np.testing.assert_array_equal(maps[: shape[1], : shape[2]], spikes[1].sum(axis=0).reshape(shape)[0])
    assert hidden.get_title(loc="left") == "spikes by channel"


def test_weights_of_a_hidden_layer_are_no_colours():
    weight = np.random.default_rng(0).normal(size=(1, 4 * 5 * 3))
    axes = titles(plot.weights(weight, (4, 5, 3), channels="map"))
    assert list(axes) == [f"channel {n}" for n in range(4)]
    for picture, plane in zip(axes.values(), weight.reshape(4, 5, 3), strict=True):
        np.testing.assert_array_equal(picture.get_images()[0].get_array()[1:-1, 1:-1], plane)


@pytest.mark.parametrize("units", [(1, 1), (7, 900, 60)])
def test_layers_of_any_size(units):
    figure = plot.layers(trains(*units, steps=9), [(n,) for n in units])
    figure.draw_without_rendering()
    assert len(figure.get_axes()) == 2 * len(units)


def test_silent_layers_and_wrong_ones():
    silent = [np.zeros((5, 4), bool), np.zeros((5, 2), bool)]
    figure = plot.layers(silent, [(4,), (2,)], label=1)
    figure.draw_without_rendering()
    assert figure.get_axes()[3].get_title(loc="left") == "predicted no class, true 1"
    with pytest.raises(UsageError, match="at least one layer"):
        plot.layers(silent[:1], [(4,)])


# ---------------------------------------------------------------- weights


def test_weights_are_images_of_their_inputs():
    weight = np.arange(24.0).reshape(2, 12)
    figure = plot.weights(weight, (3, 4))
    (image,) = figure.get_axes()[0].get_images()
    picture = image.get_array()
    gap = 1
    np.testing.assert_array_equal(picture[gap : gap + 3, gap : gap + 4], weight[0].reshape(3, 4))
    assert figure.get_suptitle() == "weights of all 2 neurons"
    assert image.get_clim()[0] == -image.get_clim()[1]


@pytest.mark.parametrize(
    ("shape", "channels", "names"),
    [((2, 3, 4), "polarity", ["OFF", "ON"]), ((4, 5, 3), "colour", ["red", "green", "blue"])],
)
def test_weights_of_each_channel(shape, channels, names):
    weight = np.random.default_rng(0).normal(size=(1, int(np.prod(shape))))
    axes = titles(plot.weights(weight, shape, channels=channels))
    assert list(axes) == names
    planes = (
        weight[0].reshape(shape) if channels == "polarity" else weight[0].reshape(shape).transpose(2, 0, 1)
    )
    for name, plane in zip(names, planes, strict=True):
        picture = axes[name].get_images()[0].get_array()
        np.testing.assert_array_equal(picture[1:-1, 1:-1], plane)


def test_the_neurons_with_the_largest_weights_are_shown():
    weight = np.ones((500, 4))
    weight[:100] = 0.1
    figure = plot.weights(weight, (2, 2), title="net")
    assert "of 500 neurons with the largest" in figure.get_suptitle()
    picture = figure.get_axes()[0].get_images()[0].get_array()
    assert set(np.unique(picture[np.isfinite(picture)])) == {1.0}


def test_weights_of_inputs_on_one_axis_and_of_windows():
    weight = np.eye(3)[::-1]
    (image,) = plot.weights(weight, (3,)).get_axes()[0].get_images()
    np.testing.assert_array_equal(image.get_array(), np.eye(3))  # ordered by their centre
    figure = plot.weights(np.ones((1, 7, 5, 5)), (7, 9, 9))
    assert list(titles(figure)) == [f"channel {n}" for n in range(4)]
    assert "channels 0 to 3 of 7" in figure.get_suptitle()


@pytest.mark.parametrize("weight", [np.ones((2, 5)), np.full((2, 4), np.nan), np.ones((0, 4)), np.ones(4)])
def test_what_are_no_weights(weight):
    with pytest.raises(UsageError, match="finite weights"):
        plot.weights(weight, (2, 2))


# ---------------------------------------------------------------- misclassified samples


@pytest.mark.parametrize("unit_shape", [(3, 4), (12,), (3, 4, 5)])
def test_wrong_samples_the_clearest_first(unit_shape):
    data = split(unit_shape, samples=6, classes=3)
    counts = np.eye(3, dtype=int)[data.labels] * 5
    counts[1] = [9, 1, 0]  # of class 1
    counts[5] = [0, 8, 7]  # of class 2
    figure = plot.misclassified(data, counts, data.labels, ["ant", "bee", "cat"], title="test")
    shown = [ax.get_title() for ax in figure.get_axes() if ax.get_title()]
    assert shown == ["bee → ant\n(1 : 9)", "cat → bee\n(7 : 8)"]
    assert words(figure) == ["1", "5"]  # their positions
    assert (
        figure.get_suptitle()
        .replace("\n", " ")
        .startswith("test: 2 of 6 samples predicted wrong, the clearest first")
    )
    figure.draw_without_rendering()


def test_all_samples_right():
    data = split()
    figure = plot.misclassified(data, np.eye(3, dtype=int)[data.labels], data.labels, ["a", "b", "c"])
    assert figure.get_suptitle() == "0 of 6 samples predicted wrong"
    with pytest.raises(UsageError, match="6 samples and 3 classes"):
        plot.misclassified(data, np.ones((5, 3)), data.labels, ["a", "b", "c"])


# ---------------------------------------------------------------- encodings


def test_encodings_on_one_time_axis():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 255, (3, 4)).astype(np.uint8)
    two = [
        plot.Encoding("poisson", rng.random((50, 12)) < 0.3, (3, 4), 0.001),
        plot.Encoding("steps = 20", rng.random((20, 12)) < 0.3, (3, 4), 0.001),
    ]
    axes = plot.encodings(image, two, title="a").get_axes()
    np.testing.assert_array_equal(axes[1].get_images()[0].get_array(), image)
    for dots, counts, encoding in zip(axes[2::2], axes[3::2], two, strict=True):
        steps = np.nonzero(encoding.spikes)[0]
        np.testing.assert_allclose(dots.get_lines()[0].get_xdata(), steps + 0.5)
        assert dots.get_xlim() == (0, 50)
        np.testing.assert_array_equal(
            counts.get_images()[0].get_array(), encoding.spikes.sum(axis=0).reshape(3, 4)
        )
    with pytest.raises(UsageError, match="1 to 8"):
        plot.encodings(image, [])


# ---------------------------------------------------------------- themes and zoom


def test_colours_follow_the_background():
    assert palette() is LIGHT
    with plot.theme("dark"):
        assert palette() is DARK
        assert max(paper()) < 0.2
        figure = plot.raster(split(), 0, classes=["a", "b", "c"])
    with matplotlib.style.context("dark_background"):
        assert palette() is DARK
    background = np.array(to_rgb(figure.get_facecolor()))
    figure.draw_without_rendering()  # outside the theme
    for axes in figure.get_axes():
        for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            assert np.abs(np.array(to_rgb(tick.get_color())) - background).max() > 0.5
    with pytest.raises(UsageError, match="theme"), plot.theme("blue"):
        pass


def test_pictures_zoom_to_where_the_events_are():
    frame = np.zeros((2, 100, 200), int)
    frame[0, 40:50, 100:130] = 1000
    frame[1, 3, 3] = 1  # noise
    assert action_box(frame) == (38, 52, 98, 132)
    assert action_box(np.ones((1, 20, 30), int)) == (0, 20, 0, 30)
    assert action_box(np.zeros((1, 20, 30), int)) == (0, 20, 0, 30)


def test_colour_images_with_their_channels_first():
    data = split((3, 4, 5))
    axes = titles(plot.raster(data, 1))
    counts = data[1].sum(axis=0).reshape(3, 4, 5)
    title = f"spikes of each unit in its colour\n(brightest: {counts.max()})"
    np.testing.assert_array_equal(
        axes[title].get_images()[0].get_array(), counts.transpose(1, 2, 0) / counts.max()
    )


# ---------------------------------------------------------------- names

LONG = [f"a class of the number {n}, with a long name" for n in (1, 2, 30)]


def extents(texts, figure):
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [text.get_window_extent(renderer) for text in texts]


def test_names_are_shortened_and_stay_different():
    for names in (LONG, ["W" * 40 + "a", "W" * 40 + "b"], ["x" * 20 + c + "x" * 20 for c in "ab"]):
        short = short_names(names, 0.9, 9)
        assert len(set(short)) == len(names)
        assert all(len(name) < 20 for name in short)
    assert short_names(["cat", "a\tb"], 0.9, 9) == ["cat", r"a\x09b"]


@pytest.mark.parametrize("name", ["W" * 30, "a class of a long name "])
def test_labels_of_neighbours_do_not_overlap(name):
    classes = [f"{name}{n}" for n in range(10)]
    data = split((3, 4), samples=10, classes=10)
    counts = np.roll(np.eye(10, dtype=int), 1, axis=1)[data.labels]
    for figure in (
        plot.misclassified(data, counts, data.labels, classes),
        plot.raster(data, classes=classes),
    ):
        FigureCanvasAgg(figure).draw()
        shown = [ax.title for ax in figure.get_axes() if "…" in ax.get_title()]
        assert len(shown) == 10
        boxes = extents(shown, figure)
        assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[n + 1 :])


def test_titles_of_few_samples_fit_the_figure():
    data = split((3, 4), samples=3, classes=3)
    counts = np.eye(3, dtype=int)[data.labels]
    counts[1] = [2, 1, 0]
    figure = plot.misclassified(
        data, counts, data.labels, "abc", title="12-100-3 on test of a/long/path.zarr"
    )
    FigureCanvasAgg(figure).draw()
    (box,) = extents(figure.texts, figure)
    assert box.x1 <= figure.bbox.width
    assert box.y1 <= figure.bbox.height


def test_names_are_no_formulas():
    names = ["$x_1$", "$broken", "a\tb"]
    data = split((3, 4), samples=3, classes=3)
    data.ids = np.array(["$y_2$/0.png"] * 3)
    picture = plot.raster(data, classes=names)
    shown = [text for text in picture.findobj(Text) if "$" in text.get_text()]
    assert {"$x_1$", "$broken"} < {text.get_text() for text in shown}
    assert any("$y_2$" in text.get_text() for text in shown)
    assert not any(text.get_parse_math() for text in shown)
    confusion = plot.confusion(np.eye(3, dtype=int), names, title="$z_3$")
    labels = [text.get_text() for text in confusion.get_axes()[0].get_yticklabels()]
    assert labels == [r"\$x_1\$", r"\$broken", r"a\x09b"]  # drawn as $, and no formula
    for figure in (picture, confusion):
        FigureCanvasAgg(figure).draw()


def test_crowded_spikes_are_counted_in_cells():
    data = split((800,), samples=1, steps=500, classes=1)
    data.dense = np.random.default_rng(0).random((1, 500, 800)) < 0.5
    axes = titles(plot.raster(data))
    (title,) = [text for text in axes if text.startswith("spikes per cell")]
    cells = np.asarray(axes[title].get_images()[0].get_array())  # (unit, step)
    np.testing.assert_array_equal(cells, data.dense[0].reshape(250, 2, 160, 5).sum(axis=(1, 3)).T)
    assert title == f"spikes per cell of 5 units × 2 steps, 0 to {cells.max()}"
