from __future__ import annotations

import json

import numpy as np
import pytest
from spikeprep_cli.options import emit_json, in_words, parse_settings, size, table

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


def test_json_is_never_more_than_json():
    with pytest.raises(ValueError, match="JSON"):
        emit_json({"a": float("nan")})


def test_table_aligns_columns():
    rows = [("split", "samples"), ("train", "60,000"), ("test", "1")]
    assert table(rows, "lr") == "  split  samples\n  train   60,000\n  test         1"
    assert table(rows, indent=0).splitlines()[-1] == "test   1"
    assert table([]) == ""


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 B"), (999, "999 B"), (4481, "4.48 kB"), (2_500_000, "2.5 MB"), (3e13, "30 TB")]
)
def test_size(n, text):
    assert size(n) == text


def test_settings_in_words():
    assert in_words({"steps": 400, "rate": 1 / 5.5, "path": ""}) == "steps=400, rate=0.181818, path=''"
