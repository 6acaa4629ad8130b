from __future__ import annotations

import io

import pytest
from spikeprep_cli import progress as room
from spikeprep_cli.progress import Progress, clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clockwork(monkeypatch):
    """A clock that a test sets."""

    class Clockwork:
        now = 100.0

    monkeypatch.setattr(room.time, "monotonic", lambda: Clockwork.now)
    return Clockwork


def work(stream, clockwork, seconds=20, per_second=50, first=0):
    with Progress("encode", stream=stream) as progress:
        progress(first, 1000)
        for _ in range(seconds):
            clockwork.now += 1
            first += per_second
            progress(first, 1000)
    return stream.getvalue()


def test_elsewhere_a_line_every_few_seconds(clockwork):
    lines = work(io.StringIO(), clockwork).splitlines()
    assert lines[0] == "encode: 250 of 1,000 samples, 50/s, 15.0 s left"
    assert lines[-1] == "encode: 1,000 of 1,000 samples, 50/s, 0.0 s left"
    assert len(lines) == 4  # after 5, 10, 15 and 20 seconds


def test_on_a_terminal_a_bar_in_one_line(clockwork):
    text = work(Terminal(), clockwork)
    assert "\n" not in text
    assert text.endswith("\r\x1b[K")  # and it is gone at the end
    assert " 50%  500 of 1,000 samples, 50/s, 10.0 s left" in text
    assert "█░" in text


def test_what_an_earlier_run_did_counts_in_no_rate(clockwork):
    lines = work(io.StringIO(), clockwork, seconds=10, first=500).splitlines()
    assert lines[0] == "encode: 750 of 1,000 samples, 50/s, 5.0 s left"


def test_nothing_to_do_says_nothing(clockwork):
    assert work(io.StringIO(), clockwork, seconds=0, first=1000) == ""


def test_the_rate_forgets_a_slow_start(clockwork):
    stream = io.StringIO()
    with Progress("encode", stream=stream) as progress:
        progress(0, 10_000)
        clockwork.now += 60  # compiling
        for done in range(100, 4000, 100):
            clockwork.now += 1
            progress(done, 10_000)
    assert ", 100/s, " in stream.getvalue().splitlines()[-1]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_an_error_gets_a_line_of_its_own(clockwork, stream):
    def fail():
        with Progress("encode", stream=stream) as progress:
            progress(0, 10)
            clockwork.now += 1
            progress(5, 10)
            raise ValueError("oh")

    with pytest.raises(ValueError, match="oh"):
        fail()
    assert stream.getvalue() == "" or stream.getvalue().endswith("\r\x1b[K")


def test_a_note_stands_above_the_bar(clockwork):
    stream = Terminal()
    progress = Progress("train", stream=stream)
    progress.note("epoch 1: 97 %")
    assert stream.getvalue() == "\r\x1b[Kepoch 1: 97 %\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (4.21, "4.2 s"), (59.96, "1:00"), (187, "3:07"), (7387, "2:03:07"), (3599.7, "1:00:00")],
)
def test_clock(seconds, text):
    assert clock(seconds) == text
