"""`guardrail token`: decision tokens, for tools in other languages and for people."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from guardrail.cli import CONFIG_HELP, EXIT_ALLOW, EXIT_DENY, EXIT_USAGE, find_config

if TYPE_CHECKING:
    from guardrail.model import ToolCall


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser("token", help="verify the token that a decision came with")
    inner = sub.add_subparsers(dest="what", metavar="WHAT", required=True)
    verify = inner.add_parser(
        "verify",
        help="say whether a token holds for a call",
        description="Say whether a token holds for a call, now. Whether it was used before is known only to the tool "
        "that takes it.",
        epilog="exit codes: 0 it holds, 3 it does not, 2 usage",
    )
    verify.add_argument("token", help="the token")
    verify.add_argument("--call", metavar="FILE", required=True, help="the ToolCall as JSON; `-` for standard input")
    verify.add_argument("--key", metavar="FILE", help="`trail.vkey` of the trail; default: that of the configuration")
    verify.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    verify.add_argument("--json", action="store_true", help="print what the token says as JSON")
    verify.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what the token says; 3 if it does not hold."""
    import msgspec

    from guardrail.errors import InvalidCall, TokenError
    from guardrail.printing import visible
    from guardrail.tokens import TokenVerifier

    try:
        call = _call(args.call)
    except InvalidCall as error:
        print(f"guardrail: {error}", file=sys.stderr)
        return EXIT_USAGE
    try:
        claims = TokenVerifier(_keys(args)).verify(args.token, call)
    except TokenError as error:
        print(f"guardrail: {error}", file=sys.stderr)
        return EXIT_DENY
    if args.json:
        print(msgspec.json.encode(claims).decode())
    else:
        print(visible(f"it holds: decision {claims.jti}, record {claims.seq} of {claims.iss}, until {claims.exp}"))
    return EXIT_ALLOW


def _call(path: str) -> ToolCall:
    from guardrail.model import MAX_CALL_BYTES, ToolCall

    if path == "-":
        return ToolCall.from_json(sys.stdin.buffer.read(MAX_CALL_BYTES + 1))
    with open(path, "rb") as file:
        return ToolCall.from_json(file.read(MAX_CALL_BYTES + 1))


def _keys(args: argparse.Namespace) -> list[str]:
    from guardrail import config as _config
    from guardrail.audit import trail_directory

    path = args.key or trail_directory(_config.load(find_config(args.config))) / "trail.vkey"
    with open(path, encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if line.strip()]
