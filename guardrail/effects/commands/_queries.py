"""bq, clickhouse-client, trino, etcdctl, influx: what a service is asked in words.

Not concerned with sessions: whatever goes beyond one question that is understood is opaque.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._databases import Server
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._sql import sql_given
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, TOP, Stream
from guardrail.patterns import lazy


def warehouse(call: Call, parsed: Parsed) -> Stream:
    """`bq query`: SQL in words or on the input, for a database behind an API."""
    client = Server(call, at("bq", "query"), server=True)
    for field in parsed.values_of("--destination_table"):
        call.put("write", at("bq", field.text), ())
    texts = parsed.operands
    if not texts and (text := sql_given(call, client)) is not None:
        texts = [text]
    for field in texts:
        client.sql(field.text if field.known else TOP)
        if field.sources:
            client.change(field.sources)
    return Stream(sources=client.out)


_REACHES: Final = lazy(
    r"\b(?:file|url|s3\w*|gcs|hdfs|iceberg\w*|deltalake|azure\w*|executable\w*|remote\w*|mysql|postgresql|odbc|jdbc|mongodb"
    r"|redis|sqlite|cluster\w*|input|dictionary|query|raw_query|procedure)\s*\(|\b(?:infile|outfile|copy|source|capture|stage|put|get|attach)\b"
    r"|^\s*[!\\.@]",
    re.IGNORECASE | re.MULTILINE,
)
"""SQL, or commands of a client in its place, that go beyond the database: to files, to hosts, to other databases."""


def asked(call: Call, parsed: Parsed) -> Stream:
    """`clickhouse-client -q SQL`, `trino --execute SQL`: what is asked in words; anything else is not looked into."""
    if call.args and all(field.text in ("--version", "--help", "-V", "-h") for field in call.args):
        return SOMETHING
    texts = parsed.values_of("--query") or parsed.values_of("--execute")
    odd = parsed.unknown or parsed.injected or call.stdin.connected or any(field.sources for field in call.args)
    settings = [field for field in parsed.values_of("--option") if not field.known or re.search("file|!", field.text)]
    if not texts or odd or settings or not all(f.known and not _REACHES.search(f.text) for f in texts):
        out = call.opaque("inline", reason=f"{call.name} runs commands that are not looked into")
        for field in call.args:
            call.mention_text(field.text)
        return out
    client = Server(call, at("sql", "*"), server=True)
    for field in texts:
        client.sql(field.text)
    return Stream(sources=client.out)


def etcd(call: Call, parsed: Parsed) -> Stream:
    """`etcdctl get KEY`, `put KEY VALUE`, `del KEY`: what is in the words goes to the server."""
    operands = parsed.operands
    where = at("etcd", operands[0].text if operands else "*")
    if parsed.unknown or parsed.injected or (call.stdin.connected and len(operands) == 1 and call.name[-3:] == "put"):
        call.opaque("inline", reason=f"{call.name} is told more than is looked into")
    for source in (source for field in call.args for source in field.sources):
        call.emit("copy", source, where, flow=("argument",))
    verb = call.name.rpartition(" ")[2]
    call.emit("read" if verb == "get" else "write" if verb == "put" else "api_delete", where)
    if verb == "put":
        call.told(operands[1:])  # who takes it out of the store may go by it
    return Stream(sources=(where,)) if verb == "get" else SOMETHING


_FLUX_VALUES: Final = frozenset("--org -o --org-id --host -t --token -c --active-config --configs-path -p".split())
_FLUX_REACHES: Final = lazy(r"\bimport\b|\bto\s*\(|\bwideTo\b|\boption\b")


def flux(call: Call, parsed: Parsed) -> Stream:
    """`influx query TEXT`: Flux that only asks; anything else is not looked into."""
    words = [field.text for field in parsed.operands]
    operands: list[str] = []
    rest = words[1:]
    while rest:
        word = rest.pop(0)
        if word in _FLUX_VALUES and rest:
            rest.pop(0)
        elif word not in ("-r", "--raw", "--skip-verify", "--hide-headers"):
            operands.append(word)
    plain = all(field.known and not field.sources for field in parsed.operands) and not call.stdin.connected
    if words[:1] in (["ping"], ["version"]) and not rest:
        return SOMETHING
    if words[:1] != ["query"] or len(operands) != 1 or not plain or _FLUX_REACHES.search(operands[0]):
        out = call.opaque("inline", reason=f"{call.name} runs commands that are not looked into")
        for field in call.args:
            call.mention_text(field.text)
        return out
    where = at("influx", "query")
    call.emit("read", where, attrs={"reveals": "some"})
    return Stream(sources=(where,))


FAMILIES: Final[Mapping[str, Family]] = {"asked": asked, "etcd": etcd, "flux": flux, "warehouse": warehouse}
"""What `code` of a spec may say, for this module."""
