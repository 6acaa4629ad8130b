from __future__ import annotations

import pytest

from spikeprep.text import format_bytes, format_duration, format_settings, html_table, samples_by_split, table


def test_table_aligns_columns():
    rows = [("split", "samples"), ("train", "60,000"), ("test", "1")]
    assert table(rows, "lr") == "  split  samples\n  train   60,000\n  test         1"
    assert table(rows, indent=0).splitlines()[-1] == "test   1"
    assert table([]) == ""


def test_table_counts_columns_and_not_characters():
    rows = [("猫", "1"), ("Müller", "2"), ("e\N{COMBINING ACUTE ACCENT}", "3")]
    assert table(rows, indent=0) == "猫      1\nMüller  2\ne\N{COMBINING ACUTE ACCENT}       3"


def test_a_table_that_fits_is_as_it_would_be():
    rows = [("split", "samples"), ("train", "60,000")]
    assert table(rows, width=16) == table(rows)


def test_long_texts_go_on_in_further_lines():
    rows = [("bsa", "every channel on its own"), ("dvs", "events in bins")]
    expected = ["  bsa  every channel on", "       its own", "  dvs  events in bins"]
    assert table(rows, width=22).splitlines() == expected
    assert table([("a", "unbreakable" * 3)], indent=0, width=5).splitlines() == [
        "a  unbreakableunbre",
        "   akableunbreakabl",
        "   e",
    ]


def test_columns_that_do_not_fit_follow_below():
    rows = [("true", "zero", "one", "two"), ("zero", "10", "0", "3")]
    text = table(rows, "lr", width=17)
    assert text.splitlines() == ["  true  zero  one", "  zero    10    0", "", "  true  two", "  zero    3"]
    assert table(rows, "lr", width=1).count("\n\n") == 2  # a column is never cut


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 B"), (999, "999 B"), (4481, "4.48 kB"), (2_500_000, "2.5 MB"), (3e13, "30 TB")]
)
def test_bytes(n, text):
    assert format_bytes(n) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (4.21, "4.2 s"), (59.96, "1:00"), (187, "3:07"), (7387, "2:03:07"), (3599.7, "1:00:00")],
)
def test_duration(seconds, text):
    assert format_duration(seconds) == text


def test_settings():
    assert format_settings({"steps": 400, "rate": 1 / 5.5, "path": ""}) == "steps=400, rate=0.181818, path=''"


def test_samples_by_split():
    assert samples_by_split({"train": 1442, "test": 355}) == "1,442 train + 355 test samples"


def test_html_table_escapes_what_it_shows():
    page = html_table([("class", "samples"), ("<b>", "3")], "a & b")
    assert page == (
        "<table><caption>a &amp; b</caption><tr><th>class</th><th>samples</th></tr>"
        "<tr><td>&lt;b&gt;</td><td>3</td></tr></table>"
    )
