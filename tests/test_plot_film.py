"""Films, by what their frames show."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import spikeprep
from spikeprep import plot
from spikeprep.errors import UsageError


@pytest.fixture
def store(tmp_path):
    """Two samples of 4 × 5 pixels and two polarities, 30 steps: a spike of each polarity at steps 0 and 29."""
    spikes = np.zeros((2, 30, 40), bool)
    spikes[0, 0, 7], spikes[0, 29, 20 + 13] = True, True
    return spikeprep.write_store(tmp_path / "s.zarr", spikes, [0, 1], dt=0.01, unit_shape=(2, 4, 5))


def test_frames_show_the_spikes_of_their_moment(store, tmp_path):
    film = plot.animation(spikeprep.open_store(store), "train", 0, frames=3)
    assert film.frames == 3
    (image,) = film.figure.get_axes()[0].get_images()
    coloured = []
    for n in range(3):
        film.show(n)
        marked = (np.asarray(image.get_array()) < 1).any(axis=2)
        coloured.append({tuple(place) for place in np.argwhere(marked).tolist()})
    assert coloured == [{(1, 2)}, {(1, 2)}, {(1, 2), (2, 3)}]  # the first one fades
    plot.save(film, tmp_path / "film.gif")
    plot.save(film, tmp_path / "film.gif")  # it is recognised as ours
    with Image.open(tmp_path / "film.gif") as gif:
        assert (gif.n_frames, gif.info["loop"]) == (3, 0)
    with pytest.raises(UsageError, match=r"\.gif"):
        plot.save(film, tmp_path / "film.png")
    assert "data:image/gif;base64,R0lGOD" in film._repr_html_()


def test_a_silent_sample_and_no_more_frames_than_steps(store):
    film = plot.animation(spikeprep.open_store(store), "train", 1, frames=400)
    assert film.frames == 30
    film.show(29)


@pytest.mark.parametrize(
    ("index", "more", "words"),
    [
        (2, {}, "0 to 1"),
        (0, {"frames": 0}, "frames"),
        (0, {"frames": 401}, "400"),
        (0, {"frames_per_second": 0}, "50"),
    ],
)
def test_what_is_no_film(store, index, more, words):
    with pytest.raises(UsageError, match=words):
        plot.animation(spikeprep.open_store(store), "train", index, **more)


def test_units_on_one_axis_do_not_move(tmp_path):
    flat = spikeprep.write_store(tmp_path / "f.zarr", np.ones((1, 9, 4), bool), [0], dt=0.01)
    with pytest.raises(UsageError, match="rows and columns"):
        plot.animation(spikeprep.open_store(flat), "train")
