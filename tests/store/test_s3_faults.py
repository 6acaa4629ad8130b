"""S3 behind a proxy that drops connections and answers 500 and 503: retried, nothing lost, an error in bounded time."""

from __future__ import annotations

import random
import time

import pytest

from spikeprep.errors import StoreError
from spikeprep.store import SpikeStore, remote_errors, verify
from spikeprep.store.storage import open_storage

from . import stores
from .s3_proxy import FAULTS, s3_behind_a_proxy
from .servers import forget_connections
from .stores import make

KINDS = [pytest.param(kind, marks=() if kind == "503" else pytest.mark.slow) for kind in FAULTS]


@pytest.fixture(scope="module")
def s3():
    with s3_behind_a_proxy() as it:
        yield it


@pytest.fixture
def place(s3, tmp_path, monkeypatch):
    """A URL where nothing is, and the proxy, which forwards everything again afterwards."""
    monkeypatch.setattr(remote_errors, "_FIRST_DELAY", 0.01)
    monkeypatch.setattr(stores, "LAYOUTS", {"test": stores.LAYOUTS["test"]})
    monkeypatch.setenv(
        "AWS_MAX_ATTEMPTS", "1"
    )  # what the client repeats is its own affair: ours is tested alone
    forget_connections()
    yield f"{s3[0]}/{tmp_path.name}/s.zarr", s3[1]
    s3[1].fault = lambda method, path: ""
    forget_connections()


def content(url):
    storage = open_storage(url)
    return {key: storage.get(key) for key in storage.sizes()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_fifth_request_fails(place, kind, tmp_path):
    url, proxy = place
    draw, faults = random.Random(kind), []

    def fault(method, path):
        if draw.random() < 0.2:
            faults.append((method, path))
            return kind
        return ""

    proxy.fault = fault
    make(url)
    report = verify(url)
    proxy.fault = lambda method, path: ""
    assert len(faults) > 3
    assert report.ok
    make(tmp_path / "local.zarr")
    assert content(url) == content(tmp_path / "local.zarr")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind != "cut answer"])  # a PUT's has no content
def test_a_server_that_keeps_failing_is_an_error_in_time_and_the_call_resumes(
    place, kind, tmp_path, monkeypatch
):
    monkeypatch.setattr(remote_errors, "RETRY_SECONDS", 0.3)
    url, proxy = place
    first = proxy.count
    proxy.fault = lambda method, path: kind if method == "PUT" and proxy.count - first > 12 else ""
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"cannot write s3://.*resumes where it stopped|lease"):
        make(url)
    assert time.monotonic() - began < 60  # a bound, not a measurement
    proxy.fault = lambda method, path: ""
    make(url)
    assert verify(url).ok
    make(tmp_path / "local.zarr")
    assert SpikeStore.open(url).digest() == SpikeStore.open(tmp_path / "local.zarr").digest()


def test_an_endpoint_that_stays_away(place, monkeypatch):
    monkeypatch.setattr(remote_errors, "RETRY_SECONDS", 0.3)
    url, proxy = place
    make(url)
    proxy.fault = lambda method, path: "lost request"
    before = proxy.count
    with pytest.raises(StoreError, match=r"cannot read s3://.*Check the server and the connection"):
        SpikeStore.open(url)
    assert 2 <= proxy.count - before < 50
