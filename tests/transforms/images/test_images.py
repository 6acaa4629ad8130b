"""Transforms of images: against references and formulas, seeded, of every kind of image, and refused elsewhere."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage, stats

from spikeprep.data import EVENT, Audio, Events
from spikeprep.encoders import Poisson
from spikeprep.encoders.base import Augmentation, Chain
from spikeprep.errors import DataError, UsageError
from spikeprep.random import SampleKey
from spikeprep.registry import TRANSFORMS
from spikeprep.transforms import (
    Crop,
    Elastic,
    Flip,
    ImageAugmentation,
    ImageTransform,
    Invert,
    Noise,
    Rotation,
    Scale,
    Shift,
)
from spikeprep.transforms.images.elastic import displacement_reference, kernel
from spikeprep.transforms.images.warp import STEPS, affine, resample, resample_reference

KEY = SampleKey(7, "train", 5, 2)
CHOICES = {
    Crop: st.builds(Crop, st.integers(0, 4), st.integers(0, 4), st.integers(2, 5), background=st.sampled_from([0, 1])),
    Elastic: st.builds(
        Elastic, st.sampled_from([0, 13.37, 200]), st.sampled_from([0.5, 1.3, 4]), st.sampled_from([0, 12, 180]),
        st.sampled_from([0, 0.12]), st.sampled_from(["sample", "copy"]), st.booleans(),
    ),
    Flip: st.builds(Flip, st.sampled_from([0, 0.5, 1]), st.sampled_from([0, 0.5, 1])),
    Invert: st.just(Invert()),
    Noise: st.builds(Noise, st.sampled_from([0, 0.1, 1])),
    Rotation: st.builds(Rotation, st.sampled_from([0, 12, 180])),
    Scale: st.builds(Scale, st.sampled_from([0, 0.12, 0.9]), st.booleans()),
    Shift: st.builds(Shift, st.integers(0, 9), background=st.sampled_from([0, 0.5])),
}  # fmt: skip
transforms = st.one_of(*CHOICES.values())
shapes = st.tuples(st.integers(1, 9), st.integers(1, 12), st.sampled_from([0, 1, 3])).map(
    lambda s: s[:2] if not s[2] else s
)
images = st.one_of(
    shapes.flatmap(lambda s: arrays(np.uint8, s)),
    shapes.flatmap(lambda s: arrays(np.float32, s, elements=st.floats(0, 1, width=32))),
    shapes.flatmap(lambda s: arrays(np.float64, s, elements=st.floats(0, 1))),
)


def digit(rows=28, columns=28):
    """A blurred cross off the centre, uint8."""
    image = np.zeros((rows, columns))
    image[rows // 4, :], image[:, columns // 3] = 255, 255
    return ndimage.gaussian_filter(image, 1).astype(np.uint8)


def test_every_transform_is_tried_here():
    registered = {TRANSFORMS.get(name) for name in TRANSFORMS.names()}
    assert {found for found in registered if issubclass(found, ImageTransform)} == set(CHOICES)


@settings(max_examples=150, deadline=None)
@given(images, transforms, st.integers(0, 3))
def test_any_image_keeps_its_kind_and_range(image, transform, copy):
    before, key = image.copy(), SampleKey(1, "train", 3, copy)
    result = transform(image, rng=key)
    outline = transform.outline(np.zeros_like(image), key)
    assert result.dtype == outline.dtype == image.dtype
    assert result.shape == outline.shape
    assert result.min() >= 0
    assert result.max() <= (255 if image.dtype == np.uint8 else 1)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(result, transform(np.asfortranarray(image), rng=key))
    original = transform.apply(image, SampleKey(1, "train", 3))
    assert original.shape == result.shape
    if isinstance(transform, Augmentation) and not isinstance(transform, Crop):
        np.testing.assert_array_equal(original, image)


@settings(max_examples=80, deadline=None)
@given(images, transforms)
def test_channels_are_treated_alike(image, transform):
    if isinstance(transform, Noise):  # a channel has noise of its own
        return
    if image.ndim == 2:
        image = image[..., None]
    result = transform(image, rng=KEY)
    for channel in range(image.shape[2]):
        np.testing.assert_array_equal(result[..., channel], transform(image[..., channel], rng=KEY))


@settings(max_examples=80, deadline=None)
@given(images, st.data())
def test_resampling_against_its_reference(image, data):
    size = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    away = st.integers(-3 * STEPS, 15 * STEPS) | st.sampled_from([-(2**30), 2**30])
    positions = data.draw(arrays(np.int32, (2, *size), elements=away))
    background = data.draw(st.sampled_from([0, 0.3, 1]))
    expected = resample_reference(image, positions, background)
    found = resample(image, positions, background)
    if image.dtype == np.uint8:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)


def test_resampling_as_scipy_interpolates():
    image = np.random.default_rng(1).random((13, 17))
    positions = affine(13, 17, degrees=33, factors=(0.8, 1.3))
    expected = ndimage.map_coordinates(image, positions / STEPS, order=1, mode="grid-constant", cval=0.25)
    np.testing.assert_allclose(resample(image, positions, 0.25), expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(images, CHOICES[Elastic], st.integers(0, 9))
def test_the_fused_kernel_resamples_at_the_positions(image, transform, n):
    key = SampleKey(n, "train", n, 1)
    expected = resample(image, transform.positions(*image.shape[:2], key), 0)
    np.testing.assert_array_equal(transform(image, rng=key), expected)


def test_half_precision():
    image = (digit() / 255).astype(np.float16)
    result = Rotation()(image, rng=KEY)
    assert result.dtype == np.float16
    np.testing.assert_allclose(result, Rotation()(image.astype(np.float32), rng=KEY), atol=1e-3)


# ---------------------------------------------------------------- what each does


@pytest.mark.parametrize(
    "transform",
    [Elastic(), Elastic(34, 2.2), Elastic(sigma=0.5), Elastic(same_axes=True), Elastic(field="copy")],
    ids=str,
)
@pytest.mark.parametrize("size", [(28, 28), (5, 33), (1, 1)])
def test_displacements_as_scipy_smooths_noise(transform, size):
    found = (transform.positions(*size, KEY) - affine(*size)) / STEPS
    expected = displacement_reference(transform, *size, KEY)
    assert np.abs(found - expected).max() < 1 / STEPS  # rounded to half of it, and smoothed in float32


def test_displacements_have_the_statistics_of_the_formula():
    """Uniform noise in ±1 has the variance 1/3; sums over the taps are nearly normal, and every pixel is alike."""
    transform = Elastic(alpha=34, sigma=4)
    fields = np.array(
        [
            (transform.positions(28, 28, SampleKey(0, "train", n, 1)) - affine(28, 28)) / STEPS
            for n in range(600)
        ]
    )
    taps = kernel(4).astype(np.float64)
    assert taps.size == 21
    assert taps.sum() == pytest.approx(1, abs=1e-6)
    std = 34 * (taps @ taps) / np.sqrt(3)
    assert std == pytest.approx(34 / (4 * np.sqrt(12 * np.pi)), rel=0.03)  # of a kernel that is not cut
    by_pixel = fields.std(axis=0)
    assert np.abs(by_pixel.mean() / std - 1) < 0.02
    assert np.abs(by_pixel / std - 1).max() < 6 / np.sqrt(2 * 600)  # corners included
    assert np.abs(fields.mean(axis=0)).max() < 6 * std / np.sqrt(600)
    alone = fields[:, :, 3, 20].ravel() / std  # one pixel a field: independent
    assert stats.kstest(alone, "norm").pvalue > 1e-3
    # correlation of neighbours at a distance: the kernel's own, smoothed by itself
    smooth = np.convolve(taps, taps[::-1]) / (taps @ taps)
    for distance in (1, 4, 9):
        expected = smooth[taps.size - 1 + distance]
        found = (fields[..., distance:] * fields[..., :-distance]).mean() / std**2
        assert found == pytest.approx(expected, abs=0.03)
    assert abs((fields[:, 0] * fields[:, 1]).mean()) / std**2 < 0.03  # the axes are independent


def test_the_default_is_the_published_amplitude():
    """HM2-BP's runs: a kernel of amplitude 1 / (2 π σ) over 21 × 21, times 3.4."""
    n = np.arange(-10, 11)
    published = 3.4 * np.exp(-(n[:, None] ** 2 + n**2) / 32).sum() / (2 * np.pi * 4)
    assert Elastic().alpha == pytest.approx(published, abs=0.005)


def test_the_published_quirks():
    image, keys = digit(), [SampleKey(0, "train", n, 1) for n in (0, 9)]
    one = [Elastic(field="copy")(image, rng=key) for key in keys]
    np.testing.assert_array_equal(*one)
    assert (Elastic(field="copy")(image, rng=SampleKey(0, "train", 0, 2)) != one[0]).any()
    assert (Elastic()(image, rng=keys[0]) != Elastic()(image, rng=keys[1])).any()
    moved = Elastic(same_axes=True).positions(28, 28, KEY) - affine(28, 28)
    np.testing.assert_array_equal(*moved)
    assert moved.any()


@pytest.mark.parametrize(("degrees", "factors"), [(90, (1, 1)), (0, (2, 1)), (-90, (1, 1))])
def test_turns_and_enlargements_by_hand(degrees, factors):
    image = np.zeros((5, 5), np.uint8)
    image[1, 2] = 200  # above the centre
    found = resample(image, affine(5, 5, degrees=degrees, factors=factors), 0)
    where = {90: (2, 1), -90: (2, 3)}.get(degrees, (0, 2))  # counterclockwise: to the left
    assert found[where] == 200


def test_angles_and_factors_are_uniform():
    keys = [SampleKey(0, "train", n, 1) for n in range(400)]
    row = np.array([affine(9, 9)[:, 4, 8]]) / STEPS - 4  # the pixel at the right end of the middle row
    for transform, low, high in ((Rotation(30), -30, 30), (Scale(0.25), 0.75, 1.25)):
        at = np.array([transform.positions(9, 9, key)[:, 4, 8] for key in keys]) / STEPS - 4
        angle, size = np.degrees(np.arctan2(at[:, 0], at[:, 1])), np.hypot(*at.T) / np.hypot(*row.T)
        values = angle if isinstance(transform, Rotation) else 1 / size
        assert stats.kstest(values, "uniform", (low, high - low)).pvalue > 1e-3
    both = np.array([Scale(keep_aspect=False).positions(9, 9, key)[:, 8, 8] for key in keys]) / STEPS - 4
    assert abs(np.corrcoef(both.T)[0, 1]) < 0.2


def test_shifts_are_whole_pixels_and_as_likely():
    image = np.zeros((7, 8), np.uint8)
    image[3, 4] = 9
    found = [np.argwhere(Shift(2)(image, rng=SampleKey(0, "train", n, 1)))[0] - (3, 4) for n in range(1000)]
    counts = np.zeros((5, 5), int)
    np.add.at(counts, tuple(np.array(found).T + 2), 1)
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3
    assert Shift(100, background=1)(image, rng=KEY).min() == 255  # it has left


def test_flips_by_hand():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert Flip(1, 0)(image, rng=KEY).tolist() == [[2, 1, 0], [5, 4, 3]]
    assert Flip(0, 1)(image, rng=KEY).tolist() == [[3, 4, 5], [0, 1, 2]]
    kinds = [tuple(Flip(0.5, 0.5)(image, rng=SampleKey(0, "train", n, 1)).ravel()) for n in range(400)]
    assert stats.chisquare([kinds.count(kind) for kind in sorted(set(kinds))]).pvalue > 1e-3
    assert len(set(kinds)) == 4


def test_inverting_is_its_own_inverse_and_for_every_sample():
    image = digit()
    chain = Chain((Invert(),), Poisson(steps=8))
    np.testing.assert_array_equal(chain.prepare(image, rng=SampleKey(0, "test", 0)), 255 - image)
    np.testing.assert_array_equal(Invert()(Invert()(image)), image)
    assert Invert()(np.array([[0.25]])).tolist() == [[0.75]]
    assert Invert()(np.array([[True, False]])).tolist() == [[0, 255]]


def test_crops_are_windows_of_the_padded_image():
    image = np.arange(1, 21, dtype=np.uint8).reshape(4, 5)
    transform = Crop(rows=3, columns=4, padding=1, background=1)
    padded = np.pad(image, 1, constant_values=255)
    windows = [padded[i : i + 3, j : j + 4].tolist() for i, j in itertools.product(range(4), range(4))]
    found = [transform(image, rng=SampleKey(0, "train", n, 1)).tolist() for n in range(1600)]
    assert stats.chisquare([found.count(window) for window in windows]).pvalue > 1e-3
    assert sum(map(found.count, windows)) == 1600
    assert transform.plain(image).tolist() == padded[1:4, 1:5].tolist()
    with pytest.raises(UsageError, match=r"a window of 9 × 5 pixels; expected one within the image of 4 × 5"):
        Crop(rows=9).outline(image)


def test_noise_is_normal_and_cut():
    grey = np.full((100, 100), 0.5)
    noise = Noise(0.1)(grey, rng=KEY) - 0.5
    assert stats.kstest(noise.ravel() / 0.1, "norm").pvalue > 1e-3
    assert set(np.unique(Noise(1)(np.uint8(grey * 255), rng=KEY))) > {0, 255}


# ---------------------------------------------------------------- seeds and kinds


@pytest.mark.parametrize("name", sorted(t.name for t in CHOICES if issubclass(t, ImageAugmentation)))
def test_every_copy_and_sample_is_another_and_comes_again(name):
    transform = TRANSFORMS.get(name)(**({"padding": 3} if name == "crop" else {}))
    image = digit()
    keys = [SampleKey(0, "train", n, copy) for n in range(8) for copy in (1, 2)]
    variants = [transform(image, rng=key).tobytes() for key in keys]
    assert len(set(variants)) >= {"flip": 2, "crop": 8, "shift": 8}.get(name, len(keys))
    assert variants == [transform(image, rng=key).tobytes() for key in keys]
    with pytest.raises(UsageError, match="got no random numbers"):
        transform(image)


def test_bits_are_pinned():
    """Stores and epochs depend on these."""
    image = (37 * np.arange(8)[:, None] + 11 * np.arange(12)).astype(np.uint8)
    found = {
        t.name: int(t(image, rng=KEY).ravel() @ np.arange(1, 97))
        for t in (
            Elastic(rotation=12, scale=0.1),
            Rotation(),
            Scale(),
            Shift(),
            Flip(),
            Crop(padding=2),
            Noise(),
        )
    }
    assert found == {
        "crop": 509137, "elastic": 451940, "flip": 555160, "noise": 581127, "rotation": 543150, "scale": 594768,
        "shift": 606074,
    }  # fmt: skip


def test_originals_stay_unless_told():
    image, original = digit(), SampleKey(0, "train", 3)
    chain = Chain((Elastic(),), Poisson())
    np.testing.assert_array_equal(chain.prepare(image, rng=original), image)
    np.testing.assert_array_equal(chain.prepare(image), image)
    varied = Elastic(originals=True).apply(image, original)
    np.testing.assert_array_equal(varied, Elastic()(image, rng=original))
    assert (varied != image).any()
    assert chain.augmentations == (Elastic(),)
    assert Chain((Elastic(originals=True), Invert()), Poisson()).augmentations == ()


@pytest.mark.parametrize("name", sorted(t.name for t in CHOICES))
@pytest.mark.parametrize(
    ("signal", "words"),
    [
        (Audio(np.zeros(9), 8000), "got a signal of type Audio; expected an image"),
        (Events.of(np.zeros(3, EVENT), (5, 5)), "got a signal of type Events; expected an image"),
        (np.zeros(5), r"got an array of shape \(5,\)"),
        (np.zeros((0, 4)), "at least one pixel"),
        (np.zeros((3, 4), np.int64), "got an image of int64"),
    ],
)
def test_what_is_no_image_is_refused(name, signal, words):
    transform = TRANSFORMS.get(name)()
    for call in (transform.outline, transform.original, lambda signal: transform(signal, rng=KEY)):
        with pytest.raises(DataError, match=f"{name}: .*{words}|{words}"):
            call(signal)
