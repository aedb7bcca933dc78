"""A frozen dataclass and its row: columns and codecs are derived from the field types, so nothing is listed twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import blake2b
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import BigInteger, Boolean, Column, DateTime, LargeBinary, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

_PLAIN: dict[type, tuple[Callable[[], TypeEngine[Any]], str]] = {
    str: (Text, "text"),
    bool: (Boolean, "boolean"),
    int: (BigInteger, "bigint"),
    datetime: (lambda: DateTime(timezone=True), "timestamptz"),
    bytes: (LargeBinary, "bytea"),
    UUID: (Uuid, "uuid"),
}


def _strip(hint: Any) -> tuple[Any, bool]:
    """The type inside Annotated, Optional and Literal; and whether it may be None."""
    if get_origin(hint) is Annotated:
        return _strip(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        inside = [arg for arg in get_args(hint) if arg is not NoneType]
        if len(inside) == 1 and len(inside) < len(get_args(hint)):
            return _strip(inside[0])[0], True
    if get_origin(hint) is Literal:
        return type(get_args(hint)[0]), False
    return hint, False


@dataclass(frozen=True, slots=True)
class Field:
    """One field as a column: its SQL type for `unnest`, and how a nested value becomes jsonb and back."""

    name: str
    sql: str
    nullable: bool
    column_type: TypeEngine[Any]
    adapter: TypeAdapter[Any] | None

    def encode(self, value: Any) -> Any:
        if self.adapter is None or value is None:
            return value
        return self.adapter.dump_json(value).decode()

    def decode(self, value: Any) -> Any:
        if self.adapter is None or value is None:
            return value
        return self.adapter.validate_json(value)


def fields_of(kind: type) -> tuple[Field, ...]:
    """The columns of a frozen dataclass, in field order. Plain types are columns, everything else is jsonb."""
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for each in fields(kind):
        inside, nullable = _strip(hints[each.name])
        plain = _PLAIN.get(inside) if isinstance(inside, type) else None
        if plain:
            found.append(Field(each.name, plain[1], nullable, plain[0](), None))
        elif get_origin(inside) is dict:
            raise TypeError(f"{kind.__name__}.{each.name}: jsonb reorders a dict's keys; use a tuple of parts")
        else:
            found.append(Field(each.name, "jsonb", nullable, JSONB(), TypeAdapter(inside)))
    return tuple(found)


def columns_of(fields_: Sequence[Field], key: str | None = None) -> list[Column[Any]]:
    return [Column(f.name, f.column_type, primary_key=f.name == key, nullable=f.nullable) for f in fields_]


@dataclass(frozen=True, slots=True)
class Codec:
    """Rows of one kind: `encode` gives the column values in field order, `decode` the dataclass again."""

    kind: type
    fields: tuple[Field, ...]

    @classmethod
    def of(cls, kind: type) -> "Codec":
        return cls(kind, fields_of(kind))

    def encode(self, value: object) -> tuple[Any, ...]:
        return tuple(f.encode(getattr(value, f.name)) for f in self.fields)

    def decode(self, row: Sequence[Any]) -> Any:
        return self.kind(*(f.decode(value) for f, value in zip(self.fields, row, strict=True)))


def digest(encoded: Sequence[Any]) -> bytes:
    """16 bytes that change when any column does: the same for a value and for its row read back and encoded again."""
    state = blake2b(digest_size=16)
    for value in encoded:
        state.update(b"\x00" if value is None else b"\x01" + _bytes(value))
        state.update(b"\x1f")
    return state.digest()


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, datetime):
        return str(round(value.timestamp() * 1_000_000)).encode()
    return str(value).encode()
