"""The page about event files: its code runs, and its tables have every format and setting."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from spikeprep.eventfiles.writing import writable_formats
from spikeprep.registry import EVENT_FORMATS

from . import writing
from .test_formats import FORMS, recording

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    events = recording(FORMS["nmnist"], 1500)
    Path("00001.bin").write_bytes(writing.nmnist_bytes(events))
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):  # the second continues the first
        exec(compile(block, "docs/events.md", "exec", dont_inherit=True), names)
        assert len(names["events"].array) == 1500
    assert names["changed"] == []


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
