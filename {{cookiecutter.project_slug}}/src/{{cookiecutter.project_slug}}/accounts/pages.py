"""The pages of an account that Flask-Security doesn't have."""

from blinker import signal
from flask import Blueprint, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import (
    auth_required,
    current_user,
    logout_user,
    roles_required,
    send_mail,
)
from flask_security.confirmable import generate_confirmation_link
from flask_security.forms import EmailValidation
from flask_wtf import FlaskForm
from wtforms import EmailField
from wtforms.validators import DataRequired

from ..database import db
from . import sessions
from .events import record
from .models import Account
from .settings import FRESHNESS

# The page of the account links to those that are not turned off.
LINKS = {
    "security.change_email": "Change your email address",
    "security.change_password": "Change your password",
    "security.two_factor_setup": "Two-factor authentication",
    "security.mf_recovery_codes": "Recovery codes",
    "security.wan_register": "Passkeys",
    "accounts.list_sessions": "Sessions",
    "tokens.index": "API tokens",
    "accounts.delete": "Delete your account",
}

# These are for one role only.
LINKS_OF_ROLES = {"accounts.invite": ("administrator", "Invite somebody")}

blueprint = Blueprint(
    "accounts",
    __name__,
    url_prefix="/accounts",
    template_folder="templates",
    static_folder="static",
)


class InvitationForm(FlaskForm):
    """The form to invite somebody."""

    email = EmailField("Email address", [DataRequired(), EmailValidation(verify=True)])


@blueprint.get("/", strict_slashes=False)
@auth_required("session")
def index() -> str:
    links = {name: text for name, text in LINKS.items() if name in current_app.view_functions}
    for name, (role, text) in LINKS_OF_ROLES.items():
        if current_user.has_role(role):
            links[name] = text
    return render_template("accounts/index.html", links=links)


@blueprint.get("/sessions")
@auth_required("session")
def list_sessions() -> str:
    return render_template(
        "accounts/sessions.html", sessions=sessions.list_for(current_user), current=g.session_key
    )


@blueprint.post("/sessions")
@auth_required("session")
def end_sessions() -> ResponseReturnValue:
    """End the session with the key in the form. Without a key, end all others."""
    if key := request.form.get("key"):
        sessions.end(current_user, key)
        flash("The session has ended.")
    else:
        sessions.end_others(current_user)
        flash("All other sessions have ended.")
    return redirect(url_for(".list_sessions"))


@blueprint.route("/invite", methods=["GET", "POST"])
@auth_required("session", within=lambda: FRESHNESS)
@roles_required("administrator")
def invite() -> ResponseReturnValue:
    """Create an account without a password, which its owner chooses after opening a link."""
    form = InvitationForm()
    if not form.validate_on_submit():
        return render_template("accounts/invite.html", form=form)
    datastore, email = current_app.extensions["security"].datastore, str(form.email.data)
    account = datastore.find_user(email=email) or datastore.create_user(email=email)
    datastore.commit()
    if account.confirmed_at:
        flash(f"{email} already has an account.")
        return redirect(url_for(".invite"))
    link = generate_confirmation_link(account)[0]  # type: ignore[no-untyped-call]
    send_mail("You are invited", email, "security/email/invitation", link=link)
    record(account, f"Invited by account {current_user.id}")
    flash(f"The invitation was sent to {email}.")
    return redirect(url_for(".invite"))


@blueprint.route("/delete", methods=["GET", "POST"])
@auth_required("session", within=lambda: FRESHNESS)
def delete() -> ResponseReturnValue:
    """Ask first, then delete the account with all that belongs to it."""
    if request.method != "POST":  # HEAD, too: it needs no CSRF token
        return render_template("accounts/delete.html")
    account = db.session.get_one(Account, current_user.id)
    logout_user()
    # The children first: MySQL cascades to no row to which another one refers.
    for table in reversed(db.metadata.sorted_tables):
        if "owner_id" in table.c and table.c.owner_id.references(Account.__table__.c.id):
            db.session.execute(table.delete().where(table.c.owner_id == account.id))
    db.session.delete(account)
    signal("account-deleted").send()
    db.session.commit()
    flash("Your account was deleted.")
    return redirect(url_for("home.home"))
