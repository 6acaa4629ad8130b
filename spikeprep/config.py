"""Settings: frozen dataclasses whose annotations say which values are allowed, checked wherever they are built.

A range is part of a field's type, in msgspec's notation::

    @dataclass(frozen=True)
    class Poisson(Encoder):
        steps: Annotated[int, Meta(ge=1)] = 400
        rate_max: Probability = 1 / 5.5

msgspec does the checking: it is one small compiled library without dependencies, it leaves dataclasses what they are,
and the same annotations describe a setting in ``spikeprep list`` and in a JSON schema. Encoders, transforms, sources,
event formats, layers, learning rules, recipes and training all go through this module.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta, ValidationError
from msgspec import inspect as types

from .errors import UsageError, near_miss

_LARGEST = sys.float_info.max  # msgspec takes no infinite bounds: this one keeps infinity out

Count = Annotated[int, Meta(ge=1)]
"""A whole number of at least 1."""

Natural = Annotated[int, Meta(ge=0)]
"""A whole number of at least 0."""

Real = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
"""A finite number."""

Positive = Annotated[float, Meta(gt=0, le=_LARGEST)]
"""A finite number above 0."""

NonNegative = Annotated[float, Meta(ge=0, le=_LARGEST)]
"""A finite number of at least 0."""

Share = Annotated[float, Meta(ge=0, lt=1)]
"""A share: at least 0, below 1."""

Probability = Annotated[float, Meta(gt=0, le=1)]
"""Above 0, at most 1."""


@dataclass(frozen=True)
class Settings:
    """Base of everything that is configured: its fields are its settings.

    Building an instance checks every field against its annotation. A subclass with a `__post_init__` of its own calls
    this one first, and may then rely on types and ranges.
    """

    def __post_init__(self) -> None:
        check(self)

    def to_json(self) -> dict[str, Any]:
        """Return every setting, nested ones as mappings, JSON-ready."""
        tree: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))  # tuples become lists
        return tree

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Build from what `to_json` returned, or from a part of it; raises `UsageError` for what does not fit."""
        made: Self = build(cls, value)
        return made

    def override(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with settings changed: dotted name → value, or nested mappings.

        Raises
        ------
        UsageError
            A name is unknown (the hint names the nearest one), or a value is not allowed.
        """
        return self.from_json(overridden(self.to_json(), changes, owner_of(type(self))))


@dataclass(frozen=True)
class Setting:
    """One setting, for a person: dotted name, what is allowed, default, and meaning.

    `required` is whether it has no default.
    """

    name: str
    allowed: str
    default: Any
    meaning: str
    required: bool = False


def owner_of(cls: type[Any]) -> str:
    """Return how messages call a class of settings: a plugin's name, or `owner` where the class has one."""
    name = getattr(cls, "owner", None) or getattr(cls, "name", None)
    return name if isinstance(name, str) and name else cls.__name__


def check(settings: Any) -> None:
    """Check every field of a dataclass against its annotation; lists become tuples where tuples are declared.

    Raises
    ------
    UsageError
        A value is of another type or out of range; the message has the dotted name and what is allowed.
    """
    cls = type(settings)
    for name, kind in hints(cls).items():
        value = getattr(settings, name)
        if isinstance(value, Settings):
            _refuse_other_class(cls, name, kind, value)
            continue
        fit = fitted(value, kind, f"{owner_of(cls)}.{name}")
        if type(fit) is not type(value) and not (isinstance(fit, float) and type(value) is int):
            object.__setattr__(settings, name, fit)


def _refuse_other_class(cls: type[Any], name: str, kind: Any, value: Settings) -> None:
    if inspect.isclass(kind) and not isinstance(value, kind):
        raise UsageError(f"got {owner_of(cls)}.{name} = {value!r}", f"settings of the class {kind.__name__}")


def fitted(value: Any, kind: Any, name: str) -> Any:
    """Return `value` as an annotated type holds it; raises `UsageError`, calling it `name`."""
    plain = value.item() if hasattr(value, "item") and hasattr(value, "dtype") and value.ndim == 0 else value
    if plain == "none" and _allows_none(kind):
        return None
    try:
        return msgspec.convert(plain, kind)
    except ValidationError as error:
        raise UsageError(f"got {name} = {value!r}", allowed(kind)) from error
    except TypeError as error:  # the annotation, not the value
        raise UsageError(
            f"the setting {name} is declared as {kind}",
            "bool, int, float, str, None, Literal, tuples, lists or dicts of these, or a class of settings",
            "Change the annotation of the field.",
        ) from error


@functools.cache
def hints(cls: type[Any]) -> dict[str, Any]:
    """Return field name → annotation, ranges included, in the order of the fields."""
    resolved = typing.get_type_hints(cls, include_extras=True)
    return {field.name: resolved[field.name] for field in dataclasses.fields(cls) if field.init}


def build(cls: type[Any], value: Mapping[str, Any], prefix: str = "") -> Any:
    """Build a dataclass of settings from a mapping, nested ones from nested mappings.

    Raises
    ------
    UsageError
        A name is unknown (the hint names the nearest one), is missing, or a value is not allowed.
    """
    kinds, owner = hints(cls), owner_of(cls)
    if not isinstance(value, Mapping):
        raise UsageError(f"got {prefix or owner} = {value!r}", "settings by name")
    arguments = {}
    for key, item in value.items():
        if key not in kinds:
            raise UsageError(f"{owner} has no setting {prefix + str(key)!r}", "", near_miss(str(key), kinds))
        nested = _settings_class(kinds[key])
        arguments[key] = (
            build(nested, item, f"{prefix}{key}.") if nested and not isinstance(item, nested) else item
        )
    needed = [f.name for f in dataclasses.fields(cls) if f.init and _required(f) and f.name not in arguments]
    if needed:
        raise UsageError(f"{owner} lacks the setting {prefix + needed[0]!r}", allowed(kinds[needed[0]]))
    return cls(**arguments)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _settings_class(kind: Any) -> type[Settings] | None:
    return kind if inspect.isclass(kind) and issubclass(kind, Settings) else None


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted name → value of everything in nested mappings."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def overridden(tree: Mapping[str, Any], changes: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return a tree of settings with some changed: dotted name → value, or nested mappings.

    Raises
    ------
    UsageError
        `owner` has no setting of a name; the hint names the nearest one.
    """
    result: dict[str, Any] = json.loads(json.dumps(tree))
    for dotted, value in leaves(changes).items():
        *path, leaf = dotted.split(".")
        node: Any = result
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict) or leaf not in node or isinstance(node[leaf], dict):
            raise UsageError(f"{owner} has no setting {dotted!r}", "", near_miss(dotted, leaves(tree)))
        node[leaf] = value
    return result


def describe(cls: type[Any], prefix: str = "") -> Iterator[Setting]:
    """Yield every setting of a class, nested ones by dotted name: what is allowed, the default, and the meaning."""
    meanings = documented(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for name, kind in hints(cls).items():
        if nested := _settings_class(kind):
            yield from describe(nested, f"{prefix}{name}.")
            continue
        yield Setting(
            prefix + name,
            allowed(kind),
            _default(fields[name]),
            meanings.get(name, ""),
            _required(fields[name]),
        )


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


@functools.cache
def documented(cls: type[Any]) -> dict[str, str]:
    """Return parameter name → its text in the class's docstring or in that of a base class (numpydoc sections)."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if owner.__doc__ and dataclasses.is_dataclass(owner):
            found |= _sections(inspect.cleandoc(owner.__doc__))
    return found


def _sections(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for section in re.findall(
        r"^(?:Parameters|Attributes)\n-+\n((?:(?!^\S.*\n-+$).*\n?)*)", text, re.MULTILINE
    ):
        names: list[str] = []
        for line in section.splitlines():
            if line and not line[0].isspace():
                names = [name.strip() for name in line.split(":")[0].split(",")]
                found |= dict.fromkeys(names, "")
            elif line.strip():
                found |= {name: f"{found[name]} {line.strip()}".strip() for name in names}
    return found


def allowed(kind: Any) -> str:
    """Return what an annotation admits, for a person: ``"a number above 0"``."""
    return _words(types.type_info(kind))


def _words(info: Any) -> str:
    match info:
        case types.UnionType():
            return " or ".join(_words(option) for option in info.types)
        case types.IntType():
            return f"a whole number{_range(info)}"
        case types.FloatType():
            return f"a number{_range(info)}"
        case types.BoolType():
            return "true or false"
        case types.NoneType():
            return '"none"'
        case types.StrType():
            return "text"
        case types.LiteralType():
            return " or ".join(
                f'"{value}"' if isinstance(value, str) else str(value) for value in info.values
            )
        case types.VarTupleType() | types.ListType():
            least = f" of at least {info.min_length}" if info.min_length else ""
            return f"a list{least} of: {_words(info.item_type)}"
        case types.TupleType():
            return f"a list [{', '.join(_words(item) for item in info.item_types)}]"
        case types.DictType():
            return "settings by name"
        case _:
            return "any value"


def _range(info: Any) -> str:
    bounds = ((info.ge, "at least"), (info.gt, "above"), (info.le, "at most"), (info.lt, "below"))
    words = [f"{word} {bound:g}" for bound, word in bounds if bound is not None and abs(bound) != _LARGEST]
    return f" {' and '.join(words)}" if words else ""


def _allows_none(kind: Any) -> bool:
    info = types.type_info(kind)
    options = info.types if isinstance(info, types.UnionType) else (info,)
    return any(isinstance(option, types.NoneType) for option in options) and not any(
        isinstance(option, types.StrType) for option in options
    )
