"""The fields of a resource: read from the command line, and written as Python in each place."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches

from . import GeneratorError
from ._names import Names, check_identifier, to_singular, to_snake_case

SPEC = re.compile(
    r"(?P<name>\w+?)(?P<first>\?)?:(?P<type>\w+)(?:\((?P<values>[^)]*)\))?(?P<rest>.*)", re.DOTALL
)
REQUIRED = "This field is required."
EMPTY_CHOICE = '{"": ""} | '
NO_WORD = re.compile(r"\W+")


@dataclass(frozen=True)
class Type:
    """How the fields of one type are written."""

    annotation: str
    column: str = ""  # the arguments of mapped_column
    form: str = ""  # the class, with {validators} and {filters}
    validators: tuple[str, ...] = ()
    filter: str = ""
    schema: str = ""  # with {options}
    value: str = ""  # Python: another value for each n
    text: str = ""  # what is typed into a form; as the value if empty
    json: str = ""  # what is sent to the API; as the value if empty
    shown: str = "{value}"  # in a template
    bad_texts: tuple[tuple[str, str], ...] = ()  # Python, and the message
    bad_jsons: tuple[str, ...] = ()
    parse: Callable[[str], str] | None = None  # the default, as Python
    can_be_unique: bool = True
    is_text: bool = False  # of one line


def parse_integer(limit: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if abs(value := int(text)) > limit:
            raise ValueError
        return str(value)

    return parse


def parse_decimal(text: str) -> str:
    value = Decimal(text)
    if not value.is_finite() or abs(value) >= 10**10 or value != round(value, 2):
        raise ValueError
    return f'Decimal("{value:f}")'


def parse_float(text: str) -> str:
    if not math.isfinite(value := float(text)):
        raise ValueError
    return repr(value)


def parse_boolean(text: str) -> str:
    return {"true": "True", "false": "False"}[text.lower()]


def parse_line(text: str) -> str:
    if not text.strip() or len(text) > 200 or not text.isprintable():
        raise ValueError
    return json.dumps(text.strip(), ensure_ascii=False)


def parse_date(text: str) -> str:
    value = dt.date.fromisoformat(text)
    return f"dt.date({value.year}, {value.month}, {value.day})"


def parse_time(text: str) -> str:
    value = dt.time.fromisoformat(text).replace(tzinfo=None)
    return f"dt.time({value.hour}, {value.minute}, {value.second})"


LINE = Type(
    "str",
    "String(200)",
    "StringField",
    ("Length(max=MAX_{upper}_LENGTH)",),
    "clean_text",
    'text_field(NOT_BLANK, MAX_{upper}_LENGTH, "One line, not blank.", {options})',
    'f"{title} {{n}}"',
    bad_texts=(
        ('"x" * (MAX_{upper}_LENGTH + 1)', "longer than"),
        (r'"a\0b"', "Remove the control characters"),
    ),
    bad_jsons=("1", '""', '"x" * (MAX_{upper}_LENGTH + 1)', r'"a\nb"'),
    parse=parse_line,
    is_text=True,
)
INTEGER = Type(
    "int",
    "",
    "IntegerField",
    ("NumberRange(-MAX_INTEGER, MAX_INTEGER)",),
    "",
    "fields.Integer(strict=True, pre_load=to_integer, validate=validate.Range(-MAX_INTEGER, MAX_INTEGER), {options})",
    "n",
    "str(n)",
    bad_texts=(
        ('"x"', "Not a valid integer value."),
        ("str(MAX_INTEGER + 1)", "Number must be between"),
    ),
    bad_jsons=('"1"', "MAX_INTEGER + 1"),
    parse=parse_integer(2**31 - 1),
)
# The types that a user can write.
TYPES: Mapping[str, Type] = {
    "string": LINE,
    "email": Type(
        "str",
        "String(254)",
        "EmailField",
        (*LINE.validators, 'Regexp(EMAIL, message="Not an e-mail address.")'),
        "clean_text",
        'text_field(EMAIL, MAX_{upper}_LENGTH, "An e-mail address.", {options})',
        'f"{base}{{n}}@example.com"',
        bad_texts=(('"x"', "Not an e-mail address."),),
        bad_jsons=("1", '"x"'),
        is_text=True,
    ),
    "url": Type(
        "str",
        "String(500)",
        "URLField",
        (*LINE.validators, 'Regexp(URL, message="Not an address on the web.")'),
        "clean_text",
        'text_field(URL, MAX_{upper}_LENGTH, "An address on the web.", {options})',
        'f"https://example.com/{{n}}"',
        shown='<a href="{{{{ {value} }}}}" rel="noreferrer">{{{{ {value} }}}}</a>',
        bad_texts=(('"javascript:alert(1)"', "Not an address on the web."),),
        bad_jsons=("1", '"x"'),
        is_text=True,
    ),
    "text": Type(
        "str",
        "Text",
        "TextAreaField",
        ("Length(max=MAX_{upper}_LENGTH)",),
        "clean_lines",
        'text_field(MULTILINE, MAX_{upper}_LENGTH, "May have more than one line.", {options})',
        'f"{title} {{n}}"',
        bad_texts=(
            ('"x" * (MAX_{upper}_LENGTH + 1)', "longer than"),
            (r'"a\x1bb"', "Remove the control characters"),
        ),
        bad_jsons=("1", '"x" * (MAX_{upper}_LENGTH + 1)', r'"\x1b"'),
        can_be_unique=False,
    ),
    "integer": INTEGER,
    "bigint": Type(
        "int",
        "BigInteger",
        "IntegerField",
        ("NumberRange(-MAX_BIGINT, MAX_BIGINT)",),
        "",
        "fields.Integer(strict=True, pre_load=to_integer, validate=validate.Range(-MAX_BIGINT, MAX_BIGINT), {options})",
        "n",
        "str(n)",
        bad_texts=(
            ('"x"', "Not a valid integer value."),
            ("str(MAX_BIGINT + 1)", "Number must be between"),
        ),
        bad_jsons=('"1"', "MAX_BIGINT + 1"),
        parse=parse_integer(2**53 - 1),
    ),
    "decimal": Type(
        "Decimal",
        "Numeric(12, 2)",
        "DecimalField",
        ("NumberRange(-MAX_DECIMAL, MAX_DECIMAL)",),
        "as_comparable",
        'fields.Decimal(places=2, pre_load=matches(DECIMAL, "3.50"), as_string=True,'
        ' metadata={{"type": "string", "pattern": DECIMAL}}, {options})',
        'Decimal(f"{{n}}.50")',
        'f"{{n}}.50"',
        'f"{{n}}.50"',
        bad_texts=(
            ('"x"', "Not a valid decimal value."),
            ('"1e10"', "Number must be between"),
            ('"sNaN"', "Number must be between"),
        ),
        bad_jsons=("1", '"1.234"', '"NaN"'),
        parse=parse_decimal,
    ),
    "float": Type(
        "float",
        "",
        "FloatField",
        ("NumberRange(-MAX_FLOAT, MAX_FLOAT)",),
        "",
        "fields.Float(pre_load=is_a(float, int), validate=validate.Range(-MAX_FLOAT, MAX_FLOAT), {options})",
        "n + 0.5",
        "str(n + 0.5)",
        bad_texts=(
            ('"x"', "Not a valid float value."),
            ('"nan"', "Number must be between"),
        ),
        bad_jsons=('"1"', "True", "1e301"),
        parse=parse_float,
    ),
    "boolean": Type(
        "bool",
        "",
        "BooleanField",
        (),
        "",
        "fields.Boolean(pre_load=is_a(bool), {options})",
        "True",
        '"y"',
        shown='{{{{ "yes" if {value} else "no" }}}}',
        bad_jsons=('"yes"', "1"),
        parse=parse_boolean,
        can_be_unique=False,
    ),
    "date": Type(
        "dt.date",
        "",
        "DateField",
        (),
        "",
        'fields.Date(pre_load=matches(DATE, "2030-01-31"), {options})',
        "dt.date(2030, 1, 1) + dt.timedelta(n)",
        "str(dt.date(2030, 1, 1) + dt.timedelta(n))",
        "str(dt.date(2030, 1, 1) + dt.timedelta(n))",
        bad_texts=(('"x"', "Not a valid date value."),),
        bad_jsons=("1", '"20300101"', '"2030-02-30"'),
        parse=parse_date,
    ),
    "datetime": Type(
        "dt.datetime",
        "",
        "DateTimeLocalField",
        (),
        "as_utc",
        'fields.AwareDateTime(pre_load=matches(DATETIME, "2030-01-31T12:00:00Z"), {options})',
        "dt.datetime(2030, 1, 1, 12, tzinfo=dt.UTC) + dt.timedelta(n)",
        'f"{{dt.datetime(2030, 1, 1, 12, tzinfo=dt.UTC) + dt.timedelta(n):%Y-%m-%d %H:%M:%S}}"',
        "(dt.datetime(2030, 1, 1, 12, tzinfo=dt.UTC) + dt.timedelta(n)).isoformat()",
        shown='{{{{ {value}.strftime("%Y-%m-%d %H:%M UTC") }}}}',
        bad_texts=(('"x"', "Not a valid datetime value."),),
        bad_jsons=("1", '"2030-01-01"', '"2030-01-01T12:00:00"'),
    ),
    "time": Type(
        "dt.time",
        "",
        "TimeField",
        (),
        "",
        'fields.Time(pre_load=matches(TIME, "12:00:00"), metadata={{"format": "partial-time", "pattern": TIME}}, {options})',
        "dt.time(n // 60 % 24, n % 60)",
        "str(dt.time(n // 60 % 24, n % 60))",
        "str(dt.time(n // 60 % 24, n % 60))",
        bad_texts=(('"x"', "Not a valid time value."),),
        bad_jsons=("1", '"12"', '"12:00:00Z"'),
        parse=parse_time,
    ),
    "uuid": Type(
        "UUID",
        "",
        "StringField",
        (),
        "to_uuid",
        "fields.UUID({options})",
        "UUID(int=n)",
        "str(UUID(int=n))",
        "str(UUID(int=n))",
        bad_texts=(('"x"', "Not a valid UUID."),),
        bad_jsons=("1", '"x"'),
    ),
    "json": Type(
        "Any",
        "JSON",
        "JSONField",
        (),
        "",
        'fields.Raw(metadata={{"type": ["array", "boolean", "number", "object", "string"]}}, {options})',
        '{{"n": n}}',
        'json.dumps({{"n": n}})',
        shown="<code>{{{{ {value} | tojson }}}}</code>",
        bad_texts=(('"{{"', "Not valid JSON."), ('"NaN"', "Not valid JSON.")),
        can_be_unique=False,
    ),
    "binary": Type(
        "bytes",
        "LargeBinary",
        "FileField",
        (),
        "",
        'Base64(metadata={{"type": "string", "pattern": BASE64}}, {options})',
        'b"some bytes"',
        '(BytesIO(b"some bytes"), "file.txt")',
        'b64encode(b"some bytes").decode()',
        shown="{{{{ {value} | length | filesizeformat }}}}",
        bad_jsons=("1", '"x"', '"ü"', '"AAAA" * (MAX_FILE_LENGTH // 3 + 1)'),
        can_be_unique=False,
    ),
    "enum": Type(
        "{enum}",
        "",
        "SelectField",
        (),
        "",
        "fields.Enum({enum}, by_value=fields.String, {options})",
        "{enum}.{first}",
        '"{first_value}"',
        '"{first_value}"',
        shown="{{{{ {value}.value }}}}",
        bad_texts=(('"x!"', "Invalid Choice"),),
        bad_jsons=("1", '"x!"'),
        can_be_unique=False,
    ),
    "references": Type(
        "int",
        'ForeignKey("{table}.{key}"{ondelete})',
        "SelectField",
        (),
        "",
        "fields.Integer(strict=True, pre_load=to_integer, validate=[validate.Range(1, MAX_INTEGER), check_{one}], {options})",
        "{make}",
        "str({make})",
        bad_texts=(('"0"', "Not a valid choice"),),
        bad_jsons=('"1"', "0", "MAX_INTEGER", "10**20"),
    ),
    "many": Type(
        "list[{target}]",
        "",
        "SelectMultipleField",
        (),
        "",
        "fields.List(fields.Integer(strict=True, pre_load=to_integer, validate=validate.Range(1, MAX_INTEGER)),"
        " validate=[validate.Length(max=100), check_{many}], {options})",
        "[{make}]",
        "[str({make})]",
        bad_texts=(('["0"]', "not a valid choice"),),
        bad_jsons=("1", "[0]", "[MAX_INTEGER]", "[10**20]", "[1] * 101"),
        can_be_unique=False,
    ),
}
ALIASES = {
    "str": "string",
    "int": "integer",
    "bool": "boolean",
    "float": "float",
    "reference": "references",
}
MODIFIERS = "unique, index, nullable, default=VALUE"


@dataclass(frozen=True)
class Target:
    """The model to which a reference leads."""

    names: Names
    table: str
    class_name: str
    module: str  # as the folder of the resource imports it
    key: str = "id"
    query: str = ""  # Python: the rows that a request may see
    imports: tuple[str, ...] = ()  # those of the query
    has_pages: bool = False
    make: str = ""  # Python: saves a row in a test, and returns its id
    make_imports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Field:
    """One field of a resource, and its code."""

    type: str
    base: str  # as its user wrote it: shelf
    resource: Names
    is_optional: bool = False
    is_unique: bool = False
    has_index: bool = False
    default: str | None = None  # Python
    choices: tuple[str, ...] = ()
    target: Target | None = None

    @property
    def name(self) -> str:
        """The name of the attribute, and that in forms and in the API: shelf_id."""
        if self.type == "references":
            return f"{self.base}_id"
        return f"{to_singular(self.base)}_ids" if self.type == "many" else self.base

    @property
    def kind(self) -> Type:
        return TYPES[self.type]

    @property
    def label(self) -> str:
        return self.base.replace("_", " ").capitalize()

    @property
    def enum(self) -> str:
        """The class of the choices."""
        words = self.base.split("_")
        return self.resource.class_name + "".join(word.capitalize() for word in words)

    @property
    def members(self) -> dict[str, str]:
        """The choices, by their names in Python."""
        return {NO_WORD.sub("_", value).strip("_").upper(): value for value in self.choices}

    @property
    def is_self(self) -> bool:
        return bool(self.target and self.target.names == self.resource)

    @property
    def may_be_left_out(self) -> bool:
        return self.is_optional or self.default is not None or self.type in EMPTY

    def _fill(self, text: str) -> str:
        target = self.target
        return text.format(
            name=self.name,
            base=self.base,
            upper=self.base.upper(),
            title=self.label,
            model=self.resource.class_name,
            enum=self.enum,
            first=next(iter(self.members), ""),
            first_value=next(iter(self.choices), ""),
            value=f"{self.resource.singular}.{self.name}",
            table=target.table if target else "",
            key=target.key if target else "",
            target=target.class_name if target else "",
            one=target.names.singular if target else "",
            many=target.names.many if target else "",
            make=target.make if target else "",
            ondelete=', ondelete="SET NULL"' if self.is_optional else "",
            options="{options}",
        )

    @property
    def annotation(self) -> str:
        """The type of the attribute."""
        annotation = self._fill(self.kind.annotation)
        return f"{annotation} | None" if self.is_optional and annotation != "Any" else annotation

    @property
    def column(self) -> str:
        """The line of the model, without its indent."""
        arguments = [self._fill(self.kind.column)] if self.kind.column else []
        if self.type == "json":
            arguments = ["JSON(none_as_null=True)" if self.is_optional else "JSON"]
            arguments.append(f"nullable={self.is_optional}")
        if self.is_unique:
            arguments.append("unique=True")
        elif self.has_index or self.type == "references":
            arguments.append("index=True")
        if self.default is not None:
            arguments.append(f"server_default={self.server_default}")
        value = f" = mapped_column({', '.join(arguments)})" if arguments else ""
        return f"{self.name}: Mapped[{self.annotation}]{value}"

    @property
    def server_default(self) -> str:
        default = str(self.default)
        if self.type == "boolean":
            return f"{default.lower()}()"
        if self.type in ("integer", "bigint", "float"):
            return f'"{default}"'
        if self.type == "enum":
            return f'"{default.rpartition(".")[2]}"'
        if self.type == "string":
            return default
        numbers = re.findall(r"[\d.-]+", default)
        if self.type == "decimal":
            return f'"{numbers[0]}"'
        pattern = "{:0>4}-{:0>2}-{:0>2}" if self.type == "date" else "{:0>2}:{:0>2}:{:0>2}"
        return '"' + pattern.format(*(number for number in re.findall(r"\d+", default))) + '"'

    @property
    def form_field(self) -> str:
        """The line of the form."""
        validators = [self._fill(validator) for validator in self.kind.validators]
        choice = self.type in ("references", "many", "enum")
        if self.type in ("boolean", "text", "many", "binary"):
            pass
        elif self.is_optional:
            validators.insert(0, "Optional()")
        else:
            validators.insert(0, "DataRequired()" if self.kind.is_text else "InputRequired()")
        arguments = [f'"{self.label}"']
        if validators:
            arguments.append(f"[{', '.join(validators)}]")
        if self.kind.filter:
            name = self.kind.filter
            if self.is_optional and name.startswith("clean"):
                name = f"optional({name})"
            # The third argument of other fields is another one.
            is_third = validators and self.kind.filter.startswith("clean")
            arguments.append(f"[{name}]" if is_third else f"filters=[{name}]")
        if choice:
            coerce = self.enum if self.type == "enum" else "int"
            arguments.append(f"coerce={f'optional({coerce})' if self.is_optional else coerce}")
        if self.type == "enum":
            values = f"{{choice.value: choice.value for choice in {self.enum}}}"
            arguments.append(f"choices={EMPTY_CHOICE * self.is_optional}{values}")
        if self.type == "time":
            arguments.append('format=["%H:%M:%S", "%H:%M"], render_kw={"step": 1}')
        if self.default is not None:
            arguments.append(f"default={self.default}")
        return f"{self.name} = {self.kind.form}({', '.join(arguments)})"

    @property
    def form_choices(self) -> str:
        """The choices of a reference, in the form."""
        if not self.target:
            return ""
        rows = self.target.names.singular
        query = f"db.session.scalars({self.target.query})"
        values = f"{{str({rows}.{self.target.key}): str({rows}) for {rows} in {query}}}"
        return f"{EMPTY_CHOICE * self.is_optional}{values}"

    @property
    def form_value(self) -> str:
        """The value in a form that was sent."""
        if self.type == "many":
            return f"form.{self.name}.data or []"
        if self.type == "binary":
            before = f"{self.resource.singular}.{self.name}"
            empty = "" if self.is_optional else ' or b""'
            return f"form.{self.name}.data.read() if form.{self.name}.data else {before}{empty}"
        return f"form.{self.name}.data"

    @property
    def schema_field(self) -> str:
        """The line of the schema."""
        options = "required=True"
        if self.default is not None:
            options = f"load_default={self.default}"
        elif self.type in EMPTY and not self.is_optional:
            options = f"load_default={EMPTY[self.type]}"
        if self.is_optional:
            options = "allow_none=True"
            if self.default is not None:
                options += f", load_default={self.default}"
            else:
                options += ", load_default=None"
        return f"{self.name} = {self._fill(self.kind.schema).replace('{options}', options)}"

    @property
    def shown(self) -> str:
        """The value in a template."""
        value = f"{self.resource.singular}.{self.name}"
        if self.target:
            return self._shown_target(self.target)
        shown = self._fill(self.kind.shown)
        if "{{" not in shown:
            shown = f"{{{{ {shown} }}}}"
        if self.is_optional:
            return f"{{% if {value} is not none %}}{shown}{{% endif %}}"
        return shown

    def _shown_target(self, target: Target) -> str:
        name = target.names.singular
        row = name if self.type == "many" else f"{self.resource.singular}.{self.base}"
        link = f"{{{{ {row} }}}}"
        if target.has_pages:
            path = f"url_for('{target.names.plural}.show', {name}_id={row}.{target.key})"
            link = f'<a href="{{{{ {path} }}}}">{link}</a>'
        if self.type == "many":
            rows = f"{self.resource.singular}.{self.base}"
            return f"{{% for {name} in {rows} %}}{link} {{% endfor %}}"
        return f"{{% if {row} %}}{link}{{% endif %}}" if self.is_optional else link

    @property
    def value(self) -> str:
        """A value as Python, which is another for each n."""
        return self._fill(self.kind.value)

    @property
    def text(self) -> str:
        """What is typed into the form, as Python."""
        return self._fill(self.kind.text or self.kind.value)

    @property
    def json(self) -> str:
        """What is sent to the API, as Python."""
        return self._fill(self.kind.json or self.kind.value)

    @property
    def bad_texts(self) -> list[tuple[str, str]]:
        """What the form refuses, as Python, and the message."""
        found = [(self._fill(text), message) for text, message in self.kind.bad_texts]
        if not self.may_be_left_out and self.kind.is_text:
            found.insert(0, ('""', REQUIRED))
        return found

    @property
    def bad_jsons(self) -> list[str]:
        """What the API refuses, as Python."""
        found = [self._fill(text) for text in self.kind.bad_jsons]
        return found if self.is_optional or self.type == "json" else [*found, "None"]


# What a field may be left out for, as in the API.
EMPTY = {"text": '""', "many": "list", "binary": 'b""', "boolean": "False"}


def parse_fields(
    texts: Iterable[str], resource: Names, find_target: Callable[[Names, str], Target]
) -> list[Field]:
    """Return the fields, or raise GeneratorError, which names the first that can't be used."""
    fields: list[Field] = []
    for text in texts:
        field = _parse_field(text, resource, find_target)
        taken = {name for other in fields for name in (other.name, other.base)}
        if taken & {field.name, field.base}:
            raise GeneratorError(f"The field {field.name!r} is there twice.")
        fields.append(field)
    return fields


def _parse_field(text: str, resource: Names, find_target: Callable[[Names, str], Target]) -> Field:
    match = SPEC.fullmatch(text)
    if not match:
        raise GeneratorError(
            f"The field {text!r} can't be read. Write NAME:TYPE, such as title:string."
        )
    type_name = ALIASES.get(match["type"].lower(), match["type"].lower())
    if type_name not in TYPES:
        close = get_close_matches(type_name, TYPES, 1)
        hint = f" Do you mean {close[0]}?" if close else ""
        raise GeneratorError(
            f"{text!r} has an unknown type, {match['type']!r}.{hint} The types are"
            f" {', '.join(TYPES)}."
        )
    base = check_identifier(to_snake_case(match["name"]), "The field")
    if type_name == "references":
        base = base.removesuffix("_id")
    rest, values = match["rest"], match["values"]
    is_optional = bool(match["first"])
    if rest.startswith("?"):
        is_optional, rest = True, rest[1:]
    words = rest.removeprefix(":").split(":") if rest else []
    if rest and not rest.startswith(":"):
        raise GeneratorError(
            f"{text!r} can't be read after its type. The modifiers are {MODIFIERS}."
        )
    table = ""
    has_default, default_text, flags = False, "", set[str]()
    while words:
        word = words.pop(0)
        if word.startswith("default="):
            has_default, default_text = True, ":".join([word.removeprefix("default="), *words])
            words = []
        elif word in ("unique", "index", "nullable"):
            flags.add(word)
        elif type_name in ("references", "many") and not table and re.fullmatch(r"\w+\??", word):
            table, is_optional = word.removesuffix("?"), is_optional or word.endswith("?")
        elif type_name == "enum" and values is None:
            values = word.removesuffix("?")
            is_optional = is_optional or word.endswith("?")
        else:
            raise GeneratorError(
                f"{text!r} has an unknown modifier, {word!r}. They are {MODIFIERS}."
            )
    is_optional = is_optional or "nullable" in flags
    kind = TYPES[type_name]
    if flags & {"unique", "index"} and not kind.can_be_unique:
        (flag,) = sorted(flags & {"unique", "index"})[:1]
        raise GeneratorError(
            f"{text!r} can't be used: a field of type {type_name} can't have :{flag}."
        )
    if type_name in ("many", "boolean") and is_optional:
        raise GeneratorError(
            f"{text!r} can't be used: a field of type {type_name} is never empty. Leave ? out."
        )
    if values is not None and type_name != "enum":
        raise GeneratorError(
            f"{text!r} can't be used: a field of type {type_name} takes no values."
        )
    choices = _parse_choices(text, values) if type_name == "enum" else ()
    target = None
    if type_name in ("references", "many"):
        name = to_snake_case(table or base)
        target = find_target(Names(to_singular(name)), name)
        if target.names == resource and type_name == "references" and not is_optional:
            raise GeneratorError(
                f"{text!r} can't be used: the first {resource.label} could refer to none. Write"
                f" {base}:references?"
            )
    field = Field(
        type_name,
        base,
        resource,
        is_optional,
        "unique" in flags,
        "index" in flags,
        None,
        choices,
        target,
    )
    if has_default:
        field = replace(field, default=_parse_default(text, field, default_text))
    check_identifier(field.name, "The field")
    return field


def _parse_choices(text: str, values: str | None) -> tuple[str, ...]:
    choices = tuple(value.strip() for value in (values or "").split(",") if value.strip())
    names = [NO_WORD.sub("_", value).strip("_").upper() for value in choices]
    if not choices or len({*names}) < len(names) or not all(name.isidentifier() for name in names):
        raise GeneratorError(
            f"{text!r} needs values that differ and begin with a letter, such as"
            ' "cover:enum(hard,soft)".'
        )
    return choices


def _parse_default(text: str, field: Field, default: str) -> str:
    try:
        if field.type == "enum":
            return (
                f"{field.enum}.{ {value: name for name, value in field.members.items()}[default] }"
            )
        if not field.kind.parse:
            raise GeneratorError(
                f"{text!r} can't be used: a field of type {field.type} can't have a default."
            )
        return field.kind.parse(default)
    except (ValueError, KeyError, InvalidOperation):
        raise GeneratorError(f"{text!r} can't be used: its default is no {field.type}.") from None
