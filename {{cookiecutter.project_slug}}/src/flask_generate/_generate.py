"""Renders the templates for a resource, a model or a page, and writes the files."""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flask import current_app
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.exceptions import TemplateError

from . import GeneratorError
from ._fields import Field, parse_fields
from ._names import Names, check_identifier, parse_name, to_snake_case
from ._project import API, PAGES, Project, constant, identifiers

STOCK = Path(__file__).parent / "templates"
OWN = "generate"  # the owner's templates, in the folder of the project
# What models, forms and schemas have or use, and the arguments of their functions.
RESERVED_FIELDS = frozenset(
    "app as_comparable as_utc clean_lines clean_text created_at csrf_token data db dt errors false fields"
    " form_errors formdata func hidden_tag id is_a is_submitted mapped_column matches meta obj optional"
    " owner owner_id populate_obj prefix process relationship self text_field to_integer to_uuid true validate"
    " validate_on_submit version".split()
)
RESERVED_NAMES = frozenset("config g request session".split())
LISTED = frozenset("bigint boolean date datetime decimal enum float integer string time".split())
PLACEHOLDER = Names("qqq")


def generate(
    kind: str,
    name: str,
    texts: Sequence[str],
    *,
    pages: bool = False,
    api: bool = False,
    dry_run: bool = False,
) -> Iterator[str]:
    """Write the files, and yield the lines to print. Raise GeneratorError before anything is written."""
    project = Project(current_app)
    if kind == "page":
        names = Names(check_identifier(to_snake_case(name), "The name"))
        if not project.has_pages:
            raise GeneratorError("This project has no pages: its interface is an API.")
    else:
        names = parse_name(name)
        if names.singular in project.tables:
            raise GeneratorError(
                f"There is a table {names.singular!r} already. To change it, edit its model and run:"
                f' flask db migrate -m "change {names.singular}"'
            )
        if kind == "resource" and not texts:
            raise GeneratorError(
                f"A resource needs a field, as in: flask generate resource {name} title:string"
            )
    fields = parse_fields(
        texts, names, lambda found, table: project.find_target(found, table, names)
    )
    _check_fields(fields, names, project)
    has_pages, has_api = pages and project.has_pages, api and project.has_api
    trees = {
        "page": ["page"],
        "model": ["model", "only_model"],
        "resource": ["model", "resource", *["pages"] * has_pages, *["api"] * has_api],
    }[kind]
    context = _context(kind, names, fields, project, has_pages, has_api)
    renderer = Renderer(project, trees)
    files = renderer.render(context)
    neutral = _context(kind, PLACEHOLDER, [], project, has_pages, has_api)
    _check_names(names, renderer.render(neutral))
    folder = context["plural"]
    for path in [*files, project.folder / f"{folder}.py"]:
        if path.exists():
            shown = path.relative_to(project.root)
            raise GeneratorError(f"{shown} exists already. Nothing is overwritten.")
    if folder in project.app.blueprints:
        raise GeneratorError(f"There is a blueprint {folder!r} already. Use another name.")
    _edit(kind, names, fields, project, has_pages, has_api)
    if not dry_run:
        _write(files, project.root, joins=True)
        _write(project.edits, project.root)
    yield "Would write:" if dry_run else "Wrote:"
    for path in files:
        yield f"  {path.relative_to(project.root)}"
    yield from _changes(project, dry_run)
    if project.by_hand:
        yield "Add by hand:"
        yield from (f"  {line}" for line in project.by_hand)
    yield "Next:"
    if kind == "page":
        yield "  uv run flask run"
    else:
        yield f'  uv run flask db migrate -m "add {names.label}"'
        yield "  uv run flask db upgrade"


class Renderer:
    """Renders the templates of some trees: the stock ones, and the owner's in their place."""

    def __init__(self, project: Project, trees: Sequence[str]) -> None:
        self.project = project
        folders = [project.root / OWN, STOCK]
        self.environment = Environment(
            loader=FileSystemLoader(folders),
            variable_start_string="<<",
            variable_end_string=">>",
            block_start_string="<%",
            block_end_string="%>",
            comment_start_string="<#",
            comment_end_string="#>",
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            undefined=StrictUndefined,
            autoescape=False,  # noqa: S701  # Python and templates, not pages
        )
        self.environment.filters["python"] = repr
        self.names = sorted(
            {
                path.relative_to(folder).as_posix()
                for folder in folders
                for tree in trees
                for path in (folder / tree).rglob("*.jinja")
            }
        )

    def render(self, context: dict[str, Any]) -> dict[Path, str]:
        """Return the text of each file."""
        files = {}
        for name in self.names:
            place = name.partition("/")[2].removesuffix(".jinja")
            for word in ("package", "plural", "one"):
                place = place.replace(f"_{word}_", context[word])
            try:
                files[self.project.root / place] = self.environment.get_template(name).render(
                    context
                )
            except TemplateError as error:
                raise GeneratorError(f"The template {name} can't be rendered: {error}") from error
        return files


def _context(
    kind: str, names: Names, fields: list[Field], project: Project, pages: bool, api: bool
) -> dict[str, Any]:
    """Return what the templates see."""
    a = f"{names.article} {names.label}"
    types = {field.type for field in fields}
    lines = [field for field in fields if field.kind.is_text]
    title = next((field for field in lines if not field.is_optional), None)
    targets = {field.target.class_name: field.target for field in fields if field.target}
    references = [
        field.target.class_name for field in fields if field.target and field.type == "references"
    ]
    if project.has_accounts:
        references.append("Account")
    models = {names.class_name, *(field.enum for field in fields if field.type == "enum")}
    constants = {"bigint": "MAX_BIGINT", "decimal": "MAX_DECIMAL", "float": "MAX_FLOAT"}
    constants |= {"email": "EMAIL", "url": "URL", "binary": "MAX_FILE_LENGTH"}
    models |= {constants[type_] for type_ in types & {*constants}}
    texts = [field for field in fields if field.kind.is_text or field.type == "text"]
    models |= {f"MAX_{field.base.upper()}_LENGTH" for field in texts}
    makers = [target for target in targets.values() if target.module]
    return {
        "package": project.package,
        "one": names.singular,
        "many": names.many,
        "plural": names.plural if kind != "page" else names.singular,
        "Class": names.class_name,
        "ClassPlural": Names(names.plural).class_name
        + ("List" if names.many != names.plural else ""),
        "label": names.label,
        "labels": names.labels,
        "Label": names.label.capitalize(),
        "Labels": names.labels.capitalize(),
        "a": a,
        "A": f"{a[0].upper()}{a[1:]}",
        "a_": a.replace(" ", "_"),
        "fields": fields,
        "types": types,
        "title": title,
        "columns": [f for f in fields if f != title and f.type in LISTED][:3],
        "searched": texts,
        "texts": texts,
        "filled": [field for field in lines if not field.is_optional and not _is_sql(field.name)],
        "optional": [field for field in fields if field.is_optional and field.type != "binary"],
        "uses_optional": any(
            field.is_optional
            and (field.kind.filter.startswith("clean") or field.target or field.type == "enum")
            for field in fields
        ),
        "left_out": [field for field in fields if field.may_be_left_out],
        "uniques": [field for field in fields if field.is_unique],
        "manys": [field for field in fields if field.type == "many"],
        "has_bad_texts": any(field.bad_texts or field.type == "binary" for field in fields),
        "targets": [*targets.values()],
        "ambiguous": {name for name in references if references.count(name) > 1},
        "model_names": sorted(models),
        "make_imports": [line for target in makers for line in target.make_imports],
        "adds_rows": any(target.make.startswith("add_row") for target in makers),
        "owned": project.has_accounts,
        "pages": pages,
        "api": api,
        "only_model": kind == "model",
    }


def _is_sql(name: str) -> bool:
    """Whether the name has to be quoted in SQL on some database."""
    from sqlalchemy.dialects import mysql, postgresql, sqlite

    preparers = [dialect.dialect().identifier_preparer for dialect in (mysql, postgresql, sqlite)]
    return any(preparer.quote(name) != name for preparer in preparers)


def _check_fields(fields: list[Field], names: Names, project: Project) -> None:
    reserved = RESERVED_FIELDS | {*dir(project.base), names.singular}
    for field in fields:
        for name in (field.base, field.name):
            if name in reserved:
                raise GeneratorError(f"The field {name!r} is reserved. Use another name.")


def _check_names(names: Names, files: dict[Path, str]) -> None:
    """Refuse names that mean something else in the code of any resource."""
    sources = [text for path, text in files.items() if path.suffix == ".py"]
    used = {name for source in sources for name in identifiers(source)} | RESERVED_NAMES
    for name in (names.singular, names.many, names.class_name):
        if name in used:
            raise GeneratorError(
                f"The name {name!r} is used by the code that is written. Use another name."
            )


def _edit(
    kind: str, names: Names, fields: list[Field], project: Project, pages: bool, api: bool
) -> None:
    """Register what is written in create_app, in seed() and in the navigation."""
    folder = names.plural if kind != "page" else names.singular
    if pages or kind == "page":
        name = f"{folder}_pages"
        login = [f"accounts.require_login(app, {name})"] if project.has_accounts else []
        project.register(
            [f"from .{folder}.pages import blueprint as {name}"],
            [*login, f"app.register_blueprint({name})"],
            PAGES,
        )
        label = names.label if kind == "page" else names.labels
        project.link(f"{folder}.index", label.capitalize())
    if api:
        name = f"{folder}_api"
        project.register(
            [f"from .{folder}.api import blueprint as {name}"],
            [f'app.extensions["api"].register_blueprint({name})'],
            API,
        )
    if kind == "resource" and not project.has_accounts:
        _seed(names, fields, project)
    if kind == "model" or (kind == "resource" and not pages and not api):
        project.register(
            [f"from .{folder}.models import {names.class_name} as {names.class_name}"], [], API
        )


def _seed(names: Names, fields: list[Field], project: Project) -> None:
    """Add a row to seed(): the first row of a resource, with those that it refers to."""
    required = [field for field in fields if field.type == "references" and not field.is_optional]
    targets = [*dict.fromkeys(field.target for field in required if field.target)]
    if any(not project.is_seeded(target.class_name) for target in targets):
        return
    values = [f"{field.name}={constant(field.value)}" for field in fields if not field.target]
    values += [f"{field.base}={field.target.names.singular}" for field in required if field.target]
    modules = {"dt.": "import datetime as dt", "Decimal(": "from decimal import Decimal"}
    modules |= {"UUID(": "from uuid import UUID"}
    written = " ".join(values)
    imports = [line for name, line in modules.items() if name in written]
    imports += ["from sqlalchemy import select"]
    imports += [f"from {target.module[1:]} import {target.class_name}" for target in targets]
    enums = [field.enum for field in fields if field.type == "enum"]
    imports += [f"from .{names.plural}.models import {', '.join([names.class_name, *enums])}"]
    conditions = [target.names.singular for target in targets]
    conditions += [f"not db.session.scalar(select({names.class_name}).limit(1))"]
    project.seed(
        imports,
        [
            *(
                f"{target.names.singular} = db.session.scalar(select({target.class_name}).limit(1))"
                for target in targets
            ),
            f"if {' and '.join(conditions)}:",
            f"    db.session.add({names.class_name}({', '.join(values)}))",
        ],
    )


def _changes(project: Project, dry_run: bool) -> Iterator[str]:
    """Yield the lines that are added to each file."""
    if project.edits:
        yield "Would change:" if dry_run else "Changed:"
    for path, before in project.before.items():
        after = project.edits[path] if dry_run else path.read_text(encoding="utf-8")
        yield f"  {path.relative_to(project.root)}"
        for line in difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""):
            if re.match(r"[+-](?![+-])\s*\S", line):
                yield f"    {line[0]} {line[1:].strip()}"


def _write(files: dict[Path, str], root: Path, *, joins: bool = False) -> None:
    """Write files as ruff formats them: on one line what a template has on several, if it fits."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    python = [str(path) for path in files if path.suffix == ".py"]
    sort = ["check", "--select", "F401,I", "--fix"]
    sort += ["--config", "lint.isort.split-on-trailing-comma=false"] * joins
    layout = ["format", *["--config", "format.skip-magic-trailing-comma=true"] * joins]
    for command in (sort, layout) if python else ():
        subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--quiet", *python], cwd=root, check=True
        )
