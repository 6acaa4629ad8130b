from __future__ import annotations

from pathlib import Path

import pytest

from spikeprep.errors import RunError
from spikeprep.train.documents import EPOCH
from spikeprep.train.journal import Journal

START = {"event": "start", "config": {"run_id": "a" * 32}}


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(START)
    for epoch, accuracy in ((1, 0.9), (2, 0.1), (2, 0.95)):
        journal.append({"event": "epoch", "epoch": epoch, "train_accuracy": accuracy})
    return journal


def test_no_journal_has_no_records(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    assert (journal.size(), journal.records(), journal.epochs()) == (0, [], [])


def test_of_an_epoch_run_twice_the_last_counts(journal):
    assert [(r["epoch"], r["train_accuracy"]) for r in journal.epochs()] == [(1, 0.9), (2, 0.95)]
    assert len(journal.records()) == 4


def test_what_a_crash_cut_short_is_passed_over(journal):
    whole = journal.records()
    with journal.path.open("a") as file:
        file.write('{"event": "epo')
    assert journal.records() == whole


def rewind(journal, size=10**6):
    return journal.rewind(
        size, START, [{"event": "epoch", "epoch": 1, "train_accuracy": 0.9}], Path("last.npz")
    )


def test_what_a_checkpoint_does_not_know_of_is_forgotten(journal):
    lines = journal.path.read_bytes().splitlines(keepends=True)
    assert rewind(journal, len(lines[0] + lines[1]) + 3) == ""
    assert journal.path.read_bytes() == lines[0] + lines[1]


def test_epochs_that_a_crash_has_taken_are_added_again(journal):
    whole = journal.path.read_bytes().splitlines(keepends=True)
    for rest in (b"", whole[0], whole[0] + whole[1][:-3]):
        journal.path.write_bytes(rest)
        assert rewind(journal) == ""
        assert journal.path.read_bytes() == whole[0] + whole[1]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("line", [b"}{\n", b'{"event": "epoch", "epoch": 1, "train_accuracy": 1.0}\n'])
def test_a_journal_that_was_edited_is_written_again_with_a_warning(journal, number, line):
    whole = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join([*whole[:number], line, *whole[number + 1 :]]))
    if number == 0 and line[:1] == b"{":
        with pytest.raises(RunError, match="its first record is not the start of one"):
            rewind(journal)
        return
    assert "journal.jsonl" in rewind(journal)
    assert journal.path.read_bytes() == whole[0] + whole[1]


def test_the_journal_of_another_run_is_left_alone(journal):
    before = journal.path.read_bytes()
    with pytest.raises(RunError, match="belongs to another run, 'aaaa"):
        journal.rewind(10**6, {"event": "start", "config": {"run_id": "b" * 32}}, [], Path("last.npz"))
    with pytest.raises(RunError, match="belongs to another run, 'aaaa"):
        journal.epochs("b" * 32)
    assert journal.path.read_bytes() == before


def test_a_damaged_line_is_named(journal):
    lines = journal.path.read_text().splitlines(keepends=True)
    journal.path.write_text("".join([lines[0], "}{\n", *lines[1:]]))
    with pytest.raises(RunError, match="line 2"):
        journal.records()


@pytest.mark.parametrize("line", ["[]", "3", "{}", '{"event": 3}'])
def test_a_line_that_is_no_event_is_named(journal, line):
    with journal.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RunError, match="line 5"):
        journal.records()


def test_epochs_after_a_checkpoint_s(journal):
    """A killed run leaves the next ones, complete and in order; any others are of another origin."""
    complete = dict.fromkeys(EPOCH, 0) | {"event": "epoch"}
    two, three = complete | {"epoch": 2}, complete | {"epoch": 3}
    last = Path("last.npz")
    journal.check_later([], 1, last, 1)
    journal.check_later([complete | {"epoch": 1}, two], 1, last, 1)
    journal.check_later([two, three], 1, last, 2)
    for later, found in (
        ([three], "epoch 3"),
        ([two, three], "epoch 3"),
        ([complete | {"epoch": 99}], "epoch 99"),
        ([{"event": "epoch", "epoch": 2}], "epoch 2 without 'train_accuracy'"),
    ):
        with pytest.raises(RunError, match=rf"journal.jsonl has {found}; expected 1 epoch, as last.npz has"):
            journal.check_later(later, 1, last, 1)
