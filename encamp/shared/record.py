"""Records: like frozen dataclasses (the type checker sees them as such), but fifty times faster to define.

``dataclasses`` writes and compiles methods for each class (2 ms for a frozen one) and imports ``inspect``; a run
without changes would spend a tenth of its time on that, on both sides. Here all records share the same methods.
``dataclasses.fields`` and ``replace`` work on records: what they need is made on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**options: Any) -> Callable[[Any], Any]:
        return lambda function: function


T = TypeVar("T")
C = TypeVar("C", bound=type)
_MISSING = object()


class Factory:
    """A field's default that is created for each record."""

    def __init__(self, default_factory: Callable[[], Any]) -> None:
        self.default_factory = default_factory


def factory(make: Callable[[], Any]) -> Any:
    """A field's default, created by ``make`` for each record, such as ``factory(dict)``."""
    return Factory(make)


@dataclass_transform(frozen_default=True)
def record(cls: C) -> C:
    """Turn a class with annotated fields into a record: ``__init__``, equality, hash and ``repr`` by its values."""
    for name, method in (("__eq__", _eq), ("__hash__", _hash), ("__repr__", _repr)):
        if vars(cls).get(name) is None:
            setattr(cls, name, method)
    return with_fields(cls)


def with_fields(cls: C) -> C:
    """Add an ``__init__`` that takes the annotated fields. Fields of bases come first, as in a dataclass.

    A default may be a ``dataclasses.field``; it is kept for ``dataclasses.fields``.
    """
    fields: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        fields.update(vars(base).get("__record_fields__", ()))
    for name, hint in vars(cls).get("__annotations__", {}).items():
        if not hint.startswith("ClassVar"):
            fields[name] = _field(cls, name, hint)
    made = {"__record_fields__": fields, "__dataclass_fields__": _Fields(), "__init__": _init}
    for name, value in made.items():
        setattr(cls, name, value)
    return cls


def _field(cls: type, name: str, hint: str) -> tuple[str, Any]:
    """Type and declaration of a field. A ``dataclasses.field`` on the class is replaced by its default."""
    given = vars(cls).get(name, _MISSING)
    if hasattr(given, "metadata"):
        no_default = type(given.default) is type(given.default_factory)  # both are dataclasses.MISSING
        if no_default:
            delattr(cls, name)
        elif callable(given.default_factory):
            setattr(cls, name, Factory(given.default_factory))
        else:
            setattr(cls, name, given.default)
    return hint, given


def values(instance: Any) -> tuple[Any, ...]:
    """The values of a record's fields, in order."""
    return tuple([getattr(instance, name) for name in instance.__record_fields__])


def replace(instance: T, /, **changes: Any) -> T:
    """A copy of a record with other values for some fields."""
    kept = {name: getattr(instance, name) for name in instance.__record_fields__}  # type: ignore[attr-defined]
    make: Callable[..., T] = type(instance)
    return make(**{**kept, **changes})


def _init(self: Any, *given: Any, **named: Any) -> None:
    fields = self.__record_fields__
    data = dict(zip(fields, given))
    if len(given) > len(fields) or not data.keys().isdisjoint(named) or not named.keys() <= fields.keys():
        raise TypeError(f"{type(self).__name__} has the fields {', '.join(fields)}; not {given} {sorted(named)}")
    data.update(named)
    for name in fields:
        if name not in data:
            data[name] = _default(type(self), name)
    vars(self).update(data)
    check = getattr(self, "__post_init__", None)
    if check is not None:
        check()


def _default(cls: type, name: str) -> Any:
    try:
        default = getattr(cls, name)
    except AttributeError:
        raise TypeError(f"{cls.__name__}: {name} is missing") from None
    return default.default_factory() if isinstance(default, Factory) else default


def _eq(self: Any, other: object) -> Any:
    return values(self) == values(other) if type(self) is type(other) else NotImplemented


def _hash(self: Any) -> int:
    return hash((type(self), values(self)))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__record_fields__)
    return f"{type(self).__qualname__}({shown})"


class _Fields:
    """What ``dataclasses`` looks for on a class: computed on first access, then kept."""

    def __get__(self, instance: Any, cls: type) -> Any:
        import dataclasses

        fields: dict[str, tuple[str, Any]] = cls.__record_fields__  # type: ignore[attr-defined]
        body: dict[str, Any] = {"__annotations__": {name: hint for name, (hint, _) in fields.items()}}
        for name, (_, given) in fields.items():
            if isinstance(given, Factory):
                body[name] = dataclasses.field(default_factory=given.default_factory)
            elif given is not _MISSING:
                body[name] = given
        twin = type(cls.__name__, (), {**body, "__module__": cls.__module__})
        declared = dataclasses.fields(dataclasses.dataclass(init=False, repr=False, eq=False)(twin))
        cls.__dataclass_fields__ = {field.name: field for field in declared}  # type: ignore[attr-defined]
        return cls.__dataclass_fields__  # type: ignore[attr-defined]
