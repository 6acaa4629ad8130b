from __future__ import annotations

import json

import numpy as np
import pytest
from spikeprep_cli.options import emit_json, parse_settings

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
