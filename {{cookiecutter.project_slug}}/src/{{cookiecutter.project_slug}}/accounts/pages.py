"""The pages of one's own account that Flask-Security doesn't have."""

from __future__ import annotations

from flask import Blueprint, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import auth_required, current_user, logout_user

from ..database import db
from . import sessions
{%- if "api" in cookiecutter.interface %}, tokens
from .forms import TokenForm
{%- endif %}

# Minutes since somebody has proved who they are, for what can't be taken back.
FRESH = 60

# What one can do, where it is not turned off.
LINKS = {
    "security.change_email": "Change the address",
    "security.change_password": "Change the password",
    "security.two_factor_setup": "Second factor",
    "security.mf_recovery_codes": "Recovery codes",
    "security.wan_register": "Passkeys",
    "accounts.list_sessions": "Sessions",
{%- if "api" in cookiecutter.interface %}
    "accounts.list_tokens": "Tokens for programs",
{%- endif %}
    "accounts.delete": "Delete the account",
}

blueprint = Blueprint(
    "accounts",
    __name__,
    url_prefix="/accounts",
    template_folder="templates",
    static_folder="static",
)


@blueprint.get("/", strict_slashes=False)
@auth_required("session")
def index() -> str:
    links = {name: text for name, text in LINKS.items() if name in current_app.view_functions}
    return render_template("accounts/index.html", links=links)


@blueprint.get("/sessions")
@auth_required("session")
def list_sessions() -> str:
    return render_template(
        "accounts/sessions.html", sessions=sessions.of(current_user), current=g.session_key
    )


@blueprint.post("/sessions")
@auth_required("session")
def end_sessions() -> ResponseReturnValue:
    """End the session whose key is sent, or all others."""
    if key := request.form.get("key"):
        sessions.end(current_user, key)
        flash("The session is ended.")
    else:
        sessions.end_others(current_user)
        flash("All other sessions are ended.")
    return redirect(url_for(".list_sessions"))
{%- if "api" in cookiecutter.interface %}


@blueprint.route("/tokens", methods=["GET", "POST"])
@auth_required("session", within=FRESH)
def list_tokens() -> str:
    """List the tokens, and make a new one, which is shown this once."""
    form, made = TokenForm(), ""
    if form.validate_on_submit():
        made = tokens.make(current_user, form.name.data or "")
    return render_template(
        "accounts/tokens.html", form=form, made=made, tokens=tokens.of(current_user)
    )


@blueprint.post("/tokens/<int:token_id>/revoke")
@auth_required("session")
def revoke_token(token_id: int) -> ResponseReturnValue:
    tokens.revoke(current_user, token_id)
    flash("The token is revoked.")
    return redirect(url_for(".list_tokens"))
{%- endif %}


@blueprint.route("/delete", methods=["GET", "POST"])
@auth_required("session", within=FRESH)
def delete() -> ResponseReturnValue:
    """Ask first: with the account goes all that belongs to it."""
    if request.method == "GET":
        return render_template("accounts/delete.html")
    account = current_user._get_current_object()
    logout_user()
    db.session.delete(account)
    db.session.commit()
    flash("Your account is deleted.")
    return redirect("/")
