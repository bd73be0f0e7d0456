"""`guardrail audit case`: what the kernel saw of a recorded call and the analysis did not, as a file to judge again."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli._words import counted

if TYPE_CHECKING:
    from guardrail.cli._case import Missed
    from guardrail.model import ToolCall

_ARGS: Final = "/call/args"
"""Where the arguments of a call are disclosed: all of them, or each below it."""


def add(actions: Any, where: Any) -> None:
    """Add this action.

    Args:
        actions: the actions of `guardrail audit`.
        where: adds the options that say which trail.
    """
    from guardrail.cli import audit

    case = actions.add_parser(
        "case",
        help="write what the kernel saw of a call and the analysis did not, as a case",
        description="Write a recorded call, with the effects on assets that the kernel saw and that it was not judged "
        "to have, to a file that `guardrail check --case` judges again. The arguments are those that "
        "`trail.disclose` keeps, without secrets.",
        epilog="exit codes: 0 written, 1 there is nothing to write, or it cannot be written; 2 usage",
    )
    case.add_argument("seq", type=int, metavar="SEQ", help="number of any record about the call, as `show` prints it")
    where(case)
    case.add_argument("--cwd", metavar="DIR", help="where the call was to start, which is not on record")
    case.add_argument("-o", "--output", required=True, metavar="FILE", help="where it goes; must not exist")
    case.set_defaults(run=audit.run, act=_case)


def _case(args: argparse.Namespace, directory: str) -> int:
    from guardrail.cli._case import write_case
    from guardrail.errors import TrailError

    intent, missed = _about(directory, args.seq)
    if not missed:
        raise TrailError(
            f"nothing was missed of the call of record {args.seq}: the kernel saw what it was judged to do"
        )
    call = _call(directory, intent, args.cwd)
    try:
        write_case(args.output, call, missed)
    except OSError as error:
        raise TrailError(f"cannot write `{args.output}`: {(error.strerror or str(error)).lower()}") from None
    exact = call.digest == intent["call"]["digest"]
    if not exact:
        why = "its directory (`--cwd`) or who handed it on is another, or secrets in it are masked"
        print(f"note: this is not to the letter the call that was judged: {why}", file=sys.stderr)
    if args.json:
        print(json.dumps({"case": args.output, "record": intent["seq"], "missed": len(missed), "exact": exact}))
    else:
        print(f"wrote {args.output}: {counted(len(missed), 'effect')} that the call was not judged to have")
    return 0


def _about(directory: str, seq: int) -> tuple[dict[str, Any], tuple[Missed, ...]]:
    """The intent of the call that a record is about, and what was missed of it."""
    from guardrail.audit.entries import SURPRISE_RULE
    from guardrail.audit.reading import Selection, search
    from guardrail.cli._case import Missed
    from guardrail.errors import ConfigError

    named = [record for _, record in search(directory, Selection(first=seq, last=seq))]
    decision = named[0].get("decision_id") if named else None
    found = [record for _, record in search(directory, Selection(ids=(decision,)))] if decision else []
    intent = next((record for record in found if record.get("kind") == "intent"), None)
    if intent is None:
        which = "see `guardrail audit show --rule kernel.unpredicted`"
        raise ConfigError(f"record {seq} is about no call that was released: {which}")
    seen = [record["kernel"] for record in found if record.get("kind") == "kernel"]
    missed = (
        Missed(op=one["op"], asset=one["asset"], resource=one["resource"], syscall=one["syscall"])
        for one in seen
        if one.get("rule") == SURPRISE_RULE
    )
    return intent, tuple(dict.fromkeys(missed))


def _call(directory: str, intent: dict[str, Any], cwd: str | None) -> ToolCall:
    """The call of an intent, from what was disclosed of it."""
    from guardrail.audit.disclosure import opened
    from guardrail.errors import InvalidCall, TrailError
    from guardrail.model import ToolCall

    kept = {pointer: value for pointer, value in opened(directory, intent).items() if pointer.startswith(_ARGS)}
    once = [pointer for pointer in intent.get("disclosures", {}) if pointer.startswith(_ARGS)]
    if gone := sorted(set(once) - set(kept)):
        raise TrailError(f"`{gone[0]}` of record {intent['seq']} is no longer there: without it this is another call")
    names = {pointer: pointer[len(_ARGS) + 1 :].replace("~1", "/").replace("~0", "~") for pointer in kept}
    fields = {
        "tool": intent["call"]["tool"],
        "id": intent["call"]["id"],
        "args": kept[_ARGS] if _ARGS in kept else {names[pointer]: value for pointer, value in kept.items()},
        "cwd": cwd,
        "subject": intent["subject"],
        "session": intent["session"],
    }
    try:
        call = ToolCall.from_mapping(fields)
    except InvalidCall as error:
        raise TrailError(f"what is kept of record {intent['seq']} is no call: {error}") from None
    if not once and call.digest != intent["call"]["digest"]:
        how = 'set `trail.disclose = ["args"]`, for calls from then on'
        raise TrailError(f"the arguments of record {intent['seq']} are not kept: {how}")
    return call
