from __future__ import annotations

import shutil
import subprocess

import pytest
from spikeprep_cli.main import COMPLETE, main

from spikeprep.recipes import recipe_names


@pytest.fixture
def offered(monkeypatch, capsys):
    """What a shell offers for the last word of a command line, as (type, value)."""

    def complete(line: str) -> list[tuple[str, str]]:
        words = ["spikeprep", *line.split(" ")]
        monkeypatch.setenv(COMPLETE, "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        with pytest.raises(SystemExit) as end:
            main([])
        assert end.value.code == 0
        pairs = [line.split(",", 1) for line in capsys.readouterr().out.splitlines() if line]
        return [(kind, value) for kind, value in pairs]

    return complete


def plain(*values: str) -> list[tuple[str, str]]:
    return [("plain", value) for value in values]


def test_commands_and_options(offered):
    assert offered("ev") == plain("evaluate")
    assert offered("encode --over") == plain("--overwrite")


@pytest.mark.parametrize("command", ["encode", "recipe", "tune bsa", "train x.zarr --recipe"])
def test_recipes(offered, command):
    names = [name for name in recipe_names() if name.startswith("fs")]
    assert names
    assert offered(f"{command} fs") == plain(*names)
    assert offered(f"{command} my-own") == [("file", "my-own")]


def test_settings_of_the_chosen_recipe_and_encoder(offered):
    assert offered("encode mnist --out m.zarr --set poisson.s") == plain("poisson.steps=")
    assert offered("encode mnist --set poisson.s") == plain("poisson.steps=")
    assert offered("encode mnist --set copies=2 --set poisson.s") == plain("poisson.steps=")
    assert offered("encode --encoder bsa mnist --set bsa.th") == plain("bsa.theta=")
    assert offered("tune bsa ti46 --set bsa.th") == plain("bsa.theta=")
    assert offered("encode ti46 --front-end gam") == plain("gammatone")
    assert offered("encode ti46 --front-end mel --set mel.chan") == plain("mel.channels=")
    assert offered("encode mnist --set train.") == []  # read by `train`


def test_settings_of_the_learning_rule(offered):
    assert offered("train s.zarr --set optim.ra") == plain("optim.rate=")
    assert offered("train s.zarr --rule lee2016 --set target") == plain("target=")
    assert offered("train s.zarr --rule hm2bp --set target") == []


def test_names_of_a_kind(offered):
    assert offered("list encoders poi") == plain("poisson")
    assert offered("list recipes ti") == plain("ti46")
    assert offered("list settings l") == plain("lee2016")
    assert offered("train s.zarr --rule h") == plain("hm2bp")
    assert ("plain", "cpu") in offered("train s.zarr --device c")


def test_folders_and_splits(offered, store):
    assert offered("train dig") == [("dir", "dig")]
    assert offered(f"evaluate no-run {store} --split te") == plain("test")
    assert offered(f"evaluate {store} no-store --split te") == []


def test_what_fits_a_store_or_a_run(offered, store):
    assert offered(f"evaluate no-run {store} --split a") == plain("all")
    assert offered("encode mnist --scheduler l") == plain("local")
    assert offered(f"export {store} --to n") == plain("npz", "nir-data")
    assert offered(f"plot {store} --vary poisson.s") == plain("poisson.steps=")
    assert offered("plot mnist --vary poisson.s") == plain("poisson.steps=")
    assert offered(f"plot {store} --kind ") == plain("sample", "variants", "encoders", "animation")


def test_formats_of_recordings_and_their_settings(offered):
    assert offered("convert a.raw --to evt") == plain("evt2", "evt3")
    assert offered("convert a.raw --format a") == plain("aedat2", "aedat3", "aedat4")
    assert offered("convert a.raw --to aedat4 --set write.") == plain("write.compression=")
    assert offered("convert a.raw --format aedat2 --set read.c") == plain("read.camera=")
    assert ("file", "a.r") in offered("convert a.r")


def test_wrong_words_before_offer_nothing(offered):
    assert offered("encode nonsense --set p") == []
    assert offered("train s.zarr --rule nonsense --set o") == []


def test_bash_adds_no_space_after_an_equals_sign(monkeypatch, capsys):
    monkeypatch.setenv(COMPLETE, "bash_source")
    with pytest.raises(SystemExit):
        main([])
    script = capsys.readouterr().out
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    stubs = (
        'complete() { :; }; compopt() { echo "compopt" "$@"; }; env() { echo "plain,poisson.steps="; }\n'
        "COMP_WORDS=(spikeprep encode mnist --set poi); COMP_CWORD=4\n"
    )
    run = 'echo start; _spikeprep_completion spikeprep; echo "${COMPREPLY[@]}"'
    done = subprocess.run([bash, "-c", stubs + script + run], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["start", "compopt -o nospace", "poisson.steps="]
