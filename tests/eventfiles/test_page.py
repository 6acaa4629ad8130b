"""The page about event files: its code runs, and its tables have every format and setting."""

from __future__ import annotations

import dataclasses
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeprep.data import Events
from spikeprep.errors import DataError, PluginError, UsageError, warn_once
from spikeprep.eventfiles import ChangedEvents, detect, read, write
from spikeprep.eventfiles.writing import writable_formats
from spikeprep.registry import EVENT_FORMATS
from spikeprep.sources.event_recordings import event_suffixes
from spikeprep.testing import check_event_format

from . import writing
from .test_formats import FORMS, recording

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Leave no registered format behind."""
    monkeypatch.setattr(EVENT_FORMATS, "_registered", {})


def test_the_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    events = recording(FORMS["nmnist"], 1500)
    Path("00001.bin").write_bytes(writing.nmnist_bytes(events))
    names = module(monkeypatch, "page")
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):  # the second continues the first
        exec(compile(block, "docs/events.md", "exec", dont_inherit=True), names)
        assert len(names["events"].array) == 1500
    assert names["changed"] == []
    assert Path("a.tiny").stat().st_size == 8 + 1500 * 13


def test_every_format_and_option_is_there():
    for name in EVENT_FORMATS.names():
        assert f"\n| `{name}` |" in PAGE, name
        for field in dataclasses.fields(EVENT_FORMATS.get(name)):
            assert f"`{field.name}`" in PAGE or f"`{field.name}=" in PAGE, (name, field.name)


def test_every_writer_and_option_is_there():
    section = PAGE.partition("## Writing")[2].partition("## Converting")[0]
    for name, writer in writable_formats().items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", section, re.MULTILINE)
        assert f"`{writer.extensions[0]}`" in row
        for field in dataclasses.fields(writer):
            assert f"`{field.name}`" in row or f"`{field.name}=" in row, (name, field.name)


def module(monkeypatch: pytest.MonkeyPatch, name: str) -> dict[str, Any]:
    """Return the names of a new module: classes are pickled by it."""
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    return vars(sys.modules[name])


def tiny(monkeypatch: pytest.MonkeyPatch, old: str = "", new: str = "") -> Any:
    """Register the page's example of a format, with a text in it replaced; return it."""
    (code,) = re.findall(r"```python\n(import struct.*?)```", PAGE, re.DOTALL)
    assert old in code
    names = module(monkeypatch, "tiny_format")
    exec(compile(code.replace(old, new), "docs/events.md", "exec", dont_inherit=True), names)
    return names["Tiny"]


def tiny_file(folder: Path, length: int | None = None) -> tuple[Path, np.ndarray]:
    events = recording(FORMS["nmnist"], 25)
    events["t"] -= events["t"][0]
    head = b"TINY" + bytes([34, 0, 34, 0])
    record = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
    path = folder / "a.tiny"
    rows = np.empty(len(events), record)
    for name in record.names:
        rows[name] = events[name]
    path.write_bytes((head + rows.tobytes())[:length])
    return path, events


END = PAGE[
    PAGE.index("    def incomplete_end(self)") : PAGE.index("@dataclass(frozen=True)\nclass TinyWriter")
]


def test_the_example_refuses_a_file_that_is_cut_within_a_record(tmp_path, monkeypatch):
    form = tiny(monkeypatch)
    path, events = tiny_file(tmp_path)
    check_event_format(form(), path, events)
    tiny_file(tmp_path, 8 + 13 * 7 + 5)
    with pytest.raises(DataError, match="is truncated: its last record has 5 of 13 bytes"):
        read(path)
    with pytest.warns(ChangedEvents, match="its last record has 5 of 13 bytes: left out"):
        assert len(read(path, invalid="drop").array) == 7


def test_a_decoder_that_does_not_look_at_the_end_fails_the_check(tmp_path, monkeypatch):
    form = tiny(monkeypatch, END, '    def incomplete_end(self):\n        return ""\n\n\n')
    path, events = tiny_file(tmp_path)
    words = r"the first 332 bytes of a\.tiny, which end within a record, give 24 events and no error"
    with pytest.raises(AssertionError, match=words):
        check_event_format(form(), path, events)


def test_a_decoder_without_an_answer_about_the_end_reads_nothing(tmp_path, monkeypatch):
    tiny(monkeypatch, END, "\n\n")
    path, _ = tiny_file(tmp_path)
    with pytest.raises(
        PluginError, match=r"the event format 'tiny' raised TypeError: .*incomplete_end.*; expected a decoder"
    ):
        read(path)


WRITER = 'class TinyWriter(EventWriter):\n    name = "tiny"\n'
FORMAT = '    title = "Tiny"\n    extensions = (".tiny",)\n    begins'
LACKS = {
    (WRITER, "class TinyWriter(EventWriter):\n"): "a writer, tiny_format.TinyWriter, which lacks name",
    (WRITER, WRITER.replace("tiny", "small")): "a writer with name = 'small'; expected the format's: 'tiny'",
    ('    extensions = (".tiny",)\n\n', ""): "TinyWriter, which lacks extensions",
    ('(".tiny",)\n\n', '".tiny"\n\n'): r"TinyWriter, which has extensions = '\.tiny'; expected a tuple",
    ('(".tiny",)\n\n', "()\n\n"): "TinyWriter, which has no extensions",
    ("def write(self", "def writes(self"): "which lacks write; expected every method of EventWriter",
    (
        "writer = TinyWriter",
        "writer = TinyDecoder",
    ): "has the writer <class .*TinyDecoder'>; expected a class",
    ('begins = (b"TINY",)', 'begins = b"TINY"'): "has begins = b'TINY'; expected a tuple of the bytes",
    ('begins = (b"TINY",)', 'begins = ("TINY",)'): r"has begins = \('TINY',\); expected a tuple of the bytes",
    (FORMAT, "    begins"): "'tiny' to register lacks extensions, title",
    (FORMAT, FORMAT.replace("(", "[").replace(",)", "]")): r"has extensions = \['.tiny'\]; expected a tuple",
}


@pytest.mark.parametrize(("change", "words"), LACKS.items())
def test_a_format_that_lacks_something_is_refused_with_what_it_lacks(monkeypatch, change, words):
    with pytest.raises(PluginError, match=words):
        tiny(monkeypatch, *change)


def test_a_format_that_cannot_say_what_it_matches_is_passed_over(tmp_path, monkeypatch):
    warn_once.cache_clear()
    tiny(monkeypatch, 'begins = (b"TINY",)', "begins = ()")
    monkeypatch.setattr(sys.modules["tiny_format"].Tiny, "matches", classmethod(lambda cls, head: 1 / 0))
    events = Events.of(recording(FORMS["nmnist"], 25), (34, 34))
    path = write(tmp_path / "a.dat", events).path
    with pytest.warns(UserWarning, match=r"tiny_format\.Tiny\.matches raised ZeroDivisionError.*passed over"):
        assert len(read(path).array) == 25
    assert len(read(path).array) == 25


def test_a_decoder_that_has_more_events_than_it_says(tmp_path, monkeypatch):
    tiny(monkeypatch, "return self.count\n", "return self.count - 5\n")
    path, _ = tiny_file(tmp_path)
    words = r"a\.tiny has more events than the 20 that max_events\(\) of the event format tiny says"
    with pytest.raises(PluginError, match=words):
        read(path)


def test_a_broken_package_breaks_no_other_format(tmp_path, monkeypatch):
    info = tmp_path / "tinies-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tinies\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[spikeprep.event_formats]\ntiny = tiny_module:Tiny\n")
    (code,) = re.findall(r"```python\n(import struct.*?)```", PAGE, re.DOTALL)
    code = code.replace("@spikeprep.register\n", "").replace(WRITER, "class TinyWriter(EventWriter):\n")
    (tmp_path / "tiny_module.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    detect._formats.cache_clear()
    lacks = "'tiny' of tinies has a writer, tiny_module.TinyWriter, which lacks name"
    try:
        events = read(write(tmp_path / "a.dat", Events.of(recording(FORMS["nmnist"], 25), (34, 34))).path)
        for call in (
            lambda: write(tmp_path / "b.tiny", events, format="tiny"),
            lambda: read(tmp_path / "a.dat", format="tiny"),
        ):
            with pytest.raises(PluginError, match=lacks):
                call()
        for ending in ("xyz", "tiny"):
            with pytest.raises(
                UsageError, match=f"has the ending of no format.*One format cannot be used: .*{lacks}"
            ):
                write(tmp_path / f"b.{ending}", events)
        assert ".dat" in event_suffixes()
    finally:
        detect._formats.cache_clear()
