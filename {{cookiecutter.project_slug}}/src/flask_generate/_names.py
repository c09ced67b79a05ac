"""The names of a resource, from any form in which its user writes it."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from functools import cached_property

from pluralizer import Pluralizer

from . import GeneratorError

MAX_LENGTH = 30  # PostgreSQL cuts the names of constraints at 63 bytes
PLURALIZER = Pluralizer()  # type: ignore[no-untyped-call]
# What the library has in Latin, or takes for a plural.
IRREGULAR = {
    "axis": "axes",
    "basis": "bases",
    "bias": "biases",
    "cache": "caches",
    "excuse": "excuses",
    "lens": "lenses",
    "oasis": "oases",
    "schema": "schemas",
    "species": "species",
    "virus": "viruses",
}
for singular, plural in IRREGULAR.items():
    PLURALIZER.add_irregular_rule(singular, plural)
# Words that begin with the sound of a vowel.
VOWEL = re.compile("[aeio]|u(?!ni|r[ail]|s[aeu]|til)|heir|hon(est|o)|hour")


@dataclass(frozen=True)
class Names:
    """The names of one resource: of its model, its table, its folder, its variables."""

    singular: str

    @cached_property
    def plural(self) -> str:
        """The name of its folder and its blueprint, and its place in addresses."""
        *first, last = self.singular.split("_")
        return "_".join([*first, PLURALIZER.plural(last)])

    @property
    def many(self) -> str:
        """The name of a variable for some of them."""
        return self.plural if self.plural != self.singular else f"{self.plural}_list"

    @property
    def class_name(self) -> str:
        return "".join(word.capitalize() for word in self.singular.split("_"))

    @property
    def label(self) -> str:
        return self.singular.replace("_", " ")

    @property
    def labels(self) -> str:
        return self.plural.replace("_", " ")

    @property
    def article(self) -> str:
        return "an" if VOWEL.match(self.label) else "a"


def to_snake_case(text: str) -> str:
    """Return `order_item` for `OrderItem`, as Flask-SQLAlchemy names tables, and for `order-item`."""
    text = re.sub(r"((?<=[a-z0-9])[A-Z]|(?!^)[A-Z](?=[a-z]))", r"_\1", text)
    return re.sub(r"[\s_-]+", "_", text).strip("_").lower()


def to_singular(name: str) -> str:
    """Return a name in snake case, with its last word in the singular."""
    *first, last = name.split("_")
    singular = PLURALIZER.singular(last)
    return "_".join([*first, singular if PLURALIZER.plural(singular) == last else last])


def check_identifier(name: str, what: str) -> str:
    """Return the name, or raise GeneratorError where Python or a database can't use it."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise GeneratorError(
            f"{what} {name!r} can't be used. Use a to z, digits and _, with a letter first."
        )
    if keyword.iskeyword(name) or keyword.iskeyword(name.capitalize()):
        raise GeneratorError(f"{what} {name!r} is a word of Python. Use another name.")
    if len(name) > MAX_LENGTH:
        raise GeneratorError(
            f"{what} {name!r} is too long: it may have {MAX_LENGTH} characters, because databases"
            " limit the names of constraints."
        )
    return name


def parse_name(text: str) -> Names:
    """Return the names of a resource that is written in the singular or plural, in any case."""
    name = to_singular(check_identifier(to_snake_case(text), "The name"))
    # Flask-SQLAlchemy makes the name of the table from that of the class.
    return Names(to_snake_case(Names(check_identifier(name, "The name")).class_name))
