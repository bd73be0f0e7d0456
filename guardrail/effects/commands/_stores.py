"""redis-cli, mongosh: stores of keys and documents behind a server.

Not concerned with databases that take SQL: those are in `_databases` and `_queries`.
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
from guardrail.patterns import lazy

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
            call.put("write", store, call.stdin.sources)
            return call.opaque("dynamic", reason="redis-cli takes commands from its input")
        for line in texts:
            _redis(call, store, [Field(text=word) for word in line.split()], call.stdin.sources)
        if call.stdin.sources:
            call.put("write", store, call.stdin.sources)
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
    elif name == "acl" and len(words) > 1 and words[1].text.lower() in ("setuser", "deluser", "load"):
        call.emit("set_security", at("account", f"redis/{words[2].text if len(words) > 2 else '*'}"))
    elif name in _REDIS_REMOVES:
        call.emit("api_delete", store)
    elif name in _REDIS_LOOKS or (name == "config" and len(words) > 1):
        call.emit("read", store)
    elif name in _REDIS_CODE:
        call.opaque("inline", reason=f"{name} of redis")
    else:
        call.put("write", store, given)
        call.told(words[1:])  # who takes it out of the store may go by it


_MONGO_LOOK = lazy(
    r"\s*(?:(?:printjson|print|JSON\.stringify)\(\s*)*(?:db|rs|sh)(?:\.(?!drop|delete|remove|eval|insert|update|copy|run|admin|"
    r"shutdown|set|load|rename|create|replace|bulk|write|save|find\w*And|fsync|grant|revoke|add|kill|compact|repair|"
    r"aggregate|mapReduce|watch|step|reconfig|initiate|enable|disable|start|stop|move|split)\w+(?:\([^()`]*\))?)+[\s;)]*"
)
_MONGO_GONE = lazy(r"\.(?:drop|delete|remove)\w*\(")


def mongo(call: Call, _parsed: Parsed) -> Stream:
    """`mongosh --eval CODE`: a plain query looks; other code is not looked into."""
    store = at("mongo", "*")
    codes = [call.args[i + 1] for i, field in enumerate(call.args[:-1]) if field.text == "--eval"]
    codes += [field.tail(7) for field in call.args if field.text.startswith("--eval=")]
    scripts = any(field.text.endswith((".js", ".mjs")) or field.text in ("-f", "--file") for field in call.args)
    if codes and not scripts and all(field.known and _MONGO_LOOK.fullmatch(field.text) for field in codes):
        call.emit("read", store)
        return Stream(sources=(store,))
    if any(_MONGO_GONE.search(field.text) for field in codes):
        call.emit("api_delete", store)
    out = call.opaque("inline", reason=f"code of {call.name}")
    for field in codes:
        call.mention_text(field.text)
    return out


FAMILIES: Final[Mapping[str, Family]] = {"mongo": mongo, "redis": redis}
"""What `code` of a spec may say, for this module."""
