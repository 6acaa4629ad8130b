from __future__ import annotations

import pytest

from spikeprep.errors import RunError
from spikeprep.train.journal import Journal


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"event": "start"})
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


def test_what_a_checkpoint_does_not_know_of_is_forgotten(journal):
    size, whole = journal.size(), journal.records()
    journal.append({"event": "epoch", "epoch": 3})
    journal.truncate(size)
    assert journal.records() == whole


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
