"""Functions of libraries that are not known and reach elsewhere: by its name one may delete or copy what it is told of.

Not concerned with files of this machine: those are named to whatever is not known.
Blind spot: a thing whose name the code puts together, and a function whose name says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guardrail.effects.code.python._core import remote
from guardrail.effects.code.python._values import Args, Text, Value, is_exact, options
from guardrail.effects.domain._addresses import aliases, at
from guardrail.model import Op, Resource
from guardrail.patterns import lazy

if TYPE_CHECKING:
    from guardrail.effects.code.python._core import Core

MAX_WORDS: Final = 8
"""Most words of one call that are looked at."""

_DELETES: Final = lazy(
    r"(?:^|_)(?:delete|remove|rm|rmtree|rmdir|purge|destroy|drop|erase|unlink|lifecycle|expire)(?:_|$|[A-Z])"
)
_COPIES: Final = lazy(
    r"(?:^|_)(?:copy|move|rename|mv|cp|rsync|sync|mirror|replicate|replication|transfer|clone|fork|publish|share"
    r"|download|fget|export)(?:_|$|[A-Z])"
)


def by_verb(core: Core, name: str, args: Args) -> None:
    """Say what a function may do elsewhere that is called so.

    Args:
        core: the process.
        name: its last name.
        args: what it is given, without the object.
    """
    op: Op | None = "api_delete" if _DELETES.search(name) else "api_copy" if _COPIES.search(name) else None
    if op is None:
        return
    words = [text for value in args.all() for option in options(value) for text in _texts(option)][:MAX_WORDS]
    joined = ["/".join(words[:2])] if len(words) > 1 else []
    for text in dict.fromkeys((*words, *joined)):
        place = remote(text) if "://" in text else at("api", text)
        named = Resource(kind="object", uri=place.uri)
        for one in (named, *aliases(named)):
            core.emit(op, one, may=True, precision="opaque")


def _texts(value: Value) -> tuple[str, ...]:
    found = value.alternatives if isinstance(value, Text) else ()
    return tuple(text for text in found if is_exact(text) and text and not set(text) & set(" \n\t\0"))
