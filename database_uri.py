"""Parses the answer to `database_uri`, without SQLAlchemy: cookiecutter's Python may not have it.

It accepts a part of what SQLAlchemy reads. The address is passed on as it was typed, but with the name
of the driver, and with `$` quoted.
https://docs.sqlalchemy.org/en/21/core/engines.html#database-urls
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

# The packages that each driver needs. An address without a driver means the first one.
PSYCOPG = ("psycopg[binary]>=3.3.6",)
PSYCOPG2 = ("psycopg2-binary>=2.9.10",)
MYSQL = {
    "pymysql": ("pymysql[rsa]>=1.2",),
    "mysqldb": ("mysqlclient>=2.2",),
    "mariadbconnector": ("mariadb>=1.1",),
    "mysqlconnector": ("mysql-connector-python>=9.1",),
}
DRIVERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "sqlite": {"pysqlite": ()},
    "postgresql": {"psycopg": PSYCOPG, "psycopg2": PSYCOPG2, "pg8000": ("pg8000>=1.31",)},
    "mysql": MYSQL,
    "mariadb": MYSQL,
    "cockroachdb": {
        "psycopg": ("sqlalchemy-cockroachdb>=2.0.3", *PSYCOPG),
        "psycopg2": ("sqlalchemy-cockroachdb>=2.0.3", *PSYCOPG2),
    },
    "mssql": {"pyodbc": ("pyodbc>=5.2",), "pymssql": ("pymssql>=2.3",)},
    "oracle": {"oracledb": ("oracledb>=3",)},
    "firebird": {"firebird": ("sqlalchemy-firebird>=2.1",)},
    "db2": {"ibm_db": ("ibm-db-sa>=0.4.4",)},
    "hana": {"hdbcli": ("sqlalchemy-hana>=4",)},
    "snowflake": {"": ("snowflake-sqlalchemy>=2",)},
    "duckdb": {"": ("duckdb-engine>=0.17",)},
}
TESTED = frozenset(["sqlite+pysqlite", "postgresql+psycopg", "mysql+pymysql", "mariadb+pymysql"])
OTHER_NAMES = {"postgres": "postgresql", "cockroach": "cockroachdb"}
ASYNCHRONOUS = frozenset(
    ["aiomysql", "aioodbc", "aiosqlite", "asyncmy", "asyncpg", "oracledb_async", "psycopg_async"]
)

EXAMPLE = "postgresql://user:password@localhost/my_app"
SECRET = re.compile("pass|pwd|secret|token", re.IGNORECASE)

# Every printable character that doesn't separate the parts of an address.
TEXT = r"(?:%[0-9A-Fa-f]{2}|[^\s%:/?#\[\]@\"<>\\^`{|}])"
ADDRESS = re.compile(
    rf"""
    (?: (?P<user> {TEXT}* ) (?: : (?P<password> {TEXT}* ) )? @ )?
    (?: \[ (?P<ipv6> [0-9A-Fa-f:.]+ ) \] | (?P<host> [^\s%:/?\#\[\]@"<>\\^`{{|}}$]* ) )
    (?: : (?P<port> [0-9]{{1,5}} ) )?
    (?: / (?P<database> (?: {TEXT} | / )* ) )?
    """,
    re.VERBOSE,
)
PATH = re.compile(r"(?:%[0-9A-Fa-f]{2}|[^%?#\"<>^`{|}])*")
QUERY = re.compile(rf"(?:{TEXT}|[:/?])*")  # SQLAlchemy would take an @ for the end of a password


class InvalidUri(ValueError):
    """The address can't be used. The text says why, and never quotes it: it may hold a password."""


@dataclass(frozen=True)
class DatabaseUri:
    """An address that SQLAlchemy can read.

    Attributes:
        full: With the password.
        public: Without it.
    """

    dialect: str
    driver: str
    full: str
    public: str

    @property
    def packages(self) -> tuple[str, ...]:
        """The requirements of the driver."""
        return DRIVERS[self.dialect][self.driver]

    @property
    def is_tested(self) -> bool:
        """Whether this template's tests run on such a database."""
        return f"{self.dialect}+{self.driver}" in TESTED


def parse(answer: str) -> DatabaseUri:
    """Parse an address.

    Raises:
        InvalidUri: It can't be used.
    """
    if not answer.isprintable():
        raise InvalidUri("has a line break or an invisible character: type it on one line.")
    scheme, separator, rest = answer.partition("://")
    if not separator:
        raise InvalidUri(
            f"is not the address of a database: type one such as sqlite:///my_app.db or {EXAMPLE}."
        )
    dialect, driver = _dialect_and_driver(scheme)
    address, question_mark, query = rest.partition("?")
    if not QUERY.fullmatch(query):
        raise InvalidUri(
            "has a special character after the ?: quote it, as %20 for a space or %40 for @."
        )
    if dialect in ("sqlite", "duckdb"):
        _check_path(address)
        public_address = address
    else:
        public_address = _check_address(dialect, address, query)
    options = query.split("&") if query else []
    public_options = [option for option in options if not SECRET.search(unquote_plus(option))]

    named = f"{dialect}+{driver}" if driver and scheme != "sqlite" else dialect
    public_query = "&".join(public_options)
    return DatabaseUri(
        dialect=dialect,
        driver=driver,
        # python-dotenv replaces ${...} by the value of a variable.
        full=f"{named}://{address}{question_mark}{query}".replace("$", "%24"),
        public=f"{named}://{public_address}{'?' if public_query else ''}{public_query}".replace(
            "$", "%24"
        ),
    )


def _dialect_and_driver(scheme: str) -> tuple[str, str]:
    dialect, plus, driver = scheme.partition("+")
    dialect = OTHER_NAMES.get(dialect, dialect)
    if driver in ASYNCHRONOUS:
        instead = next(iter(DRIVERS.get(dialect, {"psycopg": ()})))
        raise InvalidUri(
            f"names an asynchronous driver, which Flask-SQLAlchemy can't use: use {dialect}+{instead}://."
        )
    if dialect not in DRIVERS:
        raise InvalidUri(f"names an unknown database: use one of {', '.join(DRIVERS)}.")
    if not plus:
        return dialect, next(iter(DRIVERS[dialect]))
    if driver not in DRIVERS[dialect]:
        known = ", ".join(f"{dialect}+{name}" if name else dialect for name in DRIVERS[dialect])
        raise InvalidUri(f"names an unknown driver for {dialect}: use one of {known}.")
    return dialect, driver


def _check_path(address: str) -> None:
    if address and not address.startswith("/"):
        raise InvalidUri(
            "needs three slashes before the name of the file, as in sqlite:///my_app.db."
        )
    if not PATH.fullmatch(address):
        raise InvalidUri(
            "has a special character in the name of the file: quote it, as %25 for a percent sign."
        )


def _check_address(dialect: str, address: str, query: str) -> str:
    """Return the address without its password."""
    match = ADDRESS.fullmatch(address)
    if not match:
        raise InvalidUri(
            "has a special character in the user, password, host or database: quote it, as %40 for @, %3A for"
            " :, %2F for /, %23 for # and %25 for a percent sign."
        )
    if match["port"] and not 0 < int(match["port"]) < 65536:
        raise InvalidUri("has an invalid port: use 1 to 65535.")
    if match["ipv6"]:
        try:
            ipaddress.IPv6Address(match["ipv6"])
        except ValueError:
            raise InvalidUri(
                "has no IPv6 address in its brackets: write one such as [::1]."
            ) from None
    if dialect in ("postgresql", "mysql", "mariadb", "cockroachdb"):
        elsewhere = re.search(r"(^|&)(dbname|service|database)=", query)
        if not (match["database"] or elsewhere):
            raise InvalidUri(f"names a server, but no database on it: add one, as in {EXAMPLE}.")
    if match["password"] is None:
        return address
    return address[: match.start("password") - 1] + address[match.end("password") :]
