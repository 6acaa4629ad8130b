"""Downloads from a server on loopback: digests, cut answers, errors, archives, two processes at once."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import re
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from spikeprep_cli.main import main

from spikeprep import downloads
from spikeprep.api import encode
from spikeprep.downloads import data_folder, fetch
from spikeprep.errors import CapabilityError, DataError, UsageError
from spikeprep.recipes import load_recipe, recipe_names

from .sources.idx_files import pictures, write_idx
from .store.servers import closed_port

pytest.importorskip("pooch")


class Server(http.server.ThreadingHTTPServer):
    """Sends `content`; `faults` are for the next requests: a status, or the number of bytes after which it stops."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.faults, self.requests = {}, [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, name = self.server, self.path[1:]
        server.requests.append(name)
        fault = server.faults.pop(0) if server.faults else None
        if isinstance(fault, str) or name not in server.content:
            self.send_error(int(fault or 404))
            return
        data = server.content[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:fault])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with Server() as it:
        thread = threading.Thread(target=it.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield it
        it.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(downloads.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    return tmp_path / "cache"


def offer(server, contents, **more):
    """Put files on the server; return the table of a recipe that fetches them."""
    server.content |= contents
    files = [
        {"file": name, "url": f"{server.url}/{name}", "digest": f"sha256:{hashlib.sha256(data).hexdigest()}"}
        for name, data in contents.items()
    ]
    return {"name": "made-up", "files": files, **more}


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def quiet(message):
    pass


def test_a_file_is_fetched_once(server, cache):
    notes = []
    table = offer(server, {"a.bin": b"data" * 1000})
    folder = fetch(table, notes.append)
    assert re.fullmatch(rf"{cache}/made-up-[0-9a-f]{{8}}", folder)
    assert names(cache) == ["a.bin"]
    assert fetch(table, notes.append) == folder
    assert server.requests == ["a.bin"]
    assert notes == ["downloading a.bin: 4 kB of 4 kB"]
    (cache / folder / "a.bin").write_bytes(b"damaged")
    fetch(table, quiet)
    assert (cache / folder / "a.bin").read_bytes() == b"data" * 1000


@pytest.mark.parametrize("fault", [5, 0, "500", "503"])
def test_a_cut_answer_and_an_error_are_tried_again(server, cache, fault):
    server.faults = [fault, fault]
    fetch(offer(server, {"a.bin": b"data" * 1000}), quiet)
    assert len(server.requests) == 3
    assert names(cache) == ["a.bin"]


@pytest.mark.parametrize(
    ("fault", "cause"), [(5, "IncompleteRead"), ("500", "500 Server Error"), ("404", "404")]
)
def test_what_lasts_is_an_error_that_leaves_nothing(server, cache, fault, cause):
    server.faults = [fault] * 3
    table = offer(server, {"a.bin": b"data" * 1000})
    with pytest.raises(DataError, match=rf"cannot download {server.url}/a.bin \(.*{cause}.*Get it elsewhere"):
        fetch(table, quiet, "Get it elsewhere.")
    assert names(cache) == []
    fetch(table, quiet)
    assert names(cache) == ["a.bin"]


def test_another_digest(server, cache):
    table = offer(server, {"a.bin": b"published"})
    server.content["a.bin"] = b"something else"
    digest = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(DataError, match=f"does not match.*{digest}.*expected a file of sha256:"):
        fetch(table, quiet)
    assert names(cache) == []


def test_no_server(cache):
    url = f"http://127.0.0.1:{closed_port()}/a"
    table = {"name": "x", "files": [{"file": "a", "url": url, "digest": f"md5:{'0' * 32}"}]}
    with pytest.raises(DataError, match=f"cannot download {url}"):
        fetch(table, quiet)
    assert names(cache) == []


def archive(kind, members):
    file = io.BytesIO()
    if kind == ".zip":
        with zipfile.ZipFile(file, "w") as zipped:
            for name, data in members.items():
                zipped.writestr(name, data)
        return file.getvalue()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.mark.parametrize("kind", [".zip", ".tar.gz"])
def test_archives_are_unpacked_and_deleted(server, cache, kind):
    contents = {
        f"one{kind}": archive(kind, {"data/a/1": b"x"}),
        f"two{kind}": archive(kind, {"data/b/2": b"y"}),
    }
    table = offer(server, contents, path="data")
    folder = fetch(table, quiet)
    assert folder.endswith("/data")
    assert names(cache) == [f".one{kind}.unpacked", f".two{kind}.unpacked", "1", "2"]
    assert fetch(table, quiet) == folder
    assert len(server.requests) == 2


def test_an_archive_whose_unpacking_was_interrupted(server, cache, monkeypatch):
    table = offer(server, {"one.zip": archive(".zip", {"data/a": b"x", "more/b": b"y"})})
    rename, calls = downloads.Path.rename, []

    def interrupted(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(downloads.Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(table, quiet)
    fetch(table, quiet)
    assert names(cache) == [".one.zip.unpacked", "a", "b"]
    assert server.requests == ["one.zip"]


def test_an_archive_does_not_write_elsewhere(server, cache, tmp_path):
    table = offer(server, {"one.tar.gz": archive(".tar.gz", {"../../out": b"x"})})
    with pytest.raises(DataError, match="cannot unpack"):
        fetch(table, quiet)
    assert names(tmp_path) == ["one.tar.gz"]


@pytest.mark.parametrize("kind", ["", ".zip"])
def test_two_at_once(server, cache, kind):
    data = archive(".zip", {f"data/{n}": bytes(1000) for n in range(50)}) if kind else b"data" * 100_000
    table = offer(server, {f"a{kind}": data})
    with ThreadPoolExecutor(4) as threads:
        folders = list(threads.map(lambda n: fetch(table, quiet), range(4)))
    assert len(set(folders)) == 1
    assert len(names(cache)) == (51 if kind else 1)


def test_a_folder_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(downloads.VARIABLE, str(tmp_path / "file" / "x"))
    with pytest.raises(DataError, match=r"cannot write .*Not a directory.*SPIKEPREP_DATA_DIR"):
        fetch(offer(server, {"a": b"x"}), quiet)


def test_where_downloads_are(monkeypatch, tmp_path):
    assert data_folder() == tmp_path / "cache"
    monkeypatch.delenv(downloads.VARIABLE)
    monkeypatch.setattr(downloads, "user_cache", lambda: "/home/me/.cache")
    assert str(data_folder()) == "/home/me/.cache/spikeprep/data"
    monkeypatch.setattr(downloads, "user_cache", lambda: None)
    with pytest.raises(CapabilityError, match="Set SPIKEPREP_DATA_DIR to a folder"):
        data_folder()


def test_encode_downloads(server, tmp_path, cache):
    raw = tmp_path / "raw"
    for split, n in (("train", 12), ("t10k", 8)):
        write_idx(raw, *pictures(n, 28, 28, 10, seed=n), split=split)
    recipe = load_recipe("mnist")
    table = offer(server, {path.name: path.read_bytes() for path in raw.iterdir()})
    text = re.sub(r"(?s)\[download\].*?(?=\n\[\[chain)", toml(table), recipe.to_toml())
    (tmp_path / "mine.toml").write_text(text)
    options = {"settings": {"poisson.steps": 40}, "progress": False}
    done = encode(tmp_path / "mine.toml", tmp_path / "a.zarr", download=True, **options)
    own = encode("mnist", tmp_path / "b.zarr", source=raw, **options)
    assert done.samples == own.samples == {"train": 12, "test": 8}
    words = ["encode", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "a.zarr"), "--download", "--json"]
    again = CliRunner().invoke(main, [*words, "--set", "poisson.steps=40"])
    assert again.exit_code == 0
    assert json.loads(again.stdout)["changed"] is False
    assert len(server.requests) == 4


def toml(table):
    lines = [f'[download]\nname = "{table["name"]}"\n']
    for file in table["files"]:
        lines += ["[[download.files]]", *(f'{key} = "{value}"' for key, value in file.items()), ""]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("recipe", "arguments", "message"),
    [
        (
            "digits",
            {"download": True},
            "got download = True, and recipe digits does not say where its data are",
        ),
        ("ti46", {"download": True}, "TI 46"),
        ("mnist", {"download": True, "source": "x"}, "got download = True and a source"),
        ("mnist", {}, "Or use download=True"),
    ],
)
def test_arguments_that_do_not_fit(recipe, arguments, message, tmp_path):
    with pytest.raises((UsageError, DataError), match=message):
        encode(recipe, tmp_path / "s.zarr", progress=False, **arguments)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../x"},
        {"name": 3},
        {"files": []},
        {"files": "x"},
        {"path": "../../x"},
        {"path": "/etc"},
        {"more": 1},
        {"files": [{"file": "../a", "url": "http://h/a", "digest": f"md5:{'0' * 32}"}]},
        {"files": [{"file": "a", "url": "file:///etc/passwd", "digest": f"md5:{'0' * 32}"}]},
        {"files": [{"file": "a", "url": "http://h/a", "digest": "md5:0"}]},
        {"files": [{"file": "a", "url": "http://h/a"}]},
    ],
)
def test_tables_that_are_refused(change):
    good = {"name": "x", "files": [{"file": "a", "url": "http://h/a", "digest": f"md5:{'0' * 32}"}]}
    downloads.check_download(good, "recipe x")
    with pytest.raises(UsageError, match="recipe x: the table download is"):
        downloads.check_download(good | change, "recipe x")


def test_which_recipes_can_be_downloaded():
    """By base: what a recipe encodes decides, not what it trains."""
    offered = {name: load_recipe(name).download for name in recipe_names()}
    by_name = {table["name"] for table in offered.values() if table}
    assert by_name == {"cifar10-dvs", "mnist", "nmnist", "fsdd", "speech-commands", "aeon", "shd", "ssc"}
    assert offered["paper-mnist-800"] == offered["mnist"]
    for name, table in offered.items():
        if table:
            assert load_recipe(name).to_json()["download"] == table
            assert all(file["url"].startswith("https://") for file in table["files"])
