"""Requests whose method is an argument: what deletes something there is said to, as `requests.delete` is.

Not concerned with functions that are called like their method: the tables say those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardrail.effects.code.python._core import remote, single
from guardrail.effects.code.python._handlers import handles
from guardrail.effects.code.python._library import apply
from guardrail.effects.code.python._table import table
from guardrail.effects.code.python._values import Args, Text, Thing, Value, anything, path_texts
from guardrail.effects.domain._addresses import aliases
from guardrail.effects.domain._values import TOP
from guardrail.model import Resource

if TYPE_CHECKING:
    from guardrail.effects.code.python._machine import Machine

MAX_ADDRESSES: Final = 8
"""Most addresses that one request is said to go to."""


def deletes(method: Value | None) -> bool:
    """A method that deletes; one that is not known may."""
    exact = single(method)
    return (method is not None and exact is None) or (exact or "").upper() == "DELETE"


def deleted(machine: Machine, url: Value, *, may: bool = False) -> None:
    """What an address leads to is gone.

    Args:
        machine: the process.
        url: the address.
        may: the method is not known.
    """
    for text in path_texts(url)[:MAX_ADDRESSES]:
        uri = remote(text if "://" in text or text == TOP else f"http://{text}").uri
        place = Resource(kind="object", uri=uri)
        for named in (place, *aliases(place)):
            machine.emit("api_delete", named, may=may)


def _request(machine: Machine, args: Args, name: str, owner: Value | None = None) -> Value:
    method, url = args.get(0, "method"), args.get(1, "url") or anything()
    if deletes(method):
        deleted(machine, url, may=single(method) is None)
    return apply(machine, table().entries[name], args, owner)


@handles("requests.request", "requests.api.request")
def by_requests(machine: Machine, args: Args) -> Value:
    """`requests.request(method, url)`."""
    return _request(machine, args, "requests.request")


@handles("httpx.request")
def by_httpx(machine: Machine, args: Args) -> Value:
    """`httpx.request(method, url)`."""
    return _request(machine, args, "httpx.request")


@handles("aiohttp.request")
def by_aiohttp(machine: Machine, args: Args) -> Value:
    """`aiohttp.request(method, url)`."""
    return _request(machine, args, "aiohttp.request")


@handles("session.request")
def by_session(machine: Machine, args: Args) -> Value:
    """A session, or a client."""
    return _request(machine, args.after(1), "session.request", args.pos[0])


@handles("urllib3.PoolManager.request")
def by_pool(machine: Machine, args: Args) -> Value:
    """A pool of connections."""
    return _request(machine, args.after(1), "urllib3.PoolManager.request", args.pos[0])


@handles("urllib.request.Request")
def prepared(machine: Machine, args: Args) -> Value:
    """A request that is made ready, and sent by `urlopen`."""
    method = args.get(5, "method")
    if deletes(method):
        deleted(machine, args.get(0, "url") or anything(), may=single(method) is None)
    return apply(machine, table().entries["urllib.request.Request"], args)


@handles("http.client.HTTPSConnection", "http.client.HTTPConnection")
def connection(machine: Machine, args: Args) -> Value:
    """A connection, with the machine that it leads to."""
    made = apply(machine, table().entries["http.client.HTTPSConnection"], args)
    host = args.get(0, "host")
    if isinstance(made, Thing) and isinstance(host, Text):
        made.facts["peer"] = host
    return made


def address_of(peer: str, path: Value | None) -> Text:
    """The address of a path at a machine."""
    return Text(tuple(f"https://{peer}{text}" for text in (path_texts(path) if path is not None else ("/",))))
