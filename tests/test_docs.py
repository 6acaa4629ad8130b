"""What the documents say exists: commands, options, targets, files, and code that runs."""

from __future__ import annotations

import os
import re
import shlex
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import spikeprep_cli
from spikeprep_cli.main import COMMANDS, main

import spikeprep
from docs_site.blocks import blocks, run, session

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page: Path) -> list[str]:
    """Return every `spikeprep …` and `make …` of a page, in code blocks and in code type."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^(?:\$ |    )((?:spikeprep|make) .*)$", text, re.MULTILINE)
    found += re.findall(r"`((?:spikeprep|make) [^`]*)`", text)
    return [line.split("  #")[0].strip() for line in found]


CASES = [(page.name, line) for page in PAGES for line in commands(page)]


def test_the_pages_have_commands():
    assert {"README.md", "CONTRIBUTING.md", "cli.md"} <= {name for name, _ in CASES}
    assert len(CASES) > 20


@pytest.mark.parametrize(("page", "line"), CASES)
def test_a_command_in_the_documents_exists(page, line):
    program, *words = shlex.split(line)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {w for w in words if "=" not in w} <= set(targets)
        return
    name, *rest = words
    if name == "COMMAND":
        return
    assert name in COMMANDS
    command = main.get_command(None, name)
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in rest if word.startswith("--")} <= known


def located(path: Path) -> Path:
    """Return `path`, or for a file of a package its place where that package was imported from."""
    within = Path(os.path.normpath(path)).relative_to(ROOT)
    for package, folder in ((spikeprep, "spikeprep"), (spikeprep_cli, "cli")):
        if within.is_relative_to(folder):
            return Path(package.__file__).parent / within.relative_to(folder)
    return path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target and "RESULTS" not in target:
            assert located(page.parent / target).exists(), target


def test_every_command_and_exit_code_is_documented():
    from spikeprep_cli.main import EXIT_CODES

    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`spikeprep {name}" in text
    for code in {0, 1, 130, *EXIT_CODES.values()}:
        assert re.search(rf"^\| {code} \|", text, re.MULTILINE)


def test_the_python_of_the_page_on_transforms_works():
    page = (ROOT / "docs" / "transforms.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    found: dict[str, object] = {}
    exec(compile(source, "docs/transforms.md", "exec", dont_inherit=True), found)
    assert found["spikes"].shape == (300, 2048)
    assert 0 < len(found["again"].array) <= len(found["quiet"].array) < 20_000
    assert found["spikes"].sum() == len(found["again"].array)


def test_every_transform_of_recordings_is_on_its_page():
    from spikeprep import transforms
    from spikeprep.registry import TRANSFORMS

    page = (ROOT / "docs" / "transforms.md").read_text(encoding="utf-8")
    classes = {name: TRANSFORMS.get(name) for name in TRANSFORMS.names()}
    of_events = {name: cls for name, cls in classes.items() if issubclass(cls, transforms.EventTransform)}
    assert len(of_events) >= 10
    for name, cls in of_events.items():
        assert f"| `{name}` | `{cls.__name__}` |" in page


def test_every_transform_of_sound_is_on_its_page():
    from spikeprep import transforms
    from spikeprep.registry import TRANSFORMS

    page = (ROOT / "docs" / "sounds.md").read_text(encoding="utf-8")
    for name in TRANSFORMS.names():
        if issubclass(cls := TRANSFORMS.get(name), transforms.FrontEnd | transforms.AudioAugmentation):
            assert f"| `{name}` | `{cls.__name__}` |" in page


def test_the_python_of_the_page_on_sounds_works(capsys):
    page = (ROOT / "docs" / "sounds.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    found: dict[str, object] = {}
    exec(compile(source, "docs/sounds.md", "exec", dont_inherit=True), found)
    hertz = found["loudest"][[2, 10, 25]]
    swept = 300 + 5000 * (np.array([2, 10, 25]) * 0.016 + 0.016)  # in the middle of a frame
    assert (np.abs(np.log(hertz / swept)) < 0.2).all()
    assert found["spikes"].shape == (300, 16)
    assert found["changes"].shape[1] == found["slopes"].values.shape[1] == 80
    assert found["parts"].shape[1] == 160


def test_every_transform_of_images_is_on_its_page():
    from spikeprep import transforms
    from spikeprep.encoders.base import Augmentation
    from spikeprep.registry import TRANSFORMS

    page = (ROOT / "docs" / "augmentation.md").read_text(encoding="utf-8")
    for name in TRANSFORMS.names():
        if issubclass(cls := TRANSFORMS.get(name), transforms.ImageTransform):
            row = re.search(rf"^\| `{name}` \| `{cls.__name__}` \| .* \| (yes|no).* \|$", page, re.MULTILINE)
            assert row, name
            assert (row[1] == "yes") == issubclass(cls, Augmentation)


# README and pages whose data the tests make: every block of Python and of console runs, in order, on small data


@pytest.fixture
def small_data(tmp_path, monkeypatch):
    """The folders that the pages name, with a few samples in each; the working directory is theirs."""
    from PIL import Image

    from .sources.event_folders import class_folder, nmnist_folder
    from .sources.idx_files import pictures, write_idx
    from .sources.sound_files import ti46_corpus

    for split, n in (("train", 40), ("t10k", 20)):
        write_idx(tmp_path / "mnist", *pictures(n, 28, 28, 10, seed=n), split=split)
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for n in range(4):
            Image.new("L", (6, 6), 90 * label + 20 * n + 10).save(tmp_path / "photos" / name / f"{n}.png")
    ti46_corpus(tmp_path / "corpus")
    nmnist_folder(tmp_path / "N-MNIST", train=20, test=10)
    class_folder(tmp_path / "recordings", each=3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{p}.md" for p in ("python", "cli", "signals", "stores"))]
)
def test_every_block_of_the_page_runs(page, small_data, monkeypatch):
    from spikeprep.registry import ENCODERS

    monkeypatch.setattr(ENCODERS, "_registered", {})
    text = (ROOT / page).read_text(encoding="utf-8")
    with session("page") as module:
        for block in blocks(text):
            run(block, module, where=page)
    if page in ("README.md", "docs/python.md"):
        result = module.result
        assert (result.samples, result.accuracy > 0.9) == (355, True)
        assert module.train.packed(slice(0, 512)).bits.shape == (512, 64, 25)
    if page == "docs/python.md":
        assert len(module.prediction.names) == 5
    if page == "README.md":
        assert (small_data / "curve.png").exists()
        # the output that it shows of the demonstration: the same store, the same network
        assert spikeprep.open_store("digits.zarr").digest() in text
        *network, memory = spikeprep.plan_training("digits.zarr", arch="200").lines()
        for line in (*network, memory.rpartition(", ")[0]):
            assert line in text


@pytest.mark.slow
@pytest.mark.parametrize("page", ["dvs", "layers"])
def test_every_block_of_the_pages_on_recordings_and_layers_runs(page, small_data):
    from .eventfiles.writing import events_of, evt3_bytes

    n = np.arange(4000)
    street = events_of(n * 7 % 640, n * 3 % 480, 700 * n, n % 2)
    (small_data / "street.raw").write_bytes(evt3_bytes(street))
    if page == "layers":
        spikeprep.encode("mnist", "mnist.zarr", source="mnist", progress=False)
    with session("page") as module:
        for block in blocks((ROOT / f"docs/{page}.md").read_text(encoding="utf-8")):
            run(block, module, where=page)
    if page == "dvs":
        assert (small_data / "street.png").stat().st_size > 10_000
        assert len(spikeprep.open_run("runs/nmnist").history) > 0


@pytest.mark.slow
def test_every_block_of_the_page_on_series_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with session("page") as module:
        for block in blocks((ROOT / "docs/series.md").read_text(encoding="utf-8")):
            run(block, module, where="series")
    store = spikeprep.open_store("gait.zarr")
    assert {split: len(store[split]) for split in store} == {"train": 224, "test": 56}
    assert spikeprep.evaluate("gait", store, progress=False).accuracy > 0.9
    assert module.scaled.values[:, 2].mean() > 0.9 > module.scaled.values[:, 1].mean()  # lying


@pytest.mark.slow
def test_the_blocks_of_the_page_on_videos_run(tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    with session("page") as module:
        for block in blocks((ROOT / "docs/videos.md").read_text(encoding="utf-8")):
            if "mnist" not in block.code:
                run(block, module, where="videos")
    assert module.events.array["t"].tolist() == [25_000, 50_000, 75_000, 100_000]
    assert spikeprep.evaluate("clips-run", "clips.zarr", progress=False).accuracy > 0.8


def test_every_transform_of_series_is_on_its_page():
    from spikeprep.registry import TRANSFORMS

    page = (ROOT / "docs" / "series.md").read_text(encoding="utf-8")
    names = [name for name in TRANSFORMS.names() if ".series." in TRANSFORMS.get(name).__module__]
    assert len(names) >= 3
    for name in names:
        assert f"| `{name}` | `{TRANSFORMS.get(name).__name__}` |" in page


@pytest.mark.parametrize("page", ["export", "publishing", "store-format"])
def test_every_block_of_the_pages_on_exports_runs(page, tmp_path, monkeypatch):
    for library in ("nir", "h5py"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    if page == "store-format":
        spikeprep.encode("digits", "digits.zarr", limit=20, progress=False)
    # what the frameworks make of a file is tested elsewhere, and takes them many seconds
    monkeypatch.setattr(import_module("spikeprep.export.comparison"), "installed_frameworks", list)
    with session("page") as module:
        for block in blocks((ROOT / f"docs/{page}.md").read_text(encoding="utf-8")):
            run(block, module, where=page)
    if page == "export":
        assert module.lost == ["refractory period", "lateral inhibition"]
        assert module.weights.shape == module.hidden.shape == (20, 64)
    elif page == "store-format":
        expected = spikeprep.open_store("digits.zarr")["train"][3]
        assert (expected == module.spikes.T).all()


def test_the_page_on_python_shows_every_function():
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    code = "".join(block.code for block in blocks(page) if block.language == "python")
    for name in set(spikeprep.__all__) - {"__version__"}:
        assert f"spikeprep.{name}" in code
