"""Transforms that vary copies of recordings: by hand, against references, and their distributions."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spikeprep.data import Events
from spikeprep.encoders import DVS
from spikeprep.encoders.base import Chain
from spikeprep.random import SampleKey
from spikeprep.transforms import EventFlip, EventJitter, EventNoise, EventRandomCrop
from spikeprep.transforms.events.noise import noise_reference

from ...strategies import recordings
from .test_transforms import CHOICES, KEY, made, tuples

ROWS = [(0, 0, 5, 1), (3, 1, 7, 0), (8, 7, 7, 1), (2, 4, 20, 0)]
AUGMENTATIONS = (EventFlip, EventJitter, EventNoise, EventRandomCrop)


@given(recordings())
def test_a_flip_twice_is_none(events):
    events = replace(events, duration=events.length() + 3)
    for setting in ("x", "y", "time", "polarity"):
        flip = EventFlip(**{"x": 0} | {setting: 1})
        once = flip(events, rng=KEY)
        assert (once.size, once.length()) == (events.size, events.length())
        assert tuples(flip(once, rng=KEY)) == tuples(events)


def test_flips_by_hand():
    events = replace(made(ROWS, (9, 8)), duration=30)
    assert tuples(EventFlip(x=1)(events, rng=KEY)) == [(8 - x, y, t, p) for x, y, t, p in ROWS]
    assert tuples(EventFlip(x=0, y=1)(events, rng=KEY)) == [(x, 7 - y, t, p) for x, y, t, p in ROWS]
    assert tuples(EventFlip(x=0, polarity=1)(events, rng=KEY)) == [(x, y, t, 1 - p) for x, y, t, p in ROWS]
    # backwards, brighter becomes darker
    backwards = [(x, y, 29 - t, 1 - p) for x, y, t, p in reversed(ROWS)]
    assert tuples(EventFlip(x=0, time=1)(events, rng=KEY)) == backwards
    both = EventFlip(x=0, time=1, polarity=1)(events, rng=KEY)
    assert tuples(both) == [(x, y, t, 1 - p) for x, y, t, p in backwards]
    mono = made([(x, y, t, 0) for x, y, t, _ in ROWS], (9, 8), 1)
    assert not EventFlip(time=1, polarity=0.3)(mono, rng=KEY).array["p"].any()


def test_flips_are_as_likely_as_they_should_be_and_independent():
    flip = EventFlip(0.5, 0.5, 0.5, 0.5)
    drawn = [flip.flips(SampleKey(0, "train", n, 1)) for n in range(800)]
    assert stats.chisquare([drawn.count(kind) for kind in sorted(set(drawn))]).pvalue > 1e-3
    assert len(set(drawn)) == 16


@given(recordings(), st.data())
def test_a_random_crop_is_a_window(events, data):
    width, height = (data.draw(st.integers(1, n)) for n in events.size)
    crop = EventRandomCrop(width, height)
    for key in (None, SampleKey(1, "train", data.draw(st.integers(0, 50)), 1)):
        x, y = crop.corner(events.size, key)
        assert 0 <= x <= events.size[0] - width
        assert 0 <= y <= events.size[1] - height
        found = crop.plain(events) if key is None else crop(events, rng=key)
        expected = [
            (a - x, b - y, t, p)
            for a, b, t, p in tuples(events)
            if 0 <= a - x < width and 0 <= b - y < height
        ]
        assert tuples(found) == expected
        assert (found.size, found.length()) == ((width, height), events.length())
    assert crop.corner(events.size, None) == ((events.size[0] - width) // 2, (events.size[1] - height) // 2)


def test_windows_are_as_likely():
    corners = [EventRandomCrop(7, 6).corner((9, 9), SampleKey(0, "train", n, 1)) for n in range(1200)]
    assert stats.chisquare([corners.count(corner) for corner in sorted(set(corners))]).pvalue > 1e-3
    assert len(set(corners)) == 3 * 4


@given(recordings(), CHOICES[EventJitter])
def test_jitter_keeps_a_part_of_the_events_in_their_order(events, transform):
    rest = iter(tuples(events))
    most = int(np.ceil(3 * transform.std_pixels))
    for x, y, t, p in tuples(transform(events, rng=KEY)):
        assert any((t, p) == row[2:] and max(abs(x - row[0]), abs(y - row[1])) <= most for row in rest)


def test_jitter_is_a_rounded_normal_in_both_directions():
    events = made([(500, 500, t) for t in range(20_000)], (1001, 1001))
    array = EventJitter(2.0)(events, rng=KEY).array
    assert len(array) == 20_000
    shifts = np.stack([array["x"], array["y"]]).astype(int) - 500
    edges = np.arange(-6.5, 7)
    share = np.diff(stats.norm.cdf(edges, scale=2))
    for shift in shifts:
        assert np.abs(shift).max() == 6
        assert stats.chisquare(np.histogram(shift, edges)[0], share / share.sum() * 20_000).pvalue > 1e-3
    assert abs(np.corrcoef(shifts)[0, 1]) < 0.03


@given(recordings(), CHOICES[EventNoise], st.integers(0, 9))
def test_noise_against_its_reference(events, transform, n):
    key = SampleKey(n, "train", n, 1)
    found, expected = transform(events, rng=key), noise_reference(transform, events, key)
    assert tuples(found) == expected.tolist()
    assert found.length() == events.length()


def test_noise_is_a_poisson_process():
    """1000 recordings of 100 ms, 9 × 8 pixels, 40 Hz: 288 events each on average."""
    silent = Events((), (9, 8), duration=100_000)
    noise = [EventNoise(40)(silent, rng=SampleKey(0, "train", n, 1)).array for n in range(1000)]
    counts = np.array([len(events) for events in noise])
    assert counts.mean() == pytest.approx(288, abs=4 * np.sqrt(288 / 1000))
    assert counts.var() == pytest.approx(288, rel=0.2)  # as its mean
    every = np.concatenate(noise)
    assert stats.kstest(every["t"] / 100_000, "uniform").pvalue > 1e-3
    pixels = np.bincount(every["x"] + 9 * every["y"], minlength=72)
    assert stats.chisquare(pixels).pvalue > 1e-3
    assert abs(every["p"].mean() - 0.5) < 0.01


def test_originals_stay_as_they_are():
    events, original = made(ROWS), SampleKey(0, "train", 4)
    for kind in AUGMENTATIONS:
        chain = Chain((kind(),), DVS(bin_us=10))
        assert tuples(chain.prepare(events, rng=original)) == ROWS
        assert chain.describe(events, original) == chain.describe(events, replace(original, copy=1))
    assert tuples(EventFlip(x=1, originals=True).apply(events, original)) != ROWS


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_every_copy_is_another_and_comes_again(kind):
    events = made([(n % 9, n // 9 % 9, 100 * n, n % 2) for n in range(400)])
    transform = kind(5, 5) if kind is EventRandomCrop else kind()
    variants = [tuples(transform(events, rng=SampleKey(0, "train", 3, copy))) for copy in range(1, 9)]
    assert variants == [tuples(transform(events, rng=SampleKey(0, "train", 3, copy))) for copy in range(1, 9)]
    assert sum(a != b for a, b in itertools.pairwise(variants)) >= 2
