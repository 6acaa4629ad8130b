"""The published schema of the format against real stores, and against the checks of the reader."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from spikeprep.errors import StoreError
from spikeprep.store.attributes import CONVENTION, parse_attributes

from .stores import finish, make

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs/store-format.schema.json").read_text(encoding="utf-8"))
FIXTURE = Path(__file__).parents[1] / "fixtures/format1.zarr"


def validator(name=None):
    schema = SCHEMA if name is None else {"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]}
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    path = tmp_path_factory.mktemp("convention") / "s.zarr"
    make(path)
    return path


@pytest.fixture(params=["new", "first release"])
def path(request, new):
    return new if request.param == "new" else FIXTURE


def document(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_real_stores_fit_the_schema(path):
    validator().validate(document(path / "zarr.json"))
    arrays = 0
    for split in document(path / "zarr.json")["attributes"]["spikeprep"]["samples"]:
        validator("spikes").validate(document(path / split / "spikes/zarr.json"))
        for name in ("steps", "labels", "counts", "ids"):
            validator("sample_array").validate(document(path / split / name / "zarr.json"))
            arrays += 1
    assert arrays == 8
    if (path / "manifest.json").exists():
        validator("manifest").validate(document(path / "manifest.json"))


def changes():
    yield from ({key: None} for key in ("format", "recipe", "chain", "seed", "dt", "unit_shape", "classes"))
    yield from ({key: None} for key in ("source", "samples", "complete", "version"))
    yield from (
        {"dt": 0},
        {"dt": "1 ms"},
        {"seed": -1},
        {"seed": 2**64},
        {"unit_shape": []},
        {"unit_shape": [0]},
    )
    yield from (
        {"classes": []},
        {"classes": [""]},
        {"samples": {}},
        {"samples": {"a/b": 1}},
        {"samples": {".a": 1}},
    )
    yield from ({"format": 2}, {"contents": "sha256:1"}, {"copies": 0}, {"complete": "yes"})


@pytest.mark.parametrize("change", list(changes()), ids=str)
def test_what_the_reader_refuses_the_schema_refuses(new, change):
    root = document(new / "zarr.json")
    changed = copy.deepcopy(root)
    for key, value in change.items():
        if value is None:
            del changed["attributes"]["spikeprep"][key]
        else:
            changed["attributes"]["spikeprep"][key] = value
    with pytest.raises(StoreError):
        parse_attributes("s.zarr", json.dumps(changed).encode())
    assert not validator().is_valid(changed)


def test_the_page_the_schema_and_the_package_name_one_convention():
    page = (ROOT / "docs/store-format.md").read_text(encoding="utf-8")
    assert CONVENTION["uuid"] in page
    assert CONVENTION["schema_url"] == SCHEMA["$id"]
    assert CONVENTION["uuid"] in (ROOT / "docs/store-format.schema.json").read_text(encoding="utf-8")


def files(path):
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}


@pytest.fixture
def former(monkeypatch, tmp_path):
    """A store of before the convention."""
    from spikeprep.store import existing, writer
    from spikeprep.store.attributes import root_document

    with monkeypatch.context() as patch:
        for module in (existing, writer):
            patch.setattr(
                module,
                "root_document",
                lambda attributes, *, convention=True: root_document(attributes, convention=False),
            )
        make(tmp_path / "former.zarr")
    return tmp_path / "former.zarr"


def test_new_stores_name_the_convention_and_former_ones_are_read(new, former):
    from spikeprep.store import SpikeStore, verify

    assert document(new / "zarr.json")["attributes"]["zarr_conventions"] == [CONVENTION]
    assert "zarr_conventions" not in document(former / "zarr.json")["attributes"]
    assert verify(former).ok
    one, other = SpikeStore.open(new), SpikeStore.open(former)
    assert one.attributes == other.attributes  # the digest of spikes and labels is the same
    assert one.digest() != other.digest()


@pytest.mark.parametrize("damage", ["a shard", "zarr.json", "zarr.json, a bit", "manifest.json"])
@pytest.mark.parametrize("kind", ["new", "former"])
def test_repair_keeps_the_bytes_of_either(kind, damage, former, tmp_path):
    path = former
    if kind == "new":
        path = tmp_path / "new.zarr"
        make(path)
    before = files(path)
    name = "train/spikes/c/0/0/0" if damage == "a shard" else damage.split(",")[0]
    data = bytearray((path / name).read_bytes())
    if damage == "zarr.json, a bit":
        data[data.index(b'"dt"') + 8] ^= 1
    else:
        del data[len(data) // 2 :]
    (path / name).write_bytes(data)
    finish(path, repair=True)
    assert files(path) == before
