"""Settings that can't be used stop the application with one line."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from {{ cookiecutter.project_slug }}.config import ConfigurationError, Settings

COMPLETE = {"SECRET_KEY": "a secret", "DATABASE_URL": "sqlite:///app.db"}


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_environment(COMPLETE)

    assert settings.SECRET_KEY == "a secret"
    assert make_url(settings.SQLALCHEMY_DATABASE_URI).database == "app.db"


@pytest.mark.parametrize("name", COMPLETE)
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} not set"):
        Settings.from_environment(COMPLETE | {name: ""})


def test_a_database_url_that_cannot_be_read_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError, match="can't be read") as refusal:
        Settings.from_environment(COMPLETE | {"DATABASE_URL": "postgresql:secret"})

    assert "secret" not in str(refusal.value)
