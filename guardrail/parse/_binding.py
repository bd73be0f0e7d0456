"""How tightly operators bind: `|` tighter than `&&` and `||`, which bind alike and from left to right.

Not concerned with finding them. The grammar gets this wrong where a redirection stands in the middle: it reads
`a && b > f | c` as a pipeline whose first stage is a chain, which no shell text means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from guardrail.parse.ir import AndOr, Pipeline, Redirect, Redirected, Simple, Statement, Text, Word

Signed = tuple[Literal["&&", "||"], Statement]


def piped(stages: Sequence[Statement]) -> Statement:
    """The stages of a pipeline, of which a chain is in no brackets: only its ends are stages."""
    runs: list[list[Statement]] = [[]]
    signs: list[Literal["&&", "||"]] = []
    for stage in stages:
        if not isinstance(stage, AndOr):
            _extend(runs[-1], stage)
            continue
        _extend(runs[-1], stage.first)
        for sign, statement in stage.rest:
            signs.append(sign)
            runs.append([])
            _extend(runs[-1], statement)
    pipes = [run[0] if len(run) == 1 else Pipeline(stages=tuple(run)) for run in runs]
    return AndOr(first=pipes[0], rest=tuple(zip(signs, pipes[1:], strict=True))) if signs else pipes[0]


def _extend(run: list[Statement], statement: Statement) -> None:
    run.extend(statement.stages if isinstance(statement, Pipeline) else (statement,))


def chained(first: Statement, rest: Sequence[Signed]) -> Statement:
    """Statements with `&&` and `||` between them, of which a chain is in no brackets."""
    flat: list[Signed] = []
    if isinstance(first, AndOr):
        flat += first.rest
        first = first.first
    for sign, statement in rest:
        if isinstance(statement, AndOr):
            flat.append((sign, statement.first))
            flat += statement.rest
        else:
            flat.append((sign, statement))
    return AndOr(first=first, rest=tuple(flat)) if flat else first


def with_errors(stage: Statement, start: int, end: int) -> Statement:
    """`a |& b` is `a 2>&1 | b`."""
    target = Word(parts=(Text(text="1"),), start=start, end=end, plain="1")
    joined = Redirect(op=">&", fd=2, target=target, start=start, end=end)
    if isinstance(stage, AndOr):
        sign, last = stage.rest[-1]
        return msgspec.structs.replace(stage, rest=(*stage.rest[:-1], (sign, with_errors(last, start, end))))
    if isinstance(stage, Simple):
        return msgspec.structs.replace(stage, redirects=(*stage.redirects, joined))
    return Redirected(body=stage, redirects=(joined,))
