"""Name the plugin of another package that raised an exception, wherever in a call it was used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from types import FrameType

from .errors import PluginError, SpikeprepError, broken_plugin
from .registry import registry_of


@contextmanager
def plugin_errors() -> Iterator[None]:
    """Turn an exception that a plugin of another package raised into a `PluginError` that names its class.

    The plugin is the one whose method the traceback entered last. Exceptions of spikeprep's own classes, a
    `SpikeprepError` and a `MemoryError` stay as they are.
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
        plugin = _plugin_of(frame)
        registry = registry_of(plugin) if plugin else None
        if plugin and registry:
            name = getattr(plugin, "name", plugin.__name__)
            where = f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}, line {line})"
            got = f"the {registry.kind} {name} raised {type(error).__name__}: {error}, in {where}"
            named = broken_plugin(plugin, got)
    return named


def _plugin_of(frame: FrameType) -> type | None:
    """Return the class of what a frame has as its first argument; None for frames of spikeprep itself."""
    code = frame.f_code
    if frame.f_globals.get("__name__", "").partition(".")[0] == "spikeprep" or not code.co_argcount:
        return None
    owner = frame.f_locals.get(code.co_varnames[0])
    return owner if isinstance(owner, type) else type(owner)
