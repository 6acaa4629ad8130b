import pytest

from spikeprep.errors import (
    CapabilityError,
    DataError,
    RunError,
    SpikeprepError,
    StoreError,
    UsageError,
    near_miss,
)


def test_a_message_has_what_was_found_what_was_expected_and_the_fix():
    error = DataError("train.idx has 3 dimensions", "1", "Name the label file.")
    assert str(error) == "train.idx has 3 dimensions; expected 1. Name the label file."
    assert (error.got, error.expected, error.hint) == (
        "train.idx has 3 dimensions",
        "1",
        "Name the label file.",
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("no store here",), "no store here."),
        (("no store here.",), "no store here."),
        (("no store here", "", "Make one."), "no store here. Make one."),
        (("got 3", "at least 4"), "got 3; expected at least 4."),
    ],
)
def test_parts_that_are_left_out_leave_no_trace(parts, message):
    assert str(StoreError(*parts)) == message


@pytest.mark.parametrize("kind", [UsageError, DataError, StoreError, RunError, CapabilityError])
def test_every_error_is_a_spikeprep_error_and_no_other_kind(kind):
    assert issubclass(kind, SpikeprepError)
    assert kind.__mro__[1] is SpikeprepError


def test_near_miss_names_the_nearest():
    assert near_miss("poison", ["poisson", "lyon"]) == "Did you mean 'poisson'?"


def test_near_miss_lists_all_where_none_is_near():
    assert near_miss("xyz", ["poisson", "lyon"]) == "Known: lyon, poisson."
    assert near_miss("xyz", []) == "None are known."
