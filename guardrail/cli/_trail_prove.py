"""`guardrail audit prove`: one record as a file that anybody can check without this program."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def add(actions: Any, where: Any, _kinds: tuple[str, ...]) -> None:
    """Add this action.

    Args:
        actions: the actions of `guardrail audit`.
        where: adds the options that say which trail.
        _kinds: what records there are; any of them can be proven.
    """
    from guardrail.cli import audit

    prove = actions.add_parser(
        "prove",
        help="write the proof that one record is in the signed trail",
        description="Write a C2SP .tlog-proof of one record, with the record in it. `scripts/verify_proof.py` of the "
        "source archive checks it with the verifier key and no code of this program.",
    )
    prove.add_argument("seq", type=_number, metavar="SEQ", help="number of the record, as `show` prints it")
    where(prove)
    prove.add_argument("-o", "--output", metavar="FILE", help="where it goes; default standard output")
    prove.set_defaults(run=audit.run, act=_prove)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"`{text}` is no record number")
    return int(text)


def _prove(args: argparse.Namespace, directory: str) -> int:
    from guardrail.audit.reading._proof_file import prove
    from guardrail.cli._output import written

    proof = prove(directory, args.seq)
    if args.output is None:
        sys.stdout.write(proof.text)
        return 0
    with written(args.output) as stream:
        stream.write(proof.text.encode())
    if args.json:
        print(json.dumps({"proof": args.output, "seq": proof.seq, "size": proof.size}))
    else:
        print(f"wrote {args.output}: record {proof.seq} in a signed tree of {proof.size}")
    return 0
