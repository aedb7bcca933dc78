"""A frozen dataclass and its row: columns and codecs are derived from the field types, so nothing is listed twice."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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
            continue
        adapter: TypeAdapter[Any] = TypeAdapter(inside)
        if _has_no_order(adapter.json_schema(mode="serialization")):
            raise TypeError(f"{kind.__name__}.{each.name}: a dict or a set has no order in jsonb; use tuples")
        found.append(Field(each.name, "jsonb", nullable, JSONB(), adapter))
    return tuple(found)


def _has_no_order(schema: Any) -> bool:
    """Whether a dict or a set is anywhere inside: read back, it need not encode to what was written."""
    if isinstance(schema, list):
        return any(_has_no_order(each) for each in schema)
    if not isinstance(schema, dict):
        return False
    return bool(schema.get("additionalProperties") or schema.get("uniqueItems")) or _has_no_order([*schema.values()])


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
    return hash_of(b"", encoded)


def hash_of(start: bytes, parts: Iterable[Any]) -> bytes:
    """16 bytes over what came before and every part, each with its length: no two lists of parts read alike."""
    state = blake2b(start, digest_size=16)
    for part in parts:
        if part is None:
            state.update(b"-")
        else:
            content = _bytes(part)
            state.update(b"%d:" % len(content))
            state.update(content)
    return state.digest()


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, datetime):
        return b"%d" % ((value - _EPOCH) // _MICROSECOND)
    return str(value).encode()
