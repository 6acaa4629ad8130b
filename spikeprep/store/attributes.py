"""The attributes of a spike store: what it was made from and how, under ``"spikeprep"`` in the root group.

There is no time of creation and no path: two encodes of the same data are equal byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from ..config import Count, Natural, Positive
from ..errors import StoreError
from .documents import check, dump_json, parse_json

FORMAT = 1
"""The format version that this package writes, and the newest that it reads."""

CONVENTION = {
    "uuid": "e890631b-fb28-49ea-846d-c6876bd237da",
    "name": "spikeprep",
    "description": "Bit-packed spike trains with labels",
    "schema_url": "https://raw.githubusercontent.com/spikeprep/spikeprep/main/docs/store-format.schema.json",
    "spec_url": "https://github.com/spikeprep/spikeprep/blob/main/docs/store-format.md",
}
"""The format as a Zarr convention: an entry of ``zarr_conventions`` in the attributes of the root group."""

Digest = Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
"""``sha256:`` and 64 hexadecimal digits."""

_PREFIX = "attributes.spikeprep"
WRITE_AGAIN = (
    "encode again with repair=True, which writes only what is damaged "
    "(a store of write_store: call write_store(overwrite=True))"
)
"""How a damaged store is repaired: from a recipe, or, where there is none, by the call that wrote it."""

_HINT = f"Restore the file from a copy, or {WRITE_AGAIN}."
_SEEDS = 1 << 64

SPLIT_NAMES = "1 to 200 characters without slashes and control characters, not beginning with . or __"
"""The allowed names of splits, for messages."""

_SPLIT = re.compile(r"(?!\.|__)[^/\\\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True)
class StoreAttributes:
    """Schema of the attributes; keys beside these are kept and ignored.

    Attributes
    ----------
    format
        Version of the format.
    version
        Version of the package that wrote the store.
    recipe, title, citation
        Name of the recipe, what it is in one line, and what to cite.
    chain
        Configuration of every transform, then of the encoder, each with its `name`.
    seed
        Seed of every random number, 0 ≤ seed < 2⁶⁴.
    dt
        Length of a time step in seconds.
    unit_shape
        Shape of a sample's units; they are stored in C order over it.
    classes
        Name of each class; a label is an index into it.
    source
        `reader` (configuration of the source), `licence`, sha256 of the files, a `note`, `findings` (a list of texts).
    samples
        Split → number of samples, in the order of the source.
    complete
        Whether the last shard is written.
    copies
        How often each training sample is there: sample n of copy c of N samples is at c N + n; copy 0 is the original.
        Absent for 1.
    contents
        Digest over all files but this document and the manifest; absent while the store is written.
    """

    format: Count
    version: str
    recipe: str
    chain: list[dict[str, Any]]
    seed: Natural
    dt: Positive
    unit_shape: Annotated[list[Count], Meta(min_length=1)]
    classes: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)]
    source: dict[str, Any]
    samples: Annotated[dict[str, Natural], Meta(min_length=1)]
    complete: bool
    title: str = ""
    citation: str = ""
    copies: Count = 1
    contents: Digest | None = None


def root_document(attributes: Mapping[str, Any], *, convention: bool = True) -> bytes:
    """Return the root group's metadata document; without `convention` as stores of before the convention have it."""
    entry = {"zarr_conventions": [CONVENTION]} if convention else {}
    return dump_json(
        {"attributes": {**entry, "spikeprep": dict(attributes)}, "zarr_format": 3, "node_type": "group"}
    )


def parse_attributes(path: str, root: bytes | None) -> dict[str, Any]:
    """Return the attributes of the store at `path` from its root metadata document, in the order of the document.

    Raises
    ------
    StoreError
        There is no store, it is not a spike store, a key is missing or has a value that is not allowed, or the format
        is newer.
    """
    file, expected = f"{path}/zarr.json", "a Zarr v3 group made by spikeprep"
    hint = "Check the path, or make a store with `spikeprep encode`."
    if root is None:
        raise StoreError(f"no store at {path}", expected, hint)
    try:
        attributes = parse_json(file, root, hint)["attributes"]["spikeprep"]
    except (KeyError, TypeError, IndexError):
        attributes = None
    if not isinstance(attributes, dict):
        raise StoreError(f"{path} is not a spike store", expected, hint)
    check_attributes(file, attributes)
    return attributes


def check_attributes(file: str, attributes: Mapping[str, Any], hint: str = _HINT) -> None:
    """Check attributes against the schema; raises `StoreError` with `file`, the key and `hint`."""
    version = attributes.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise StoreError(
            f"{file}: format version {version}",
            f"at most {FORMAT}",
            "Update spikeprep: pip install -U spikeprep.",
        )
    known = check(file, attributes, StoreAttributes, hint, _PREFIX)
    if known.seed >= _SEEDS:
        raise StoreError(f"{file}: {_PREFIX}.seed is {known.seed}", "below 2⁶⁴", hint)
    if known.samples.get("train", 0) % known.copies:
        got = f"{_PREFIX}.copies is {known.copies} and samples.train {known.samples['train']}"
        raise StoreError(f"{file}: {got}", "a multiple of it", hint)
    for split in known.samples:
        if not is_split_name(split):
            raise StoreError(f"{file}: {_PREFIX}.samples has the split {split!r}", SPLIT_NAMES, hint)


def is_split_name(split: str) -> bool:
    """Whether a text can be the name of a split, which is also that of its folder."""
    return _SPLIT.fullmatch(split) is not None and split != "zarr.json"


def unfinished(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes as they are while the store is written."""
    return {**{k: v for k, v in attributes.items() if k != "contents"}, "complete": False}


def fingerprint(attributes: Mapping[str, Any]) -> str:
    """Return the sha256 over the attributes that decide the bits.

    They are all but `version`, `complete`, `contents` and the findings and the note of the source.
    """
    identity = {k: v for k, v in attributes.items() if k not in ("version", "complete", "contents")}
    identity["source"] = {k: v for k, v in attributes["source"].items() if k not in ("findings", "note")}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def differences(stored: Any, other: Any, where: str = "", what: str = "requested") -> list[str]:
    """Return a line for each leaf in which two JSON values differ; `what` says what the other one is.

    ``chain[0].steps: 400 in the store, 200 requested``
    """
    if isinstance(stored, dict) and isinstance(other, dict):
        keys = [*stored, *(key for key in other if key not in stored)]
        pairs = [(f"{where}.{key}".lstrip("."), stored.get(key), other.get(key)) for key in keys]
    elif isinstance(stored, list) and isinstance(other, list) and len(stored) == len(other):
        pairs = [(f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(stored, other, strict=True))]
    else:
        return [] if stored == other else [f"{where}: {stored!r} in the store, {other!r} {what}"]
    return [line for name, a, b in pairs for line in differences(a, b, name, what)]
