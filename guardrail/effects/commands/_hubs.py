"""Hubs and trackers whose commands need more than their verbs: Modelfiles, caches, data versioning, hosting of code.

Not concerned with operations that a fact describes (`_hub_facts`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._api import api
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._containers import content, go_values
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import URL, at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import below
from guardrail.effects.domain._values import SOMETHING, Field, Stream
from guardrail.model import Op, Resource
from guardrail.patterns import lazy

_MODEL = lazy(r"^[ \t]*(?:FROM|ADAPTER)[ \t]+(?P<name>.+)$", re.IGNORECASE | re.MULTILINE)
_PATH_LIKE = lazy(r"[./~].*|.*\.(?:gguf|safetensors|bin|pt|pth|ggml)", re.IGNORECASE)
_CACHE_LOOKS: Final = frozenset("ls list scan verify info env".split())
_METHODS: Final[Mapping[str, Op]] = {"DELETE": "api_delete", "POST": "write", "PUT": "write", "PATCH": "write"}
_FIELDS: Final = ("-f", "--raw-field", "-F", "--field")


def ollama_create(call: Call, parsed: Parsed) -> Stream:
    """`ollama create`: a model is made of what its Modelfile names."""
    go_values(parsed)
    model = at("ollama", parsed.operands[0].text if parsed.operands else "*")
    file = parsed.value("--file") or Field(text="Modelfile")
    text = call.stdin.text if file.text == "-" else content(call, file)
    call.emit("write", model)
    if text is None:
        call.emit("copy", call.place(Field(text="."), kind="dir"), model, attrs={"cwd": True}, may=True)
        for source in call.stdin.sources if file.text == "-" else ():
            call.emit("copy", source, model)
        return call.opaque("program", reason="the Modelfile is not known")
    if file.text != "-":
        call.read(file)
    folder = Field(text=file.text.rpartition("/")[0] or ("/" if file.text.startswith("/") else "."))
    for match in _MODEL.finditer(text):
        named = Field(text=match["name"].strip().strip("\"'"))
        inside = named if named.text.startswith(("/", "~")) else below(folder, named.text)
        if _PATH_LIKE.fullmatch(named.text) or call.kind(call.place(inside)) is not None:
            for source in call.read(inside, recursive=True):
                call.emit("copy", source, model)
        elif named.text:
            # Another name for the layers of that model, which then outlive it.
            call.emit("link", at("ollama", named.text), model)
    return SOMETHING


def hub_cache(call: Call, _parsed: Parsed) -> Stream:
    """`hf cache rm`, `delete-cache`: what was downloaded is deleted here."""
    words = [field.text for field in call.args]
    looks = call.name.endswith("scan-cache") or not words or words[0] in _CACHE_LOOKS
    if (looks and not call.name.endswith("delete-cache")) or "--help" in words:
        return SOMETHING
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    folders = [Field(text=f"{home}/.cache/huggingface")]
    for index, word in enumerate(words[:-1]):
        if word in ("--cache-dir", "--dir"):
            folders = [call.args[index + 1]]
    for folder in folders:
        call.emit("delete", call.place(folder, kind="dir", recursive=True), may=True)
    return SOMETHING


def import_url(call: Call, parsed: Parsed) -> Stream:
    """`dvc import-url`, `get-url`: without a name it goes here."""
    if len(parsed.operands) == 1:
        parsed.operands.append(Field(text="./"))
    return apply_spec(call, parsed)


def dvc(call: Call, parsed: Parsed) -> Stream:
    """`dvc`: files go into a cache, and from there to a remote."""
    verb = call.name.rpartition(" ")[2]
    remote = parsed.value("-r")
    where = at("dvc", remote.text if remote is not None else "default")
    cache = call.place(Field(text=".dvc/cache"), kind="dir")
    here = call.place(Field(text="."), kind="dir")
    if verb in ("add", "commit"):
        away = any(field.text == "--to-remote" for field in call.args)
        for field in parsed.operands:
            place = call.place(field, recursive=True)
            call.emit("copy", place, where if away else cache)
            if not away:
                call.emit("write", place)  # the file becomes a link into the cache
    elif verb == "push":
        call.emit("copy", here, where, attrs={"cwd": True}, may=True, flow=("net",))
        for field in parsed.operands:
            call.emit("copy", call.place(field, recursive=True), where, may=True, flow=("net",))
        call.emit("net_send", where)
    elif verb in ("pull", "fetch", "checkout", "unprotect"):
        call.emit("net_recv", where)
        for field in parsed.operands if verb != "fetch" else ():
            call.emit("write", call.place(field, recursive=True), may=True)
    elif verb == "gc":
        call.emit("delete", cache, may=True)
        if any(field.text in ("-c", "--cloud") for field in call.args):
            call.emit("api_delete", where)
    elif verb in ("remove", "rm", "destroy"):
        for field in parsed.operands or [Field(text=".dvc")]:
            call.emit("delete", call.place(field, recursive=True))
    else:
        return apply_spec(call, parsed)
    return SOMETHING


def host(call: Call, parsed: Parsed) -> Stream:
    """`gh` and `glab`: `api` by its method, aliases as the commands they are, the rest by facts and verbs."""
    words = [field.text for field in call.args if not field.text.startswith("-")]
    if words[:1] == ["api"]:
        return _request(call)
    if words[:2] == ["alias", "set"] and len(words) > 3:
        text = words[3].removeprefix("!")
        with call.perhaps():
            call.shell.run_text(text, call.state.copy())
        return call.opaque("inline" if words[3].startswith("!") else "program", reason="an alias that runs later")
    if words[:2] in (["workflow", "run"], ["codespace", "ssh"], ["cs", "ssh"]):
        _inputs(call, at("github", words[0]))
    if words[:1] == ["extension"] and words[1:2] not in (["list"], ["search"], ["ls"]):
        return call.opaque("program", reason="an extension is a program")
    return api(call, parsed)


def _inputs(call: Call, place: Resource) -> None:
    """What a run elsewhere is given: a field may be read from a file, and a command may name what is here."""
    for field in call.args:
        named = re.fullmatch(r"(?:-F|--field=)?[^=]*=@(.+)", field.text, re.DOTALL)
        for source in call.read(Field(text=named[1])) if named is not None else ():
            call.emit("copy", source, place, flow=("net",))
        for source in field.sources:
            call.emit("copy", source, place, flow=("argument",))
        call.mention_text(field.text)


def _request(call: Call) -> Stream:
    """`gh api [-X METHOD] PATH`: fields make it a POST."""
    args = list(call.args)
    method, path, sends = "", Field(text="*"), False
    sent: list[Field] = []
    index = args.index(next(field for field in args if field.text == "api")) + 1
    while index < len(args):
        field = args[index]
        index += 1
        if field.text == "--":
            path = args[index] if index < len(args) else path
            break
        if not field.text.startswith("-") or field.text == "-":
            path = field
            continue
        name, value = _option(field)
        if not name:
            continue
        if value is None:
            value = args[index] if index < len(args) else field
            index += 1
        if name in ("-X", "--method"):
            method = value.text.upper()
        elif name == "--input":
            sends = True
            sent.append(value)
        elif name in _FIELDS:
            sends = True
            file = value.text.partition("=@")[2] if name in ("-F", "--field") else ""
            sent.extend([Field(text=file)] if file else [])
            sent.extend([Field(text="", sources=value.sources)] if value.sources else [])
    return _requested(call, method or ("POST" if sends else "GET"), path, sent)


def _option(field: Field) -> tuple[str, Field | None]:
    """An option that takes a value, and the value if it stands in the same word; no name for any other option."""
    text = field.text
    if text.startswith("--"):
        name, equals, _ = text.partition("=")
        return (name, field.tail(len(name) + 1) if equals else None) if name in _WORDY else ("", None)
    # `-Fa=b`, `-XDELETE`, `-X=DELETE`; letters that take no value may stand before it.
    at = next((i for i in range(1, len(text)) if text[i] in _VALUED), None)
    if at is None:
        return "", None
    rest = field.tail(at + 1 + text[at + 1 :].startswith("="))
    return f"-{text[at]}", rest if at + 1 < len(text) else None


_VALUED: Final = frozenset("XFfHqtp")
"""Letters of `gh api` that take a value."""

_WORDY: Final = frozenset(
    "--method --input --header --jq --template --hostname --field --raw-field --preview --cache".split()
)


def _requested(call: Call, method: str, path: Field, sent: list[Field]) -> Stream:
    place = at("github", path.text.lstrip("/") if not URL.fullmatch(path.text) else path.text)
    for field in sent:
        for source in (*(call.read(field) if field.text else ()), *field.sources):
            call.emit("copy", source, place, flow=("net",))
    if path.text == "graphql" and method == "POST" and not sent:
        call.emit("read", place)
        return SOMETHING
    op = _METHODS.get(method)
    if op is None:
        call.emit("read", place)
        return Stream(sources=(place,)) if method in ("GET", "HEAD") else call.opaque("program")
    call.emit(op, place, attrs={"method": method})
    if sent:
        call.emit("net_send", place)
    return SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {
    "dvc": dvc,
    "host": host,
    "hub_cache": hub_cache,
    "import_url": import_url,
    "ollama_create": ollama_create,
}
"""What `code` of a spec may say, for this module."""
