"""`docker compose`: containers as a file describes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from guardrail.effects.catalogue._options import Parsed, parse_options
from guardrail.effects.catalogue._spec import specs
from guardrail.effects.commands._containers import content, go_values, handed, inside, mounted, named_inside, set_inside
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._ignored import ignored_by_docker
from guardrail.effects.commands._yaml import documents, items, table, text_of
from guardrail.effects.domain._addresses import URL, at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._paths import below
from guardrail.effects.domain._values import SOMETHING, TOP, Field, Stream
from guardrail.model import Resource

_COMPOSE_FILES: Final = (
    "compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml", "compose.override.yaml",
    "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml",
)  # fmt: skip
_COMPOSE_KEYS: Final = frozenset("version name services volumes networks".split())
_SERVICE_KEYS: Final = frozenset(
    "image build ports expose environment depends_on restart volumes command entrypoint healthcheck networks user "
    "working_dir container_name hostname domainname labels logging deploy tty stdin_open init profiles shm_size "
    "mem_limit mem_reservation cpus stop_grace_period stop_signal tmpfs platform extra_hosts ulimits dns read_only "
    "pull_policy".split()
)
"""What may stand in a compose file that says no more than which images run, with what they see of the host."""


_BUILD_KEYS: Final = frozenset("context dockerfile args target labels shm_size platforms".split())


def compose(call: Call, parsed: Parsed) -> Stream:
    """`docker compose`: containers as a file describes them."""
    go_values(parsed)
    word = parsed.operands[0].text if parsed.operands else "ps"
    rest = tuple(parsed.operands[1:])
    if word in ("ps", "ls", "logs", "top", "images", "version", "port", "config", "convert", "events", "stats", "wait"):
        for index, field in enumerate(rest[:-1]):
            if field.text in ("-o", "--output", "--lock-image-digests-output"):
                call.put("write", call.place(rest[index + 1]), ())
        return SOMETHING
    if word in ("exec", "run"):
        if word == "run":
            _services(call, parsed)
        given = parse_options(specs()[f"docker {word}"], rest)
        go_values(given)
        if given.unknown:
            call.mention((*given.unknown, *given.operands[:1]))
        service = _service(tuple(given.operands))
        handed(call, given, service)
        return inside(call, service, given.operands[1:])
    where = _service(tuple(field for field in rest if not field.text.startswith("-")))
    if word == "cp":
        call.mention(rest)
        call.emit("copy", at("docker", "compose"), call.place(rest[-1]) if rest else where, may=True)
        return call.opaque("program", words=rest)
    if word in ("down", "rm", "kill", "stop", "pause"):
        volumes = any(field.text in ("-v", "--volumes", "-fsv", "--rmi") for field in rest) and word in ("down", "rm")
        call.emit("api_delete" if volumes else "service", where)
        return SOMETHING
    if word in ("up", "create", "start", "restart", "build", "watch", "unpause", "scale"):
        call.emit("service", where)
        _services(call, parsed)
        return SOMETHING
    if word in ("pull", "push"):
        call.emit("net_recv" if word == "pull" else "net_send", where)
        return SOMETHING
    return call.opaque("program", reason=f"compose {word[:40]} is not known")


def _service(rest: tuple[Field, ...]) -> Resource:
    return at("docker", f"compose/{rest[0].text if rest and rest[0].known else '*'}")


def _services(call: Call, parsed: Parsed) -> None:
    """Mounts and build contexts of the compose files."""
    named = parsed.values_of("--file")
    folder = parsed.value("--project-directory") or Field(text=".")
    files = named or [below(folder, name) for name in _COMPOSE_FILES]
    seen = False
    # All are read before anything runs that might write one.
    texts = [call.stdin.text if field.text == "-" else content(call, field) for field in files]
    for field, text in zip(files, texts, strict=True):
        if text is None:
            continue
        seen = True
        base = Field(text=field.text.rpartition("/")[0] or ".") if named else folder
        for document in documents(text) or [None]:
            _compose_file(call, document, base)
            if not _is_plain(document) and field.text != "-":
                call.script(call.place(field))
    if not seen:
        place = call.place(files[0])
        call.script(place)
        call.mention(named)
        call.mention_cwd()


def _compose_file(call: Call, document: Any, base: Field) -> None:
    if document is None:
        call.opaque("program", reason="a compose file that is not understood")
        return
    for service in table(table(document).get("services")).values():
        for source, target, readonly in _compose_volumes(table(service)):
            path = source if source.startswith(("/", "~", "$")) or "/" not in source else f"{base.text}/{source}"
            mounted(call, re.sub(r"\$\{?\w+[^}/]*\}?", TOP, path), target, readonly=readonly, field=base)
        context = table(service).get("build")
        folder = text_of(context) or text_of(table(context).get("context"))
        if folder is not None and not URL.fullmatch(folder):
            where = Field(text=folder) if folder.startswith("/") else below(base, folder)
            facts = {} if text_of(table(context).get("dockerfile")) else ignored_by_docker(call, where)
            place = call.place(where, recursive=True)
            call.emit("copy", place, at("docker", "image"), may=True, flow=("build",), attrs=facts)
        named_inside(call, (), "\n".join(_told(table(service))))
        for setting in _settings(table(service).get("environment")):
            set_inside(call, setting)


def _told(service: Mapping[str, Any]) -> Iterator[str]:
    """The words of a container."""
    for key in ("command", "entrypoint"):
        for one in (service.get(key), *items(service.get(key))):
            yield text_of(one) or ""


def _settings(value: Any) -> Iterator[str]:
    """The variables of a container, as `NAME=VALUE`."""
    for one in items(value):
        yield text_of(one) or ""
    for name, one in table(value).items():
        yield f"{name}={text_of(one) or ''}"


def _is_plain(document: Any) -> bool:
    """Everything in a compose file is understood."""
    facts = table(document)
    if any(key not in _COMPOSE_KEYS and not str(key).startswith("x-") for key in facts):
        return False
    if any(table(volume).keys() - {"name", "labels"} for volume in table(facts.get("volumes")).values()):
        return False
    for service in table(facts.get("services")).values():
        build = table(service).get("build")
        if table(service).keys() - _SERVICE_KEYS or table(build).keys() - _BUILD_KEYS:
            return False
    return bool(facts)


def _compose_volumes(service: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    for volume in items(service.get("volumes")):
        short = text_of(volume)
        if short is not None:
            source, _, rest = short.partition(":")
            target, _, options = rest.partition(":")
            if rest:
                yield source, target, "ro" in options.split(",")
        elif text_of(table(volume).get("source")) is not None:
            facts = table(volume)
            yield str(facts["source"]), str(facts.get("target", "")), facts.get("read_only") is True


FAMILIES: Final[Mapping[str, Family]] = {"compose": compose}
"""What `code` of a spec may say, for this module."""
