"""The pages of the notes."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ..database import MAX_INTEGER
from ..text import clean_text
from . import queries
from .forms import NoteForm, split_tags
from .models import Note

PER_PAGE = 20
ONE_NOTE = f"/<int(max={MAX_INTEGER}):note_id>"

blueprint = Blueprint("notes", __name__, url_prefix="/notes", template_folder="templates")


@blueprint.get("/", strict_slashes=False)
def index() -> str:
    try:
        search = clean_text(request.args.get("q"))
        tag = clean_text(request.args.get("tag"))
    except ValueError as error:
        abort(400, str(error))
    before = request.args.get("before", type=lambda text: max(0, min(int(text), MAX_INTEGER)))
    notes = queries.list_notes(search, tag, before=before, limit=PER_PAGE + 1)
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
    return _show_form(form)


@blueprint.get(ONE_NOTE)
def show(note_id: int) -> str:
    return render_template("notes/show.html", note=queries.get_note_or_404(note_id))


@blueprint.route(f"{ONE_NOTE}/edit", methods=["GET", "POST"])
def edit(note_id: int) -> ResponseReturnValue:
    note = queries.get_note_or_404(note_id)
    tags = ", ".join(note.tag_names)
    form = NoteForm(title=note.title, body=note.body, tags=tags, version=note.version)
    if not form.validate_on_submit():
        return _show_form(form, note)
    if form.version.data != str(note.version):
        return _show_form(form, note, is_stale=True)
    return _save(note, form)


@blueprint.route(f"{ONE_NOTE}/delete", methods=["GET", "POST"])
def delete(note_id: int) -> ResponseReturnValue:
    note = queries.get_note_or_404(note_id)
    if request.method != "POST":  # HEAD, too: it needs no CSRF token
        return render_template("notes/delete.html", note=note)
    queries.delete_note(note)
    flash(f"“{note}” was deleted.")
    return redirect(url_for(".index"))


def _save(note: Note, form: NoteForm) -> ResponseReturnValue:
    tags = split_tags(form.tags.data)
    queries.save_note(note, title=form.title.data, body=form.body.data, tag_names=tags)
    flash(f"“{note}” was saved.")
    return redirect(url_for(".show", note_id=note.id))


def _show_form(form: NoteForm, note: Note | None = None, is_stale: bool = False) -> tuple[str, int]:
    """Show the form, with status 422 for errors, and 409 if the note was changed meanwhile."""
    page = render_template("notes/form.html", form=form, note=note, is_stale=is_stale)
    return page, 409 if is_stale else 422 if form.errors else 200
