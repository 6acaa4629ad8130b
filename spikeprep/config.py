"""Settings: frozen dataclasses whose annotations say which values are allowed, checked wherever they are built.

A range is part of a field's type, in msgspec's notation::

    @dataclass(frozen=True)
    class Poisson(Encoder):
        steps: Annotated[int, Meta(ge=1)] = 400
        rate_max: Probability = 1 / 5.5

msgspec checks the values: it is one small compiled library without dependencies, it works on plain dataclasses, and
the same annotations describe a setting in ``spikeprep list`` and in a JSON schema. NaN and infinities are refused
everywhere, whatever the annotation. Encoders, transforms, sources, event formats, layers, learning rules, recipes and
training all use this module.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import math
import re
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar, cast

import msgspec
from msgspec import Meta as Meta
from msgspec import ValidationError
from msgspec import inspect as types

from .errors import UsageError, near_miss

Function = TypeVar("Function", bound=Callable[..., Any])


def _cached(function: Function) -> Function:
    """Cache results by arguments; typed as the function itself, since mypy takes classes for unhashable."""
    return cast(Function, functools.cache(function))


_LARGEST = sys.float_info.max  # msgspec accepts no infinite bounds

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
"""A fraction of a whole: at least 0, below 1."""

Probability = Annotated[float, Meta(gt=0, le=1)]
"""Above 0, at most 1."""

Chance = Annotated[float, Meta(ge=0, le=1)]
"""A probability that may be 0: at least 0, at most 1."""


@dataclass(frozen=True)
class Settings:
    """Base class of everything configurable: its fields are its settings.

    Construction checks every field against its annotation. A subclass with its own `__post_init__` calls this one
    first, and can then rely on types and ranges.

    Raises
    ------
    UsageError
        A value is of another type or out of range.
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
        return cast(Self, build(cls, value))

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
    """The documentation of one setting.

    Attributes
    ----------
    name
        Its dotted name.
    allowed
        The allowed values, in words.
    default
        Its default; None where `required`.
    meaning
        Its text in the class's docstring.
    required
        Whether it has no default.
    """

    name: str
    allowed: str
    default: Any
    meaning: str
    required: bool = False


def owner_of(cls: type[Any]) -> str:
    """Return the name of a class of settings in messages: its `owner`, else a plugin's name, else the class's."""
    name = getattr(cls, "owner", None) or getattr(cls, "name", None)
    return name if isinstance(name, str) and name else cls.__name__


def check(settings: Any) -> None:
    """Check every field of a dataclass against its annotation; lists become tuples where these are declared.

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
        object.__setattr__(settings, name, fitted(value, kind, f"{owner_of(cls)}.{name}"))


def _refuse_other_class(cls: type[Any], name: str, kind: Any, value: Settings) -> None:
    if inspect.isclass(kind) and not isinstance(value, kind):
        raise UsageError(
            f"got {owner_of(cls)}.{name} = {excerpt(value)}", f"settings of the class {kind.__name__}"
        )


def fitted(value: Any, kind: Any, name: str) -> Any:
    """Return `value` in the form of an annotated type: tuples for lists, Python's numbers for NumPy's.

    An integer given for a float stays an integer, so that a configuration is stored as it was written.

    Raises
    ------
    UsageError
        The value is of another type, out of range or not finite; the message calls it `name`.
    """
    plain = value.tolist() if hasattr(value, "tolist") else value  # NumPy's arrays and scalars
    if isinstance(plain, str) and plain == "none" and _allows_none(kind):
        return None
    try:
        converted = msgspec.convert(plain, kind)
    except (ValidationError, OverflowError) as error:  # OverflowError: an integer too large for a float
        raise UsageError(f"got {name} = {excerpt(value)}", allowed(kind), _comma_hint(plain, kind)) from error
    except (TypeError, ValueError) as error:  # the annotation, not the value
        raise UsageError(
            f"the setting {name} is declared as {kind} ({error})",
            "bool, int, float, str, None, Literal, tuples, lists or dicts of these, or a class of settings",
            "Change the annotation of the field.",
        ) from error
    if not _finite(converted):
        name, value = _not_finite(converted, name)
        expected = f"{allowed(kind)}, finite" if value is converted else "finite numbers"
        raise UsageError(f"got {name} = {excerpt(value)}", expected)
    return _with_integers(converted, plain)


_WITH_COMMA = re.compile(r"[+-]?[0-9]*(,[0-9]+)+")


def _comma_hint(value: Any, kind: Any) -> str:
    """Return how to write a number that has a comma, where a number is allowed; else ""."""
    if not (isinstance(value, str) and _WITH_COMMA.fullmatch(value)):
        return ""
    info = types.type_info(kind)
    options = info.types if isinstance(info, types.UnionType) else (info,)
    allows = any(isinstance(option, types.FloatType | types.IntType) for option in options)
    return "Write a number without commas, such as 0.5 or 1000." if allows else ""


def _not_finite(value: Any, name: str) -> tuple[str, Any]:
    """Return name and value of the first setting in nested mappings that is, or lists, a number that is not finite."""
    if isinstance(value, dict):
        key, item = next((key, item) for key, item in value.items() if not _finite(item))
        return _not_finite(item, f"{name}.{key}")
    if isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        n, item = next((n, item) for n, item in enumerate(value) if not _finite(item))
        return _not_finite(item, f"{name}[{n}]")
    return name, value


def _finite(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)


def _with_integers(converted: Any, given: Any) -> Any:
    """Return `converted` with the integers of `given` where msgspec turned them into floats."""
    if isinstance(converted, float) and type(given) is int:
        return given
    if isinstance(converted, list | tuple) and isinstance(given, list | tuple):
        return type(converted)(_with_integers(c, g) for c, g in zip(converted, given, strict=True))
    if isinstance(converted, dict) and isinstance(given, dict):
        return {key: _with_integers(item, given.get(key)) for key, item in converted.items()}
    return converted


def excerpt(value: Any, most: int = 200) -> str:
    """Return a value as text of at most `most` characters, for messages."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


_DEEPEST, _LARGEST_INTEGER = 32, 2**64


def check_plain(value: Any, name: str) -> None:
    """Raise `UsageError` where a value that was parsed from text is nested too deeply or has too large integers.

    Settings need neither, and both would fail where the value is converted or shown.
    """
    level, depth = [value], 0
    while level:
        if any(isinstance(v, int) and abs(v) > _LARGEST_INTEGER for v in level):
            raise UsageError(f"got {name} with an integer of more than 64 bits", "integers of 64 bits")
        level = [
            item
            for v in level
            if isinstance(v, list | dict)
            for item in (v.values() if isinstance(v, dict) else v)
        ]
        depth += 1
        if depth > _DEEPEST:
            raise UsageError(f"got {name} nested more than {_DEEPEST} levels deep", "fewer levels")


@_cached
def hints(cls: type[Any]) -> dict[str, Any]:
    """Return field name → annotation, ranges included, in the order of the fields."""
    try:
        resolved = typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise UsageError(
            f"an annotation of {cls.__module__}.{cls.__qualname__} names {error.name!r}",
            "names that are defined when the class is used",
            "Import it at run time, not under TYPE_CHECKING.",
        ) from error
    return {field.name: resolved[field.name] for field in dataclasses.fields(cls) if field.init}


def build(cls: type[Any], value: Mapping[str, Any], prefix: str = "") -> Any:
    """Build a dataclass of settings from a mapping, nested ones from nested mappings.

    Raises
    ------
    UsageError
        A name is unknown (the hint names the nearest one), is missing, or a value is not allowed, be it by the
        annotations or by the class's own checks.
    """
    kinds, owner = hints(cls), owner_of(cls)
    if not isinstance(value, Mapping):
        raise UsageError(f"got {prefix or owner} = {excerpt(value)}", "settings by name")
    arguments = {}
    for key, item in value.items():
        if key not in kinds:
            raise UsageError(
                f"{owner} has no setting {excerpt(prefix + str(key))}", "", near_miss(str(key), kinds)
            )
        nested = _settings_class(kinds[key])
        arguments[key] = (
            build(nested, item, f"{prefix}{key}.") if nested and not isinstance(item, nested) else item
        )
    needed = [f.name for f in dataclasses.fields(cls) if f.init and _required(f) and f.name not in arguments]
    if needed:
        raise UsageError(f"{owner} lacks the setting {prefix + needed[0]!r}", allowed(kinds[needed[0]]))
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:  # the class's own checks, which may be another package's
        raise UsageError(f"{owner}: {error}") from error


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _settings_class(kind: Any) -> type[Settings] | None:
    return kind if inspect.isclass(kind) and issubclass(kind, Settings) else None


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted name → value of all values in nested mappings; raises `UsageError` for what is no mapping."""
    if not isinstance(tree, Mapping):
        raise UsageError(f"got settings = {excerpt(tree)}", "names and values", "For example: {'batch': 64}.")
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def overridden(tree: Mapping[str, Any], changes: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return a copy of a tree of settings with changes: dotted name → value, or nested mappings.

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
            raise UsageError(f"{owner} has no setting {excerpt(dotted)}", "", near_miss(dotted, leaves(tree)))
        node[leaf] = value
    return result


def describe(cls: type[Any], prefix: str = "") -> Iterator[Setting]:
    """Yield the documentation of every setting of a class, nested ones by dotted name."""
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


@_cached
def documented(cls: type[Any]) -> dict[str, str]:
    """Return parameter name → its text in the docstring of the class, else of a base class (numpydoc sections)."""
    meanings: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if owner.__doc__ and dataclasses.is_dataclass(owner):
            meanings |= _sections(inspect.cleandoc(owner.__doc__))
    return meanings


def _sections(text: str) -> dict[str, str]:
    meanings: dict[str, str] = {}
    for section in re.findall(
        r"^(?:Parameters|Attributes)\n-+\n((?:(?!^\S.*\n-+$).*\n?)*)", text, re.MULTILINE
    ):
        names: list[str] = []
        for line in section.splitlines():
            if line and not line[0].isspace():
                names = [name.strip() for name in line.split(":")[0].split(",")]
                meanings |= dict.fromkeys(names, "")
            elif line.strip():
                meanings |= {name: f"{meanings[name]} {line.strip()}".strip() for name in names}
    return meanings


def allowed(kind: Any) -> str:
    """Return the values that an annotation allows, in words: ``"a number above 0"``."""
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
            length = _limits(((info.min_length, "at least"), (info.max_length, "at most")))
            words = f"text of{length} characters" if length else "text"
            return f"{words} that matches {info.pattern}" if info.pattern else words
        case types.LiteralType():
            return " or ".join(
                f'"{value}"' if isinstance(value, str) else str(value) for value in info.values
            )
        case types.VarTupleType() | types.ListType():
            length = _limits(((info.min_length or None, "at least"), (info.max_length, "at most")))
            return (
                f"a list of{length}: {_words(info.item_type)}"
                if length
                else f"a list of: {_words(info.item_type)}"
            )
        case types.TupleType():
            return f"a list [{', '.join(_words(item) for item in info.item_types)}]"
        case types.DictType():
            return "settings by name"
        case _:
            return "any value"


def _range(info: Any) -> str:
    return _limits(((info.ge, "at least"), (info.gt, "above"), (info.le, "at most"), (info.lt, "below")))


def _limits(bounds: Iterable[tuple[float | None, str]]) -> str:
    words = [
        f"{word} {_number(bound)}" for bound, word in bounds if bound is not None and abs(bound) != _LARGEST
    ]
    return f" {' and '.join(words)}" if words else ""


def _number(bound: float) -> str:
    """Return a bound in its shortest exact form: 1 for 1.0, 18446744073709551615 unrounded."""
    return repr(int(bound) if bound == int(bound) else bound)


def _allows_none(kind: Any) -> bool:
    info = types.type_info(kind)
    options = info.types if isinstance(info, types.UnionType) else (info,)
    return any(isinstance(option, types.NoneType) for option in options) and not any(
        isinstance(option, types.StrType) for option in options
    )
