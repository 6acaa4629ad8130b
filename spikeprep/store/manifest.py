"""The digests that bind a store together: of each file, over all, and of each finished shard while it is written.

``manifest.json`` of a complete store has the size and sha256 of every other file, the root's ``zarr.json`` included,
and one digest over all, which is the sha256 of the files' lines ``SHA256  PATH`` in byte order of the paths, as
`sha256sum` writes them; docs/stores.md has the command.

The root's ``zarr.json`` has the digest over all files but itself, as ``contents``: each of the two documents can be
checked, and written again, by means of the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from msgspec import Meta

from ..config import Natural
from ..errors import StoreError
from .attributes import WRITE_AGAIN, Digest
from .documents import check, dump_json, parse_json
from .layout import MANIFEST, ROOT
from .storage_contract import Storage

_HINT = f"Restore it from a copy, or {WRITE_AGAIN}."
_BLOCK = 8 << 20  # bytes of a file that are hashed at a time

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class FileDigest:
    """Size in bytes and sha256 of a file."""

    size: Natural
    sha256: Sha256

    @classmethod
    def of(cls, parts: Iterable[bytes]) -> FileDigest:
        """Return the digest of a file's content, given in parts."""
        size, digest = 0, hashlib.sha256()
        for part in parts:
            size += len(part)
            digest.update(part)
        return cls(size, digest.hexdigest())


Files = Mapping[str, FileDigest]
"""Key → digest of the file."""


def digest_over(files: Files) -> str:
    """Return ``sha256:`` and the sha256 of the files' lines ``SHA256  PATH``, in byte order of the paths."""
    lines = sorted((key.encode(), file.sha256.encode()) for key, file in files.items())
    digest = hashlib.sha256(b"".join(b"%s  %s\n" % (sha256, key) for key, sha256 in lines))
    return f"sha256:{digest.hexdigest()}"


def file_digest(storage: Storage, key: str, size: int) -> FileDigest:
    """Read a file of `size` bytes block by block and return its digest; raises `StoreError`."""

    def blocks() -> Iterable[bytes]:
        for start in range(0, max(size, 1), _BLOCK):
            yield storage.get(key, start, start + _BLOCK) or b""

    return FileDigest.of(blocks())


@dataclass(frozen=True)
class Manifest:
    """Schema of ``manifest.json``.

    Attributes
    ----------
    manifest
        Version of this document.
    version
        Version of the package that wrote the store.
    digest
        One digest over all files; see `digest_over`.
    size
        Bytes of all files together.
    files
        Key → size and sha256 of every file but this one.
    """

    manifest: Literal[1]
    version: str
    digest: Digest
    size: Natural
    files: dict[str, FileDigest]

    @classmethod
    def of(cls, files: Files, version: str) -> Manifest:
        """Return the manifest of files."""
        size = sum(file.size for file in files.values())
        return cls(1, version, digest_over(files), size, dict(sorted(files.items())))

    @classmethod
    def read(cls, storage: Storage) -> Manifest:
        """Return the manifest of a store; raises `StoreError` where it is missing or damaged."""
        file, data = f"{storage.path}/{MANIFEST}", storage.get(MANIFEST)
        if data is None:
            raise StoreError(f"{file} is missing", "the digests of a complete store", _HINT)
        manifest = check(file, parse_json(file, data, _HINT), cls, _HINT)
        if manifest.document() != data or ROOT not in manifest.files:
            raise StoreError(f"{file} contradicts itself", "digests that its own digest covers", _HINT)
        return manifest

    @property
    def contents(self) -> str:
        """The digest over all files but the root's ``zarr.json``."""
        return digest_over({key: file for key, file in self.files.items() if key != ROOT})

    def document(self) -> bytes:
        """Return the bytes of the document, one line for each file."""
        files = Manifest.of(self.files, self.version)
        head = {key: getattr(files, key) for key in ("manifest", "version", "digest", "size")}
        lines = [
            f'    {json.dumps(key)}: {{"size": {file.size}, "sha256": "{file.sha256}"}}'
            for key, file in files.files.items()
        ]
        empty = dump_json(head | {"files": {}}).removesuffix(b"{}\n}")
        return empty + ("{\n" + ",\n".join(lines) + "\n  }\n}").encode()


@dataclass(frozen=True)
class ShardRecord:
    """Schema of the record of a finished shard.

    Attributes
    ----------
    lease
        Token of the lease under which it was written.
    files
        Key → size and sha256 of each of the shard's files.
    """

    lease: str
    files: dict[str, FileDigest]

    def document(self) -> bytes:
        """Return the bytes of the document."""
        return dump_json(asdict(self))

    @classmethod
    def parse(cls, file: str, data: bytes) -> ShardRecord:
        """Return the record in a document; raises `StoreError`."""
        return check(file, parse_json(file, data, ""), cls, "")
