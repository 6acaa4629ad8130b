"""Croissant metadata of a store (Akhtar et al. 2024, mlcommons.org/croissant, version 1.0): JSON-LD.

Every file of the store is a `FileObject` with its sha256 from the manifest. Record sets name the classes and splits.
Croissant has no notion of Zarr arrays, so the spikes themselves are described in words and read with any Zarr reader.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from ..errors import StoreError
from ..store import SpikeStore
from ..store.layout import MANIFEST

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


def croissant(store: SpikeStore, url: str | None = None) -> dict[str, Any]:
    """Return the metadata document of a store.

    Parameters
    ----------
    store
        A complete store with a manifest.
    url
        Where the store is, or will be, published: file names are then URLs under it, else paths inside the store.

    Raises
    ------
    StoreError
        The store has no manifest: it was written by a release that made none.
    """
    files = store.files()
    if not files:
        raise StoreError(
            f"{store.path} has no manifest", "the digest of every file", "Encode the store again."
        )
    about, base = store.attributes, f"{url.rstrip('/')}/" if url else ""
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
        "distribution": [_file(key, base, file.size, file.sha256) for key, file in sorted(files.items())],
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


def croissant_json(store: SpikeStore, url: str | None = None) -> bytes:
    """Return the bytes of `croissant`'s document."""
    return (json.dumps(croissant(store, url), indent=2, ensure_ascii=False) + "\n").encode()


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
        "@id": key,
        "name": key,
        "contentUrl": base + quote(key) if base else key,
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
