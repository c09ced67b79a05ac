"""A model that nothing imports is noticed, because no revision would hold it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from apps import Site, on_sqlite

MODEL = "class {name}({base}):\n    pass\n"


@on_sqlite
def test_the_file_of_a_model_that_nothing_imports_is_named(
    empty_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "unimported_shop"
    (package / "books").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "books" / "models.py").write_text(MODEL.format(name="Book", base="db.Model"))
    (package / "books" / "broken.py").write_text("class Book(db.Model:")
    (package / "forms.py").write_text(MODEL.format(name="Form", base="FlaskForm"))
    (package / "films.py").write_text(MODEL.format(name="Film", base="object"))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("unimported_shop.films")
    empty_site.app.root_path = str(package)
    empty_site.flask("init")

    said = empty_site.flask("migrate", "-m", "first")

    assert said.count("are ignored: import this module") == 1
    assert "unimported_shop/books/models.py are ignored" in said
    empty_site.flask("upgrade")
    assert "unimported_shop/books/models.py are ignored" in empty_site.flask("check")


@on_sqlite
def test_beside_a_single_module_nothing_is_searched(empty_site: Site) -> None:
    (empty_site.folder / "other.py").write_text(MODEL.format(name="Book", base="db.Model"))
    empty_site.flask("init")

    assert "nothing imports" not in empty_site.flask("migrate", "-m", "first")
