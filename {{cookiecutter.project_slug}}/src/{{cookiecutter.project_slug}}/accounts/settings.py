"""The settings of Flask-Security, Flask-Login and Flask-Limiter."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from flask_security import uia_email_mapper

MAX_PASSWORD_LENGTH = 200  # characters
REDIS_TIMEOUT = 0.3  # seconds
SESSION_LIFETIME = timedelta(days=30)  # then people have to log in again
IDLE_TIME = timedelta(hours=12)  # after which they do, too, unless they chose to stay logged in
# How long ago people may have proved who they are when they change what can't be undone.
FRESHNESS = timedelta(minutes=10)

LOGIN_FAILED = (
    "The email address or password is wrong, or the account is disabled or not yet confirmed."
)
INVALID_LINK = "This link is invalid, has expired, or has already been used. Request a new one."


def get_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, given those of the environment."""
    secrets = [config["TOTP_SECRET"] or config["SECRET_KEY"], *config["TOTP_SECRET_FALLBACKS"]]
    secrets += [config["SECRET_KEY"], *config["SECRET_KEY_FALLBACKS"]]
    digests = {secret: hashlib.sha256(secret.encode()).digest() for secret in secrets}
    prefix = "__Host-" if config["SESSION_COOKIE_SECURE"] else ""
    return {
        # https://flask-security.readthedocs.io/en/stable/configuration.html
        "SECURITY_URL_PREFIX": "/accounts",
        "SECURITY_CACHE_CONTROL": {"private": None, "no-store": None},  # without values
        "SECURITY_CONFIRMABLE": True,
        "SECURITY_RECOVERABLE": True,
        "SECURITY_RESET_PASSWORD_WITHIN": timedelta(days=1),
        "SECURITY_CHANGEABLE": True,
        "SECURITY_CHANGE_EMAIL": True,
        "SECURITY_POST_LOGIN_VIEW": "home.home",
        "SECURITY_POST_LOGOUT_VIEW": "home.home",
        "SECURITY_POST_CHANGE_VIEW": "accounts.index",
        "SECURITY_POST_CHANGE_EMAIL_VIEW": "accounts.index",
        "SECURITY_API_ENABLED_METHODS": ["session"],
        "SECURITY_DATETIME_FACTORY": lambda: datetime.now(UTC),
        "SECURITY_EMAIL_SENDER": config["MAIL_FROM"],
        "SECURITY_FRESHNESS": FRESHNESS,
        "SECURITY_FRESHNESS_GRACE_PERIOD": timedelta(0),
        # MailUtil normalizes the addresses, so that a look-up can use the index.
        "SECURITY_USER_IDENTITY_ATTRIBUTES": [{"email": {"mapper": uia_email_mapper}}],
        # No answer shows, in its text or its time, who has an account.
        "SECURITY_RETURN_GENERIC_RESPONSES": True,
        "SECURITY_HASHING_SCHEMES": ["hex_sha256"],
        "SECURITY_MSG_GENERIC_AUTHN_FAILED": (LOGIN_FAILED, "error"),
        "SECURITY_MSG_UNAUTHENTICATED": ("Log in first.", "error"),
        "SECURITY_MSG_API_ERROR": ("That is invalid or has expired. Try again.", "error"),
        "SECURITY_MSG_REAUTHENTICATION_REQUIRED": ("Confirm that it is you, to continue.", "error"),
        "SECURITY_MSG_REAUTHENTICATION_SUCCESSFUL": ("Thanks. You can continue.", "info"),
        "SECURITY_MSG_TWO_FACTOR_DISABLED": ("Two-factor authentication is off.", "success"),
        "SECURITY_MSG_INVALID_CONFIRMATION_TOKEN": (INVALID_LINK, "error"),
        "SECURITY_MSG_INVALID_RESET_PASSWORD_TOKEN": (INVALID_LINK, "error"),
        # https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
        "SECURITY_PASSWORD_HASH": "argon2",
        "SECURITY_PASSWORD_SCHEMES": ["argon2"],
        "SECURITY_PASSWORD_SINGLE_HASH": ["argon2"],
        "SECURITY_PASSWORD_LENGTH_MIN": 12,
        # The second factor
        "SECURITY_TWO_FACTOR_ENABLED_METHODS": ["authenticator"],
        "SECURITY_TWO_FACTOR_RESCUE_EMAIL": False,
        "SECURITY_TWO_FACTOR_RESCUE_MAIL": config["MAIL_FROM"],
        "SECURITY_TOTP_ISSUER": config["PROJECT_NAME"],
        # The first one encrypts. "1" was the name of the only one in former releases.
        "SECURITY_TOTP_SECRETS": {digests[secret].hex(): secret for secret in secrets}
        | {"1": [secrets[0], *config["TOTP_SECRET_FALLBACKS"]][-1]},
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES": config["SECURITY_TWO_FACTOR"],
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_KEYS": [
            base64.urlsafe_b64encode(digest) for digest in digests.values()
        ],
        # Passkeys
        "SECURITY_WAN_ALLOW_USER_HINTS": False,
        "SECURITY_WAN_RP_NAME": config["PROJECT_NAME"],
        # https://flask-login.readthedocs.io/en/latest/#session-protection
        "SESSION_PROTECTION": None,  # the address of a phone changes
        "PERMANENT_SESSION_LIFETIME": IDLE_TIME,
        "REMEMBER_COOKIE_NAME": f"{prefix}remember_token",
        "REMEMBER_COOKIE_DURATION": SESSION_LIFETIME,
        "REMEMBER_COOKIE_SAMESITE": config["SESSION_COOKIE_SAMESITE"],
        "REMEMBER_COOKIE_SECURE": config["SESSION_COOKIE_SECURE"],
        # https://flask-limiter.readthedocs.io/en/stable/configuration.html
        "RATELIMIT_HEADERS_ENABLED": True,
        "RATELIMIT_SWALLOW_ERRORS": True,
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,  # while Redis is unavailable
        "RATELIMIT_STORAGE_OPTIONS": {
            "socket_connect_timeout": REDIS_TIMEOUT,
            "socket_timeout": REDIS_TIMEOUT,
        },
    }
