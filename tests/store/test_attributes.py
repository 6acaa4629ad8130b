"""Attributes and Zarr metadata are checked where they are read: an error names the file and the key."""

import copy
import json
import random

import numpy as np
import pytest

from spikeprep.errors import SpikeprepError, StoreError
from spikeprep.store import SpikeStore, SpikeWriter, verify
from spikeprep.store.documents import check, parse_json
from spikeprep.store.zarr_metadata import SpikesMetadata

from .stores import ATTRIBUTES, LAYOUTS, make, unbind


@pytest.fixture
def path(tmp_path):
    """A store that no manifest binds, so that its documents are read whatever they say."""
    make(tmp_path / "s.zarr")
    unbind(tmp_path / "s.zarr")
    return tmp_path / "s.zarr"


def edit(file, keys, value):
    """Set (or with ... remove) one value of a JSON document."""
    document = json.loads(file.read_text())
    place = document
    for key in keys[:-1]:
        place = place[key]
    if value is ...:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    file.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", ..., r"lacks the key attributes\.spikeprep\.seed"),
        ("seed", -1, r"attributes\.spikeprep\.seed is -1; expected int >= 0"),
        ("seed", 1.0, r"attributes\.spikeprep\.seed is 1\.0; expected int"),
        ("seed", 1 << 64, r"attributes\.spikeprep\.seed is 18446744073709551616; expected below 2⁶⁴"),
        ("dt", 0, r"attributes\.spikeprep\.dt is 0; expected float > 0"),
        ("dt", -0.001, r"attributes\.spikeprep\.dt is -0\.001"),
        ("dt", "1 ms", r"attributes\.spikeprep\.dt is '1 ms'; expected float"),
        ("dt", float("nan"), r"not valid JSON \(NaN"),
        ("unit_shape", [], r"attributes\.spikeprep\.unit_shape is \[\]"),
        ("unit_shape", [2, "3"], r"attributes\.spikeprep\.unit_shape\[1\] is '3'; expected int"),
        ("unit_shape", [2, 0], r"attributes\.spikeprep\.unit_shape\[1\] is 0; expected int >= 1"),
        ("classes", [], r"attributes\.spikeprep\.classes is \[\]"),
        ("classes", ["a", 2, "c"], r"attributes\.spikeprep\.classes\[1\] is 2; expected str"),
        ("classes", ["a", ""], r"attributes\.spikeprep\.classes\[1\] is ''"),
        ("classes", "abc", r"attributes\.spikeprep\.classes is 'abc'; expected array"),
        ("chain", [3], r"attributes\.spikeprep\.chain\[0\] is 3; expected object"),
        ("samples", {}, r"attributes\.spikeprep\.samples"),
        ("samples", {"train": -1}, r"attributes\.spikeprep\.samples\[\.\.\.\]"),
        ("samples", {"../x.zarr/train": 10}, r"the split '\.\./x\.zarr/train'; expected .* slashes"),
        ("complete", "yes", r"attributes\.spikeprep\.complete is 'yes'; expected bool"),
        ("source", None, r"attributes\.spikeprep\.source is None; expected object"),
        ("format", "1", r"attributes\.spikeprep\.format is '1'"),
    ],
)
def test_a_wrong_attribute_names_file_and_key(path, key, value, message):
    edit(path / "zarr.json", ["attributes", "spikeprep", key], value)
    with pytest.raises(StoreError, match=rf"s\.zarr/zarr\.json.*{message}"):
        SpikeStore.open(path)


def test_unknown_attributes_are_kept(path):
    edit(path / "zarr.json", ["attributes", "spikeprep", "note"], [1, {"a": None}])
    assert SpikeStore.open(path).attributes["note"] == [1, {"a": None}]


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["shape", 0], 11, r"shape\[0\] is 11; expected 10"),
        (["shape", 1], 7, r"shape\[1\] is 7; expected 6"),
        (["shape", 2], 4, r"shape\[2\] is 4; expected 3"),
        (["shape", 0], "10", r"shape\[0\] is '10'; expected int"),
        (["shape"], [10, 6], r"shape is \[10, 6\]"),
        (["shape"], ..., "lacks the key shape"),
        (["data_type"], "int16", r"data_type is 'int16'"),
        (["zarr_format"], 2, "zarr_format is 2"),
        (["attributes", "max_steps"], ..., r"lacks the key attributes\.max_steps"),
        (["attributes", "max_steps"], 25, r"shape\[2\] is 3; expected 4"),
        (["attributes", "max_steps"], 10**20, "max_steps|shape"),
        (["chunk_grid", "name"], "rectilinear", r"chunk_grid\.name is 'rectilinear'"),
        (["chunk_grid", "configuration", "chunk_shape"], [4, 6], r"chunk_grid\.configuration\.chunk_shape"),
        (["chunk_grid", "configuration", "chunk_shape"], [5, 6, 3], r"chunk_shape\[0\] is 5; expected 6"),
        (["chunk_grid", "configuration", "chunk_shape"], [4, 9, 3], r"chunk_shape\[1\] is 9; expected 6"),
        (["chunk_key_encoding", "configuration", "separator"], ".", r"separator is '\.'"),
        (["codecs"], [], "codecs"),
        (["codecs", 0, "name"], "gzip", r"codecs\[0\]\.name is 'gzip'"),
        (["codecs", 0, "configuration", "chunk_shape"], [2, 6, 2], r"chunk_shape is \(2, 6, 2\)"),
        (["codecs", 0, "configuration", "chunk_shape", 0], 0, r"chunk_shape\[0\] is 0; expected int >= 1"),
        (["codecs", 0, "configuration", "codecs"], [{"name": "bytes"}], "then crc32c"),
        (["codecs", 0, "configuration", "codecs", 1, "name"], "gzip", "'gzip'.*then crc32c"),
        (["codecs", 0, "configuration", "index_codecs"], [], "index_codecs is"),
        (["codecs", 0, "configuration", "index_location"], "start", "index_location is 'start'"),
    ],
)
def test_wrong_metadata_of_spikes_names_file_and_key(path, keys, value, message):
    edit(path / "train/spikes/zarr.json", keys, value)
    store = SpikeStore.open(path)
    with pytest.raises(StoreError, match=rf"s\.zarr/train/spikes/zarr\.json.*{message}"):
        store["train"]
    problems = verify(path).problems
    assert [(problem.split, problem.samples) for problem in problems] == [("train", tuple(range(10)))]
    assert len(store["test"]) == 5


def test_a_number_of_samples_that_cannot_be(path):
    edit(path / "zarr.json", ["attributes", "spikeprep", "samples", "train"], 10**30)
    problem = verify(path).problems[0]
    assert str(problem).startswith("train, samples all: ")
    assert "shape[0] is 10; expected 1000000" in problem.what


def test_unit_shape_that_does_not_match_the_arrays(path):
    edit(path / "zarr.json", ["attributes", "spikeprep", "unit_shape"], [2, 4])
    with pytest.raises(StoreError, match=r"shape\[1\] is 6; expected 8"):
        SpikeStore.open(path)["train"]


def test_labels_and_steps_out_of_range_are_refused_when_first_read(path):
    import zarr

    group = zarr.open_group(path, mode="r+")
    group["train/labels"][5] = 3
    group["test/labels"][2] = -1
    group["test/steps"][1] = 22
    store = SpikeStore.open(path)
    with pytest.raises(StoreError, match=r"train/labels: sample 5 has 3; expected 0 to 2"):
        _ = store["train"].labels
    with pytest.raises(StoreError, match=r"test/labels: sample 2 has -1"):
        _ = store["test"].labels
    with pytest.raises(StoreError, match=r"test/steps: sample 1 has 22; expected at most 21"):
        _ = store["test"].steps


def test_a_writer_checks_its_attributes(tmp_path):
    for key, value in [("dt", 0), ("classes", []), ("unit_shape", "8"), ("seed", -1)]:
        with pytest.raises(StoreError, match=rf"attributes\.spikeprep\.{key} .*Correct"):
            SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES | {key: value}, LAYOUTS)
    assert not (tmp_path / "s.zarr").exists()


def leaves(value, keys=()):
    """Every place in a JSON value."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*keys, key))
    if keys:
        yield keys


VALUES = [
    None,
    True,
    -1,
    0,
    1,
    7,
    2**31,
    10**30,
    0.5,
    1e300,
    "",
    "x",
    "../y",
    [],
    [0],
    [[]],
    {},
    {"a": 1},
    ...,
]


@pytest.mark.parametrize("file", ["zarr.json", "train/spikes/zarr.json"])
def test_any_changed_value_is_read_or_refused(path, file):
    """Every place of the document, every kind of value: our own error or a store that reads; nothing else."""
    original = json.loads((path / file).read_text())
    rng = random.Random(0)
    refused = 0
    for keys in leaves(original):
        for value in rng.sample(VALUES, 6):
            (path / file).write_text(json.dumps(copy.deepcopy(original)))
            edit(path / file, list(keys), value)
            try:
                store = SpikeStore.open(path, incomplete=True)
                for reader in (store[split] for split in store):
                    reader.packed(slice(None))
                    assert reader.counts.shape == (len(reader),)
            except SpikeprepError:
                refused += 1
    assert refused > 50


def test_any_changed_byte_is_read_or_refused(path):
    rng = np.random.default_rng(0)
    for file in (path / "zarr.json", path / "train/spikes/zarr.json"):
        original = file.read_bytes()
        for at in rng.integers(0, len(original), 150):
            data = bytearray(original)
            data[at] = rng.integers(256)
            file.write_bytes(data)
            try:
                store = SpikeStore.open(path, incomplete=True)
                for split in store:
                    store[split].packed(slice(None))
            except SpikeprepError:
                pass
        file.write_bytes(original)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[" * 100_000, b"{", b'{"a": Infinity}'])
def test_what_is_no_json(data):
    with pytest.raises(StoreError, match=r"/x/zarr\.json is not valid JSON.*Fix it"):
        parse_json("/x/zarr.json", data, "Fix it.")


def test_a_long_value_is_cut_short():
    with pytest.raises(StoreError, match=r"the document is 'x{50,60}…; expected object"):
        check("f", "x" * 500, SpikesMetadata, "")
