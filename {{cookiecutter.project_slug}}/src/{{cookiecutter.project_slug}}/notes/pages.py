"""The pages on which notes are read and written."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import BadRequest, Conflict

from .. import errors
{%- if cookiecutter.accounts == "yes" %}
from ..accounts import require_login
{%- endif %}
from ..database import db
from . import queries
from .forms import NoteForm
from .models import LARGEST_ID, Note

PER_PAGE = 20
ONE_NOTE = f"/<int(max={LARGEST_ID}):note_id>"

blueprint = Blueprint("notes", __name__, url_prefix="/notes", template_folder="templates")
{%- if cookiecutter.accounts == "yes" %}
blueprint.before_request(require_login)
{%- endif %}


@blueprint.errorhandler(StaleDataError)
def show_conflict(error: StaleDataError) -> ResponseReturnValue:
    """In the moment since this request has read the note."""
    db.session.rollback()
    return errors.handle_http_exception(
        Conflict("Somebody else has changed it meanwhile. Go back, and look again.")
    )


@blueprint.get("/", strict_slashes=False)
def index() -> str:
    """The newest notes first, a page at a time."""
    try:
        search, tag = (queries.clean(request.args.get(name)) for name in ("q", "tag"))
    except ValueError as error:
        raise BadRequest(str(error)) from error
    before = request.args.get("before", type=int)
    if before is not None:
        before = max(0, min(before, LARGEST_ID))
    # One more than is shown tells whether there are older ones.
    notes = queries.find(search=search, tag=tag, before=before, limit=PER_PAGE + 1)
    return render_template(
        "notes/index.html",
        notes=notes[:PER_PAGE],
        has_older=len(notes) > PER_PAGE,
        is_first=before is None,
        search=search,
        tag=tag,
    )


@blueprint.route("/new", methods=["GET", "POST"])
def create() -> ResponseReturnValue:
    form = NoteForm()
    if form.validate_on_submit():
        return _save(Note(), form)
    return _form(form)


@blueprint.get(ONE_NOTE)
def show(note_id: int) -> str:
    return render_template("notes/show.html", note=queries.get(note_id))


@blueprint.route(f"{ONE_NOTE}/edit", methods=["GET", "POST"])
def edit(note_id: int) -> ResponseReturnValue:
    note = queries.get(note_id)
    tags = ", ".join(note.tag_names)
    form = NoteForm(title=note.title, body=note.body, tags=tags, version=note.version)
    if not form.validate_on_submit():
        return _form(form, note)
    if form.version.data != str(note.version):
        return _form(form, note, changed=True)
    return _save(note, form)


@blueprint.route(f"{ONE_NOTE}/delete", methods=["GET", "POST"])
def delete(note_id: int) -> ResponseReturnValue:
    """Ask first: what is deleted can't be brought back."""
    note = queries.get(note_id)
    if request.method == "GET":
        return render_template("notes/delete.html", note=note)
    title = note.title
    queries.delete(note)
    flash(f"“{title}” is deleted.")
    return redirect(url_for(".index"))


def _save(note: Note, form: NoteForm) -> ResponseReturnValue:
    queries.save(note, **form.values())
    flash(f"“{form.title.data}” is saved.")
    return redirect(url_for(".show", note_id=note.id))


def _form(
    form: NoteForm, note: Note | None = None, *, changed: bool = False
) -> ResponseReturnValue:
    """The form, with what is wrong in it.

    Args:
        changed: somebody else has changed the note since the visitor opened the form.
    """
    page = render_template("notes/form.html", form=form, note=note, changed=changed)
    return page, 409 if changed else 422 if form.errors else 200
