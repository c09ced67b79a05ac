"""What accounts cost, beside the same project without; and whether time tells who has one.

    uv run python benchmarks/accounts.py

Both projects are on SQLite. Requests are made in one process, without a server, by somebody who is
logged in, or with a token. The start is that of `flask --version`, which makes the application. For
known and unknown addresses, the times of the same form are compared; the mail server that takes the
messages needs a fifth of a second for each.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from measuring import ENVIRONMENT, Ratios, head, in_turns, make_project, ratios, row, run, summary

ROUNDS = 7
REQUESTS = 200
FORMS = 60
PASSWORD = "correct horse battery staple"  # noqa: S105
KNOWN, UNKNOWN = "ann@example.com", "eve{}@example.com"


def main() -> Ratios:
    """Measure, and print two tables."""
    found: Ratios = defaultdict(dict)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        projects = {
            "with": make_project(one, "sqlite:///my_app.db", "accounts=yes"),
            "without": make_project(other, "sqlite:///my_app.db"),
        }
        print(f"Median of {ROUNDS} rounds (lowest to highest); the tests may take twice as long\n")
        head("what", *projects, "ratio")
        measured: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for side, project in in_turns(ROUNDS, projects):
            for what, amount in measure(project).items():
                measured[what][side].append(amount)
        for what, sides in measured.items():
            ratio = ratios(sides["with"], sides["without"])
            found[f"accounts: {what}"]["SQLite"] = ratio
            row(what, *(summary(sides[side]) for side in projects), summary(ratio))
        print("\nMilliseconds of a form, for an address\n")
        head("form", "with an account", "without one", "ratio of the medians")
        for form, (known, unknown) in json.loads(ask(projects["with"], "compare")).items():
            between = statistics.median(known) / statistics.median(unknown)
            row(form, summary(known), summary(unknown), f"{between:.2f}")
    return found


def measure(project: Path) -> dict[str, float]:
    """One round: milliseconds, seconds and MB."""
    measured: dict[str, float] = json.loads(ask(project, "serve"))
    for what, command in {
        "start, seconds": ["flask", "routes"],
        "its tests, seconds": ["pytest", "--quiet", "-p", "no:cacheprovider"],
    }.items():
        started = time.perf_counter()
        run(project, *command)
        measured[what] = time.perf_counter() - started
    return measured


def ask(project: Path, what: str) -> str:
    """Run the other half of this file in the project, as in production."""
    command = [project / ".venv" / "bin" / "python", __file__, what]
    settings = {"FLASK_DEBUG": "0", "LOG_LEVEL": "ERROR", "RATELIMIT_ENABLED": "0"}
    return subprocess.check_output(
        command, cwd=project, env=ENVIRONMENT | settings, encoding="utf-8"
    )


def serve() -> dict[str, float]:
    """In a project: what a request takes."""
    import resource

    from flask.testing import FlaskClient
    from my_app import create_app
    from my_app.database import db
    from my_app.notes.models import Note

    app = create_app()
    client: FlaskClient = app.test_client()
    owner = {}
    if "security" in app.extensions:
        from flask import session as flask_session
        from flask_security import login_user
        from my_app.accounts import tokens

        with app.test_request_context():
            datastore = app.extensions["security"].datastore
            account = datastore.find_user(email=KNOWN) or datastore.create_user(
                email=KNOWN, password=PASSWORD
            )
            datastore.commit()
            login_user(account)
            token = tokens.create_token(account, "benchmark")
            db.session.commit()
            values = dict(flask_session)
            owner = {"owner_id": account.id}
        with client.session_transaction() as session:
            session.update(values)
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    with app.app_context():
        db.session.add_all(Note(title=f"Note {n}", body="Text", **owner) for n in range(20))
        db.session.commit()
    measured = {}
    for what, path in {
        "page of 20 notes, ms": "/notes",
        "the same from the API, ms": "/api/notes",
        "first page, ms": "/",
    }.items():
        times = []
        for _ in range(REQUESTS):
            started = time.perf_counter()
            response = client.get(path)
            times.append((time.perf_counter() - started) * 1000)
            if response.status_code != 200:
                sys.exit(f"{path} answered {response.status}")
        measured[what] = statistics.median(times)
    return measured | {"memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


def compare() -> dict[str, list[list[float]]]:
    """In a project: what each form takes, for a known and an unknown address."""
    import re

    from my_app import create_app
    from my_app.accounts import mail

    app = create_app()
    app.config["RATELIMIT_ENABLED"] = False
    (limiter,) = app.extensions["limiter"]
    limiter.enabled = False
    app.config["MAIL_URL"] = "smtp://localhost"
    mail.deliver = lambda url, message: time.sleep(0.2)
    with app.app_context():
        datastore = app.extensions["security"].datastore
        from flask_security import hash_password

        account = datastore.find_user(email=KNOWN)
        account.password = hash_password(PASSWORD)
        datastore.commit()
    forms = {
        "log in, with a wrong password": ("login", {"password": "wrong password"}),
        "register": ("register", {"password": PASSWORD, "password_confirm": PASSWORD}),
        "forgotten password": ("reset", {}),
        "confirm the address": ("confirm", {}),
    }
    client = app.test_client()
    found = {}
    for name, (path, values) in forms.items():
        page = client.get(f"/accounts/{path}").get_data(as_text=True)
        (token,) = set(re.findall(r'csrf_token" value="([^"]+)', page))
        times: list[list[float]] = [[], []]
        for number in range(FORMS):
            for side, email in enumerate((KNOWN, UNKNOWN.format(number))):
                data = {"csrf_token": token, "email": email, **values}
                started = time.perf_counter()
                client.post(f"/accounts/{path}", data=data)
                times[side].append((time.perf_counter() - started) * 1000)
        found[name] = times
    mail.executor.shutdown(wait=False, cancel_futures=True)
    return found


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps({"serve": serve, "compare": compare}[sys.argv[1]]()))
        sys.stdout.flush()
        os._exit(0)  # without the messages that wait
    main()
