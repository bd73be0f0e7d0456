"""Object stores and hubs whose commands copy trees: what is deleted at the target, and words that name a remote.

Not concerned with options and directions, which are data in the specs.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_role, apply_spec, operand_roles
from guardrail.effects.commands._containers import content
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._places import elsewhere
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

_DELETING: Final = frozenset(
    "--delete -d --delete-unmatched-destination-objects --delete-removed --delete-destination --remove "
    "--delete-after --delete-before --delete-during --delete-excluded --delete-from-dest".split()
)
_NAMED: Final = frozenset(("-I", "--read-paths-from-stdin"))
_ALWAYS_DELETING: Final = frozenset(("rclone sync", "rclone bisync", "mc mirror --remove"))
_CONNECTION = lazy(r":(?P<backend>[a-z0-9]+)(?:,[^:]*)?:(?P<path>.*)", re.DOTALL)
_PLAIN_LOCAL: Final = ("/", "./", "../", "~", "-")


def mirror(call: Call, parsed: Parsed) -> Stream:
    """A copy of a tree; with some options what is not in the source is deleted at the target."""
    if parsed.flags & _NAMED:
        parsed.operands[:0] = given_names(call)
    out = apply_spec(call, parsed)
    deletes = any(name.partition("=")[0] in _DELETING for name in parsed.flags)
    if deletes or call.name in _ALWAYS_DELETING:
        _deleted(call, parsed)
    return out


def given_names(call: Call) -> list[Field]:
    """The sources that the input names, one on a line."""
    found = call.listed(Field(text="-"))
    for name in call.stdin.names:
        found.append(Field(text=name.path or TOP, glob=name.pattern))
    return found


def _deleted(call: Call, parsed: Parsed) -> None:
    entry = parsed.spec.entry
    for role, field in operand_roles(entry, parsed):
        if role.partition("@")[0] != "to":
            continue
        place = elsewhere(field, role, entry)
        if place is None:
            call.emit("delete", call.place(field, recursive=True, nofollow=True), may=True)
        else:
            call.emit("api_delete", place, may=True)


def rclone(call: Call, parsed: Parsed) -> Stream:
    """`remote:path` is there, and `:local:path` is here whatever it looks like."""
    parsed.operands = [_backend(_meant(call, parsed, field)) for field in parsed.operands]
    parsed.values = [(name, role, _backend(field) if role != "text" else field) for name, role, field in parsed.values]
    if call.name.endswith("mount"):
        _mounted(call, parsed)
    return mirror(call, parsed)


def _mounted(call: Call, parsed: Parsed) -> None:
    """A directory here under another name, or a remote under a name here."""
    if len(parsed.operands) != 2:
        return
    source, target = parsed.operands
    far = elsewhere(source, "from", parsed.spec.entry)
    where = call.place(target, kind="dir", recursive=far is not None)
    call.emit("mount", far if far is not None else call.place(source, kind="dir", recursive=True), where)


MAX_WRAPPED: Final = 4
"""Most remotes that stand for one another that are followed."""


def _meant(call: Call, parsed: Parsed, field: Field) -> Field:
    """A remote of which the file of settings says that it stands for another one, or for a directory here."""
    text = field.text
    match = _REMOTE.fullmatch(text) if field.known else None
    if match is None:
        return field
    home = call.shell.expand.lookup("HOME", call.state, {})[0]
    file = parsed.value("--config") or Field(text=f"{home}/.config/rclone/rclone.conf")
    data = call.content(call.place(file)) if file.known else None
    settings = configparser.RawConfigParser(strict=False)
    try:
        settings.read_string(data.decode("utf-8", "replace") if data is not None else "")
    except configparser.Error:
        return field
    for _ in range(MAX_WRAPPED):
        inner = settings.get(match["name"], "remote", fallback="") if settings.has_section(match["name"]) else ""
        if not inner:
            break
        path = match["path"].strip("/")
        text = inner if not path else f"{inner}{path}" if inner.endswith((":", "/")) else f"{inner}/{path}"
        match = _REMOTE.fullmatch(text)
        if match is None:
            break
    return Field(text=text, sources=field.sources, span=field.span) if text != field.text else field


_REMOTE: Final = lazy(r"(?P<name>[\w.+@-][\w.+@ -]*):(?P<path>.*)", re.DOTALL)


def _backend(field: Field) -> Field:
    match = _CONNECTION.fullmatch(field.text)
    if match is None:
        return field
    if match["backend"] in ("local", "alias", "crypt", "union", "combine", "chunker", "compress", "hasher", "cache"):
        # A remote that wraps another one says in its options what it leads to, which may be a local path.
        inner = re.search(r"remote=[\"']?([^,:\"']+)", field.text)
        path = match["path"] if match["backend"] == "local" or inner is None else f"{inner[1]}/{match['path']}"
        return Field(text=path or ".", sources=field.sources, span=field.span)
    return Field(text=f"rclone://{field.text.lstrip(':')}", sources=field.sources, span=field.span)


def alias(call: Call, parsed: Parsed) -> Stream:
    """`mc cp FILE ALIAS/bucket/key`: a word that is no path here, and does not look like one, is at an alias."""
    parsed.operands = [_aliased(call, field) for field in parsed.operands]
    return mirror(call, parsed)


def _aliased(call: Call, field: Field) -> Field:
    text = field.text
    if text.startswith(_PLAIN_LOCAL) or "://" in text or not field.known or "/" not in text.strip("/"):
        # One word alone may be either; as a path nothing is missed.
        return field
    head = Field(text=text.partition("/")[0])
    if call.kind(call.place(head)) is not None:
        return field
    return Field(text=f"mc://{text}", sources=field.sources, span=field.span)


def serve(call: Call, parsed: Parsed) -> Stream:
    """`rclone serve`: what is served, anyone who can connect has."""
    parsed.operands = [_backend(field) for field in parsed.operands]
    out = apply_spec(call, parsed)
    there = at("net", call.name)
    for source in out.sources:
        call.emit("copy", source, there, flow=("net",))
    call.emit("net_send", there)
    return out


def bucket_mount(call: Call, _parsed: Parsed) -> Stream:
    """A bucket mounted as a directory: any word may be the directory, whatever the options are."""
    for field in call.args:
        if field.text[:1] != "-" and field.known and "/" in field.text and "=" not in field.text:
            call.emit("mount", call.place(field, kind="dir"))
    return call.opaque("program", reason="a file system that another program serves")


def swift_store(call: Call, parsed: Parsed) -> Stream:
    """`swift VERB CONTAINER OBJECT…`: objects of a container, or all that are in it."""
    verb = call.name.rpartition(" ")[2]
    words = [field.text.strip("/") for field in parsed.operands] or [TOP]
    if verb == "upload":
        words = words[:1]
    inside = parsed.value("--prefix")
    names = words[1:] or ([inside.text] if inside is not None else [""])
    places = [at("swift", f"//{words[0]}/{name}".rstrip("/")) for name in names]
    if verb in ("stat", "list"):
        return SOMETHING
    for place, name in zip(places, names, strict=True):
        if verb == "download":
            _swift_got(call, parsed, place, name)
        elif verb == "upload":
            _swift_sent(call, parsed, place)
        elif verb == "copy":
            where = parsed.value("--destination")
            far = f"//{where.text.strip('/')}" if where is not None else f"//{words[0]}/{TOP}"
            call.emit("api_copy", place, at("swift", far))
        else:
            call.emit("api_delete" if verb == "delete" else "api_visibility", place)
    return SOMETHING


def _swift_got(call: Call, parsed: Parsed, place: Resource, name: str) -> None:
    output, folder = parsed.value("--output"), parsed.value("--output-dir")
    if output is not None and output.text == "-":
        call.printed = merge(call.printed, (place,))
        return
    text = f"{folder.text.rstrip('/')}/{name}" if folder is not None else name or "."
    where = call.place(output if output is not None else Field(text=text), recursive=not name)
    call.put("write", where, (place,), flow=("download",))


def _swift_sent(call: Call, parsed: Parsed, place: Resource) -> None:
    for field in parsed.operands[1:]:
        for source in call.read(field, recursive=True):
            call.emit("copy", source, place, flow=("net",))
    call.emit("net_send", place)


def s5cmd_run(call: Call, parsed: Parsed) -> Stream:
    """`s5cmd run FILE`: each line of a file, or of what comes in, is a command of its own."""
    text = call.stdin.text
    for field in parsed.operands[:1]:
        call.read(field)
        call.mention((field,))
        text = content(call, field) if field.text != "-" else text
    if text is None:
        return call.opaque("program", reason="the commands stand in a file that is not known")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    call.shell.run_text("\n".join(f"s5cmd {line.strip().removeprefix('s5cmd ')}" for line in lines), call.state.copy())
    return SOMETHING


def rclone_control(call: Call, parsed: Parsed) -> Stream:
    """`rclone rc OPERATION NAME=VALUE…`: the same as a command, done by a process that waits for such orders."""
    given = {key: value for key, _, value in (field.text.partition("=") for field in parsed.operands[1:])}
    verb = parsed.operands[0].text.lower() if parsed.operands else ""
    for stem in ("", "src", "dst"):
        folder = next((value for key, value in given.items() if key.lower() == f"{stem}fs"), None)
        if folder is None:
            continue
        name = next((value for key, value in given.items() if key.lower() == f"{stem}remote"), "")
        field = _backend(Field(text=f"{folder}/{name}".rstrip("/") if not folder.endswith(":") else f"{folder}{name}"))
        place = elsewhere(field, "from", parsed.spec.entry)
        if place is None:
            call.mention((field,))
            continue
        deletes = any(word in verb for word in ("delete", "purge", "rmdir", "cleanup"))
        looks = any(word in verb for word in ("list", "stat", "about", "size", "hash", "check"))
        call.emit("list" if looks else "api_delete" if deletes else "net_send", place, attrs={"verb": verb[:80]})
    return call.opaque("program", reason="a process of rclone does it")


def rclone_delete(call: Call, parsed: Parsed) -> Stream:
    """`rclone delete` and `purge`: of a remote, or of a directory here."""
    for _, role, field in parsed.values:
        if role == "shell":
            apply_role(call, role, field, (), recursive=False)
    parsed.operands = [_backend(_meant(call, parsed, field)) for field in parsed.operands]
    for role, field in operand_roles(parsed.spec.entry, parsed):
        place = elsewhere(field, role, parsed.spec.entry)
        if place is None:
            call.emit("delete", call.place(field, recursive=True, nofollow=True))
        else:
            call.emit("api_delete", place)
    return SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {
    "alias": alias,
    "bucket_mount": bucket_mount,
    "mirror": mirror,
    "rclone": rclone,
    "rclone_control": rclone_control,
    "rclone_delete": rclone_delete,
    "s5cmd_run": s5cmd_run,
    "serve": serve,
    "swift_store": swift_store,
}
"""What `code` of a spec may say, for this module."""
