"""A proxy on loopback in front of an S3 server, which drops connections and answers with errors as it is told."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from collections.abc import Callable, Iterator
from unittest import mock
from urllib.parse import urlsplit

from .servers import forget_connections, s3_server

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
INTERNAL = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"

FAULTS = ("lost request", "lost answer", "cut answer", "503", "500")
"""Dropped before it reached the server; after it was done; in the middle of the answer; and two errors of S3."""


class Proxy(http.server.ThreadingHTTPServer):
    """Forwards requests to `server`; `fault(method, path)` names what befalls a request, "" for nothing."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, server: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.server, self.count, self.lock = urlsplit(server), 0, threading.Lock()
        self.fault: Callable[[str, str], str] = lambda method, path: ""

    def handle_error(self, *arguments: object) -> None:
        """Ignore clients that go away."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def forward(self) -> None:
        with self.server.lock:
            self.server.count += 1
            fault = self.server.fault(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault == "lost request":
            self.drop()
            return
        if fault in ("500", "503"):
            self.answer(int(fault), {}, SLOW_DOWN if fault == "503" else INTERNAL)
            return
        connection = http.client.HTTPConnection(self.server.server.hostname, self.server.server.port)
        connection.request(self.command, self.path, body, dict(self.headers))
        response = connection.getresponse()
        data, headers = response.read(), dict(response.getheaders())
        connection.close()
        if fault == "lost answer":
            self.drop()
            return
        self.answer(response.status, headers, data, cut=fault == "cut answer")

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward

    def answer(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        stated = headers.get("Content-Length") if self.command == "HEAD" else str(len(data))
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", stated or "0")
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.drop()

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def s3_behind_a_proxy() -> Iterator[tuple[str, Proxy]]:
    """Yield a new bucket's URL, and the proxy through which this process reaches it."""
    with s3_server() as (url, environment), Proxy(environment["AWS_ENDPOINT_URL_S3"]) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        endpoint = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{proxy.server_address[1]}"}
        with mock.patch.dict("os.environ", endpoint):
            forget_connections()
            yield url, proxy
            forget_connections()
        proxy.shutdown()
        thread.join()
