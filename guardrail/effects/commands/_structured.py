"""jq, yq, crudini, dasel, augtool: programs that change files by their structure.

Not concerned with lines (`_editors`). Where a tool writes in a style of its own, the edit has the meaning of what it
writes and the content counts as unknown from there on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import yaml

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._editors import as_text, fits, whole
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NOTHING, SOMETHING, Field, Stream, merge
from guardrail.effects.keys._filters import edit, literal, read_json, write_json
from guardrail.effects.keys._formats import is_list, is_table, load_json
from guardrail.effects.keys._regex import Unclear
from guardrail.effects.keys._write import dump_all, load_all, set_ini
from guardrail.model import Resource
from guardrail.patterns import lazy

_FAILURES: Final = (Unclear, ValueError, RecursionError, OverflowError, yaml.YAMLError)


def jq(call: Call, parsed: Parsed) -> Stream:
    """`jq`: a filter and files; what assignments print is worked out."""
    operands = list(parsed.operands)
    program = _program(call, parsed, operands)
    if program is None or re.search(r"\b(?:import|include)\b", program.text) or parsed.has("-L"):
        call.opaque("inline", reason="a jq program that loads modules, or is not known")
    sources: tuple[Resource, ...] = ()
    scalar = program is not None and _one_scalar(call, parsed, program, operands)
    for role, field in [*((role, field) for _, role, field in parsed.values), *(("read", f) for f in operands)]:
        if role == "read":
            read = call.read(field, reveals="digest" if scalar else "content")
            sources = merge(sources, () if scalar else read)
        sources = merge(sources, field.sources)
    sources = merge(sources, _environment(call, program))
    if not operands and (not parsed.has("--null-input") or program is None or "input" in program.text):
        sources = merge(sources, call.stdin.sources)
    if program is None or _JQ_ERRORS.search(program.text):
        call.shell.divert(sources)
    text = _jq_text(call, parsed, program, operands) if program is not None else None
    return Stream(text=fits(text), sources=sources, flow=call.stdin.flow)


def _environment(call: Call, program: Field | None) -> tuple[Resource, ...]:
    """Whose content a program can see in the environment, if it looks there."""
    looks = program is None or not program.known or re.search(r"env|ENV", program.text) is not None
    return call.state.contents() if looks else ()


_JQ_ERRORS: Final = lazy(r"\b(?:stderr|debug|halt_error|error|input_error)\b")
"""Words of a filter that may say what it is given on standard error."""

MAX_SCALARS: Final = 1
"""Most single values of one file that one call may take out of it without that being its content."""

MAX_SCALAR: Final = 32
"""Longest text that is a single value and no content, in characters."""

_ONE: Final = lazy(
    r"\s*(?P<path>(?:\.[A-Za-z_]\w*(?:\[\d+\])?)+)\s*(?:\|\s*(?P<last>length|type|floor|round|tostring)\s*)?"
)
_SCALAR: Final = lazy(r"[\w .:/@+-]*")
_ONE_FLAGS: Final = frozenset("--compact-output --raw-output --ascii-output --monochrome-output --exit-status".split())


def _one_scalar(call: Call, parsed: Parsed, program: Field, operands: Sequence[Field]) -> bool:
    """Whether what comes out is one number, one truth value or one short text of a file that is known now.

    Several of one file are its content again: more than `MAX_SCALARS` in one call count as that.
    """
    match = _ONE.fullmatch(program.text) if program.known else None
    if match is None or len(operands) != 1 or parsed.unknown or parsed.injected or not parsed.flags <= _ONE_FLAGS:
        return False
    place = call.place(operands[0])
    taken = sum(
        e.op == "read" and e.resource == place and e.attrs.get("reveals") == "digest" for e in call.shell.emit.effects
    )
    data = call.content(place) if operands[0].known and not call.shell.emit.changed(place.path or "") else None
    if data is None or taken >= MAX_SCALARS:
        return False
    try:
        value = read_json(data.decode("utf-8"))
    except _FAILURES:
        return False
    value = _within(value, match["path"])
    if match["last"] in ("length", "type"):
        return value is not _MISSING
    return isinstance(value, bool | int | float) or (
        isinstance(value, str) and len(value) <= MAX_SCALAR and _SCALAR.fullmatch(value) is not None
    )


def _within(value: Any, path: str) -> Any:
    """What a path of names and numbers leads to in a document; `_MISSING` if that is nothing."""
    for name, index in re.findall(r"\.(\w+)(?:\[(\d+)\])?", path):
        value = value.get(name, _MISSING) if is_table(value) else _MISSING
        if index:
            value = value[int(index)] if is_list(value) and int(index) < len(value) else _MISSING
    return value


_MISSING: Final = object()


def _program(call: Call, parsed: Parsed, operands: list[Field]) -> Field | None:
    """The filter; None if it is in a file that is not known."""
    if parsed.has("--from-file"):
        given = parsed.value("--from-file")
        text = call.text_of(given) if given is not None else None
        return Field(text=text) if text is not None else None
    return operands.pop(0) if operands else Field(text=".")


_JQ_PLAIN: Final = frozenset(
    "--compact-output --raw-output --sort-keys --ascii-output --tab --monochrome-output --exit-status --null-input "
    "--arg --argjson --indent --from-file --unbuffered".split()
)


def _jq_text(call: Call, parsed: Parsed, program: Field, operands: Sequence[Field]) -> str | None:
    if not program.known or parsed.unknown or parsed.injected or not parsed.flags <= _JQ_PLAIN or len(operands) > 1:
        return None
    try:
        variables = _variables(parsed)
        if parsed.has("--null-input"):
            value = literal(program.text, variables)
        else:
            text = call.text_of(operands[0]) if operands else call.stdin.text
            if text is None:
                return None
            path = _ONE.fullmatch(program.text)
            if path is not None and path["last"] is None:
                value = _within(read_json(text), path["path"])
                if not isinstance(value, str | int):
                    return None
            else:
                value = edit(program.text, read_json(text), variables=variables)
        if parsed.has("--raw-output") and isinstance(value, str):
            return value + "\n"
        return write_json(
            value, indent=_indent(parsed), sort=parsed.has("--sort-keys"), ascii_only=parsed.has("--ascii-output")
        )
    except _FAILURES:
        return None


def _indent(parsed: Parsed) -> int | str | None:
    given = parsed.value("--indent")
    if given is not None:
        if not given.known or not re.fullmatch(r"[1-7]", given.text):
            raise Unclear("an indentation")
        return int(given.text)
    return None if parsed.has("--compact-output") else "\t" if parsed.has("--tab") else 2


def _variables(parsed: Parsed) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in ("--arg", "--argjson"):
        values = parsed.values_of(option)
        for name, value in zip(values[::2], values[1::2], strict=False):
            if not name.known or not value.known:
                raise Unclear("a variable that is not known")
            found[name.text] = value.text if option == "--arg" else load_json(value.text)
    return found


# -- yq and its like


def yq(call: Call, parsed: Parsed) -> Stream:
    """`yq`, `tomlq`: as jq; with `-i` the file is written."""
    operands = list(parsed.operands)
    verb = operands[0].text if operands else ""
    if verb in ("w", "write", "d", "delete"):
        return _yq_verb(call, parsed, verb[0], operands[1:])
    if verb in ("e", "eval", "ea", "eval-all"):
        operands.pop(0)
    program = _program(call, parsed, operands) if operands or parsed.has("--from-file") else None
    change = _changing(parsed, program, "yq")
    understood = program is not None and program.known and _understood(program.text, parsed)
    if parsed.has("--split-exp") or program is None or not program.known:
        understood = False
    elif not understood and not re.search(r"load|env|file|system|@", _NAMES.sub("", program.text)):
        understood = True
    if not understood:
        call.opaque("inline", reason="a yq program that may do more than filter")
    sources = _environment(call, program)
    for field in operands:
        sources = merge(sources, call.read(field))
        if parsed.has("--inplace"):
            form = "toml" if call.name == "tomlq" or parsed.has("--toml-output") else ""
            single = len(operands) == 1 and verb not in ("ea", "eval-all") and understood
            _rewrite(call, field, change if single else None, form)
    return Stream(sources=merge(sources, call.stdin.sources), flow=call.stdin.flow)


_NAMES: Final = lazy(r"\b(?:fileIndex|file_index|filename)\b")
"""Operators of yq that tell which file a document comes from."""

_YQ_PLAIN: Final = frozenset(
    "--inplace --from-file --yaml-output --toml-output --prettyPrint -r --indent -M -e".split()
)

Change = Callable[[Any], Any]


def _changing(parsed: Parsed, program: Field | None, dialect: str) -> Change | None:
    if program is None or not program.known or parsed.unknown or parsed.injected or not parsed.flags <= _YQ_PLAIN:
        return None
    return lambda document: edit(program.text, document, dialect="yq" if dialect == "yq" else "jq")


def _understood(program: str, parsed: Parsed) -> bool:
    """The filter is one of assignments, whether or not it fits any document."""
    try:
        edit(program, {}, dialect="yq")
    except _FAILURES as error:
        return "does not fit" in str(error)
    return not parsed.has("--split-exp")


def _rewrite(call: Call, field: Field, change: Change | None, form: str = "") -> None:
    """A file is written by a tool with a style of its own."""
    place = call.place(field)
    after = None
    before = as_text(call.content(place)) if change is not None and field.known else None
    if before is not None and change is not None and place.path is not None:
        try:
            documents = [change(document) for document in load_all(place.path, before, form)]
            after = dump_all(place.path, documents, form)
        except _FAILURES:
            after = None
    _meaning(call, place, after)


def _meaning(call: Call, place: Resource, text: str | None) -> None:
    """A write of something that means the same as the text."""
    call.emit("write", place, edit=whole(text))
    if text is not None and place.path is not None:
        call.shell.contents.put(place.path, None)


def _yq_verb(call: Call, parsed: Parsed, verb: str, operands: list[Field]) -> Stream:
    """`yq w -i FILE PATH VALUE` and `yq d -i FILE PATH` of version 3."""
    if not operands:
        return SOMETHING
    field = operands[0]
    sources = call.read(field)
    if not parsed.has("--inplace"):
        return Stream(sources=sources)
    words = [word.text for word in operands[1:] if word.known]
    known = len(words) == len(operands) - 1 == (2 if verb == "w" else 1) and not parsed.unknown
    program = None
    if known and re.fullmatch(r"[\w-]+(?:\.[\w-]+)*", words[0]):
        program = f"del(.{words[0]})" if verb == "d" else f".{words[0]} = {_scalar(words[1])}"
    change: Change | None = None
    if program is not None:
        text = program
        change = lambda document: edit(text, document, dialect="yq")  # noqa: E731  (a name for one of two)
    _rewrite(call, field, change)
    return NOTHING


def _scalar(text: str) -> str:
    """A word as a value, typed as YAML types it."""
    if re.fullmatch(r"true|false|null|-?(?:0|[1-9]\d{0,14})", text):
        return text
    return write_json(text).strip() if re.fullmatch(r"[A-Za-z][\w /:.-]*", text) else "?"


def dasel(call: Call, parsed: Parsed) -> Stream:
    """`dasel put -f FILE -t bool -v false PATH`; any other use reads."""
    operands = [field.text if field.known else "?" for field in parsed.operands]
    file = parsed.value("--file")
    if file is None:
        return Stream(sources=call.stdin.sources)
    sources = call.read(file)
    verb = operands[0] if operands else ""
    if verb not in ("put", "delete"):
        return Stream(sources=sources)
    selector, kind, value = operands[-1], parsed.value("--type"), parsed.value("--value")
    form = kind.text if kind is not None else "string" if len(operands) < 3 else operands[1]
    change: Change | None = None
    path = "." + selector.lstrip(".")
    if re.fullmatch(r"(?:\.[A-Za-z_][\w-]*)+", path) and not parsed.unknown:
        if verb == "delete":
            change = lambda document: edit(f"del({path})", document, dialect="yq")  # noqa: E731  (a name for one of two)
        elif value is not None and value.known and form in ("bool", "int", "string"):
            text = write_json(value.text).strip() if form == "string" else value.text
            change = lambda document: edit(f"{path} = {text}", document, dialect="yq")  # noqa: E731  (as above)
    out = parsed.value("--out")
    if out is not None and out.text in ("-", "stdout", "/dev/stdout"):
        return Stream(sources=sources)
    _rewrite(call, out if out is not None else file, change if out is None else None)
    return NOTHING


def crudini(call: Call, parsed: Parsed) -> Stream:
    """`crudini --set FILE SECTION KEY VALUE`, `--del`; `--get` reads, `--merge` takes its input."""
    operands = list(parsed.operands)
    if not operands:
        return SOMETHING
    field = operands[0]
    sources = call.read(field)
    if parsed.has("--get") or not parsed.has("--set", "--del", "--merge"):
        return Stream(sources=sources)
    place = call.place(field)
    before = as_text(call.content(place)) if field.known else None
    words = [word.text for word in operands[1:]]
    after = None
    known = (
        all(word.known for word in operands) and not parsed.unknown and parsed.flags <= {"--set", "--del", "--inplace"}
    )
    if known and before is not None:
        try:
            if parsed.has("--set") and len(words) == 3:
                after = set_ini(before, words[0], words[1], words[2])
            elif parsed.has("--del") and len(words) in (1, 2):
                after = set_ini(before, words[0], words[1] if len(words) == 2 else None, None)
        except _FAILURES:
            after = None
    _meaning(call, place, after)
    return NOTHING


def augtool(call: Call, parsed: Parsed) -> Stream:
    """`augtool set /files/PATH/KEY VALUE`: the file is written; its lens is not modelled."""
    script = call.stdin.text or ""
    lines = [" ".join(field.text for field in parsed.operands), *script.split("\n")]
    for option in ("--file", "--load-file"):
        for field in parsed.values_of(option):
            call.read(field)
            text = call.text_of(field)
            if text is None:
                return call.opaque("inline", reason="augeas commands that are not known")
            lines += text.split("\n")
    if not any(line.strip() for line in lines) or not all(field.known for field in parsed.operands):
        return call.opaque("inline", reason="augeas commands that are not known")
    changed = False
    for line in lines:
        verb, _, rest = line.strip().partition(" ")
        if verb in _AUGEAS_CHANGES:
            changed = True
            for path in re.findall(r"/files(/[^\s\"'\[\]]+)", rest) or ["/**"]:
                call.emit("write", _augeas_file(call, path))
        elif verb not in _AUGEAS_LOOKS:
            return call.opaque("inline", reason="augeas commands that are not known")
    return NOTHING if changed else SOMETHING


_AUGEAS_CHANGES: Final = frozenset("set rm setm clear clearm ins insert mv move touch rename store retrieve".split())
_AUGEAS_LOOKS: Final = frozenset(("", "print", "get", "match", "ls", "save", "quit", "errors", "dump-xml", "load"))


def _augeas_file(call: Call, path: str) -> Resource:
    """The file that a node lies in: the longest part of its path that is one."""
    parts = path.rstrip("/").split("/")
    for end in range(len(parts), 1, -1):
        place = call.place(Field(text="/".join(parts[:end])))
        if "*" not in (place.path or "*") and call.kind(place) == "file":
            return place
    base = "/".join(parts[:2])
    return Resource(kind="file", pattern=f"{base}/**")


FAMILIES: Final[Mapping[str, Family]] = {
    "augtool": augtool,
    "crudini": crudini,
    "dasel": dasel,
    "jq": jq,
    "yq": yq,
}
"""What `code` of a spec may say, for this module."""
