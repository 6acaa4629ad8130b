"""The password of a store's URL is in no output, no file of a run, and no store."""

from __future__ import annotations

import json

import pytest
from spikeprep_cli.main import main

from spikeprep import api

from ..store.servers import PASSWORD, ftp_server


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(URL with a password, the folder that it names)."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("ftp")
    with ftp_server(folder) as url:
        yield url, folder


def run(capsys, *args):
    with pytest.raises(SystemExit) as done:
        main(list(args))
    return (done.value.code or 0), capsys.readouterr()


def test_no_output_and_no_file_has_the_password(place, capsys, tmp_path, monkeypatch):
    url, folder = place
    monkeypatch.chdir(tmp_path)
    store = f"{url}/s.zarr"
    encode = ("encode", "digits", "--out", store, "--limit", "20", "--set", "poisson.steps=100")
    train = ("train", store, "--arch", "10", "--epochs", "1", "--device", "cpu")
    commands = [
        (*encode, "--dry-run"), encode, (*encode, "--json"), ("inspect", store), ("inspect", store, "--json"),
        ("verify", store), ("verify", store, "--json"), (*train, "--json"), (*train, "--resume"),
        ("evaluate", "runs/s-10", store), ("evaluate", "runs/s-10", store, "--json"), ("inspect", "runs/s-10"),
        ("inspect", "runs/s-10", "--json"),
    ]  # fmt: skip
    for command in commands:
        code, output = run(capsys, *command)
        assert code == 0, output.err
        assert PASSWORD not in output.out + output.err, command
    assert json.loads(run(capsys, *encode, "--json")[1].out)["path"] == store.replace(PASSWORD, "***")
    refused = [
        (*encode, "--seed", "1"), (*train, "--seed", "1"), ("verify", f"{url}/none"), (*encode, "--no-such-flag"),
        ("verify", store, store), ("inspect", store.replace(PASSWORD, PASSWORD + "2")), ("plot", f"{url}/none"),
        ("evaluate", "runs/none", store), ("evaluate", "runs/s-10", store, "--split", "none"),
        ("encode", store, "--out", store), (*encode, "--source", store), ("train", store, "--run", store),
    ]  # fmt: skip
    for command in refused:
        for json_flag in ((), ("--json",)):
            code, output = run(capsys, *command, *json_flag)
            assert code not in (0, 1), (command, output)
            assert PASSWORD not in output.out + output.err, command
    for root in (tmp_path, folder):
        for file in root.rglob("*"):
            assert PASSWORD not in str(file)
            assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file


def test_an_interrupted_encode_shows_the_command_without_the_password(place, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("spikeprep.api.encoding.encode_store", interrupt)
    code, output = run(capsys, "encode", "digits", "--out", f"{place[0]}/t.zarr")
    assert code == 130
    assert "To resume: spikeprep encode digits --out 'ftp://user:***@" in output.err
    assert PASSWORD not in output.err


def test_a_bug_is_reported_without_the_password(place, capsys, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError(f"no idea about {place[0]} and {PASSWORD}")

    monkeypatch.setattr("spikeprep.api.encoding.encode_store", fail)
    code, output = run(capsys, "encode", "digits", "--out", f"{place[0]}/t.zarr")
    assert code == 1
    assert "RuntimeError: no idea about ftp://user:***@" in output.err
    assert PASSWORD not in output.err


def test_what_the_library_returns_opens_and_shows_no_password(place, tmp_path):
    url, _ = place
    store = f"{url}/u.zarr"
    summary = api.encode("digits", store, settings={"poisson.steps": 100}, limit=20, progress=False)
    assert PASSWORD not in f"{summary!r} {summary} {summary.to_json()} {summary._repr_html_()}"
    opened = api.open_store(summary)
    result = api.train(summary, arch="10", epochs=1, run=tmp_path / "run", device="cpu", progress=False)
    run = api.open_run(result)
    assert (
        PASSWORD
        not in f"{opened!r} {opened._repr_html_()} {run!r} {run._repr_html_()} {run.describe()} {result!r}"
    )
    assert api.evaluate(run, opened).samples
    again = api.train(
        summary.path, arch="10", epochs=2, run=run.path, resume=True, device="cpu", progress=False
    )
    assert again.epochs == 2
