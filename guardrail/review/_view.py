"""What people are shown of a case, made from the recorded bytes: nothing in it can hide, reorder or imitate.

Not concerned with where it is shown. What the agent says about itself stands apart, and is marked as not to be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from guardrail.printing import moment, visible
from guardrail.review._case import Case, Issued, Vote
from guardrail.review._machine import subject_of

WIDTH: Final = 12
"""Width of the names of lines, in characters."""

NOT_HERE: Final = (
    "not in this record, because `trail.documents` is false or `trail.disclose` has `args` "
    "(`guardrail audit show --id ID --open` shows those): the digest covers them"
)
"""What is said of the arguments where the escalation has none."""


def plain(text: object) -> str:
    """Text of an agent in which no letter can pass for another: whatever is not ASCII becomes its number.

    A Cyrillic `a` in a path looks like a Latin one, and is another path.
    """
    return "".join(char if " " <= char <= "~" else _number(ord(char)) for char in str(text))


def _number(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def summary(case: Case, now_us: int) -> str:
    """One line."""
    held = case.held
    rules = ", ".join(f"{rule} on {asset}" if asset else rule for rule, asset in held.shown) or "break-glass"
    marks = " critical" if held.critical else ""
    if case.review_due_us is not None:
        marks += " review OVERDUE" if case.is_late(now_us) else f" review owed by {moment(case.review_due_us)}"
    return plain(f"{held.id}  {case.state_at(now_us):<10}  {moment(held.created_us)}  {held.agent}  {rules}{marks}")


def lines(case: Case, now_us: int) -> Iterator[str]:
    """Everything about a case, a line each."""
    held, view = case.held, case.held.view
    yield _line("escalation", f"{held.id}, {case.state_at(now_us)}" + (", critical" if held.critical else ""))
    if case.state == "pending":
        yield _line("answer by", moment(held.expires_us))
    yield _line("agent", plain(f"{held.agent} in session {held.session}" if held.session else held.agent))
    if held.glass:
        yield _line("break-glass", plain(f"{view.get('by')}: {view.get('reason')} [{view.get('ticket')}]"))
        for name, given in (("lifts", held.ops), ("on", held.assets), ("for", (f"{held.leave_seconds} seconds",))):
            yield _line(name, plain(", ".join(given)))
        if case.review_due_us is not None:
            late = ", OVERDUE" if case.is_late(now_us) else ""
            yield _line("review owed", f"by {moment(case.review_due_us)}{late}")
    for reason in view.get("reasons", ()):
        yield _line("held by", plain(f"{reason['rule']}: {reason['message']}"))
    for rule, asset in lifted_too(case):
        yield _line("held by", plain(f"{rule} on {asset}" if asset else rule))
    for effect in view.get("effects", ()):
        yield _line("effect", _effect(effect))
    if "effects_more" in view:
        yield _line("", f"and {view['effects_more']} more effects, which are not shown: the digest covers them")
    yield from _call(view)
    yield _line("digest", subject_of(held))
    yield _line("needs", _needs(case))
    yield _line("not from", plain(", ".join(held.barred)))
    for vote in case.votes:
        yield _line("vote", _vote(vote))
    for issued in case.grants:
        yield _line("grant", grant_line(issued, now_us))
    if held.claim:
        yield _line("agent says", f"(not verified) {plain(held.claim)}")


def lifted_too(case: Case) -> tuple[tuple[str, str | None], ...]:
    """Rule and asset of what an approval lifts besides the reasons that are told in full.

    INVARIANT: whoever shows a case names these too. An approval lifts nothing that was not shown, and all that was.
    """
    told = {(reason["rule"], reason["asset"]) for reason in case.held.view.get("reasons", ())}
    return tuple(pair for pair in case.held.shown if pair not in told)


def to_dict(case: Case, now_us: int) -> dict[str, Any]:
    """A case for machines: as it is on record, without the signed bytes, and with what they would have to work out."""
    votes = [{k: v for k, v in msgspec.to_builtins(vote).items() if k != "envelope"} for vote in case.votes]
    out: dict[str, Any] = {
        "id": case.held.id,
        "state": case.state_at(now_us),
        "version": case.version,
        "subject": subject_of(case.held),
        "escalation": msgspec.to_builtins(case.held),
        "votes": votes,
        "grants": [msgspec.to_builtins(issued) | {"state": grant_state(issued, now_us)} for issued in case.grants],
    }
    if case.review_due_us is not None:
        out["review_due_us"] = case.review_due_us
        out["review_overdue"] = case.is_late(now_us)
    return out


def grant_state(issued: Issued, now_us: int) -> str:
    """Where a grant stands, in one word."""
    if issued.withdrawn is not None:
        return issued.withdrawn
    if issued.usable(now_us):
        return "active"
    if not issued.uses:
        return "expired"
    ending = issued.uses[-1].ending
    return "reserved" if ending is None else ending


def grant_line(issued: Issued, now_us: int) -> str:
    """A grant in one line."""
    grant, scope = issued.grant, issued.grant.scope
    text = f"{grant.id}  {grant_state(issued, now_us):<9}  {len(issued.uses)} of {issued.most} used, until "
    text += f"{moment(grant.expires_us)}, by {', '.join(grant.approvers) or grant.approver}"
    if scope is not None:
        text += f"; {' '.join(scope.ops or ())} on {' '.join(scope.assets or ()) or 'no asset'}"
    return plain(text)


def _line(name: str, text: str) -> str:
    return f"{name:<{WIDTH}}{text}"


def _call(view: dict[str, Any]) -> Iterator[str]:
    if "tool" in view:
        where = f" in {view['cwd']}" if view.get("cwd") else ""
        yield _line("tool", plain(view["tool"] + where))
    if "args" in view:
        size, text = int(view.get("args_bytes", 0)), str(view["args"])
        cut = "" if size <= len(text.encode()) else f" … cut, {size} bytes in all: the digest covers them"
        yield _line("arguments", plain(text) + cut)
    elif "tool" in view:
        yield _line("arguments", NOT_HERE)


def _effect(effect: dict[str, Any]) -> str:
    text = f"{effect.get('op')} {effect.get('resource')}"
    text += f" -> {effect['target']}" if "target" in effect else ""
    if "key" in effect:
        text += f" {effect['key']}: {effect.get('before', '?')} -> {effect.get('after', '?')}"
    facts = [effect[name] for name in ("asset", "precision", "modality") if effect.get(name)]
    facts += [f"really {effect['real']}"] if "real" in effect else []
    return plain(f"{text} ({', '.join(map(str, facts))})")


def _needs(case: Case) -> str:
    quorum = case.held.quorum
    signed = "signed " if quorum.signed else ""
    if not quorum.groups:
        return f"{quorum.n} {signed}approval" + ("s" if quorum.n > 1 else "")
    parts = [f"{group.n} of {group.name} ({', '.join(group.members)})" for group in quorum.groups]
    return plain(
        f"signed approvals: {' and '.join(parts)}" + (", all of them different people" if quorum.distinct else "")
    )


def _vote(vote: Vote) -> str:
    how = f"signed with {vote.proof[:30]}" if vote.proof else "not signed"
    idle = "" if vote.counts else ", which does not count"
    words = f": {visible(vote.reason)}" if vote.reason else ""
    return f"{plain(vote.voter)}: {vote.verdict} at {moment(vote.at_us)}, {how}{idle}{words}"
