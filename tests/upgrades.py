"""An application whose upgrades other processes run, and revisions that take their time."""

from __future__ import annotations

import subprocess

from apps import Site

# For other processes. Its models are those of the revisions that the tests below add.
SCRIPT = """
import multiprocessing
import os
import sys

import flask_migrate
from flask import Flask
from flask_safe_migrations import SafeMigrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Integer, MetaData, Table
from sqlalchemy.engine import make_url


def create_app():
    app = Flask("app", root_path=".", instance_path=os.getcwd())
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    app.config.from_prefixed_env("SHOP")
    db = SQLAlchemy(app)
    for name in os.environ.get("TABLES", "").split():
        Table(name, db.metadata, Column("id", Integer, primary_key=True))
    SafeMigrate(app, db, directory=os.path.join(os.path.dirname(__file__), "migrations"))
    return app


def upgrade(start=None, url=None):
    if url:
        os.environ["DATABASE_URL"] = url
    app = create_app()
    if start:
        start.wait()
    with app.app_context():
        flask_migrate.upgrade()


if __name__ == "__main__":
    if sys.argv[1] == "again":  # until it is killed
        with create_app().app_context():
            flask_migrate.downgrade(revision="base")
            print("ready", flush=True)
            flask_migrate.upgrade()
    elif sys.argv[1] == "upgrade":
        upgrade()
    else:  # many at the same moment
        processes = int(sys.argv[1])
        start = multiprocessing.Barrier(processes)
        nodes = os.environ.get("NODES", "").split() or [None]
        children = [
            multiprocessing.Process(target=upgrade, args=[start, nodes[number % len(nodes)]])
            for number in range(processes)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
        sys.exit(sum(child.exitcode != 0 for child in children))
"""


def succeed(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate()
    assert process.returncode == 0, output


def add_several(site: Site) -> None:
    """Write revisions of several statements each, of the schema and of rows."""
    for number in range(5):
        site.add_revision(
            f"several_{number}",
            f"""
            op.create_table("a_{number}", sa.Column("id", sa.Integer(), primary_key=True))
            op.execute("INSERT INTO a_{number} VALUES (1)")
            time.sleep(0.02)
            op.add_column("a_{number}", sa.Column("word", sa.String(20), nullable=True))
            op.execute("UPDATE a_{number} SET word = 'x'")
            op.execute("INSERT INTO a_{number} VALUES (2, 'y')")
            op.create_index("ix_a_{number}", "a_{number}", ["word"])
            time.sleep(0.02)
            op.execute("INSERT INTO a_{number} VALUES (3, 'z')")
            op.create_table("b_{number}", sa.Column("id", sa.Integer(), primary_key=True))
            """,
            f"""
            op.drop_table("b_{number}")
            op.drop_table("a_{number}")
            """,
        )
