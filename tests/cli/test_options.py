from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
from spikeprep_cli.options import emit_json, fitting_table, parse_settings

from spikeprep.errors import UsageError


def test_settings_keep_everything_after_the_first_equals_sign():
    assert parse_settings(["poisson.steps=200", " source.path = a=b "]) == {
        "poisson.steps": "200",
        "source.path": "a=b",
    }


def test_the_last_of_equal_settings_counts():
    assert parse_settings(["a.b=1", "a.b=2"]) == {"a.b": "2"}


@pytest.mark.parametrize("wrong", ["poisson.steps", "=3", ""])
def test_a_setting_without_key_or_value_is_refused(wrong):
    with pytest.raises(UsageError, match="KEY=VALUE"):
        parse_settings([wrong])


def test_json_has_plain_numbers(capsys):
    emit_json({"a": np.int64(3), "b": np.float32(0.5), "c": np.arange(2), "d": "Alpaydın"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": 3, "b": 0.5, "c": [0, 1], "d": "Alpaydın"}
    assert "Alpaydın" in out


@pytest.fixture
def output(monkeypatch):
    """Standard output as a stream of an encoding, that of a terminal or not."""

    def replace(encoding: str, terminal: bool) -> io.TextIOWrapper:
        stream = io.TextIOWrapper(io.BytesIO(), encoding)
        stream.isatty = lambda: terminal
        monkeypatch.setattr(sys, "stdout", stream)
        return stream

    return replace


def written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)


def test_json_is_one_line_except_on_a_terminal(output):
    piped = output("utf-8", False)
    emit_json({"a": [1, 2], "b": "x"})
    assert written(piped) == '{"a":[1,2],"b":"x"}\n'
    terminal = output("utf-8", True)
    emit_json({"a": [1, 2]})
    assert written(terminal) == '{\n  "a": [\n    1,\n    2\n  ]\n}\n'


def test_json_where_only_ascii_can_be_written(output):
    stream = output("ascii", False)
    emit_json({"d": "Alpaydın"})
    assert written(stream) == '{"d":"Alpayd\\u0131n"}\n'


def test_tables_fit_a_terminal_and_are_whole_elsewhere(output, monkeypatch):
    monkeypatch.setenv("COLUMNS", "22")
    rows = [("bsa", "every channel on its own")]
    output("utf-8", False)
    assert fitting_table(rows) == "  bsa  every channel on its own"
    output("utf-8", True)
    assert fitting_table(rows) == "  bsa  every channel on\n       its own"


def test_json_is_never_more_than_json():
    with pytest.raises(ValueError, match="JSON"):
        emit_json({"a": float("nan")})
