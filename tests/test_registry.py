import importlib
import json
from dataclasses import FrozenInstanceError, dataclass
from typing import ClassVar

import pytest

from spikeprep.encoders.base import Encoder, Transform
from spikeprep.errors import CapabilityError, UsageError
from spikeprep.eventfiles import EventFormat
from spikeprep.registry import ENCODERS, EVENT_FORMATS, SOURCES, Plugin, Registry
from spikeprep.sources.base import Source


@dataclass(frozen=True)
class Blink(Plugin):
    """Blinks."""

    name: ClassVar[str] = "blink"
    steps: int = 10
    rate: float = 0.5

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"got steps {self.steps}; expected at least 1")


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
    with pytest.raises(UsageError, match="blink: got steps 0; expected at least 1"):
        Blink.from_config({"steps": 0})


def test_names_import_nothing():
    registry = Registry("thing", "spikeprep.no_such_group", {"broken": "no_such_module:Thing"})
    assert registry.names() == ["broken"]


def test_an_unknown_name_is_refused_with_the_near_miss():
    with pytest.raises(UsageError, match=r"unknown encoder 'poison'.*Did you mean 'poisson'"):
        ENCODERS.get("poison")


@pytest.mark.parametrize(
    ("registry", "kinds"),
    [(ENCODERS, (Encoder, Transform)), (SOURCES, (Source,)), (EVENT_FORMATS, (EventFormat,))],
)
def test_every_built_in_is_what_its_registry_says(registry, kinds):
    for name in registry.names():
        plugin = registry.get(name)
        assert issubclass(plugin, kinds), name
        assert plugin.name == name
        assert (plugin.__doc__ or "").strip(), name


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package with plugins, as pip leaves it: modules, and metadata that names the entry points."""

    def install(entry_points: str, **modules: str) -> None:
        info = tmp_path / "blinker-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: blinker\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[spikeprep.encoders]\n{entry_points}\n")
        for module, source in modules.items():
            (tmp_path / f"{module}.py").write_text(source)
            monkeypatch.delitem(importlib.sys.modules, module, raising=False)
        monkeypatch.syspath_prepend(tmp_path)

    return install


SOURCE = """
from dataclasses import dataclass
from spikeprep.registry import Plugin

@dataclass(frozen=True)
class Blink(Plugin):
    name = "blink"
    rate: float = 0.5
"""


def test_another_package_adds_a_plugin(installed):
    installed("blink = blinker_ok:Blink", blinker_ok=SOURCE)
    assert "blink" in ENCODERS.names()
    assert ENCODERS.build({"name": "blink", "rate": 0.25}).to_config() == {"name": "blink", "rate": 0.25}


def test_a_built_in_name_cannot_be_taken(installed):
    installed("poisson = blinker_thief:Blink", blinker_thief=SOURCE)
    assert ENCODERS.get("poisson").__module__ == "spikeprep.encoders.poisson"
    assert ENCODERS.names().count("poisson") == 1


def test_a_broken_plugin_names_its_owner_and_breaks_no_other(installed):
    installed("blink = blinker_broken:Blink", blinker_broken="import no_such_library")
    with pytest.raises(
        CapabilityError, match=r"encoder 'blink' of blinker could not be imported.*reinstall blinker"
    ):
        ENCODERS.get("blink")
    assert ENCODERS.get("poisson").name == "poisson"
