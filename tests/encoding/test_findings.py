"""What deserves attention is found, shown by encode and inspect, and an error where that is wanted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from spikeprep_cli.main import main

import spikeprep
from spikeprep.encoders.base import Chain
from spikeprep.encoders.poisson import Poisson
from spikeprep.encoding.findings import store_findings
from spikeprep.errors import DataError
from spikeprep.recipes import load_recipe, recipe_names
from spikeprep.transforms.images.invert import Invert


def spikes(steps=20, units=6, share=0.2):
    """Return bool (time, unit), of which every n-th value is set."""
    values = np.zeros(steps * units, bool)
    values[:: round(1 / share)] = True
    return values.reshape(steps, units)


def found(tmp_path, samples, labels, **chosen):
    chosen = {"dt": 1e-3, "classes": [str(n) for n in range(max(labels) + 1)], **chosen}
    summary = spikeprep.write_store(tmp_path / "s.zarr", samples, labels, **chosen)
    store = spikeprep.open_store(tmp_path / "s.zarr")
    assert list(summary.findings) == store.describe()["findings"] == store_findings(store)
    return list(summary.findings)


def test_nothing(tmp_path):
    assert found(tmp_path, [spikes()] * 4, [0, 1, 0, 1]) == []


@pytest.mark.parametrize(
    ("samples", "labels", "text"),
    [
        ([spikes(), 0 * spikes(), spikes(), 0 * spikes()], [0, 1] * 2, "2 of 4 samples have no spike: 1, 3"),
        ([spikes()] * 2, [0, 0], "all samples are of one class, 0: a network has nothing to tell apart"),
        ([spikes()] * 23, [0] * 11 + [1] + [2] * 11, "train: few samples of 1 (1); the median class has 11"),
        ([spikes()] * 2, [0, 2], "train: no sample of 1"),
        ([spikes(170)] * 5 + [spikes(10)], [0, 1] * 3, "train: 1 of 6 samples has less than 1/16 of the median of "
         "170 steps, down to 10: 5"),
        ([spikes()] * 5 + [spikes(201)], [0, 1] * 3, "train: 1 of 6 samples has more than 10 times the median of "
         "20 steps, up to 201: 5"),
        ([~spikes()] * 2, [0, 1], "train: 80% of the bits are spikes: the input may be scaled wrong, or inverted"),
    ],
)  # fmt: skip
def test_each(tmp_path, samples, labels, text):
    (finding,) = found(tmp_path, samples, labels)
    assert finding.endswith(text)


def test_no_training_samples(tmp_path):
    for name in ("a/0", "a/1", "b/0", "b/1"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 40 * len(list(tmp_path.rglob("*.png"))), np.uint8)).save(
            tmp_path / f"in/{name}.png"
        )
    text = "no training samples: all are in the split test"
    recipe = load_recipe("images").override({"source.test_share": 0.9})
    source = {"source": tmp_path / "in", "limit": 4}
    assert text in spikeprep.plan(recipe, tmp_path / "s.zarr", **source).findings
    assert text in spikeprep.encode(recipe, tmp_path / "s.zarr", **source).findings
    with pytest.raises(DataError, match=text):
        spikeprep.encode(recipe, tmp_path / "t.zarr", **source, strict=True)
    assert not (tmp_path / "t.zarr").exists()
    kept = recipe.override({"source.test_share": 0.5})
    assert spikeprep.plan(kept, tmp_path / "s.zarr", **source).findings == ()


def test_just_inside_the_limits(tmp_path):
    samples = [spikes()] * 20 + [spikes(200)] + [spikes(share=0.5)]
    assert found(tmp_path, samples, [0] * 10 + [1] + [2] * 11) == []


def test_a_density_that_is_unusual_for_the_recipe(tmp_path):
    recipe = load_recipe("digits")
    images = np.full((4, 8, 8), 255, np.uint8)
    chosen = {"encoder": recipe.build_chain(), "recipe": "digits", "dt": None}
    (finding,) = found(tmp_path, images, [0, 1, 0, 1], **chosen)
    assert finding == "train: 17.93% of the bits are spikes; with this recipe about 5.50% are"
    (finding,) = found(tmp_path, images, [0, 1, 0, 1], **chosen | {"recipe": "mine"}, overwrite=True)
    assert "where 18.18% would be of white images" in finding


@pytest.mark.parametrize(
    ("shares", "text"),
    [
        ((0.1, 0.4), ""),
        ((0.1, 0.5), "50.00% of the bits of test are spikes, and 10.00% of those of train: one of them may be "
                     "inverted, or on another scale"),
        ((0.5, 0.1), "50.00% of the bits of train are spikes, and 10.00% of those of test: "),
    ],
)  # fmt: skip
def test_splits_of_different_densities(tmp_path, shares, text):
    made = [np.arange(120).reshape(20, 6) % 10 < 10 * share for share in shares for _ in range(4)]
    findings = found(tmp_path, made, [0, 1] * 4, split=["train"] * 4 + ["test"] * 4)
    assert len(findings) == bool(text)
    assert all(finding.startswith(text) for finding in findings)


def test_a_few_sparse_samples_in_a_split_are_no_finding(tmp_path):
    share = [0.1, 0.9, 0.1, 0.1] * 2 + [0.9, 0.1, 0.1]
    made = [np.arange(120).reshape(20, 6) % 10 < 10 * s for s in share]
    splits = ["train"] * 8 + ["test"] * 3
    assert found(tmp_path, made, [0, 1] * 5 + [0], split=splits) == []
    silent = [spikes()] * 4 + [0 * spikes()] * 2
    texts = found(tmp_path, silent, [0, 1] * 3, split=["train"] * 4 + ["test"] * 2, overwrite=True)
    assert [text for text in texts if "bits of" in text] == []


def test_recipes_of_known_data_have_a_density():
    known = {name for name in recipe_names() if load_recipe(name).usual_density}
    assert known >= {"digits", "mnist", "mnist-800", "fashion-mnist", "emnist-balanced", "fsdd", "nmnist"}
    recipe = load_recipe("mnist")
    assert "usual_density = 0.023" in recipe.to_toml()
    assert load_recipe("mnist").override({"poisson.steps": 100}).usual_density == recipe.usual_density


@pytest.fixture
def dark(tmp_path):
    """A folder of images of two classes; one of them is black."""
    for n in range(6):
        file = tmp_path / "raw" / "ab"[n % 2] / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), (100 + n) * (n != 2), np.uint8)).save(file)
    return tmp_path / "raw"


def test_strict_and_the_command_line(dark, tmp_path):
    def command_line(*args):
        return CliRunner().invoke(main, [str(arg) for arg in args])

    args = (
        "encode",
        "images",
        "--source",
        dark,
        "--out",
        tmp_path / "s.zarr",
        "--set",
        "source.test_share=0",
    )
    finding = "train: 1 of 6 samples has no spike: a/2.png"
    done = command_line(*args)
    assert (done.exit_code, f"attention: {finding}" in done.stderr) == (0, True)
    assert finding in command_line("inspect", tmp_path / "s.zarr").stdout
    assert json.loads(command_line("inspect", tmp_path / "s.zarr", "--json").stdout)["findings"] == [finding]
    refused = command_line(*args, "--strict")
    assert (refused.exit_code, f"1 finding with strict: {finding}" in refused.stderr) == (3, True)
    assert "is complete" in refused.stderr


@pytest.mark.parametrize("inverted", [False, True])
def test_ink_on_paper(tmp_path, inverted):
    for n in range(4):
        file = tmp_path / "raw" / "ab"[n % 2] / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        paper = np.full((6, 6), 250, np.uint8)
        paper[:, n] = 0
        Image.fromarray(paper).save(file)
    chosen = {"source.test_share": 0, "invert.use": inverted}
    summary = spikeprep.encode(
        "images", tmp_path / "s.zarr", source=tmp_path / "raw", settings=chosen, progress=False
    )
    assert len(summary.findings) == (not inverted)
    assert all("should be inverted (invert.use=true)" in text for text in summary.findings)


RNG = np.random.default_rng(3)
DIGITS = np.zeros((4, 28, 28), np.uint8)
DIGITS[:, 5:23, 12:17] = 255


@pytest.mark.parametrize(
    ("images", "inverted", "advice"),
    [
        (255 - DIGITS, False, "dark ink on light paper should be inverted (invert.use=true)"),
        (DIGITS, True, "light strokes on a dark ground should stay as they are (invert.use=false)"),
        (DIGITS, False, ""),
        (255 - DIGITS, True, ""),
        (np.clip(RNG.normal(135, 50, (4, 28, 28)), 0, 255).astype(np.uint8), False, ""),  # photos
        (RNG.integers(0, 256, (4, 28, 28), np.uint8), False, ""),
        (np.where(RNG.random((4, 28, 28)) < 0.6, 255, 0).astype(np.uint8), False, ""),  # masks
    ],
)
def test_bright_images(tmp_path, images, inverted, advice):
    chain = Chain((Invert(),) if inverted else (), Poisson(steps=100, rate_max=0.9))
    findings = found(tmp_path, images, [0, 1, 0, 1], encoder=chain, dt=None)
    assert [text.rpartition(": ")[2] for text in findings] == ([advice] if advice else [])


@pytest.mark.parametrize("images", [DIGITS // 255, (DIGITS > 0), DIGITS / 255, DIGITS])
def test_arrays_of_dark_images(tmp_path, images):
    findings = found(tmp_path, images, [0, 1, 0, 1], encoder=Poisson(steps=200, rate_max=0.9), dt=None)
    assert findings[:1] == (
        ["the images have no pixel above 1, where 255 is white: if 1 is white, multiply them by 255, or give bool, "
         "or floats up to 1"] if images.dtype == np.uint8 and images.max() == 1 else []
    )  # fmt: skip


def test_what_the_source_finds_is_refused_before_anything_is_written(tmp_path):
    from ..sources.sound_files import put, spoken, wav

    for name in "ab":
        for n in range(4):
            put(tmp_path / "raw" / name / f"{n}.wav", wav(spoken(n + 4 * (name == "b")), 8000))
    put(tmp_path / "raw/a/bad.wav", b"none")
    chosen = {"source": tmp_path / "raw", "settings": {"source.skip_bad": True, "source.rate": 8000}}
    with pytest.raises(DataError, match=r"left out: a/bad\.wav.*Nothing was written"):
        spikeprep.encode("audio", tmp_path / "s.zarr", **chosen, strict=True, progress=False)
    assert not (tmp_path / "s.zarr").exists()
    assert "left out: a/bad.wav" in spikeprep.api.plan("audio", tmp_path / "s.zarr", **chosen).findings[0]
    with pytest.raises(DataError, match=r"left out: a/bad\.wav.*Nothing was written"):
        spikeprep.api.plan("audio", tmp_path / "s.zarr", **chosen, strict=True)
    line = f"encode audio --source {tmp_path}/raw --out {tmp_path}/s.zarr --set source.skip_bad=true --dry-run --strict"
    assert CliRunner().invoke(main, line.split()).exit_code == 3


@pytest.mark.parametrize("encoder", ["bsa", "delta", "lif", "latency"])
def test_an_encoder_of_series_says_what_it_takes_an_image_for(encoder, tmp_path):
    pytest.importorskip("sklearn")
    summary = spikeprep.encode("digits", tmp_path / "s.zarr", encoder=encoder, limit=3, progress=False)
    assert ("rows of an image for time steps" in summary.note) == (encoder != "latency")
