"""Health checks for a load balancer: is the process alive, and can it serve?"""

from dataclasses import asdict

from flask import Blueprint
from flask.typing import ResponseReturnValue
from flask_safe_migrations import check_readiness

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Return 200 while the process is alive, without asking the database."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Return 200 while this process can serve, else 503 with the reason."""
    if (readiness := check_readiness()).reason:
        return {"status": "error"} | asdict(readiness), 503
    return {"status": "ok"}
