"""The pages on which notes are read and written."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from ..database import db
from .forms import NoteForm, words
from .models import Note, Tag

LARGEST_INTEGER = 2**31 - 1  # of an INTEGER column

blueprint = Blueprint("notes", __name__, url_prefix="/notes", template_folder="templates")


@blueprint.get("/", strict_slashes=False)
def index() -> str:
    """The newest notes first."""
    newest_first = select(Note).order_by(Note.created_at.desc(), Note.id.desc())
    page = min(request.args.get("page", 1, type=int), LARGEST_INTEGER)
    notes = db.paginate(newest_first, page=page, per_page=20)
    return render_template("notes/index.html", notes=notes)


@blueprint.get(f"/<int(max={LARGEST_INTEGER}):note_id>")
def show(note_id: int) -> str:
    return render_template("notes/show.html", note=db.get_or_404(Note, note_id))


@blueprint.route("/new", methods=["GET", "POST"])
def create() -> ResponseReturnValue:
    form = NoteForm()
    if not form.validate_on_submit():
        return render_template("notes/new.html", form=form), 422 if form.errors else 200
    note = Note(title=form.title.data, body=form.body.data, tags=_tags(words(form.tags.data)))
    db.session.add(note)
    db.session.flush()  # gives the note its id; after the commit it would be asked for again
    page = url_for(".show", note_id=note.id)
    db.session.commit()
    flash(f"“{form.title.data}” is saved.")
    return redirect(page)


def _tags(names: list[str]) -> list[Tag]:
    """The tags of these names, those that are there already and new ones."""
    known = {tag.name: tag for tag in db.session.scalars(select(Tag).where(Tag.name.in_(names)))}
    return [known.get(name) or Tag(name=name) for name in names]
