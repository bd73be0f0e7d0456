"""Container engines: what of the host a container gets, what is put into images, and what runs inside.

Not concerned with what a command inside a container does there: it is handed on as a remote command with its words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._dockerfile import taken
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._ignored import ignored_by_docker
from guardrail.effects.commands._places import take_in
from guardrail.effects.domain._addresses import URL, at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._contents import Contents
from guardrail.effects.domain._paths import below
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream, merge, starred
from guardrail.model import Resource
from guardrail.patterns import lazy

MAX_FILE_BYTES: Final = 256 * 1024
"""Largest Dockerfile or compose file that is read, in bytes; a larger one is not known."""

_INSIDE: Final[dict[str, Any]] = {"cwd": True, "inside": True}
"""Facts of a mention of a path in a container: what is above an asset does not count."""

_VOLUMES: Final = ("--volume", "--bind", "-B", "-v")
_MOUNTS: Final = ("--mount", "--tmpfs")
_GROUPED: Final[Mapping[str, Mapping[str, str]]] = {
    "container": {"ls": "ps", "list": "ps", "ps": "ps"},
    "image": {"ls": "images", "list": "images", "rm": "rmi", "remove": "rmi"},
    "builder": {"build": "build"},
    "buildx": {"build": "build", "b": "build"},
}
_LOOKS: Final = frozenset("ls list ps inspect history logs top stats port diff version du".split())


def go_values(parsed: Parsed) -> None:
    """`-f=FILE` is `-f FILE` for programs written in Go."""
    parsed.values = [
        (name, role, field.tail(1) if field.text.startswith("=") else field) for name, role, field in parsed.values
    ]


def go(call: Call, parsed: Parsed) -> Stream:
    """A command whose spec is data, with options as programs in Go take them."""
    go_values(parsed)
    return apply_spec(call, parsed)


def group(call: Call, _parsed: Parsed) -> Stream:
    """`docker container run` is `docker run`."""
    cli, _, name = call.name.partition(" ")
    words = list(call.args)
    if not words or not words[0].known or words[0].text.startswith("-"):
        return SOMETHING if not words else call.opaque("program", reason="the subcommand is not known")
    word = words.pop(0).text
    if word == "prune":
        call.emit("api_delete", at("docker", f"{name}s"))
        return SOMETHING
    verb = _GROUPED.get(name, {}).get(word, word)
    known = specs()[cli].children
    if verb not in known or verb in _GROUPED:
        looks = word in _LOOKS or (word == "imagetools" and words[:1] and words[0].text == "inspect")
        return SOMETHING if looks else call.opaque("program", reason=f"{name} {word[:40]} is not known")
    call.name, call.args = cli, (Field(text=verb), *words)
    return call.shell.plain(call)


# -- what a container gets


def bound(call: Call, text: str, field: Field) -> None:
    """`SOURCE:TARGET[:OPTIONS]`: a directory of the host, or a named volume."""
    source, _, rest = text.partition(":")
    target, _, options = rest.partition(":")
    if not rest and not source.startswith(("/", ".", "~")):
        return
    mounted(call, source, target or source, readonly="ro" in options.split(","), field=field)


def mounted(call: Call, source: str, target: str, *, readonly: bool, field: Field) -> None:
    """A container sees a place of the host: it may read it, and change it unless it is read-only."""
    attrs: dict[str, Any] = {"at": starred(target[:200]), "readonly": readonly}
    if not source.startswith(("/", ".", "~", TOP)):
        call.emit("read" if readonly else "mount", at("docker", f"volume/{source}"), attrs=attrs)
        return
    place = call.place(Field(text=_home(call, source), span=field.span), kind="dir", recursive=True)
    if readonly:
        call.emit("read", place, attrs={**attrs, "reveals": "content"}, may=True)
    else:
        call.emit("mount", place, attrs=attrs)
    call.emit("mention", place, precision="opaque", may=True, flow=("container",))


def _home(call: Call, text: str) -> str:
    return call.shell.expand.lookup("HOME", call.state, {})[0] + text[1:] if text.startswith("~/") else text


def mount_option(call: Call, field: Field) -> None:
    """`type=bind,source=/a,target=/b,readonly`."""
    facts = {key: value for key, _, value in (part.partition("=") for part in field.text.split(","))}
    source = facts.get("source") or facts.get("src") or facts.get("from")
    if source is None or facts.get("type") == "tmpfs":
        return
    target = facts.get("target") or facts.get("destination") or facts.get("dst") or source
    flag = facts.get("readonly", facts.get("ro", "no"))
    mounted(call, source, target, readonly=flag in ("", "true", "1"), field=field)


def handed(call: Call, parsed: Parsed, where: Resource) -> None:
    """Everything that options give to a container."""
    for name, role, field in parsed.values:
        for source in field.sources:
            call.emit("copy", source, where, flow=("argument",))
        if name in _VOLUMES:
            for part in field.text.split(",") if name in ("--bind", "-B") else (field.text,):
                bound(call, part, field)
        elif name in _MOUNTS and name == "--mount":
            mount_option(call, field)
        elif name == "--env":
            set_inside(call, field.text)
        elif name == "--env-file":
            _set_by(call, field, where)
        elif role == "read":
            for source in call.read(field):
                call.emit("copy", source, where)
        elif role == "write":
            call.put("write", call.place(field), ())
        elif role == "mention":
            call.mention((field,))


def _set_by(call: Call, field: Field, where: Resource) -> None:
    """Variables of a container, one on each line of a file."""
    for source in call.read(field):
        call.emit("copy", source, where)
    for line in (content(call, field) or "").splitlines():
        set_inside(call, line)


def container_command(parsed: Parsed) -> tuple[Field | None, tuple[Field, ...]]:
    """The image or container of `run` and `exec`, and the command that runs inside."""
    if not parsed.operands:
        return None, ()
    return parsed.operands[0], tuple(parsed.operands[1:])


def run(call: Call, parsed: Parsed) -> Stream:
    """`docker run` and `exec`: a command inside; which paths it means is the container's to say."""
    go_values(parsed)
    container, rest = container_command(parsed)
    if container is None:
        return SOMETHING
    entry = parsed.value("--entrypoint")
    if entry is not None and entry.text:
        rest = (entry, *rest)
    if call.name.endswith(" create"):
        # It is not started: what is done with it then is to take files out of it.
        call.emit("mention", at("oci", container.text), precision="opaque", may=True)
    where = at("docker", container.text)
    if parsed.has("--rootfs"):
        folder = container.text.partition(":")[0]
        mounted(call, folder if folder[:1] in "/.~" else f"./{folder}", "/", readonly=False, field=container)
    handed(call, parsed, where)
    # A new container has nothing of the host but what it is given.
    given = any(name in (*_VOLUMES, *_MOUNTS, "--volumes-from", "--device", "--privileged") for name in parsed.flags)
    return inside(call, where, rest, reaches=given or "exec" in call.name or call.stdin.connected)


def inside(call: Call, where: Resource, rest: Sequence[Field], *, reaches: bool = True) -> Stream:
    """A command with its words runs elsewhere, and what comes in goes along.

    Args:
        call: the command that starts it.
        where: the container, pod or image.
        rest: the command and its words.
        reaches: assets may be within its reach, so code that is not looked into matters.
    """
    call.emit("remote_exec", where)
    named_inside(call, rest)
    if reaches and rest:
        _looked_into(call, rest)
    call.mention_input()
    for source in call.stdin.sources:
        call.emit("copy", source, where, flow=call.stdin.flow)
    if not rest:
        return Stream(sources=call.stdin.sources, flow=call.stdin.flow)
    out = call.shell.elsewhere(call, where, rest)
    return Stream(sources=merge(call.stdin.sources, out.sources), flow=call.stdin.flow)


def _looked_into(call: Call, rest: Sequence[Field]) -> None:
    """What the command would do, as far as that is code of unknown effects or paths that its words do not spell.

    INVARIANT: nothing is changed here, so nothing that the analysis knows of files of this host may change with it.
    """
    emit, shell = call.shell.emit, call.shell
    first = len(emit.effects)
    kept = (emit.contents, set(emit.made), set(emit.placed), set(emit.meant), shell.directories)
    emit.contents = Contents(shell.view)
    try:
        with call.perhaps():
            shell.again(call, tuple(rest), external=True, cwd=None)
    finally:
        emit.contents, emit.made, emit.placed, emit.meant, shell.directories = kept
    found = emit.effects[first:]
    del emit.effects[first:]
    seen: set[str] = set()
    for effect in found:
        if effect.op == "exec_opaque":
            if effect.attrs.get("code") not in ("program", "script"):
                emit.effects.append(effect)
            continue
        for place in (effect.resource, effect.target):
            path = place.path if place is not None else None
            if path is not None and path not in seen:
                seen.add(path)
                call.emit("mention", Resource(kind="any", path=path), attrs=_INSIDE, precision="opaque", may=True)


def named_inside(call: Call, words: Sequence[Field], text: str = "") -> None:
    """Paths in words and a text: of an asset or below one they count; that `/` is above each says nothing there."""
    effects = call.shell.emit.effects
    first = len(effects)
    call.mention(words)
    for one in (*(field.text for field in words), text):
        call.mention_text(one)
    for index in range(first, len(effects)):
        effect = effects[index]
        if effect.op == "mention":
            effects[index] = msgspec.structs.replace(effect, attrs={**effect.attrs, **_INSIDE})


def set_inside(call: Call, setting: str) -> None:
    """`NAME=VALUE` of a container or a pod: where its model lies is for it to read, any other path is a question.

    Args:
        call: the command that starts or changes it.
        setting: one variable.
    """
    name, equals, value = setting.partition("=")
    if not equals or ("/" not in value and "~" not in value):
        return
    if _MODEL_VARIABLE.search(name) and not _GOING.search(name) and _LONE_PATH.fullmatch(value) is not None:
        call.emit("read", call.place(Field(text=value)), attrs={"reveals": "none", **_INSIDE}, may=True)
        return
    named_inside(call, (), value)


_MODEL_VARIABLE: Final = lazy(
    r"(?:^|_)(?:MODELS?|WEIGHTS?|CHECKPOINTS?|CKPTS?|ADAPTERS?|LORAS?|TOKENIZERS?)(?:$|_)", re.IGNORECASE
)
"""A variable by which a server is told where its model lies."""

_GOING: Final = lazy(
    r"(?:^|_)(?:DELETE|REMOVE|RM|COPY|CP|MOVE|EXPORT|UPLOAD|PUSH|SEND|OUT|OUTPUT|TO|TARGET|DEST|DST|BACKUP|SAVE)(?:$|_)",
    re.IGNORECASE,
)
"""A part of its name that says that something becomes of the model."""

_LONE_PATH: Final = lazy(r"[\"']?/[^\s:,;|&$`<>(){}\"']+[\"']?")


# -- images


def build(call: Call, parsed: Parsed) -> Stream:
    """`docker build`: what the file takes from its context goes into the image."""
    go_values(parsed)
    image = at("docker", (parsed.value("--tag") or Field(text="image")).text)
    context = parsed.operands[0] if parsed.operands else Field(text=".")
    for name, role, field in parsed.values:
        _build_option(call, name, role, field, image)
    if call.name.endswith(" bake"):
        call.opaque("program", reason="what is built is in a file")
    if parsed.has("--push"):
        call.emit("net_send", image)
    if context.text == "-":
        _based(call, call.stdin.text or "", image)
        for source in call.stdin.sources:
            call.emit("copy", source, image, flow=call.stdin.flow)
        call.emit("write", image)
        return SOMETHING
    if URL.fullmatch(context.text) or context.text.startswith(("git@", "github.com/")):
        call.emit("net_recv", at("git", context.text))
        return SOMETHING
    file = parsed.value("--file")
    text = call.stdin.text if file is not None and file.text == "-" else _dockerfile(call, context, file)
    _based(call, text or "", image)
    names = taken(text) if text is not None else None
    facts = {} if parsed.values_of("--ignorefile") else ignored_by_docker(call, context, file)
    for name in names if names is not None else ["."]:
        inner = name.lstrip("/").rstrip(".") or ""
        place = call.place(below(context, name.lstrip("/")) if inner else context, recursive=True)
        call.emit("copy", place, image, may=names is None, flow=("build",), attrs=facts)
    call.emit("write", image)
    if call.name.startswith(("docker", "podman", "nerdctl", "buildah")):
        call.shell.emit.opaque("program", image, spec=call.name, reason="an image is built", span=call.span)
    return SOMETHING


def _based(call: Call, text: str, image: Resource) -> None:
    """`FROM` and `--from=` an image of a registry: its layers are the new image's as well."""
    for match in _BASES.finditer(text):
        base = match["base"] or match["part"]
        if "$" not in base and "/" in base and any(mark in base.partition("/")[0] for mark in ".:"):
            call.emit("link", at("oci", base), image, flow=("build",))


_BASES: Final = lazy(
    r"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(?P<base>\S+)|[ \t,](?:--)?from=(?P<part>[^\s,]+)", re.IGNORECASE | re.MULTILINE
)


def _build_option(call: Call, name: str, role: str, field: Field, image: Resource) -> None:
    facts = {key: value for key, _, value in (part.partition("=") for part in field.text.split(","))}
    if name == "--output":
        where = facts.get("dest") or (field.text if "=" not in field.text else "")
        if where and where != "-":
            call.put("write", call.place(Field(text=where), recursive=True), (image,))
    elif name in ("--secret", "--cache-to", "--cache-from"):
        source = facts.get("src") or facts.get("source") or facts.get("dest")
        if source:
            place = call.place(Field(text=source), recursive=True)
            if name == "--cache-to":
                call.put("write", place, (image,))
            else:
                call.emit("read", place)
                call.emit("copy", place, image, may=True, flow=("build",))
    elif name == "--build-context":
        path = field.text.partition("=")[2]
        if path and not URL.fullmatch(path):
            call.emit("copy", call.place(Field(text=path), recursive=True), image, may=True, flow=("build",))
    elif name == "--volume":
        bound(call, field.text, field)
    elif role == "write":
        call.put("write", call.place(field), ())
    elif role == "mention":
        call.mention((field,))
    for content_of in field.sources:
        call.emit("copy", content_of, image, flow=("argument",))


def _dockerfile(call: Call, context: Field, file: Field | None) -> str | None:
    """The text of the file that an image is built by; None if it is not known."""
    names = [file] if file is not None else [below(context, name) for name in ("Dockerfile", "Containerfile")]
    for name in names:
        text = content(call, name)
        if text is not None:
            return text
    return None


def content(call: Call, field: Field) -> str | None:
    """A small text file as the command will find it; None if that is not known, and says so if this call changed it."""
    place = call.place(field)
    data = call.content(place)
    if data is not None and len(data) <= MAX_FILE_BYTES:
        return data.decode("utf-8", "replace")
    # Of a directory elsewhere nothing is known, as of any other there; what this call made there may be it.
    vague = not call.shell.hops or bool(call.shell.emit.made)
    if vague if place.path is None else call.shell.emit.changed(place.path):
        call.script(place, authored=True)
    return None


def put_in(call: Call, parsed: Parsed) -> Stream:
    """`docker load` and `import`: an archive becomes an image."""
    go_values(parsed)
    image = at("docker", parsed.operands[1].text if len(parsed.operands) > 1 else "image")
    files = [*parsed.operands[:1], *parsed.values_of("--input")]
    for field in files or [Field(text="-")]:
        take_in(call, field, image)
    call.emit("write", image)
    return SOMETHING


def push(call: Call, parsed: Parsed) -> Stream:
    """`docker push`: an image goes to a registry."""
    go_values(parsed)
    for field in parsed.operands:
        local, far = at("docker", field.text), at("oci", field.text)
        call.emit("api_copy", local, far)
        call.emit("net_send", far)
    return SOMETHING


FAMILIES: Final[Mapping[str, Family]] = {
    "container_build": build,
    "container_group": group,
    "container_in": put_in,
    "container_push": push,
    "container_run": run,
    "go": go,
}
"""What `code` of a spec may say, for this module."""
