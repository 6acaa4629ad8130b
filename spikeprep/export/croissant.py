"""Croissant metadata of a store (Akhtar et al. 2024, mlcommons.org/croissant, version 1.0): JSON-LD.

Every file of the store is a `FileObject` with its sha256 from the manifest. Record sets name the classes and splits.
Croissant has no notion of Zarr arrays, so the spikes themselves are described in words and read with any Zarr reader.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ..errors import StoreError, UsageError
from ..store import SpikeStore
from ..store.layout import MANIFEST
from ..store.manifest import FileDigest, Manifest
from ..urls import redacted

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(store: SpikeStore, url: str | None = None, folder: Path = Path()) -> dict[str, Any]:
    """Return the metadata document of a store.

    Parameters
    ----------
    store
        A complete store with a manifest.
    url
        Where the store is, or will be, published: file names are then URLs under it. Else they are those of the store
        where it is: a store in a folder has paths relative to `folder`.
    folder
        The folder that the document will be in.

    Raises
    ------
    UsageError
        `url` is not one of a folder.
    StoreError
        The store has no manifest: it was written by a release that made none.
    """
    files = store.files()
    if not files:
        raise StoreError(
            f"{store.path} has no manifest: it was written by one of the first releases",
            "the digest of every file",
            "Encode the store again with overwrite=True.",
        )
    about = store.attributes
    base = _base(store.path, folder) if url is None else f"{_checked_url(url).rstrip('/')}/"
    manifest = FileDigest.of([Manifest.of(files, about["version"]).document()])
    licence = about["source"].get("licence") or "unknown"
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": re.sub(r"[^A-Za-z0-9_-]+", "-", about["recipe"]).strip("-") or "spikes",
        "description": _description(store),
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": licence,
        "version": "1.0.0",
        "keywords": ["spiking neural networks", "spike trains", "Zarr"],
        "distribution": [
            _file(key, base, file.size, file.sha256)
            for key, file in sorted({**files, MANIFEST: manifest}.items())
        ],
        "recordSet": [
            _records("classes", "name", [{"classes/name": name} for name in about["classes"]]),
            _records("splits", "name", [{"splits/name": name} for name in about["samples"]]),
        ],
    }
    if url:
        document["url"] = url
    if about.get("citation"):
        document["citeAs"] = about["citation"]
    return document


def croissant_json(store: SpikeStore, url: str | None = None, folder: Path = Path()) -> bytes:
    """Return the bytes of `croissant`'s document."""
    return (json.dumps(croissant(store, url, folder), indent=2, ensure_ascii=False) + "\n").encode()


def _checked_url(url: str) -> str:
    """Return the URL of a folder; raises `UsageError` for a text that is none."""
    try:
        parts = urlsplit(url) if isinstance(url, str) and url.isprintable() and " " not in url else None
        if (
            parts
            and parts.scheme
            and parts.hostname
            and not (set('?#\\"<>{}|^`') & set(url) or parts.username)
        ):
            _ = parts.port
            return url
    except ValueError:
        pass
    raise UsageError(
        f"got url = {redacted(url)!r}" if isinstance(url, str) else f"got url = {url!r}",
        "the URL of the store's folder, such as https://example.org/digits.zarr, without spaces, user, ? and #",
        "Write a space as %20.",
    )


def _base(store: str, folder: Path) -> str:
    """Return what stands ahead of the store's own paths in a document that is written to a folder."""
    if "://" in store:
        return f"{store.rstrip('/')}/"
    try:
        return f"{Path(os.path.relpath(os.path.realpath(store), os.path.realpath(folder))).as_posix()}/"
    except ValueError:  # another drive
        return f"{Path(os.path.realpath(store)).as_posix()}/"


def _description(store: SpikeStore) -> str:
    about = store.attributes
    samples = ", ".join(f"{count:,} in {split}" for split, count in about["samples"].items())
    shape = " × ".join(map(str, about["unit_shape"]))
    title = about.get("title") or about["recipe"]
    return (
        f"{title}. Spike trains of {shape} units, {1e3 * about['dt']:g} ms per step, {len(about['classes'])} classes; "
        f"samples: {samples}. A Zarr v3 group with, per split, spikes (uint8: sample, unit, byte; bit k of byte b is "
        f"step 8 b + k), steps, labels, counts and ids. {MANIFEST} has the digest of every file: {store.digest()}"
    )


def _file(key: str, base: str, size: int, sha256: str) -> dict[str, Any]:
    kind = "application/json" if key.endswith(".json") else "application/octet-stream"
    return {
        "@type": "cr:FileObject",
        "@id": quote(key),  # no spaces: it is an IRI
        "name": key,
        # a path is read as it is: readers open it as a file
        "contentUrl": base + (quote(key) if "://" in base else key),
        "contentSize": f"{size} B",
        "encodingFormat": kind,
        "sha256": sha256,
    }


def _records(name: str, key: str, data: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/{key}"},
        "field": [
            {"@type": "cr:Field", "@id": f"{name}/{key}", "name": f"{name}/{key}", "dataType": "sc:Text"}
        ],
        "data": data,
    }
