"""Name the plugin of another package that raised an exception, wherever in a call it was used."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any

from .errors import PluginError, SpikeprepError, broken_plugin
from .registry import BACKENDS, Plugin, registry_of


@contextmanager
def plugin_errors() -> Iterator[None]:
    """Turn an exception that a plugin of another package raised into a `PluginError` that names its class.

    The plugin is the one whose method the traceback entered last, or the one that spikeprep called with arguments
    that its method does not take. Exceptions of spikeprep's own classes, a `SpikeprepError` and a `MemoryError` stay as
    they are.
    """
    try:
        yield
    except (SpikeprepError, MemoryError):
        raise
    except Exception as error:
        named = _named(error)
        if named is None:
            raise
        raise named from error


def _named(error: Exception) -> PluginError | None:
    """Return the error that names a plugin; None where no plugin of another package was called."""
    named = None
    for frame, line in walk_tb(error.__traceback__):
        last = frame
        plugin = _plugin_of(frame)
        registry = registry_of(plugin) if plugin else None
        if plugin and registry:
            name = getattr(plugin, "name", plugin.__name__)
            where = f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}, line {line})"
            got = f"the {registry.kind} {name} raised {type(error).__name__}: {error}, in {where}"
            named = broken_plugin(plugin, got)
    if isinstance(error, TypeError) and _is_of_spikeprep(last.f_globals):
        return _other_arguments(error, last) or named
    return named


def _other_arguments(error: TypeError, caller: FrameType) -> PluginError | None:
    """Return the error for a plugin whose method does not take the arguments that `caller` gave it, else None.

    Such a method has no frame in the traceback. Its qualified name begins the message: it is looked up in the
    classes of the caller's variables, then in all plugin classes of other packages.
    """
    match = re.match(r"(\S+)\(\) (takes|missing|got) ", str(error))
    if match is None:
        return None
    for cls in (*_classes_near(caller), *_loaded_plugins()):
        registry = registry_of(cls)
        if registry and match[1] in _methods(cls):
            name = getattr(cls, "name", cls.__name__)
            got = f"the {registry.kind} {name} does not take the arguments of a call: {error}"
            return broken_plugin(cls, got, "the arguments that the method has in its base class")
    return None


def _classes_near(frame: FrameType) -> Iterator[type]:
    """Yield the classes of a frame's variables and of their attributes, and those that are among them."""
    values = list(frame.f_locals.values())
    for value in (*values, *(inner for v in values for inner in getattr(v, "__dict__", {}).values())):
        yield value if isinstance(value, type) else type(value)


def _loaded_plugins() -> Iterator[type]:
    """Yield every plugin class whose module has been imported, the newest of each base first."""
    bases: list[type] = [Plugin]
    if backend := sys.modules.get(BACKENDS.base_name.partition(":")[0]):
        bases.append(backend.Backend)
    while bases:
        cls = bases.pop()
        yield cls
        bases += cls.__subclasses__()


def _methods(cls: type) -> set[str]:
    """Return the qualified names of the functions of a class that are not of spikeprep."""
    functions = (
        inspect.unwrap(getattr(value, "__func__", value))
        for ancestor in cls.__mro__
        if not _is_of_spikeprep({"__name__": ancestor.__module__})
        for value in vars(ancestor).values()
    )
    return {function.__qualname__ for function in functions if inspect.isfunction(function)}


def _is_of_spikeprep(module: Mapping[str, Any]) -> bool:
    return str(module.get("__name__", "")).partition(".")[0] == "spikeprep"


def _plugin_of(frame: FrameType) -> type | None:
    """Return the class of what a frame has as its first argument; None for frames of spikeprep itself."""
    code = frame.f_code
    if _is_of_spikeprep(frame.f_globals) or not code.co_argcount:
        return None
    owner = frame.f_locals.get(code.co_varnames[0])
    return owner if isinstance(owner, type) else type(owner)
