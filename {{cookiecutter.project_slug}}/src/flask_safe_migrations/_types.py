"""Compares types of columns: which generic type means the same, and which type holds all values."""

import math
import re
from contextlib import suppress
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Enum, Interval, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import CompileError

SPELLING = re.compile(r"(\w+(?: PRECISION)?)\s*(?:\((\d+)(?:, *(\d+))?\))?\s*(.*)", re.DOTALL)
INTEGERS = ["TINYINT", "SMALLINT", "MEDIUMINT", "INTEGER", "BIGINT"]
DIGITS = [3, 5, 8, 10, 20]
# The first two have a length. That of the others is one for MySQL, where a character has up to
# four bytes, and without a limit elsewhere.
TEXTS = ["VARCHAR", "CHAR", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT"]
BINARIES = ["VARBINARY", "BINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB"]
FLOATS = ["REAL", "FLOAT", "DOUBLE", "DOUBLE PRECISION"]
TIMES = ["DATETIME", "TIMESTAMP", "TIME"]


class Spelling(NamedTuple):
    """A type as the database spells it."""

    name: str
    size: int | None
    scale: int | None
    rest: str  # UNSIGNED, a collation, WITH TIME ZONE


def is_plain(item: TypeDecorator[Any]) -> bool:
    """Return whether the type of the column is that of `impl` on every database."""
    spellings = set()
    # A variant is for a dialect of one of these names.
    for name in ("default", "sqlite", "postgresql", "mysql", "mariadb"):
        dialect = DefaultDialect()
        dialect.name = name
        try:
            spellings.add(item.compile(dialect=dialect))
        except CompileError:
            spellings.add(name)
    is_own = type(item).load_dialect_impl is not TypeDecorator.load_dialect_impl
    return len(spellings) == 1 and not is_own and not isinstance(item, Interval)


def make_generic(item: Any, dialect: Dialect) -> Any:  # noqa: ANN401
    """Return the generic type for one that was read from the database, if it means the same."""
    if isinstance(item, mysql.TINYINT) and item.display_width == 1 and not item.unsigned:
        return Boolean()
    if getattr(item, "display_width", None) and not getattr(item, "zerofill", False):
        item = item.copy()
        item.display_width = None  # INTEGER(11) is INTEGER
    with suppress(NotImplementedError, CompileError, AttributeError):
        generic = item.as_generic()
        if _spell(item, dialect) == _spell(generic, dialect):
            return generic
    return item


def holds_each_value(new: Any, old: Any, dialect: Dialect) -> bool:  # noqa: ANN401
    """Return whether no value of the old type is cut off, rounded or refused by the new one."""
    if isinstance(old, Enum) and isinstance(new, Enum) and old.native_enum and new.native_enum:
        return set(old.enums) <= set(new.enums)
    a, b = _spell(old, dialect), _spell(new, dialect)
    if a == b:
        return True
    if a.name in INTEGERS:
        return _holds_integers(a, b)
    for names in (TEXTS, BINARIES):
        if a.name in names and b.name in names:
            wider = _length(b, names, dialect) >= _length(a, names, dialect)
            return wider and b.rest in ("", a.rest)  # else the collation changes
    if a.name == b.name == "NUMERIC":
        if dialect.name == "postgresql" and None in (a.size, b.size):
            return b.size is None
        before, after = a.scale or 0, b.scale or 0
        return after >= before and (b.size or 10) - after >= (a.size or 10) - before
    if a.name in FLOATS and b.name in FLOATS:
        return FLOATS.index(b.name) >= FLOATS.index(a.name)
    if a.name == b.name and a.name in TIMES and a.rest == b.rest:
        default = 6 if dialect.name == "postgresql" else 0
        before, after = (default if it is None else it for it in (a.size, b.size))
        return after >= before
    return False


def keeps_rows(new: Any, old: Any, dialect: Dialect) -> bool:  # noqa: ANN401
    """Return whether the server leaves all rows as they are, for a type that holds each value.

    https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    https://dev.mysql.com/doc/refman/8.4/en/innodb-online-ddl-operations.html
    """
    a, b = _spell(old, dialect), _spell(new, dialect)
    if a == b:
        return True
    if dialect.name == "postgresql":
        is_same_scale = a.name == b.name == "NUMERIC" and (b.size is None or a.scale == b.scale)
        is_text = {a.name, b.name} <= {"VARCHAR", "TEXT"}
        return is_text or is_same_scale or (a.name == b.name and a.name in TIMES)
    if dialect.name in ("mysql", "mariadb"):
        if a.name == b.name == "ENUM":
            return b.rest.startswith(a.rest.partition(")")[0])
        # MySQL has one byte for the length of up to 255 bytes. For MariaDB, it makes no difference.
        is_kept = (
            getattr(dialect, "is_mariadb", False)
            or len({(it.size or 0) < 64 for it in (a, b)}) == 1
        )
        return is_kept and a.name == b.name and a.name in ("VARCHAR", "VARBINARY")
    return True


def needs_cast(new: Any, old: Any, dialect: Dialect) -> bool:  # noqa: ANN401
    """Return whether PostgreSQL converts values only with an explicit cast, in one direction."""
    families = (TEXTS, [*INTEGERS, *FLOATS, "NUMERIC"], [*TIMES, "DATE"])
    kinds = {
        next((str(names) for names in families if spelling.name in names), spelling.name)
        for spelling in (_spell(new, dialect), _spell(old, dialect))
    }
    return len(kinds) > 1


def _spell(item: Any, dialect: Dialect) -> Spelling:  # noqa: ANN401
    text = item.compile(dialect=dialect).upper().replace("DECIMAL", "NUMERIC")
    match = SPELLING.match(text)
    name, size, scale, rest = match.groups() if match else (text, "", "", "")
    return Spelling(name, int(size) if size else None, int(scale) if scale else None, rest.strip())


def _length(one: Spelling, names: list[str], dialect: Dialect) -> float:
    number = names.index(one.name) - 1
    if number < 1 or dialect.name not in ("mysql", "mariadb"):
        return one.size or math.inf
    return math.ldexp(1, 8 * number) / (4 if names is TEXTS else 1)


def _holds_integers(a: Spelling, b: Spelling) -> bool:
    size, unsigned = INTEGERS.index(a.name), "UNSIGNED" in a.rest
    if b.name in INTEGERS:
        wider = INTEGERS.index(b.name) - size
        return wider >= 0 if unsigned == ("UNSIGNED" in b.rest) else unsigned and wider > 0
    if b.name == "NUMERIC":
        return b.size is None or b.size - (b.scale or 0) >= DIGITS[size]
    if b.name in TEXTS:
        return b.size is None or b.size > DIGITS[size]
    return b.name in FLOATS[2:] and a.name != "BIGINT"
