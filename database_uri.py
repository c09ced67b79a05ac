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
OTHER_NAMES = {
    "postgres": "postgresql",
    "psql": "postgresql",
    "pg": "postgresql",
    "cockroach": "cockroachdb",
    "sqlite3": "sqlite",
}
ASYNCHRONOUS = frozenset(
    ["aiomysql", "aioodbc", "aiosqlite", "asyncmy", "asyncpg", "oracledb_async", "psycopg_async"]
)

# On this machine, the user of a database that has just been installed.
LOCAL_USERS = {"postgresql": "postgres@", "mysql": "root@", "mariadb": "root@"}

EXAMPLE = "postgresql://user:password@localhost/my_app"
SECRET = re.compile("pass|pwd|secret|token", re.IGNORECASE)

# Every printable character that doesn't separate the parts of an address.
TEXT = r"(?:%[0-9A-Fa-f]{2}|[^\s%:/?#\[\]@\"<>\\^`{|}])"
ADDRESS = re.compile(
    rf"""
    (?: (?P<user> {TEXT}* ) (?: : (?P<password> {TEXT}* ) )? @ )?
    (?: \[ (?P<ipv6> [0-9A-Fa-f:.]+ ) \] | (?P<host> [^\s%:/?\#\[\]@"<>\\^`{{|}}$,]* ) )
    (?: : (?P<port> [0-9]{{1,5}} ) )?
    (?: / (?P<database> (?: {TEXT} | / )* ) )?
    """,
    re.VERBOSE,
)
PATH = re.compile(r"(?:%[0-9A-Fa-f]{2}|[^%?#\"<>^`{|}])*")
# SQLAlchemy would take an @ for the end of a password, and leave out an option without a =.
QUERY = re.compile(rf"(?:(?:{TEXT}|[:/?])+(?:&|$))*")
OPTION = re.compile("[^=]+=.*")
INVALID_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
SEVERAL_HOSTS = (
    "?host=a,b&port=5432,5432"  # https://www.postgresql.org/docs/current/libpq-connect.html
)


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


def complete(answer: str, name: str) -> str:
    """Return an address for the name of a database system alone, as in postgres; else the answer.

    Quotes around it, as in a file of settings, are left out.

    Args:
        name: The name of the database.
    """
    quoted = re.fullmatch(r"""\s*(['"])(.*)\1\s*""", answer)
    answer = quoted[2] if quoted else answer
    system = answer.strip().lower()
    dialect = OTHER_NAMES.get(system, system)
    if dialect == "sqlite":
        return f"sqlite:///{name}.db"
    if dialect in LOCAL_USERS:
        return f"{dialect}://{LOCAL_USERS[dialect]}localhost/{name}"
    return answer


def parse(answer: str) -> DatabaseUri:
    """Parse an address.

    Raises:
        InvalidUri: It can't be used.
    """
    if not answer.isprintable():
        raise InvalidUri("has a line break or an invisible character: type it on one line.")
    scheme, separator, rest = answer.strip().partition("://")
    scheme = scheme.lower()
    if not separator:
        raise InvalidUri(
            f"is not the address of a database: type one such as sqlite:///my_app.db or {EXAMPLE}."
        )
    dialect, driver = _dialect_and_driver(scheme)
    if INVALID_ESCAPE.search(rest):
        raise InvalidUri(
            "has a % that no two hexadecimal digits follow: quote a percent sign as %25."
        )
    address, question_mark, query = rest.partition("?")
    _check_query(query)
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


def _check_query(query: str) -> None:
    if "@" in query:
        raise InvalidUri(
            "has an @ after the ?: quote a ? in the user or password as %3F, and an @ in an option as %40."
        )
    if not QUERY.fullmatch(query):
        raise InvalidUri(
            "has a special character after the ?: quote it, as %20 for a space or %23 for #."
        )
    if not all(OPTION.fullmatch(option) for option in query.split("&") if option):
        raise InvalidUri(
            "has no name=value after the ?, as ?sslmode=require has: quote a ? in a name as %3F."
        )


def _check_path(address: str) -> None:
    if address in ("", "/", "/:memory:"):
        raise InvalidUri(
            "is a database in memory, which starts empty in each process: name a file,"
            " as in sqlite:///my_app.db."
        )
    if address and not address.startswith("/"):
        raise InvalidUri(
            "needs three slashes before the name of the file, as in sqlite:///my_app.db."
        )
    if not PATH.fullmatch(address):
        raise InvalidUri("has a special character in the name of the file: quote it, as %23 for #.")


def _check_address(dialect: str, address: str, query: str) -> str:
    """Return the address without its password."""
    match = ADDRESS.fullmatch(address)
    if not match:
        raise InvalidUri(_find_wrong_part(dialect, address))
    if match["port"] and not 0 < int(match["port"]) < 65536:
        raise InvalidUri("has an invalid port: use a number from 1 to 65535.")
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


def _find_wrong_part(dialect: str, address: str) -> str:
    """Return what is wrong with an address that ADDRESS doesn't match."""
    if " " in address:
        return "has a space: quote it as %20."
    if "#" in address:
        return "has a #: quote it as %23."
    login, at, server = address.rpartition("@")
    if "@" in login:
        return "has more than one @: quote those in the user, password or database as %40."
    if "/" in login:
        return (
            "has a / before the @: quote a / in the user or password as %2F,"
            " and an @ in the name of the database as %40."
        )
    if login.count(":") > 1:
        return "has more than one : before the @: quote those in the user or password as %3A."
    if at and not re.fullmatch(rf"(?:{TEXT}|:)*", login):
        return (
            "has a special character in the user or password: quote it, as %5B for [ or %5C for \\."
        )
    server, _, database = server.partition("/")
    if "," in server:
        if dialect != "postgresql":
            return "names more than one host: name one."
        return f"names more than one host: name them as options, as in postgresql://user:password@/my_app{SEVERAL_HOSTS}."
    host, colon, port = server.rpartition(":")
    if "[" in server and not re.fullmatch(r"\[[0-9A-Fa-f:.]+\](:.*)?", server):
        return "has no IPv6 address in its brackets: write one such as [::1]."
    if host.count(":") and "[" not in host:
        return "has more than one : in the host: write an IPv6 address in brackets, as in [::1]."
    if colon and not re.fullmatch("[0-9]{1,5}", port):
        return "has an invalid port: a number from 1 to 65535 follows the : of the host, as in @localhost:5432."
    if not re.fullmatch(rf"(?:{TEXT}|/)*", database):
        return "has a special character in the name of the database: quote it, as %3A for :."
    return "has a special character in the host: write its name or number alone."
