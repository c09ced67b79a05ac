"""What the project consists of, as its application says, and the edits of its files."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flask import Flask

from . import GeneratorError
from ._fields import Target
from ._names import Names

# After which statements of create_app a blueprint is registered.
PAGES = r"app\.register_blueprint\(|(pages|accounts)\.init_app\(|accounts\.require_login\("
API = r'app\.extensions\["api"\]\.register_blueprint\(|api\.Api\('


@dataclass
class Project:
    """The project whose command runs."""

    app: Flask
    before: dict[Path, str] = field(default_factory=dict)  # the text of each file that is edited
    edits: dict[Path, str] = field(default_factory=dict)  # its new text
    by_hand: list[str] = field(default_factory=list)  # what could not be edited

    def __post_init__(self) -> None:
        self.package = self.app.import_name
        self.folder = Path(self.app.root_path)
        self.root = self.folder.parent.parent
        if not (self.root / "pyproject.toml").is_file() or self.folder.parent.name != "src":
            raise GeneratorError(
                f"{self.folder} is no package of a project: flask generate works in the folder of"
                " the project, with src/ and pyproject.toml."
            )
        self.has_pages = "csrf" in self.app.extensions
        self.has_api = "api" in self.app.extensions
        self.has_accounts = "security" in self.app.extensions
        db: Any = self.app.extensions["sqlalchemy"]
        self.base: type[Any] = db.Model
        self.models: dict[str, type[Any]] = {
            mapper.local_table.name: mapper.class_ for mapper in self.base.registry.mappers
        }
        self.tables = {*db.metadata.tables}

    def find_target(self, names: Names, table: str, resource: Names) -> Target:
        """Return the model with this table, or raise GeneratorError."""
        if names == resource:
            return Target(
                names,
                names.singular,
                names.class_name,
                module="",
                query=f"visible_{names.plural}()",
                has_pages=True,
                make=f"make_{names.singular}(app)",
            )
        for name in (table, names.singular, names.plural):
            if model := self.models.get(name):
                return self._describe(model, name)
        known = ", ".join(sorted(self.models)) or "none yet"
        raise GeneratorError(
            f"There is no model with the table {names.singular!r}. There are: {known}. Generate it"
            f" first, as in: flask generate resource {names.singular} name:string"
        )

    def _describe(self, model: type[Any], table: str) -> Target:
        keys = [column.key for column in model.__table__.primary_key]
        types = [column.type.python_type for column in model.__table__.primary_key]
        if types != [int]:
            raise GeneratorError(f"The primary key of {model.__name__} is not one integer.")
        names = Names(re.sub(r"(?<!^)(?=[A-Z])", "_", model.__name__).lower())
        module = model.__module__
        folder = module.rpartition(".")[0]
        query, imports = f"select({model.__name__})", ["from sqlalchemy import select"]
        queries = f"{folder}.queries"
        if (
            folder
            and find_spec(queries)
            and hasattr(import_module(queries), f"visible_{names.plural}")
        ):
            query = f"visible_{names.plural}()"
            imports = [f"from {queries} import visible_{names.plural}"]
        imports.append(f"from {module} import {model.__name__}")
        imports = [self._relative(line) for line in imports]
        make, make_imports = self._maker(model, names)
        return Target(
            names,
            table,
            model.__name__,
            self._relative(module),
            keys[0],
            query,
            tuple(imports),
            f"{names.plural}.show" in self.app.view_functions,
            make,
            make_imports,
        )

    def _maker(self, model: type[Any], names: Names) -> tuple[str, tuple[str, ...]]:
        """Return the code by which a test saves a row of the model, and its imports."""
        factory = f"{names.singular}_factories"
        if (self.root / "tests" / f"{factory}.py").exists():
            return f"make_{names.singular}(app)", (f"from {factory} import make_{names.singular}",)
        if self.has_accounts and model.__module__.startswith(f"{self.package}.accounts."):
            return "1", ()  # the account that is logged in while tests run
        values = ", ".join(
            f"{column.key}={_sample(column)}"
            for column in model.__table__.columns
            if not (
                column.nullable or column.default or column.server_default or column.primary_key
            )
        )
        return f"add_row(app, {model.__name__}({values}))", (
            f"from {model.__module__} import {model.__name__}",
        )

    def _relative(self, text: str) -> str:
        """Import from this package as its own modules do."""
        return text.replace(f"{self.package}.", "..", 1)

    def read(self, path: Path) -> str:
        """Return the text of a file, with the edits so far."""
        return self.edits.get(path) or path.read_text(encoding="utf-8")

    def edit(self, path: Path, source: str) -> None:
        """Replace the text of a file."""
        self.before.setdefault(path, path.read_text(encoding="utf-8"))
        self.edits[path] = source

    def is_seeded(self, class_name: str) -> bool:
        """Whether seed() creates rows of a model."""
        path = self.folder / "seeds.py"
        return path.exists() and f"{class_name}(" in self.read(path)

    def register(self, imports: Iterable[str], statements: Iterable[str], after: str) -> None:
        """Add statements to create_app, behind the last one that matches, and the imports."""
        path = self.folder / "__init__.py"
        source = self.read(path)
        function = _find_function(source, "create_app")
        if function is None:
            self.by_hand += [f"In {path.relative_to(self.root)}:", *imports, *statements]
            return
        source = _insert(source, _line_for(source, function, after), "    ", statements)
        self.edit(path, _add_imports(source, imports))

    def seed(self, imports: Iterable[str], statements: Iterable[str]) -> None:
        """Add statements to seed(), before its last commit, and the imports."""
        path = self.folder / "seeds.py"
        source = self.read(path) if path.exists() else ""
        function = _find_function(source, "seed")
        if function is None:
            return
        commit = "db.session.commit()"
        commits = [node.lineno - 1 for node in function.body if ast.unparse(node) == commit]
        if commits:
            source = _insert(source, commits[-1], "    ", statements)
        else:
            source = _insert(source, function.end_lineno or 0, "    ", [*statements, commit])
            imports = [*imports, "from .database import db"]
        self.edit(path, _add_imports(source, imports))

    def link(self, endpoint: str, text: str) -> None:
        """Add a link to the navigation, behind those that are there, in the same form."""
        path = self.folder / "templates" / "base.html"
        source = self.read(path) if path.exists() else ""
        link = f"""<a href="{{{{ url_for('{endpoint}') }}}}">{text}</a>"""
        nav = re.search(r"<nav\b.*?</nav>", source, re.DOTALL)
        links = re.finditer(
            r"^ *(?:<li>)?(<a href=\"{{ url_for\('(?!accounts)\w+\.(index|home)'.*</a>).*\n",
            source,
            re.MULTILINE,
        )
        places = [place for place in links if nav and nav.start() < place.start() < nav.end()]
        if not places:
            self.by_hand += [f"In the navigation of {path.relative_to(self.root)}:", link]
            return
        place = places[-1]
        line = place[0].replace(place[1], link)
        self.edit(path, f"{source[: place.end()]}{line}{source[place.end() :]}")


def _find_function(source: str, name: str) -> ast.FunctionDef | None:
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    return None


def _line_for(source: str, function: ast.FunctionDef, after: str) -> int:
    """Return the number of lines before those to be added."""
    last = [
        node.end_lineno or 0
        for node in function.body
        if re.match(after, ast.get_source_segment(source, node) or "")
    ]
    if last:
        return last[-1]
    returns = [node.lineno - 1 for node in function.body if isinstance(node, ast.Return)]
    return returns[-1] if returns else function.end_lineno or 0


def _insert(source: str, line: int, indent: str, statements: Iterable[str]) -> str:
    lines = source.splitlines(keepends=True)
    added = [f"{indent}{part}\n" for text in statements for part in text.splitlines()]
    return "".join([*lines[:line], *added, *lines[line:]])


def _add_imports(source: str, imports: Iterable[str]) -> str:
    """Add imports behind the last of those at the top: ruff sorts them."""
    body = ast.parse(source).body
    last = [node.end_lineno or 0 for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    docstring = body[0].end_lineno or 0 if body and isinstance(body[0], ast.Expr) else 0
    return _insert(source, last[-1] if last else docstring, "", imports)


def _sample(column: Any) -> str:  # noqa: ANN401  # of any type
    """Return a value that the column takes, as Python."""
    if column.foreign_keys:
        return "1"
    try:
        name = column.type.python_type.__name__
    except NotImplementedError:
        return '"x"'
    samples = {"str": '"x"', "bool": "True", "float": "1.0", "bytes": 'b"x"', "dict": "{}"}
    return samples.get(name, "1")


def identifiers(source: str) -> Iterator[str]:
    """Yield the names that Python code uses."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


class _Constant(ast.NodeTransformer):
    """Replaces the variable n by 1."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(1) if node.id == "n" else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        parts = [part.value if isinstance(part, ast.Constant) else 1 for part in node.values]
        return ast.Constant("".join(map(str, parts)))


def constant(expression: str) -> str:
    """Return Python for the first value of an expression with the variable n."""
    value = _Constant().visit(ast.parse(expression, mode="eval")).body
    is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return json.dumps(value.value, ensure_ascii=False) if is_text else ast.unparse(value)
