"""Compares types of columns: which generic type means the same, and which type holds all values."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy import JSON, Boolean, Enum, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import CompileError
from sqlalchemy.types import TypeEngine

DIALECTS = ("default", "sqlite", "postgresql", "mysql", "mariadb")
SPELLING = re.compile(r"(\w+(?: PRECISION)?)\s*(?:\((\d+)(?:, *(\d+))?\))?\s*(.*)", re.DOTALL)
# Bytes, and digits at most.
INTEGERS = {"TINYINT": (1, 3), "SMALLINT": (2, 5), "MEDIUMINT": (3, 8), "INTEGER": (4, 10), "BIGINT": (8, 20)}  # fmt: skip
# Characters, of four bytes on MySQL; for other databases these types have no limit.
TEXTS = {"VARCHAR": 0, "CHAR": 0, "TINYTEXT": 63, "TEXT": 2**14 - 1, "MEDIUMTEXT": 2**22 - 1, "LONGTEXT": 2**30 - 1}  # fmt: skip
BYTES = {"VARBINARY": 0, "BINARY": 0, "TINYBLOB": 255, "BLOB": 2**16 - 1, "MEDIUMBLOB": 2**24 - 1, "LONGBLOB": 2**32 - 1}  # fmt: skip
DECIMALS = ("NUMERIC", "DECIMAL")
FLOATS = ("REAL", "FLOAT", "DOUBLE", "DOUBLE PRECISION")
TIMES = ("DATETIME", "TIMESTAMP", "TIME")


class Spelling(NamedTuple):
    """A type as the database spells it."""

    name: str
    size: int | None
    scale: int | None
    rest: str  # UNSIGNED, a collation, WITH TIME ZONE


def is_plain(item: TypeDecorator[Any]) -> bool:
    """Return whether the type of the column is that of `impl` on every database."""
    spellings = set()
    for name in DIALECTS:  # a variant is for a dialect of this name
        dialect = DefaultDialect()
        dialect.name = name
        try:
            spellings.add(item.compile(dialect=dialect))
        except CompileError:
            spellings.add("of one database")
    is_own = type(item).load_dialect_impl is not TypeDecorator.load_dialect_impl
    return len(spellings) == 1 and not is_own


def make_generic(item: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """Return the generic type for one that was read from the database, if it means the same."""
    if isinstance(item, mysql.TINYINT) and item.display_width == 1 and not item.unsigned:
        return Boolean()
    if getattr(item, "display_width", None) and not getattr(item, "zerofill", False):
        item = item.copy()
        item.display_width = None  # type: ignore[attr-defined]  # INTEGER(11) is INTEGER
    with suppress(NotImplementedError, CompileError):
        generic = item.as_generic()
        if (
            isinstance(item, Enum)
            and item.native_enum
            or _spell(item, dialect) == _spell(generic, dialect)
        ):
            return generic
    return item


def holds_each_value(new: TypeEngine[Any], old: TypeEngine[Any], dialect: Dialect) -> bool:
    """Return whether no value of the old type is cut off, rounded or refused by the new one."""
    if isinstance(old, Enum) and isinstance(new, Enum) and old.native_enum and new.native_enum:
        return set(old.enums) <= set(new.enums)
    a, b = _spell(old, dialect), _spell(new, dialect)
    if a == b or (a.name, b.name) == ("JSON", "JSONB"):
        return True
    if a.name in INTEGERS:
        return _holds_integers(a, b)
    for names in (TEXTS, BYTES):
        if a.name in names and b.name in names:
            wider = _length(b, names, dialect) >= _length(a, names, dialect)
            return wider and b.rest in ("", a.rest)  # else the collation changes
    if a.name in DECIMALS and b.name in DECIMALS:
        return _holds_decimals(a, b, unlimited=dialect.name == "postgresql")
    if a.name in FLOATS and b.name in FLOATS:
        return FLOATS.index(b.name) >= FLOATS.index(a.name)
    if a.name == b.name and a.name in TIMES:
        digits = 6 if dialect.name == "postgresql" else 0
        return a.rest == b.rest and _or(b.size, digits) >= _or(a.size, digits)
    return False


def is_free(new: TypeEngine[Any], old: TypeEngine[Any], dialect: Dialect) -> bool:
    """Return whether PostgreSQL changes nothing but its catalog, for a type that holds each value.

    https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """
    a, b = _spell(old, dialect), _spell(new, dialect)
    return (a.name == b.name or {a.name, b.name} <= {"VARCHAR", "TEXT"}) and a.scale == b.scale


def _spell(item: TypeEngine[Any], dialect: Dialect) -> Spelling:
    text = item.compile(dialect=dialect).upper().replace("DECIMAL", "NUMERIC")
    match = SPELLING.match(text)
    if not match:
        return Spelling(text, None, None, "")
    name, size, scale, rest = match.groups()
    return Spelling(name, int(size) if size else None, int(scale) if scale else None, rest.strip())


def _or(number: int | None, default: int) -> int:
    return default if number is None else number


def _length(one: Spelling, names: dict[str, int], dialect: Dialect) -> float:
    if dialect.name in ("mysql", "mariadb"):
        return names[one.name] or _or(one.size, 0)
    return one.size or math.inf


def _holds_integers(a: Spelling, b: Spelling) -> bool:
    size, digits = INTEGERS[a.name]
    if b.name in INTEGERS:
        if ("UNSIGNED" in a.rest) == ("UNSIGNED" in b.rest):
            return INTEGERS[b.name][0] >= size
        return "UNSIGNED" in a.rest and INTEGERS[b.name][0] > size
    if b.name in DECIMALS:
        return b.size is None or b.size - _or(b.scale, 0) >= digits
    if b.name in TEXTS:
        return b.size is None or b.size > digits
    return b.name in FLOATS[2:] and size <= 4


def _holds_decimals(a: Spelling, b: Spelling, *, unlimited: bool) -> bool:
    if unlimited and None in (a.size, b.size):
        return b.size is None
    before, after = _or(a.scale, 0), _or(b.scale, 0)
    return after >= before and _or(b.size, 10) - after >= _or(a.size, 10) - before
