"""Answers of a hostile or failing HTTP server: cut, too long, of wrong length, with odd headers, or none."""

from __future__ import annotations

import http.server
import os
import random

import numpy as np
import pytest

from spikeprep.errors import SpikeprepError
from spikeprep.store import SpikeStore, remote_errors, verify
from spikeprep.store.storage import open_storage

from .servers import http_server
from .stores import content, make

ANSWERS = int(os.environ.get("SPIKEPREP_TEST_ANSWERS", "20"))


class Answers(http.server.BaseHTTPRequestHandler):
    """Serves `objects`; the answer of number `at`, and those after it while `lasting`, is wrong."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    objects: dict = {}  # noqa: RUF012
    moments = random.Random(0)
    at, lasting, count, faults = -1, False, 0, 0

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        cls = type(self)
        data = self.objects.get(self.path.lstrip("/"))
        status = 404 if data is None else 200
        data = data or b""
        length = len(data)
        if status == 200 and (asked := self.headers.get("Range")):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = max(length - int(last), 0) if first == "" else int(first)
            stop = length if first == "" or last == "" else int(last) + 1
            data, status = (data[start:stop], 206) if start < length else (b"", 416)
        due = cls.count > cls.at if cls.lasting else cls.count == cls.at
        cls.count += 1
        if cls.at < 0 or not due:
            return self.send(status, data if body else b"", len(data))
        cls.faults += 1
        return self.wrong(status, data if body else b"", len(data))

    def send(self, status, data, length, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def wrong(self, status, data, length):
        moments, self.close_connection = self.moments, True
        cut = data[: moments.randrange(len(data))] if data else b""
        noise = moments.randbytes(moments.choice((0, 1, 100, 5000)))
        kind = moments.randrange(14)
        if kind == 0:
            return None  # no answer at all
        if kind == 1:
            return self.send(status, cut, length)  # gone in the middle
        if kind == 2:
            return self.send(status, cut, len(cut))  # a shorter object
        if kind == 3:
            return self.send(status, cut, None)  # of no stated length
        if kind == 4:
            return self.send(status, data + noise, len(data + noise))
        if kind == 5:
            return self.send(status, noise, len(noise))  # another object
        if kind == 6:
            return self.send(
                moments.choice((400, 401, 403, 404, 408, 416, 429, 500, 501, 502, 503, 507)), b"", 0
            )
        if kind == 7:
            return self.wfile.write(noise)  # no HTTP
        if kind == 8:
            return self.send(status, data, moments.choice((-1, 10**30, "x")))
        if kind == 9:
            return self.send(
                302, b"", 0, Location=moments.choice((self.path, "/", "ftp://x", "", "http://["))
            )
        if kind == 10:
            return self.send(
                status, data, length, **{"Content-Encoding": moments.choice(("gzip", "deflate", "br"))}
            )
        if kind == 11:
            return self.send(
                status,
                moments.choice((b"z\r\n", b"ffffffffff\r\nabc", cut)),
                None,
                **{"Transfer-Encoding": "chunked"},
            )
        if kind == 12:
            changed = bytearray(data)
            if changed:
                changed[moments.randrange(len(changed))] ^= 1 << moments.randrange(8)
            return self.send(status, bytes(changed), length)
        return self.send(status, data, length, **{"X-Long": "x" * moments.choice((10, 9000, 70000))})


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(remote_errors, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(remote_errors, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr("spikeprep.store.fsspec_storage._READ_SECONDS", 1.0)
    aiohttp, fsspec = pytest.importorskip("aiohttp"), pytest.importorskip("fsspec")
    timeout = {"client_kwargs": {"timeout": aiohttp.ClientTimeout(sock_read=0.3)}}
    monkeypatch.setitem(fsspec.config.conf, "http", timeout)
    make(tmp_path / "s.zarr")
    storage = open_storage(tmp_path / "s.zarr")
    Answers.objects = {f"s.zarr/{key}": storage.get(key) for key in storage.sizes()}
    Answers.at = -1
    with http_server(handler=Answers) as url:
        yield f"{url}/s.zarr"
    Answers.at = -1


@pytest.mark.parametrize("lasting", [False, True])
def test_wrong_answers_end_in_our_errors(server, lasting):
    bits = {split: content(split)[0] for split in ("train", "test")}
    Answers.faults = 0
    for number in range(ANSWERS):
        Answers.moments.seed(2 * number + lasting)
        Answers.lasting, Answers.count, Answers.at = lasting, 0, Answers.moments.randrange(30)
        try:
            store = SpikeStore.open(server)
            for split in store.splits:
                # what is read is what was written, or an error
                np.testing.assert_array_equal(store[split].packed(slice(None)).bits, bits[split])
            verify(server)
        except SpikeprepError:
            pass
    assert Answers.faults > ANSWERS / 2
