"""`spikeprep list` and `spikeprep recipe`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from spikeprep_cli.list import KINDS

from spikeprep.registry import REGISTRIES

ONE_OF = {
    "encoders": "poisson",
    "transforms": "lyon",
    "recipes": "digits",
    "sources": "idx",
    "formats": "evt3",
    "layers": "dense",
    "rules": "hm2bp",
    "devices": "cpu",
    "settings": "optim.rate",
}


@pytest.mark.parametrize("kind", KINDS)
def test_list_one_kind(spikeprep, kind):
    done = spikeprep("list", kind)
    document = json.loads(spikeprep("list", kind, "--json").stdout)
    assert (done.exit_code, set(document)) == (0, {kind})
    names = [entry["name"] for entry in document[kind]]
    shown = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert names == shown
    assert ONE_OF[kind] in names


def test_list_all(spikeprep):
    document = json.loads(spikeprep("list", "--json").stdout)
    assert tuple(document) == KINDS
    (poisson,) = (e for e in document["encoders"] if e["name"] == "poisson")
    assert poisson["settings"]["steps"] == 400
    assert not {e["name"] for e in document["encoders"]} & {e["name"] for e in document["transforms"]}
    text = spikeprep("list").stdout
    assert all(kind in text.splitlines() for kind in KINDS)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "settings"])
def test_every_entry_has_a_page(spikeprep, kind):
    for entry in json.loads(spikeprep("list", kind, "--json").stdout)[kind]:
        name = entry["name"].removesuffix(":NAME")
        done = spikeprep("list", kind, name)
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith(f"{name}: ")
        document = json.loads(spikeprep("list", kind, name, "--json").stdout)
        for setting in document["settings"]:
            assert setting["allowed"]
            assert setting["name"] in done.stdout


def test_the_page_of_an_encoder(spikeprep):
    text = spikeprep("list", "encoders", "poisson").stdout
    assert "poisson.steps = 400\n    A whole number" in text
    assert "with probability rate_max" in text
    settings = json.loads(spikeprep("list", "encoders", "poisson", "--json").stdout)["settings"]
    assert [s["name"] for s in settings] == ["steps", "rate_max", "dt"]


def test_the_page_of_a_recipe_has_its_own_values_and_set_takes_its_names(spikeprep, tmp_path):
    text = spikeprep("list", "recipes", "digits").stdout
    assert "poisson.steps = 200" in text
    assert "train.arch = 200" in text
    done = spikeprep(
        "encode", "digits", "--out", tmp_path / "a.zarr", "--dry-run", "--set", "poisson.steps=20"
    )
    assert "20 steps" in done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["encoders", "posson"], "Did you mean 'poisson'?"),
        (["recipes", "mnits"], "Did you mean 'mnist'?"),
        (["devices", "cdua"], "Did you mean 'cuda'?"),
        (["rules", "hm2b"], "Did you mean 'hm2bp'?"),
        (["settings", "hm2b"], "Did you mean 'hm2bp'?"),
    ],
)
def test_an_unknown_name(spikeprep, args, words):
    done = spikeprep("list", *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_recipe_can_be_printed_edited_and_used(spikeprep, tmp_path):
    printed = spikeprep("recipe", "digits")
    assert printed.exit_code == 0, printed.output
    path = tmp_path / "mine.toml"
    path.write_text(printed.stdout.replace("steps = 200", "steps = 30"))
    done = spikeprep("encode", path, "--out", tmp_path / "a.zarr", "--dry-run")
    assert "30 steps" in done.stdout
    document = json.loads(spikeprep("recipe", "digits", "--json").stdout)
    assert document["chain"][-1]["steps"] == 200


def test_another_encoder(spikeprep, tmp_path):
    out = tmp_path / "a.zarr"
    done = spikeprep("encode", "images", "--source", tmp_path, "--out", out, "--encoder", "posson")
    assert done.exit_code == 2
    assert "Did you mean 'poisson'?" in done.stderr
    done = spikeprep(
        "encode", "digits", "--out", out, "--encoder", "poisson", "--limit", "2", "--set", "poisson.steps=25"
    )
    assert done.exit_code == 0, done.output
    chain = json.loads(spikeprep("inspect", out, "--json").stdout)["chain"]
    assert chain == [{"name": "poisson", "steps": 25, "rate_max": 1 / 5.5, "dt": 0.001}]


def test_formats_say_whether_they_are_written(spikeprep):
    titles = {
        entry["name"]: entry["title"]
        for entry in json.loads(spikeprep("list", "formats", "--json").stdout)["formats"]
    }
    written = {name for name, title in titles.items() if title.endswith("; is written too")}
    assert written == {"aedat4", "dat", "evt2", "evt3", "hdf5", "text"}
    described = json.loads(spikeprep("list", "formats", "aedat4", "--json").stdout)
    assert "write.compression" in {
        setting["name"].removeprefix("aedat4.") for setting in described["settings"]
    }


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("encoder", "encoders"),
        ("setting", "settings"),
        ("Formats", "formats"),
        ("event-formats", "formats"),
        ("event format", "formats"),
        ("front end", "transforms"),
        ("event_format", "formats"),
        ("layer-kinds", "layers"),
        ("learning-rules", "rules"),
        ("backends", "devices"),
    ],
)
def test_other_words_for_a_kind(spikeprep, word, kind):
    done = spikeprep("list", word)
    assert (done.exit_code, done.stdout) == (0, spikeprep("list", kind).stdout)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lyon"], "and then a name. Use `spikeprep list transforms lyon`."),
        (
            ["nmnist"],
            "Use `spikeprep list recipes nmnist`, or `spikeprep list sources nmnist`, or `",
        ),
        (["encodes"], "unknown kind 'encodes'; expected one of encoders, transforms, "),
        (["encodes"], "Did you mean 'encoders'?"),
    ],
)
def test_a_name_without_its_kind(spikeprep, words, message):
    done = spikeprep("list", *words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_the_page_on_plugins_names_the_kinds_of_the_command(spikeprep):
    page = (Path(__file__).parents[2] / "docs/plugins.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z ]+) \| `spikeprep\.\w+` \|.*\| `(\w+)` \|$", page, re.MULTILINE)
    assert len(rows) == len(REGISTRIES)
    for word, kind in rows:
        done = spikeprep("list", word.replace(" ", "-"))
        assert (done.exit_code, done.stdout) == (0, spikeprep("list", kind).stdout)
