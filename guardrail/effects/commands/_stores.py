"""redis-cli: a store of keys behind a server.

Not concerned with databases that take SQL: those are in `_databases`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._addresses import at
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import SOMETHING, Field, Stream, merge
from guardrail.model import Resource

_REDIS_LOOKS: Final = frozenset(
    "get mget keys scan hget hgetall hmget hkeys hvals hlen lrange llen smembers sismember scard zrange zscore zcard "
    "type ttl pttl exists strlen dbsize info ping echo time client memory object dump randomkey getrange hscan sscan "
    "zscan xrange xlen xread monitor subscribe psubscribe slowlog lastsave command latency cluster role auth select "
    "hello touch bitcount pfcount geodist wait json.get ft.search".split()
)
_REDIS_REMOVES: Final = frozenset("del unlink flushall flushdb getdel hdel lrem srem zrem expire pexpire".split())
_REDIS_CODE: Final = frozenset("eval evalsha fcall function module script shutdown slaveof replicaof debug".split())


def redis(call: Call, parsed: Parsed) -> Stream:
    """`redis-cli COMMAND WORD…`: what is in the store is an object."""
    store = at("redis", "*")
    for option, role, field in parsed.values:
        if role == "write":
            call.put("write", call.place(field), (store,))
        elif role == "opaque":
            call.opaque("inline", reason=f"{option} of redis-cli", words=(field,))
    if not parsed.operands:
        if parsed.has("--rdb", "--functions-rdb", "--version", "--help", "--stat", "--latency", "--bigkeys", "--scan"):
            return SOMETHING
        texts = (call.stdin.text or "").split("\n") if call.stdin.text is not None else None
        if texts is None:
            call.emit("write", store, may=True)
            return call.opaque("dynamic", reason="redis-cli takes commands from its input")
        for line in texts:
            _redis(call, store, [Field(text=word) for word in line.split()], ())
        return Stream(sources=(store,))
    given = merge(call.stdin.sources if parsed.has("-x", "-X") else (), tuple(s for f in call.args for s in f.sources))
    _redis(call, store, parsed.operands, given)
    return Stream(sources=(store,))


def _redis(call: Call, store: Resource, words: Sequence[Field], given: tuple[Resource, ...]) -> None:
    if not words:
        return
    name = words[0].text.lower()
    if name == "config" and len(words) > 1 and words[1].text.lower() == "set":
        # `dir` and `dbfilename` say where the server writes.
        call.emit("write", store)
        call.mention(words[2:])
    elif name in _REDIS_REMOVES:
        call.emit("api_delete", store)
    elif name in _REDIS_LOOKS or (name == "config" and len(words) > 1):
        call.emit("read", store)
    elif name in (
        "eval",
        "evalsha",
        "fcall",
        "function",
        "module",
        "script",
        "shutdown",
        "slaveof",
        "replicaof",
        "debug",
    ):
        call.opaque("inline", reason=f"{name} of redis")
    else:
        call.put("write", store, given)


FAMILIES: Final[Mapping[str, Family]] = {"redis": redis}
"""What `code` of a spec may say, for this module."""
