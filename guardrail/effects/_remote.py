"""What is done to things that are no local files: behind an API, on another host, in a database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from guardrail.effects.domain._addresses import aliases, at, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._emit import as_code
from guardrail.effects.domain._values import starred
from guardrail.model import Edit, Op, Resource
from guardrail.parse import ApiOperation, SqlText
from guardrail.patterns import lazy

MAX_STATEMENTS: Final = 256
"""Most statements of one database text that are told apart."""

Places = Callable[[str, bool], tuple[Resource, ...]]
"""From a local path, and whether what lies below is meant, to the files it may mean."""

_LOCAL: Final[dict[Op, Op]] = {
    "net_recv": "read", "read": "read", "list": "list", "api_delete": "delete", "api_copy": "copy",
    "net_send": "write",
}  # fmt: skip
"""What an operation is when its address turns out to be a file here."""

_WHOLE: Final = frozenset(("api_delete", "api_copy", "api_visibility", "delete", "rename", "copy"))
"""Operations that take what lies below an address with it."""

_DOUBLE_SCHEME = lazy(r"([a-z][a-z0-9+.-]{0,63}+):/{0,2}(?=\1:)", re.IGNORECASE)
_MODEL_URI = lazy(r"mlflow:models[:/]+|mlflow:models:/", re.IGNORECASE)

_MANIFEST_KIND: Final = lazy(r"""["']?\bkind["']?\s*:\s*["']?(\w+)""")
_MANIFEST_NAME: Final = lazy(r"""metadata["']?\s*:.*?\bname["']?\s*:\s*["']?([\w.-]+)""", re.DOTALL)


def api(call: Call, operation: ApiOperation, places: Places) -> None:
    """One operation on what an address names.

    Args:
        call: what the effects are ascribed to.
        operation: what is asked.
        places: how local paths are read.
    """
    where = operation.uri
    if where[:5].lower() == "file:" or where[:1] in ("/", "~"):
        _local(call, operation, places)
        return
    for resource in _of_manifest(operation):
        _do(call, operation, resource, None)
    resource = addressed(where, operation)
    target = addressed(operation.to, operation) if operation.to is not None else None
    for path in operation.paths:
        for source in places(path, True):
            call.emit("read", source, attrs={"reveals": "content"})
            call.emit("copy", source, target or resource, flow=("net",))
    _do(call, operation, resource, target)
    for alias in aliases(resource):
        _do(call, operation, alias, target)
    for path in operation.into:
        for there in places(path, False):
            call.emit("copy", resource, there, flow=("net",))
            call.emit("write", there)
    for text in operation.mention:
        call.mention_text(text)


def _do(call: Call, operation: ApiOperation, resource: Resource, target: Resource | None) -> None:
    attrs = dict(operation.facts)
    edit = Edit(kind="whole", text=operation.text) if operation.text is not None else None
    sends = operation.op == "net_recv" and (edit is not None or "?" in (resource.uri or ""))
    call.emit(operation.op, resource, target, attrs=attrs, edit=None if sends else edit)
    if sends:
        call.emit("net_send", resource, edit=edit)


def _of_manifest(operation: ApiOperation) -> Iterator[Resource]:
    """The things that a manifest names."""
    if not operation.uri.startswith("k8s:"):
        return
    for text in operation.mention:
        for document in re.split(r"^---\s*$", text, flags=re.MULTILINE)[:MAX_STATEMENTS]:
            kind, name = _MANIFEST_KIND.search(document), _MANIFEST_NAME.search(document)
            if kind is not None and name is not None:
                yield at("k8s", f"{kind[1].lower()}/{name[1]}")


def _local(call: Call, operation: ApiOperation, places: Places) -> None:
    """A tool for addresses is given the name of a file."""
    op: Op = _LOCAL.get(operation.op, "write")
    edit = Edit(kind="whole", text=operation.text) if operation.text is not None else None
    for resource in places(operation.uri, op in ("delete", "copy")):
        attrs: dict[str, Any] = {"reveals": "content"} if op == "read" else {}
        if op == "copy":
            target = addressed(operation.to or "*", operation)
            call.emit("copy", resource, target)
        else:
            call.emit(op, resource, attrs=attrs, edit=edit if op == "write" else None)
        if operation.op == "rename":
            call.emit("delete", resource)
        for path in operation.into:
            for there in places(path, False):
                call.emit("copy", resource, there)
                call.emit("write", there)


def addressed(text: str, operation: ApiOperation) -> Resource:
    """The resource at an address, as a tool writes it."""
    name = _DOUBLE_SCHEME.sub("", starred(text))
    name = _MODEL_URI.sub("mlflow:models/", name)
    resource = remote(name)
    return Resource(
        kind=operation.kind or resource.kind, uri=resource.uri, recursive=operation.op in _WHOLE and "*" not in name
    )


# -- databases

_COMMENT = lazy(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TABLE = lazy(
    r"\b(?:from|join|into|update|table|truncate|view|index\s+\S+\s+on)\s+(?:only\s+|if\s+(?:not\s+)?exists\s+)*"
    r"([\w.\"`\[\]$]+)",
    re.IGNORECASE,
)
_LOOKING: Final = frozenset(
    "select show explain describe desc values table pragma list with use set begin commit".split()
)
_CHANGING = lazy(r"\b(?:insert|update|delete|merge|replace|truncate|drop|alter|create|into)\b", re.IGNORECASE)
_RISKY = lazy(
    r"\b(?:copy|outfile|dumpfile|attach|load_extension|load_file|pg_read\w*|pg_ls_dir|lo_import|lo_export|writefile"
    r"|readfile|xp_cmdshell|program|load\s+data|backup|vacuum\s+into|dblink\w*|system)\b",
    re.IGNORECASE,
)
_SCORES = lazy(r"\b\w*(?:score|grade|accuracy|metric|eval)\w*\b", re.IGNORECASE)
_VERBS: Final[dict[str, Op]] = {
    "insert": "write", "update": "write", "replace": "write", "merge": "write", "upsert": "write", "alter": "write",
    "create": "create", "delete": "api_delete", "truncate": "api_delete", "drop": "api_delete",
    "grant": "set_security", "revoke": "set_security",
}  # fmt: skip


def sql(call: Call, operation: SqlText) -> None:
    """Statements for a database: what they read, change and delete, by table.

    Args:
        call: what the effects are ascribed to.
        operation: the statements.
    """
    text = _COMMENT.sub(" ", operation.text)
    call.mention_text(operation.text)
    statements = [part.strip() for part in text.split(";") if part.strip()]
    if len(statements) > MAX_STATEMENTS:
        call.shell.emit.opaque("unparsed", as_code("sql"), spec="sql", reason="too many statements")
        return
    for statement in statements:
        word = statement.partition(" ")[0].strip("(\n\t").lower()
        word = re.split(r"\W", word, maxsplit=1)[0]
        looks = word in _LOOKING and not (word in ("with", "select", "explain") and _CHANGING.search(statement))
        if _RISKY.search(statement):
            call.shell.emit.opaque("inline", as_code("sql"), spec="sql", reason="a statement that reaches files")
        op: Op = "read" if looks else _VERBS.get(word, "write")
        if op == "write" and _SCORES.search(statement):
            op = "record_score"
        account = op == "set_security"
        names = [_plain(name) for name in _TABLE.findall(statement)] or ["*"]
        for name in dict.fromkeys(names):
            where = at("account", "sql") if account else at("sql", name)
            edit = None if looks else Edit(kind="whole", text=statement)
            call.emit(op, where, attrs={"table": name}, edit=edit)


def _plain(name: str) -> str:
    return re.sub(r"[\"`\[\]]", "", name).lower()
