"""Plugins by name: built in, installed by another package, or registered in this process."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import FrozenInstanceError, dataclass
from typing import ClassVar

import pytest

from spikeprep.config import Count, Real
from spikeprep.encoders.base import Encoder, Transform
from spikeprep.errors import CapabilityError, UsageError
from spikeprep.eventfiles import EventFormat
from spikeprep.registry import (
    BACKENDS,
    ENCODERS,
    EVENT_FORMATS,
    LAYERS,
    REGISTRIES,
    RULES,
    SOURCES,
    TRANSFORMS,
    Plugin,
    Registry,
    register,
)
from spikeprep.sources.base import Source


@dataclass(frozen=True)
class Blink(Plugin):
    """Blinks."""

    name: ClassVar[str] = "blink"
    steps: Count = 10
    rate: Real = 0.5


def test_a_configuration_round_trips_through_json():
    blink = Blink(steps=3)
    config = json.loads(json.dumps(blink.to_config()))
    assert config == {"name": "blink", "steps": 3, "rate": 0.5}
    assert Blink.from_config(config) == blink


def test_a_plugin_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Blink().steps = 4


def test_an_unknown_setting_is_refused_with_the_near_miss():
    with pytest.raises(UsageError, match=r"blink has no setting 'stepz'.*Did you mean 'steps'"):
        Blink.from_config({"stepz": 3})


def test_a_value_that_does_not_fit_is_a_usage_error():
    with pytest.raises(UsageError, match=r"got blink\.steps = 0; expected a whole number at least 1"):
        Blink.from_config({"steps": 0})


def test_names_import_nothing():
    registry = Registry(
        "thing", "spikeprep.no_such_group", "no_such_module:Base", {"broken": "no_such_module:X"}
    )
    assert registry.names() == ["broken"]


def test_an_unknown_name_is_refused_with_the_near_miss():
    with pytest.raises(UsageError, match=r"unknown encoder 'poison'.*Did you mean 'poisson'"):
        ENCODERS.get("poison")


@pytest.mark.parametrize("config", [{}, {"name": None}, {"steps": 3}])
def test_a_configuration_without_a_name_is_refused(config):
    with pytest.raises(UsageError, match=r"for the encoder; expected its name and settings"):
        ENCODERS.build(config)


def test_groups_and_bases_are_those_of_the_documentation():
    assert [registry.group.removeprefix("spikeprep.") for registry in REGISTRIES] == [
        "encoders", "transforms", "sources", "event_formats", "layers", "rules", "backends"
    ]  # fmt: skip
    assert REGISTRIES == (ENCODERS, TRANSFORMS, SOURCES, EVENT_FORMATS, LAYERS, RULES, BACKENDS)


@pytest.mark.parametrize(
    ("registry", "base"),
    [(ENCODERS, Encoder), (TRANSFORMS, Transform), (SOURCES, Source), (EVENT_FORMATS, EventFormat)],
)
def test_every_built_in_plugin_obeys_its_registry(registry, base):
    assert registry.base is base
    assert registry.base_name == f"{base.__module__}:{base.__qualname__}"  # `register` compares these
    assert registry.names()
    for name in registry.names():
        plugin = registry.get(name)
        registry.check(plugin, name, "")
        assert (plugin.__doc__ or "").strip(), name


# ------------------------------------------------------------ plugins of other packages


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package with encoders, as pip leaves it: modules, and metadata that names the entry points."""

    def install(entry_points: str, package: str = "blinker", **modules: str) -> None:
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[spikeprep.encoders]\n{entry_points}\n")
        for module, source in modules.items():
            (tmp_path / f"{module}.py").write_text(source)
            monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()

    return install


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from spikeprep.encoders import Encoder

@dataclass(frozen=True)
class Blink(Encoder):
    '''Blinks.'''
    name: ClassVar[str] = "blink"
    rate: float = 0.5

Blink.__abstractmethods__ = frozenset()
"""


def test_another_package_adds_a_plugin(installed):
    installed("blink = blinker_ok:Blink", blinker_ok=PLUGIN)
    assert "blink" in ENCODERS.names()
    assert ENCODERS.build({"name": "blink", "rate": 0.25}).to_config() == {"name": "blink", "rate": 0.25}


def test_two_packages_of_one_name_are_both_named(installed):
    installed("poisson = blinker_thief:Blink", blinker_thief=PLUGIN)
    with pytest.raises(
        UsageError, match=r"2 packages offer the encoder 'poisson': spikeprep \(.*\), blinker \("
    ):
        ENCODERS.get("poisson")
    assert ENCODERS.names().count("poisson") == 1
    installed("blink = blinker_a:Blink", "package_a", blinker_a=PLUGIN)
    installed("blink = blinker_b:Blink", "package_b", blinker_b=PLUGIN)
    with pytest.raises(
        UsageError, match=r"package_[ab] \(blinker_[ab]:Blink\), package_[ab] .*Uninstall one"
    ):
        ENCODERS.get("blink")


def test_one_entry_point_that_is_listed_twice_is_one(installed):
    installed("blink = blinker_ok:Blink", blinker_ok=PLUGIN)
    installed("blink = blinker_ok:Blink", "blinker_again")
    assert ENCODERS.get("blink").__module__ == "blinker_ok"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("def broken(:", "SyntaxError: .*"),
        ("Other = 1", "AttributeError: module 'blinker_broken' has no attribute 'Blink'"),
    ],
)
def test_a_plugin_that_cannot_be_imported_names_its_package_and_breaks_no_other(installed, source, reason):
    installed("blink = blinker_broken:Blink", blinker_broken=source)
    message = rf"encoder 'blink' of blinker could not be imported \({reason}\)\. Repair or reinstall blinker"
    with pytest.raises(CapabilityError, match=message):
        ENCODERS.get("blink")
    assert ENCODERS.get("poisson").name == "poisson"


WRONG = {
    "Blink = 3": r"is 3; expected a class that inherits from spikeprep\.encoders\.base\.Encoder",
    "class Blink: name = 'blink'": r"is <class .*Blink'>; expected a class that inherits from",
    PLUGIN.replace("(Encoder)", "").replace(
        "'''", '"""'
    ): r"is <class .*; expected a class that inherits from",
    PLUGIN.replace('"blink"', '"wink"'): r"has name = 'wink'; expected the name it is known by: 'blink'",
    PLUGIN.replace(
        'name: ClassVar[str] = "blink"', "pass"
    ): r"has name = None; expected .* 'blink'.*Write name",
    PLUGIN.replace(
        "@dataclass(frozen=True)", ""
    ): r"is not a frozen dataclass.*Decorate it with @dataclass\(frozen",
    PLUGIN.replace("Blink.__abstractmethods__ = frozenset()", ""): r"lacks .*encode",
}


@pytest.mark.parametrize(("source", "message"), WRONG.items())
def test_a_class_that_is_no_plugin_is_refused_by_its_package_and_reason(installed, source, message):
    installed("blink = blinker_wrong:Blink", blinker_wrong=source)
    with pytest.raises(UsageError, match=rf"the encoder 'blink' of blinker {message}"):
        ENCODERS.get("blink")


def test_a_dataclass_that_is_not_frozen_cannot_inherit():
    with pytest.raises(TypeError, match="cannot inherit non-frozen dataclass from a frozen one"):

        @dataclass
        class Thawed(Plugin):
            """Thawed."""


# ------------------------------------------------------------ plugins of this process


@pytest.fixture
def fresh(monkeypatch):
    """Leave no registered class behind."""
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def halve():
    """Return a new class of one name, as a notebook cell that is run again defines it."""

    @dataclass(frozen=True)
    class Halve(Transform):
        """Halves a signal."""

        name: ClassVar[str] = "halve"
        citation: ClassVar[str] = "none"

        def __call__(self, signal, *, rng=None):
            return signal / 2

    return Halve


@pytest.mark.usefixtures("fresh")
def test_a_class_can_be_registered_and_registered_again():
    first, second = halve(), halve()
    assert register(first) is first  # usable as a decorator
    assert TRANSFORMS.get("halve") is first
    assert "halve" in TRANSFORMS.names()
    assert "halve" not in ENCODERS.names()
    register(second)
    assert TRANSFORMS.get("halve") is second
    assert TRANSFORMS.build({"name": "halve"}) == second()


@pytest.mark.usefixtures("fresh")
def test_a_registered_class_cannot_take_a_name(installed):
    thief = type("Thief", (halve(),), {"name": TRANSFORMS.names()[0]})
    with pytest.raises(UsageError, match="is not a frozen dataclass"):
        register(thief)
    thief = dataclass(frozen=True)(thief)
    with pytest.raises(
        UsageError, match=r"got Thief with the name .*; expected a name that no transform has"
    ):
        register(thief)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("wrong", [3, int, Plugin, Blink, Registry, None, "poisson"])
def test_what_is_no_plugin_cannot_be_registered(wrong):
    with pytest.raises(
        UsageError, match="to register; expected a class that inherits from one of Encoder, Tran"
    ):
        register(wrong)


@pytest.mark.usefixtures("fresh")
def test_a_class_that_lacks_methods_or_a_name_cannot_be_registered():
    @dataclass(frozen=True)
    class Half(Transform):
        """Half of a transform."""

        name: ClassVar[str] = "half"

    with pytest.raises(UsageError, match=r"'half' to register lacks __call__; expected every method"):
        register(Half)
    nameless = dataclass(frozen=True)(type("Nameless", (halve(),), {"name": ""}))
    with pytest.raises(UsageError, match=r"the class to register has name = ''; expected a text.*my_plugin"):
        register(nameless)
