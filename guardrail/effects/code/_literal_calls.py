"""Calls of one-liners that read or write a file, or run a command, that a literal names: Node, Ruby and R.

What Node lists or reads may have a name that is worked out: it is then any file. Not an analyser of those languages:
the calls are taken out of the tokens, and what is left has to be plain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from guardrail.effects.code._literals import PATH, VALUE, Calls, Walk
from guardrail.effects.code._node_calls import is_at_port, node, ports
from guardrail.effects.code._node_counters import counted
from guardrail.effects.code._node_express import PACKAGE, is_odd
from guardrail.effects.code._node_names import declared, renamed
from guardrail.effects.code._node_values import settled
from guardrail.effects.code._tokens import Token
from guardrail.effects.code._words import DECLARED, RUBY_LIBRARIES


def literal_calls(
    tokens: Sequence[Token], language: str, argv: Sequence[str | None] | None = None, folder: str | None = None
) -> Calls:
    """Take the calls out of a piece of code.

    Args:
        tokens: the one-liner.
        language: `node`, `ruby`, `R`; of others there are none.
        argv: the arguments of a script of Node; None if nothing is known of them.
        folder: the directory that it is in.
    """
    if language == "node":
        tokens = counted(settled(renamed(tokens), argv, folder))
    walk = Walk(tokens)
    walk.bound = declared(tokens) if language == "node" else set()
    walk.ports = ports(tokens) if language == "node" else set()
    step = _STEPS.get(language)
    serving = any(token.text in ("createServer", PACKAGE) for token in tokens)
    while walk.at < len(tokens):
        token = tokens[walk.at]
        if token.text == "listen" and serving and not (walk.behind(".", "?.") and is_at_port(walk)):
            token = Token("word", "constructor")  # a server may also listen at the path of a file
        if step is None or token.kind != "word" or walk.behind(".", "?.", "&.", "$", "::") or not step(walk, token):
            walk.take(1, (token,))
    if PACKAGE in walk.found["packages"] and is_odd(tokens):
        walk.take(0, (Token("word", "constructor"),))
    return Calls(
        rest=tuple(_unbound(walk)),
        runs=tuple(walk.runs),
        lists=walk.lists,
        reads_any=walk.reads_any,
        environment=walk.environment,
        complains=any(token.text in _COMPLAINING for token in tokens if token.kind == "word"),
        serves=walk.serves,
        **{kind: tuple(names) for kind, names in walk.found.items()},
    )


_COMPLAINING: Final = frozenset(
    "throw error warn trace assert stderr emitWarning raise abort fail warning stop message exit $stderr STDERR".split()
)
"""Words after which something may stand on standard error."""


def _unbound(walk: Walk) -> Iterator[Token]:
    """What is left, with a plain name in place of each that was imported: a module cannot mean another thing by it."""
    behind = False
    for token in walk.rest:
        bound = token.kind == "word" and token.text in walk.bound and not behind
        yield Token("word", DECLARED) if bound else token
        behind = token.kind == "sign" and token.text in (".", "?.")


# -- Ruby

_RUBY_READS: Final = ("read", "readlines", "size", "exist?", "foreach")


def _ruby(walk: Walk, token: Token) -> bool:
    if token.text == "require" and (given := walk.texts("require", None)):
        if given[0] not in RUBY_LIBRARIES:
            return False
        walk.take(2, VALUE)
        return True
    for owner, names in (("File", _RUBY_READS), ("CSV", ("read", "foreach", "table")), ("YAML", ("load_file",))):
        for name in names if token.text == owner else ():
            given = walk.texts(owner, ".", name, "(", None)
            after = walk.tokens[walk.at + 5].text if given and len(walk.tokens) > walk.at + 5 else ""
            if given and after in (")", ",") and PATH.fullmatch(given[0]):
                if owner == "File" and after == "," and name != "readlines":
                    return False
                # What is loaded may make objects of any kind.
                walk.found["loads" if owner == "YAML" else "reads"].append(given[0])
                walk.take(5, (Token("word", "format"), Token("sign", "("), *VALUE))
                return True
    given = walk.texts("File", ".", "write", "(", None, ",")
    if given and PATH.fullmatch(given[0]):
        walk.found["writes"].append(given[0])
        walk.take(6, (Token("word", "format"), Token("sign", "(")))
        return True
    return False


# -- R

_R_READS: Final = frozenset("read.csv read.csv2 read.table read.delim readLines scan file.exists file.size".split())
_R_DEVICES: Final = frozenset("png pdf jpeg svg".split())


def _r(walk: Walk, token: Token) -> bool:
    if token.text in _R_READS or token.text in _R_DEVICES:
        given = walk.texts(token.text, "(", None)
        after = walk.tokens[walk.at + 3].text if given and len(walk.tokens) > walk.at + 3 else ""
        if not given or after not in (")", ",") or not PATH.fullmatch(given[0]) or given[0][0] == "~":
            return False
        walk.found["reads" if token.text in _R_READS else "writes"].append(given[0])
        walk.take(3, (Token("word", "c"), Token("sign", "("), *VALUE))
        return True
    if token.text == "write.csv" and len(walk.tokens) > walk.at + 5:
        what = walk.tokens[walk.at + 2]
        given = walk.texts("write.csv", "(", what.text, ",", None) if what.kind == "word" else None
        ends = walk.tokens[walk.at + 5].text in (")", ",")
        if given and ends and PATH.fullmatch(given[0]) and given[0][0] != "~":
            walk.found["writes"].append(given[0])
            walk.take(5, (Token("word", "c"), Token("sign", "("), what))
            return True
    return False


_STEPS: Final[Mapping[str, Callable[[Walk, Token], bool]]] = {"node": node, "ruby": _ruby, "R": _r}
