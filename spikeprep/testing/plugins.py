"""The check that every plugin passes, whatever its kind, and what the other checks share."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from .. import config
from ..errors import PluginError, SpikeprepError, UsageError
from ..random import SampleKey
from ..registry import Plugin, registry_of

T = TypeVar("T")

MAX_PICKLE = 1 << 16
"""Bytes of the largest pickled plugin: it goes to every worker with every task."""

_THREADS, _CALLS = 4, 24


def require(condition: Any, message: str) -> None:
    """Raise `AssertionError` with a message unless the condition holds, under ``python -O`` too."""
    if not condition:
        raise AssertionError(message)


def conformance(check: Callable[..., None]) -> Callable[..., None]:
    """Let a check raise `AssertionError` alone: what a plugin raises otherwise is named and chained."""

    @functools.wraps(check)
    def checked(*args: Any, **options: Any) -> None:
        if args and isinstance(args[0], Plugin) and not hasattr(args[0], "name"):
            cls = type(args[0]).__qualname__
            raise AssertionError(
                f'{cls}: it has no name; write name: ClassVar[str] = "my_plugin" in the class'
            )
        try:
            check(*args, **options)
        except AssertionError:
            raise
        except Exception as error:  # a plugin under test may raise anything
            name = getattr(args[0], "name", type(args[0]).__name__) if args else check.__name__
            raise AssertionError(f"{name}: {check.__name__} met {type(error).__name__}: {error}") from error

    return checked


@conformance
def check_plugin(plugin: Plugin) -> None:
    """Check a plugin's class and configuration.

    The class has a name, a docstring, all methods of its base class and frozen fields. The configuration holds every
    field, survives JSON and pickling, refuses unknown settings and values that its annotations do not allow.

    Parameters
    ----------
    plugin
        An instance with the settings of the test; those without a default must be given.

    Raises
    ------
    AssertionError
        The plugin breaks its contract; the message says how.
    """
    cls, name = type(plugin), plugin.name
    registry = registry_of(cls)
    if registry is None:
        raise AssertionError(
            f"{cls.__qualname__} inherits from no base class of plugins, e.g. Encoder or Source"
        )
    try:
        registry.check(cls, name, "under test")
    except (UsageError, PluginError) as error:
        raise AssertionError(str(error)) from error
    require((cls.__doc__ or "").strip(), f"{name}: the class has no docstring, which `spikeprep list` shows")
    _check_configuration(plugin)
    for field in dataclasses.fields(plugin):
        _check_field(plugin, field.name)
    check_pickle(plugin)


def _check_configuration(plugin: Plugin) -> None:
    cls, name, fields = type(plugin), plugin.name, [field.name for field in dataclasses.fields(plugin)]
    configuration = plugin.to_config()
    require(
        list(configuration) == ["name", *fields],
        f"{name}: to_config() has the keys {list(configuration)}; expected {['name', *fields]}",
    )
    try:
        text = json.dumps(configuration, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{name}: to_config() is not JSON ({error}): {configuration!r}") from error
    again = cls.from_config(json.loads(text))
    require(again == plugin, f"{name}: from_config(to_config()) is {again!r}; expected an equal {plugin!r}")
    require(hash(again) == hash(plugin), f"{name}: equal plugins have unequal hashes")
    require(
        json.dumps(again.to_config()) == text,
        f"{name}: a configuration that went through JSON reads {json.dumps(again.to_config())}; expected {text}",
    )
    unknown = max(["x", *fields], key=len) + "x"
    message = f"{name}: the unknown setting {unknown!r} is accepted"
    _expect_refusal(lambda: cls.from_config({"name": name, unknown: 1}), message)


def _check_field(plugin: Plugin, field: str) -> None:
    cls, name = type(plugin), plugin.name
    try:
        setattr(plugin, field, None)
    except dataclasses.FrozenInstanceError:
        pass
    else:
        raise AssertionError(f"{name}: the field {field!r} can be changed; expected @dataclass(frozen=True)")
    _check_annotation(name, field, config.hints(cls)[field])
    values = {other.name: getattr(plugin, other.name) for other in dataclasses.fields(plugin) if other.init}
    _expect_refusal(
        lambda: cls(**values | {field: object()}),
        f"{name}: an object() is accepted for {field!r}; __post_init__ must call super().__post_init__()",
    )


def _check_annotation(name: str, field: str, kind: Any) -> None:
    """Require that not just any value fits, in nested settings too."""
    if inspect.isclass(kind) and issubclass(kind, config.Settings):
        for inner, inner_kind in config.hints(kind).items():
            _check_annotation(name, f"{field}.{inner}", inner_kind)
        return
    require(
        config.allowed(kind) != "any value",
        f"{name}: any value is accepted for {field!r}; annotate it with a type that spikeprep.config can check",
    )


def _expect_refusal(build: Callable[[], Any], message: str) -> None:
    try:
        build()
    except SpikeprepError:
        return
    except Exception as error:
        raise AssertionError(f"{message}: it raises {type(error).__name__}, not UsageError") from error
    raise AssertionError(message)


def check_pickle(plugin: Plugin, when: str = "") -> None:
    """Check that a plugin can go to another process, and is small: settings travel, caches do not."""
    try:
        data = pickle.dumps(plugin)
    except Exception as error:  # a field or a cache may raise anything
        raise AssertionError(f"{plugin.name}: it cannot be pickled{when} ({error})") from error
    require(pickle.loads(data) == plugin, f"{plugin.name}: its pickled copy is another{when}")
    require(
        len(data) <= MAX_PICKLE,
        f"{plugin.name}: it takes {len(data):,} bytes pickled{when}; expected at most {MAX_PICKLE:,}: "
        "leave what was read or computed out of __getstate__",
    )


def keys_for(signals: Sequence[Any]) -> list[SampleKey]:
    """Return the random keys of the samples of a test."""
    return [SampleKey(1, "train", n) for n in range(len(signals))]


def in_threads(call: Callable[[int], T], count: int) -> Iterator[tuple[int, T]]:
    """Yield (n, call(n)) for n below `count`, each several times, from several threads at once."""
    with ThreadPoolExecutor(_THREADS) as pool:
        numbers = [n % count for n in range(max(_CALLS, count))]
        yield from zip(numbers, pool.map(call, numbers), strict=True)
