"""The address that is answered is the one that the application gets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from urllib.parse import quote, urlencode

import pytest
from conftest import TEMPLATE, load
from dotenv import dotenv_values
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from sqlalchemy import make_url

import answers
import database_uri

pytestmark = pytest.mark.quick

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


@pytest.mark.parametrize(
    ("answer", "arrives", "packages"),
    [
        ("sqlite:///my_app.db", "sqlite:///my_app.db", ()),
        ("sqlite:////srv/my_app.db", "sqlite:////srv/my_app.db", ()),
        (r"sqlite:///C:\data\my_app.db", r"sqlite:///C:\data\my_app.db", ()),
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d", ("psycopg[binary]>=3.3.6",)),
        ("postgresql://u@h:5433/d", "postgresql+psycopg://u@h:5433/d", ("psycopg[binary]>=3.3.6",)),
        ("postgresql://[::1]/d", "postgresql+psycopg://[::1]/d", ("psycopg[binary]>=3.3.6",)),
        (
            "postgresql://u@/d?host=/var/run/postgresql",
            "postgresql+psycopg://u@/d?host=/var/run/postgresql",
            ("psycopg[binary]>=3.3.6",),
        ),
        (
            "postgresql://u@h/d?options=-csearch_path%3Dmine",
            "postgresql+psycopg://u@h/d?options=-csearch_path%3Dmine",
            ("psycopg[binary]>=3.3.6",),
        ),
        ("postgresql+psycopg2://h/d", "postgresql+psycopg2://h/d", ("psycopg2-binary>=2.9.10",)),
        ("postgresql+pg8000://h/d", "postgresql+pg8000://h/d", ("pg8000>=1.31",)),
        ("mysql://u:p%40@h/d", "mysql+pymysql://u:p%40@h/d", ("pymysql[rsa]>=1.2",)),
        (
            "mariadb://u@h/d?unix_socket=/run/mysqld/mysqld.sock",
            "mariadb+pymysql://u@h/d?unix_socket=/run/mysqld/mysqld.sock",
            ("pymysql[rsa]>=1.2",),
        ),
        ("mysql+mysqldb://h/d", "mysql+mysqldb://h/d", ("mysqlclient>=2.2",)),
        ("mariadb+mariadbconnector://h/d", "mariadb+mariadbconnector://h/d", ("mariadb>=1.1",)),
        ("mssql://h/d", "mssql+pyodbc://h/d", ("pyodbc>=5.2",)),
        ("oracle://h/?service_name=x", "oracle+oracledb://h/?service_name=x", ("oracledb>=3",)),
        (
            "cockroachdb://u@h:26257/d",
            "cockroachdb+psycopg://u@h:26257/d",
            ("sqlalchemy-cockroachdb>=2.0.3", "psycopg[binary]>=3.3.6"),
        ),
        (" sqlite:///my_app.db ", "sqlite:///my_app.db", ()),
        ("SQLite:///My App.db", "sqlite:///My App.db", ()),
        ("PostgreSQL://U@h/D", "postgresql+psycopg://U@h/D", ("psycopg[binary]>=3.3.6",)),
        (
            "postgresql://u@/d?host=a,b&port=5432,5433&target_session_attrs=read-write",
            "postgresql+psycopg://u@/d?host=a,b&port=5432,5433&target_session_attrs=read-write",
            ("psycopg[binary]>=3.3.6",),
        ),
        ("mysql://u:a$b@h/d", "mysql+pymysql://u:a%24b@h/d", ("pymysql[rsa]>=1.2",)),
    ],
)
def test_the_driver_is_named_and_its_package_is_known(
    answer: str, arrives: str, packages: tuple[str, ...]
) -> None:
    uri = database_uri.parse(answer)

    assert (uri.full, uri.packages) == (arrives, packages)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("", "is not the address of a database"),
        ("my_app.db", "is not the address of a database"),
        ("sqlite://my_app.db", "three slashes"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///50%.db", "as %25"),
        ("sqlite:///what?.db", "as %3F"),
        ("sqlite:///a#b.db", "as %23"),
        ("postgresql+asyncpg://h/d", "use postgresql+psycopg://"),
        ("sqlite+aiosqlite:///x.db", "use sqlite+pysqlite://"),
        ("mysql+aiomysql://h/d", "use mysql+pymysql://"),
        ("mongodb://h/d", "names an unknown database"),
        ("postgresql+magic://h/d", "use one of postgresql+psycopg"),
        ("postgresql://u:p@ss@h/d", "more than one @"),
        ("postgresql://u:p/ss@h/d", "as %2F"),
        ("postgresql://u:p#ss@h/d", "as %23"),
        ("postgresql://u:p:ss@h/d", "as %3A"),
        ("postgresql://u:p?ss@h/d", "as %3F"),
        ("postgresql://u:p?ss@h/d?sslmode=require", "as %3F"),
        ("postgresql://u:p[ss@h/d", "as %5B"),
        ("postgresql://u:100%@h/d", "as %25"),
        ("postgresql://u:p ss@h/d", "as %20"),
        ("postgresql://h/d:e", "as %3A"),
        ("postgresql://h/d@e", "as %40"),
        ("postgresql://h/d?e", "as %3F"),
        ("postgresql://h/d?e=f&g", "name=value"),
        ("postgresql://h:99999/d", "an invalid port"),
        ("postgresql://h:123456/d", "an invalid port"),
        ("postgresql://h:/d", "an invalid port"),
        ("mysql://u:p@h:33o6/d", "an invalid port"),
        ("mysql://u:p@[::1]:x/d", "an invalid port"),
        ("postgresql://user:password/d", "an invalid port"),
        ("postgresql://h$/d", "special character in the host"),
        ("postgresql://a,b/d", "?host=a,b"),
        ("postgresql://u:p@a:5432,b:5433/d", "?host=a,b"),
        ("mysql://a,b/d", "name one"),
        ("postgresql://::1/d", "in brackets"),
        ("postgresql://[nowhere]/d", "no IPv6 address"),
        ("postgresql://[::1::2]/d", "no IPv6 address"),
        ("postgresql://h", "no database on it"),
        ("mysql://h/", "no database on it"),
        ("postgresql://h/d?a=b c", "after the ?"),
        ("postgresql://h/d\n", "on one line"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_the_remedy(answer: str, says: str) -> None:
    with pytest.raises(database_uri.InvalidUri, match=re.escape(says)):
        database_uri.parse(answer)


@pytest.mark.parametrize(
    ("answer", "public"),
    [
        ("mysql://u:hidden@h/d", "mysql+pymysql://u@h/d"),
        ("mysql://u:@h/d", "mysql+pymysql://u@h/d"),
        ("mysql://:hidden@h/d", "mysql+pymysql://@h/d"),
        (
            "postgresql://u@h/d?password=hidden&sslmode=require",
            "postgresql+psycopg://u@h/d?sslmode=require",
        ),
        ("postgresql://u@h/d?sslpassword=hidden", "postgresql+psycopg://u@h/d"),
        ("mssql://?odbc_connect=Server%3Dh%3BPWD%3Dhidden", "mssql+pyodbc://"),
    ],
)
def test_the_recorded_address_has_no_password(answer: str, public: str) -> None:
    assert database_uri.parse(answer).public == public


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("sqlite", "sqlite:///shop.db"),
        ("SQLite3 ", "sqlite:///shop.db"),
        ("postgres", "postgresql://postgres@localhost/shop"),
        ("PostgreSQL", "postgresql://postgres@localhost/shop"),
        ("mysql", "mysql://root@localhost/shop"),
        ("mariadb", "mariadb://root@localhost/shop"),
        ("'postgresql://h/d'", "postgresql://h/d"),
        (' "mysql" ', "mysql://root@localhost/shop"),
        ("oracle", "oracle"),  # refused, as its address can't be guessed
    ],
)
def test_the_name_of_a_database_system_means_one_on_this_machine(answer: str, meant: str) -> None:
    assert database_uri.complete(answer, "shop") == meant


TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
ANY_TEXT = st.text(max_size=12)


@pytest.fixture
def pre_gen(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(TEMPLATE / "hooks" / "pre_gen_project.py", monkeypatch)


def quoted(text: str) -> str:
    return quote(text, safe="")


@st.composite
def addresses(draw: DrawFn) -> str:
    """Addresses of all kinds, most of which can be used."""
    quoting: Callable[[str], str] = quoted if draw(st.integers(0, 3)) else str
    scheme = draw(
        st.sampled_from([*DRIVERS, "postgresql+pg8000", "mysql+mysqldb", "sqlite", "oracle"])
    )
    if scheme == "sqlite":
        return f"sqlite:///{draw(st.sampled_from(['', '/srv/']))}{quoting(draw(TEXT))}"
    address = ""
    if draw(st.booleans()):
        address += quoting(draw(TEXT))
        if draw(st.booleans()):
            address += ":" + quoting(draw(ANY_TEXT))
        address += "@"
    address += draw(
        st.sampled_from(["localhost", "127.0.0.1", "[::1]", "db.example.com", "", "dß", "h_1"])
    )
    if draw(st.booleans()):
        address += f":{draw(st.integers(0, 70000))}"
    address += "/" + quoting(draw(TEXT))
    if draw(st.booleans()):
        address += "?" + urlencode(draw(st.dictionaries(TEXT, ANY_TEXT, max_size=3)))
    return f"{scheme}://{address}"


@settings(
    max_examples=2500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(answer=addresses() | st.text() | TEXT.map(lambda text: f"postgresql://{text}"))
@example(answer="mysql://u:${HOME}@h/d")
@example(answer="postgresql://u:'\"@h/d")
@example(answer=r"mysql://u:a%5C%27b@h/d?x=\n")
def test_an_address_arrives_unchanged_or_is_refused_in_one_line(
    answer: str, pre_gen: ModuleType, tmp_path: Path
) -> None:
    try:
        uri = database_uri.parse(answer)
    except database_uri.InvalidUri as refused:
        assert str(refused).isprintable()  # noqa: PT017
        return
    env = tmp_path / ".env"
    env.unlink(missing_ok=True)
    pre_gen.write_env(env, uri.full)

    arrived = make_url(str(dotenv_values(env)["DATABASE_URL"]))

    scheme, separator, rest = answer.strip().partition("://")
    typed = make_url(f"{scheme.lower()}{separator}{rest}")
    assert arrived == typed.set(drivername=DRIVERS.get(typed.drivername, arrived.drivername))
    assert make_url(uri.public).password is None
    assert "$" not in uri.full


def test_a_refused_address_is_not_repeated() -> None:
    """It may hold a password, and the terminal of a CI is public."""
    with pytest.raises(SystemExit) as refusal:
        answers.check({"database_uri": "postgresql://u:hid@den@h/d"}, "database_uri")

    assert "hid" not in str(refusal.value)
    assert str(refusal.value).isprintable()
