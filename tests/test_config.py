"""Settings: which values are allowed, how they are kept, described and changed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from spikeprep import config
from spikeprep.config import (
    Count,
    Natural,
    NonNegative,
    Positive,
    Probability,
    Real,
    Setting,
    Settings,
    Share,
)
from spikeprep.errors import UsageError
from spikeprep.registry import ENCODERS, EVENT_FORMATS, SOURCES, TRANSFORMS


@dataclass(frozen=True)
class Optim(Settings):
    """How weights change.

    Attributes
    ----------
    rate
        Step size, per update.
    beta1, beta2
        Decay of the moments,
        each per step.
    """

    rate: Positive = 0.001
    beta1: Share = 0.9
    beta2: Share = 0.999


@dataclass(frozen=True)
class Fit(Settings):
    """All kinds of fields.

    Parameters
    ----------
    name : str
        A label.
    """

    owner: ClassVar[str] = "fit"

    name: str
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    steps: Count = 400
    first: Natural = 0
    tau: Positive | None = None
    mode: Literal["sum", "mean"] = "sum"
    bits: Literal[4, 8] = 8
    sizes: tuple[Count, ...] = (1,)
    window: tuple[Real, Real] = (0.0, 1.0)
    kernels: Annotated[tuple[tuple[float, ...], ...], Meta(min_length=1)] = ((1.0,),)
    shuffle: bool = True
    label: Annotated[str, Meta(min_length=1, max_length=9, pattern="^[a-z]")] | None = None
    slope: float = 1.0
    scale: Annotated[float, Meta(ge=0.125)] = 1.0
    extra: dict[str, float] = field(default_factory=dict)
    optim: Optim = field(default_factory=Optim)


ALLOWED = {
    "name": ["", "a"],
    "seed": [0, (1 << 63) - 1],
    "steps": [1, 10**9],
    "first": [0, 7],
    "tau": [None, 1, 0.5, 1e-300],
    "mode": ["sum", "mean"],
    "bits": [4, 8],
    "sizes": [(), (1, 2)],
    "window": [(0, 1), (-1e308, 2.5)],
    "kernels": [((1.0, 2.0), ()), ((),)],
    "shuffle": [True, False],
    "label": [None, "a", "abcdefghi"],
    "slope": [-1, 0.5],
    "extra": [{}, {"a": 1.5}],
    "optim": [Optim(), Optim(rate=2)],
}
REFUSED = {
    "name": [1, None, b"a"],
    "seed": [-1, 1 << 63, 1 << 64, 1 << 99, 0.0, "0", True, None, math.nan],
    "steps": [0, -1, 1.0, 400.5, "400", True, None, [400]],
    "first": [-1, True],
    "tau": [0, -0.1, math.inf, math.nan, True, "nil", 10**400],
    "mode": ["Sum", None, 0],
    "bits": [5, "8", True],
    "sizes": [(0,), (1.5,), 3, "3", (1, None), None],
    "window": [(1,), (1, 2, 3), (math.nan, 1), (1, -math.inf), ("0", 1)],
    "kernels": [(), (1.0,), ((math.nan,),)],
    "shuffle": [0, 1, "true", None],
    "label": ["", "abcdefghij", "A"],
    "slope": [math.nan, math.inf, -math.inf, True, None],
    "scale": [0.1, math.nan],
    "extra": [{"a": "b"}, {"a": math.inf}, [1]],
    "optim": [None, 3, Fit(name="a")],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in ALLOWED.items() for v in values])
def test_allowed_values_are_kept_as_they_are(name, value):
    kept = getattr(Fit(**{"name": "x"} | {name: value}), name)
    assert kept == value
    assert type(kept) is type(value)


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in REFUSED.items() for v in values])
def test_other_values_are_refused_by_name(name, value):
    with pytest.raises(UsageError, match=rf"got fit\.{name}[.\w]* = .*; expected ."):
        Fit(**{"name": "x"} | {name: value})


def test_all_fields_are_tried():
    names = {*config.hints(Fit)}
    assert set(REFUSED) == names
    assert set(ALLOWED) == names - {"scale"}


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (Count, [1, 2], [0, 1.0]),
        (Natural, [0, 1], [-1, 0.0]),
        (Real, [-1e308, 0, 1e308], [math.inf, -math.inf, math.nan, "0"]),
        (Positive, [5e-324, 1], [0, -1, math.inf, math.nan]),
        (NonNegative, [0, 0.5], [-5e-324, math.inf, math.nan]),
        (Share, [0, 0.999], [1, -0.1, math.nan]),
        (Probability, [1, 5e-324], [0, 1.0001, math.nan]),
    ],
)
def test_named_ranges(kind, inside, outside):
    for value in inside:
        assert config.fitted(value, kind, "x") == value
    for value in outside:
        with pytest.raises(UsageError, match="got x = "):
            config.fitted(value, kind, "x")


def test_lists_become_tuples_at_every_depth_and_the_settings_can_be_hashed():
    fit = Fit(name="x", sizes=[2, 3], window=[0, 1.5], kernels=[[1, 2.5], (3,)])
    assert (fit.sizes, fit.window, fit.kernels) == ((2, 3), (0, 1.5), ((1, 2.5), (3,)))
    assert isinstance(fit.kernels[0], tuple)
    assert hash(Optim(rate=1)) == hash(Optim(rate=1))


def test_an_integer_given_for_a_float_stays_an_integer():
    fit = Fit(name="x", tau=5, window=(0, 1.0), kernels=[[1, 2.0]], extra={"a": 1})
    numbers = [fit.tau, *fit.window, *fit.kernels[0], fit.extra["a"]]
    assert [type(n) for n in numbers] == [int, int, float, int, float, int]


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("steps", np.int32(3), 3),
        ("tau", np.float32(0.5), 0.5),
        ("shuffle", np.True_, True),
        ("sizes", np.array([1, 2]), (1, 2)),
        ("steps", np.array(4), 4),
    ],
)
def test_values_of_numpy_become_those_of_python(name, value, plain):
    kept = getattr(Fit(name="x", **{name: value}), name)
    assert kept == plain
    assert type(kept) is type(plain)
    assert json.dumps(kept) == json.dumps(plain)


def test_none_can_be_written_as_text_where_no_text_is_allowed():
    assert Fit(name="none", tau="none").tau is None
    assert Fit(name="none").name == "none"
    assert Fit(name="x", label="none").label == "none"  # a text there


def test_a_missing_setting_is_named():
    with pytest.raises(UsageError, match="fit lacks the setting 'name'; expected text"):
        Fit.from_json({})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"nam": "x"}, r"fit has no setting 'nam'.*Did you mean 'name'"),
        ({"name": "x", "optim": {"ratee": 1}}, r"Optim has no setting 'optim\.ratee'.*Did you mean 'rate'"),
        ({"name": "x", "optim": {"rate": 0}}, r"got Optim\.rate = 0; expected a number above 0"),
        ({"name": "x", "optim": 3}, r"got optim\. = 3|got optim = 3; expected settings by name"),
        ([1], "expected settings by name"),
    ],
)
def test_mappings_that_do_not_fit(value, message):
    with pytest.raises(UsageError, match=message):
        Fit.from_json(value)


settings = st.builds(
    Fit,
    name=st.text(),
    seed=st.integers(0, (1 << 63) - 1),
    steps=st.integers(1, 1 << 62),
    tau=st.none() | st.floats(1e-300, 1e300) | st.integers(1, 1 << 50),
    mode=st.sampled_from(["sum", "mean"]),
    sizes=st.lists(st.integers(1, 9), max_size=3).map(tuple),
    window=st.tuples(*2 * [st.floats(allow_nan=False, allow_infinity=False)]),
    kernels=st.lists(st.lists(st.floats(-9, 9), max_size=2).map(tuple), min_size=1, max_size=3).map(tuple),
    extra=st.dictionaries(st.text("abc"), st.floats(-1, 1), max_size=2),
    optim=st.builds(Optim, rate=st.floats(1e-9, 1e9), beta1=st.floats(0, 1, exclude_max=True)),
)


@given(settings)
def test_settings_round_trip_through_json(fit):
    tree = json.loads(json.dumps(fit.to_json()))
    again = Fit.from_json(tree)
    assert again == fit
    assert again.to_json() == tree
    assert json.dumps(again.to_json()) == json.dumps(tree)  # types too


@given(settings, settings)
def test_a_copy_with_every_setting_changed_is_the_other_one(one, other):
    changes = {k: v for k, v in config.leaves(other.to_json()).items() if not k.startswith("extra")}
    assert one.override(changes) == Fit.from_json(other.to_json() | {"extra": one.extra})
    assert one.override(config.leaves(one.to_json())) == one


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5),
       st.sampled_from(sorted(REFUSED)))  # fmt: skip
def test_any_value_is_either_refused_or_stored(value, name):
    try:
        fit = Fit.from_json({"name": "x"} | {name: value})
    except UsageError:
        pass
    else:
        assert Fit.from_json(json.loads(json.dumps(fit.to_json(), allow_nan=False))) == fit


def test_changes_are_dotted_or_nested():
    fit = Fit(name="x")
    assert fit.override({"optim.rate": 2}).optim == Optim(rate=2)
    assert fit.override({"optim": {"rate": 2}, "steps": 3}).steps == 3
    assert fit.optim.rate == 0.001
    assert fit.override({"tau": "none"}).tau is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optim.rat": 2}, r"fit has no setting 'optim\.rat'.*Did you mean 'optim\.rate'"),
        ({"steps.more": 2}, r"fit has no setting 'steps\.more'"),
        ({"optim": 3}, r"fit has no setting 'optim'.*Did you mean 'optim\."),
        ({"nothing": 1}, r"fit has no setting 'nothing'.*Known: .*optim\.rate"),
        ({"optim.rate": -1}, r"got Optim\.rate = -1; expected a number above 0"),
    ],
)
def test_changes_that_do_not_fit(changes, message):
    with pytest.raises(UsageError, match=message):
        Fit(name="x").override(changes)


def test_a_class_describes_its_settings():
    described = {setting.name: setting for setting in config.describe(Fit)}
    assert list(described)[-3:] == ["optim.rate", "optim.beta1", "optim.beta2"]
    assert described["name"] == Setting("name", "text", None, "A label.", required=True)
    assert described["optim.rate"] == Setting(
        "optim.rate", "a number above 0", 0.001, "Step size, per update."
    )
    assert described["optim.beta1"].meaning == described["optim.beta2"].meaning
    assert described["optim.beta2"].meaning == "Decay of the moments, each per step."
    assert described["extra"].default == {}
    assert {name: setting.allowed for name, setting in described.items() if "optim" not in name} == {
        "name": "text",
        "seed": "a whole number at least 0 and at most 9223372036854775807",
        "steps": "a whole number at least 1",
        "first": "a whole number at least 0",
        "tau": 'a number above 0 or "none"',
        "mode": '"mean" or "sum"',
        "bits": "4 or 8",
        "sizes": "a list of: a whole number at least 1",
        "window": "a list [a number, a number]",
        "kernels": "a list of at least 1: a list of: a number",
        "shuffle": "true or false",
        "label": 'text of at least 1 and at most 9 characters that matches ^[a-z] or "none"',
        "slope": "a number",
        "scale": "a number at least 0.125",
        "extra": "settings by name",
    }


def test_what_is_documented_is_inherited_and_can_be_replaced():
    @dataclass(frozen=True)
    class Slow(Optim):
        """Small steps.

        Attributes
        ----------
        rate
            Small.

        Notes
        -----
        beta1
            Not a setting's text.
        """

    assert config.documented(Slow) == {"rate": "Small.", "beta1": "Decay of the moments, each per step.",
                                       "beta2": "Decay of the moments, each per step."}  # fmt: skip


def test_every_setting_of_every_plugin_can_be_described():
    for registry in (ENCODERS, TRANSFORMS, SOURCES, EVENT_FORMATS):
        for name in registry.names():
            for setting in config.describe(registry.get(name)):
                assert setting.allowed != "any value", f"{name}.{setting.name}"


def test_cross_checks_of_a_class_come_after_its_ranges():
    @dataclass(frozen=True)
    class Range(Settings):
        """Two ends."""

        low: Real = 0.0
        high: Real = 1.0

        def __post_init__(self):
            super().__post_init__()
            if self.low >= self.high:
                raise ValueError(f"got low {self.low}, high {self.high}; expected low < high")

    with pytest.raises(UsageError, match=r"got Range\.low = nan"):
        Range(low=math.nan)
    with pytest.raises(ValueError, match="expected low < high"):
        Range(low=2)
    with pytest.raises(UsageError, match=r"Range: got low 2, high 1\.0; expected low < high"):
        Range.from_json({"low": 2})  # settings from outside: never a bare ValueError


def test_an_annotation_that_cannot_be_checked_is_named():
    @dataclass(frozen=True)
    class Odd(Settings):
        """Odd."""

        values: list[int] | tuple[int, ...] = ()

    with pytest.raises(
        UsageError, match=r"Odd\.values is declared as .*more than one.*Change the annotation"
    ):
        Odd(values=(1,))

    @dataclass(frozen=True)
    class Wide(Settings):
        """A bound of more than 64 bits, which msgspec cannot compare with."""

        seed: Annotated[int, Meta(lt=1 << 64)] = 0

    with pytest.raises(UsageError, match=r"Wide\.seed is declared as .*int64"):
        Wide()


def test_an_annotation_that_is_not_defined_is_named():
    namespace: dict[str, Any] = {"Settings": Settings, "dataclass": dataclass}
    exec(
        "from __future__ import annotations\n@dataclass(frozen=True)\nclass Late(Settings):\n    x: Missing = 1",
        namespace,
    )
    with pytest.raises(UsageError, match=r"Late names 'Missing'.*Import it at run time"):
        namespace["Late"]()


@pytest.mark.parametrize("settings", ["batch=3", [("batch", 3)], 3])
def test_settings_that_are_no_mapping(settings):
    with pytest.raises(
        UsageError, match=r"got settings = .*; expected names and values. For example: {'batch': 64}"
    ):
        config.leaves(settings)
