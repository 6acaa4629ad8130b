from __future__ import annotations

import errno
import io
import sys
import threading
import types

import pytest

from spikeprep import compilation
from spikeprep import progress as module
from spikeprep.progress import Progress, Silent, progress_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def notebook(monkeypatch):
    """The outputs of a notebook's cell: a list of (html, plain) in the order of the updates."""
    shown = []

    class Handle:
        def update(self, data, raw):
            assert raw
            shown.append((data["text/html"], data["text/plain"]))

    def display(data, raw, display_id):
        assert raw and display_id  # noqa: PT018
        Handle().update(data, raw)
        return Handle()

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    return shown


def work(progress, clock, seconds=20, per_second=50, first=0):
    with progress:
        progress(first, 1000)
        for _ in range(seconds):
            clock.now += 1
            first += per_second
            progress(first, 1000)


def test_elsewhere_a_line_every_few_seconds(clock):
    work(Progress("encode", stream=(stream := io.StringIO())), clock)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "encode: 250 of 1,000 samples, 50/s, 15.0 s left"
    assert lines[-1] == "encode: 1,000 of 1,000 samples, 50/s, 0.0 s left"
    assert len(lines) == 4  # after 5, 10, 15 and 20 seconds


def test_on_a_terminal_a_bar_in_one_line(clock):
    work(Progress("encode", stream=(stream := Terminal())), clock)
    text = stream.getvalue()
    assert "\n" not in text
    assert text.endswith(" \r")  # the bar is removed at the end
    assert "\x1b" not in text
    assert " 50%  500 of 1,000 samples, 50/s, 10.0 s left" in text
    assert "█░" in text


def test_in_a_notebook_one_output_is_updated(clock, notebook):
    progress = Progress("train")
    progress.note("epoch 1 <best>")
    work(progress, clock)
    texts = [plain for _, plain in notebook]
    assert texts[0] == "epoch 1 <best>"
    assert "epoch 1 <best>\ntrain 50% 500 of 1,000 samples, 50/s, 10.0 s left" in texts
    assert texts[-1] == "epoch 1 <best>"  # the bar is removed at the end, the notes stay
    pages = [page for page, _ in notebook]
    assert "<pre>epoch 1 &lt;best&gt;</pre>" in pages[0]
    assert '<progress max="1" value="0.500">' in "".join(pages)


def test_a_notebook_keeps_the_last_lines(notebook):
    progress = Progress("train")
    for epoch in range(100):
        progress.note(f"epoch {epoch}")
    lines = notebook[-1][1].splitlines()
    assert lines == ["… 60 earlier lines", *(f"epoch {epoch}" for epoch in range(60, 100))]


def test_a_stream_is_used_in_a_notebook_too(clock, notebook):
    work(Progress("encode", stream=(stream := io.StringIO())), clock)
    assert len(stream.getvalue().splitlines()) == 4
    assert notebook == []


def test_ipython_without_a_kernel_is_no_notebook(notebook, monkeypatch, capsys):
    sys.modules["IPython"].get_ipython = lambda: None
    Progress("train").note("epoch 1")
    assert (notebook, capsys.readouterr().err) == ([], "epoch 1\n")


def test_samples_of_an_earlier_run_do_not_count_in_the_rate(clock):
    work(Progress("encode", stream=(stream := io.StringIO())), clock, seconds=10, first=500)
    assert stream.getvalue().splitlines()[0] == "encode: 750 of 1,000 samples, 50/s, 5.0 s left"


def test_finished_work_shows_nothing(clock, notebook):
    work(Progress("encode", stream=(stream := io.StringIO())), clock, seconds=0, first=1000)
    work(Progress("encode"), clock, seconds=0, first=1000)
    assert (stream.getvalue(), notebook) == ("", [])


def test_the_rate_forgets_a_slow_start(clock):
    with Progress("encode", stream=(stream := io.StringIO())) as progress:
        progress(0, 10_000)
        clock.now += 60  # compiling
        for done in range(100, 4000, 100):
            clock.now += 1
            progress(done, 10_000)
    assert ", 100/s, " in stream.getvalue().splitlines()[-1]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_an_error_gets_a_line_of_its_own(clock, stream):
    def fail():
        with Progress("encode", stream=stream) as progress:
            progress(0, 10)
            clock.now += 1
            progress(5, 10)
            raise ValueError("oh")

    with pytest.raises(ValueError, match="oh"):
        fail()
    assert stream.getvalue() == "" or stream.getvalue().endswith(" \r")


def screen(text: str) -> list[str]:
    """Return the lines that a terminal shows."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_a_note_stands_above_the_bar(clock):
    progress = Progress("train", stream=(stream := Terminal()))
    progress.note("epoch 1: 97 %")
    clock.now += 1
    progress(1, 4)
    clock.now += 1
    progress(2, 4)
    bar = "train ███████████████░░░░░░░░░░░░░░░  50%  2 of 4 samples, 1/s, 2.0 s left"
    assert screen(stream.getvalue()) == ["epoch 1: 97 %", bar]
    progress.note("epoch 2: 98 %")
    assert screen(stream.getvalue()) == ["epoch 1: 97 %", "epoch 2: 98 %", ""]


@pytest.mark.parametrize("width", [1, 8, 30, 45, 60, 200])
def test_a_bar_fits_its_terminal(clock, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    work(Progress("encode", stream=(stream := Terminal())), clock)
    lines = [line.rstrip(" ") for line in stream.getvalue().split("\r")]
    assert max(map(len, lines)) <= width - 1
    if width >= 30:
        assert any(line.startswith("encode") for line in lines)
    assert any("█" in line for line in lines) == (width >= 60)


def test_a_bar_in_a_terminal_without_its_characters(clock):
    class Ascii(Terminal):
        encoding = "ascii"

    work(Progress("encode", stream=(stream := Ascii())), clock)
    assert "encode ####" in stream.getvalue()
    assert stream.getvalue().isascii()


def test_a_terminal_that_cannot_go_back_gets_lines(clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    work(Progress("encode", stream=(stream := Terminal())), clock)
    assert len(stream.getvalue().splitlines()) == 4


@pytest.fixture
def compile_clock(monkeypatch, clock):
    """The seconds of compiling so far, which a test sets."""

    class Compiled:
        seconds = 0.0

    monkeypatch.setattr(module.compilation, "seconds", lambda: Compiled.seconds)
    return Compiled


def test_compiling_is_shown_and_does_not_count_as_speed(clock, compile_clock):
    with Progress("train", stream=(stream := io.StringIO())) as progress:
        progress(0, 1000)
        clock.now += 60
        compile_clock.seconds = 58.5
        progress(100, 1000)
    assert stream.getvalue().splitlines() == [
        "train: 100 of 1,000 samples, 67/s, 13.5 s left",  # 1.5 seconds of work
        "compiled in 58.5 s, once; not counted as speed",
    ]


def test_compiling_that_takes_longer_is_shown_meanwhile(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    shown = threading.Event()

    class Stream(io.StringIO):
        def flush(self):
            shown.set()

    with Progress("train", stream=(stream := Stream())), compilation.compiling():
        assert shown.wait(10)
    assert stream.getvalue().startswith("train: compiling, once: ")


def test_short_compilations_are_not_shown():
    with Progress("train", stream=(stream := io.StringIO())) as progress, compilation.compiling():
        progress(0, 10)
    assert stream.getvalue() == ""


def test_the_argument_progress_of_the_functions(capsys):
    calls = []
    with progress_for(lambda done, total: calls.append((done, total)), "encode") as show:
        show(3, 7)
        show.note("a note")
    with progress_for(False, "encode") as show:
        show(3, 7)
        show.note("a note")
    assert calls == [(3, 7)]
    assert capsys.readouterr() == ("", "")
    assert {type(progress_for(value, "encode")) for value in (None, True)} == {Progress}
    assert type(progress_for(False, "encode")) is Silent


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_stream_that_takes_no_more_does_not_end_the_work(clock, kind):
    class Full(kind):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    progress = Progress("encoding", stream=Full())
    progress.note("a note")
    work(progress, clock)
    assert progress._done == 1000
