"""In what fsspec's filesystems differ: how they write, list and read, and how long they wait."""

from __future__ import annotations

import ftplib
import inspect
import os
from typing import Any

from .remote_errors import is_transient

# A whole object appears at once in these, an upload that fails leaves none, and they have no folders. In all others a
# key is written under a temporary name and moved.
OBJECT_STORES = {
    "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "ocilake", "tos", "obs", "cos",
}  # fmt: skip
READ_ONLY = {"http", "https", "data", "github", "reference", "tar", "libarchive"}
# these read the last n bytes in one request
SUFFIX_RANGES = {"s3", "s3a", "gs", "gcs", "http", "https", "memory"}


def size_of(fs: Any, name: str) -> int:
    """Return an object's size."""
    size = fs.info(name).get("size")
    if size is None:
        raise ValueError("the server does not state the size")
    return int(size)


def check_size(fs: Any, name: str, size: int) -> None:
    """Raise a transient error where an object has another size than what was sent."""
    fs.invalidate_cache(name.rpartition("/")[0])
    if (arrived := size_of(fs, name)) != size:
        raise ConnectionError(f"{arrived} of {size} bytes have arrived")


def create_file(fs: Any, name: str, data: bytes, **options: Any) -> None:
    """Write an object; fail if there is one, where the filesystem has conditional requests."""
    conditional = "mode" in inspect.signature(getattr(fs, "_pipe_file", fs.pipe_file)).parameters
    fs.pipe_file(name, data, **({"mode": "create"} if conditional else {}), **options)


def remove(fs: Any, name: str) -> None:
    """Remove an object, if there is one."""
    try:
        fs.rm_file(name)
    except Exception as error:
        if is_transient(error):
            raise
        try:
            fs.info(name)
        except FileNotFoundError:
            return
        raise


def move(fs: Any, source: str, target: str) -> None:
    """Rename an object, replacing another one; without patterns, unlike fsspec's `mv`."""
    from fsspec import AbstractFileSystem

    def rename() -> None:
        if type(fs).mv is AbstractFileSystem.mv:
            fs.cp_file(source, target)
            fs.rm_file(source)
        else:
            fs.mv(source, target)

    try:
        rename()
    except Exception as error:
        # some servers do not rename onto a file that exists
        if is_transient(error) or not (fs.exists(source) and fs.exists(target)):
            raise
        fs.rm_file(target)
        rename()


def listing_options(kind: Any) -> dict[str, str]:
    """Return the option with which a filesystem's `find` raises errors, where it would hide them otherwise."""
    from fsspec import AbstractFileSystem
    from fsspec.asyn import AsyncFileSystem

    if issubclass(kind, AsyncFileSystem):
        walks = kind._find is AsyncFileSystem._find
    else:
        walks = kind.find is AbstractFileSystem.find
    return {"on_error": "raise"} if walks else {}


def _configured(scheme: str) -> dict[str, Any]:
    """Return the options that the user's fsspec configuration has for a scheme."""
    from fsspec import get_filesystem_class
    from fsspec.config import apply_config

    options: dict[str, Any] = apply_config(get_filesystem_class(scheme), {})
    return options


def default_options(scheme: str) -> dict[str, Any]:
    """Return time-outs, in seconds, and retries for filesystems whose own would wait for minutes.

    What the user's fsspec configuration has for the scheme comes first.
    """
    configured = _configured(scheme)
    if scheme == "ftp":
        from fsspec.implementations.ftp import FTPFileSystem

        if not hasattr(FTPFileSystem, "ftp"):  # its __del__ needs one where the connection has failed
            FTPFileSystem.ftp = ftplib.FTP()
        defaults = {"timeout": 15, "use_listings_cache": False}
        return {name: value for name, value in defaults.items() if name not in configured}
    if scheme in ("http", "https"):
        from aiohttp import ClientTimeout  # what fsspec uses for these schemes

        timeout = ClientTimeout(total=None, sock_connect=10, sock_read=15)
        return {"client_kwargs": {"timeout": timeout} | configured.get("client_kwargs", {})}
    if scheme in ("s3", "s3a"):
        retries = {"total_max_attempts": 3, "mode": "standard"}
        config: dict[str, Any] = {"connect_timeout": 5, "read_timeout": 15}
        if not {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"} & os.environ.keys():
            config |= {"retries": retries}
        return {"config_kwargs": config | configured.get("config_kwargs", {})}
    return {}
