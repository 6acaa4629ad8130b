"""Servers on loopback for tests of remote stores: S3, FTP, HTTP, and one that never answers."""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib.util
import logging
import os
import socket
import threading
import uuid
import warnings
from pathlib import Path
from unittest import mock

import pytest

PASSWORD = "hunter22secret"


@contextlib.contextmanager
def s3_server():
    """Yield (a new bucket's URL, environment of other processes) of an S3 server in this process."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    pytest.importorskip("flask_cors")
    import boto3
    import werkzeug.serving
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {
            "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        werkzeug.serving.WSGIRequestHandler.disable_nagle_algorithm = True
        with mock.patch.dict(os.environ, environment):
            bucket = f"b{uuid.uuid4().hex}"
            client = boto3.client("s3")
            client.create_bucket(Bucket=bucket)
            client.close()
            yield f"s3://{bucket}", environment
            forget_connections()
    finally:
        server.stop()


def forget_connections():
    """Close fsspec's connections to S3: the next use reads the environment again."""
    import s3fs

    for fs in s3fs.S3FileSystem._cache.values():
        if fs._s3 is not None:
            fs.close_session(fs.loop, fs._s3creator)
    s3fs.S3FileSystem.clear_instance_cache()


@contextlib.contextmanager
def ftp_server(root: Path):
    """Yield the URL, with a password, of an FTP server of a folder."""
    pytest.importorskip("fsspec")
    if importlib.util.find_spec("pyftpdlib") is None:
        pytest.skip("needs pyftpdlib")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of asyncore, in Python 3.11
        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler
        from pyftpdlib.ioloop import IOLoop
        from pyftpdlib.servers import FTPServer

    logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)
    authorizer = DummyAuthorizer()
    authorizer.add_user("user", PASSWORD, str(root), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer, "auth_failed_timeout": 0})
    server = FTPServer(("127.0.0.1", 0), handler, ioloop=IOLoop())
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            server.serve_forever(timeout=0.05, blocking=False, handle_exit=False)
        server.close_all()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"ftp://user:{PASSWORD}@127.0.0.1:{server.address[1]}"
    finally:
        stop.set()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files, as Python's own server does: it ignores ranges."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def http_server(root: Path | None = None, handler=QuietHandler):
    """Yield the URL of an HTTP server of a folder."""
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    factory = functools.partial(handler, directory=str(root)) if root is not None else handler
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), factory)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def silent_server():
    """Yield the port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    """Return a port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
