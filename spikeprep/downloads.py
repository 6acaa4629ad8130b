"""Fetch published raw data: checked against their digests, into a cache folder, archives unpacked."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import CapabilityError, DataError, UsageError, lacks_space_or_permission
from .kernel_cache import user_cache
from .text import format_bytes
from .urls import hide_secrets

VARIABLE = "SPIKEPREP_DATA_DIR"
"""Environment variable that names the folder of downloads; default: ``spikeprep/data`` in the user's cache folder."""

Download = Mapping[str, Any]
"""A recipe's table ``[download]``: `name` (of the data set), `files` (tables of `file`, `url` and `digest`), and `path`
(of the raw data, in the unpacked archives; default: all of them)."""

_ARCHIVES = (".zip", ".tar.gz", ".tgz")
_ATTEMPTS_AFTER_THE_FIRST = 2
_TIMEOUTS = (10, 30)  # seconds: to connect, and between two pieces of an answer
_CHUNK_BYTES = 1 << 20
_NOTE_SECONDS = 10.0
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")


def check_download(download: Download, owner: str) -> None:
    """Raise `UsageError` where a table ``[download]`` is not as `Download` says; empty is none."""
    if not download:
        return
    expected = 'name = "…", files = [{ file = "…", url = "https://…", digest = "sha256:…" }]'
    files = download.get("files")
    sound = (
        download.keys() <= {"name", "files", "path"}
        and _fits(_NAME, download.get("name"))
        and isinstance(files, list)
        and files
        and all(_is_file(file) for file in files)
        and isinstance(path := download.get("path", ""), str)
        and not os.path.isabs(path)
        and ".." not in Path(path).parts
    )
    if not sound:
        raise UsageError(f"{owner}: the table download is {json.dumps(download)}", expected, "Correct it.")


def _is_file(file: Any) -> bool:
    return (
        isinstance(file, dict)
        and file.keys() == {"file", "url", "digest"}
        and _fits(_NAME, file["file"])
        and _fits(re.compile(r"https?://\S+"), file["url"])
        and _fits(_DIGEST, file["digest"])
    )


def _fits(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def fetch(download: Download, note: Callable[[str], None], hint: str = "") -> str:
    """Fetch what is not in the cache folder yet, and return the folder of the raw data.

    A file has its name only once its digest was compared, and an archive's folder once all of it was unpacked; the
    archive is then deleted. Any number of processes may fetch the same data at the same time.

    Parameters
    ----------
    download
        See `Download`.
    note
        Called with a message at the start of each file and every ten seconds.
    hint
        How to obtain the data otherwise.

    Raises
    ------
    CapabilityError
        pooch is not installed, or there is no room or no permission in the cache folder.
    DataError
        A server does not answer or has no such file, after three attempts; or what it sends has another digest.
    """
    files = download["files"]
    identity = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:8]
    folder = data_folder() / f"{download['name']}-{identity}"
    with _errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            if file["file"].endswith(_ARCHIVES):
                _fetch_archive(folder, file, note, hint)
            else:
                _fetch_file(folder, file, note, hint)
    return str(folder / download.get("path", ""))


def data_folder() -> Path:
    """Return the folder of downloads; nothing is created.

    Raises
    ------
    CapabilityError
        The user has no cache folder.
    """
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser().absolute()
    if (cache := user_cache()) is None:
        raise CapabilityError("there is no home folder to download to", "", f"Set {VARIABLE} to a folder.")
    return Path(cache, "spikeprep", "data")


def _fetch_archive(folder: Path, file: Mapping[str, str], note: Callable[[str], None], hint: str) -> None:
    """Fetch an archive and unpack it into `folder`; a mark beside what was unpacked says that it is whole."""
    mark = folder / f".{file['file']}.unpacked"
    if mark.exists():
        return
    import tarfile  # here: every recipe loads this module

    archive = _fetch_file(folder, file, note, hint)
    note(f"unpacking {file['file']}")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack-") as temporary:
        try:
            if archive.suffix == ".zip" or not hasattr(tarfile, "data_filter"):  # Python before 3.11.4
                shutil.unpack_archive(archive, temporary)
            else:
                shutil.unpack_archive(archive, temporary, filter="data")
        except (FileNotFoundError, shutil.ReadError, tarfile.TarError, ValueError) as error:
            if mark.exists():  # another process was faster, and has deleted the archive
                return
            raise DataError(f"cannot unpack {archive} ({error})", "an archive", hint) from error
        for entry in sorted(Path(temporary).iterdir()):
            try:
                entry.rename(folder / entry.name)
            except OSError:
                if not (
                    folder / entry.name
                ).is_dir():  # another process has unpacked it, or an interrupted one
                    raise
                shutil.copytree(entry, folder / entry.name, dirs_exist_ok=True)
    mark.touch()
    archive.unlink(missing_ok=True)


def _fetch_file(folder: Path, file: Mapping[str, str], note: Callable[[str], None], hint: str) -> Path:
    """Fetch a file, unless one of its digest is there."""
    try:
        import pooch
        import requests
    except ImportError as error:
        raise CapabilityError(
            f"downloading needs the package pooch ({error})",
            "",
            "Run: python -m pip install 'spikeprep[download]'.",
        ) from error
    pooch.get_logger().setLevel(logging.CRITICAL)  # an attempt that is repeated is no news
    name, url = file["file"], file["url"]
    cache = pooch.create(
        path=folder, base_url="", registry={name: file["digest"]}, urls={name: url},
        retry_if_failed=_ATTEMPTS_AFTER_THE_FIRST,
    )  # fmt: skip
    downloader = pooch.HTTPDownloader(
        progressbar=_Notes(name, note), chunk_size=_CHUNK_BYTES, timeout=_TIMEOUTS
    )
    try:
        return Path(cache.fetch(name, downloader=downloader))
    except (requests.exceptions.RequestException, ValueError) as error:
        # pooch's error for another digest names both
        text = hide_secrets(" ".join(str(error).split()), url)
        raise DataError(
            f"cannot download {hide_secrets(url, url)} ({text})",
            f"a file of {file['digest']}",
            f"Try again later, or fetch the data by hand. {hint}".strip(),
        ) from error


class _Notes:
    """A progress bar of pooch's that says every ten seconds how much has come."""

    def __init__(self, name: str, note: Callable[[str], None]) -> None:
        self.total, self._name, self._note = 0, name, note
        self._done, self._next = 0, 0.0

    def update(self, size: int) -> None:
        """Add bytes that have come."""
        self._done = min(self._done + size, self.total or self._done + size)
        if time.monotonic() >= self._next:
            of = f" of {format_bytes(self.total)}" if self.total else ""
            self._note(f"downloading {self._name}: {format_bytes(self._done)}{of}")
            self._next = time.monotonic() + _NOTE_SECONDS

    def reset(self) -> None:
        """Begin again; pooch calls it at the end of a file."""
        self._done, self._next = 0, float("inf")

    def close(self) -> None:
        """End."""


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = CapabilityError if lacks_space_or_permission(error) else DataError
        raise kind(
            f"cannot write {folder} ({error.strerror or error})",
            "",
            f"Free some space, or set {VARIABLE} to another folder.",
        ) from error
