"""`guardrail doctor`: what this host and this configuration really enforce, and what they do not."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from typing import Any

import msgspec

from guardrail.cli import CONFIG_HELP, EXIT_ALLOW, EXIT_FAULT, find_config
from guardrail.cli._words import counted
from guardrail.cli.findings import Finding


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser(
        "doctor",
        help="say what this host and configuration really enforce",
        epilog="exit codes: 0 no problem was found, 1 at least one was, 2 usage",
    )
    sub.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    sub.add_argument("--json", action="store_true", help="print the findings as JSON")
    sub.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 if any is a problem."""
    import orjson

    from guardrail.printing import visible

    # What keeps the guard from opening is met by more than one look; it is said once.
    findings = list({finding.detail: finding for finding in reversed(list(_findings(args.config)))}.values())[::-1]
    if args.json:
        print(orjson.dumps(msgspec.to_builtins(findings), option=orjson.OPT_INDENT_2).decode())
    else:
        for finding in findings:
            print(visible(f"{finding.state:<8} {finding.name:<12} {finding.detail}"))
    return EXIT_FAULT if any(finding.state == "problem" for finding in findings) else EXIT_ALLOW


def _findings(given: str | None) -> Iterator[Finding]:
    from guardrail import config as _config
    from guardrail.central import TakeUp
    from guardrail.cli.findings import about
    from guardrail.errors import ConfigError

    yield Finding(
        name="python", state="ok", detail=f"{platform.python_version()} on {platform.system()} {platform.release()}"
    )
    try:
        config = TakeUp(_config.load(find_config(given)), keep=False).merged()
    except ConfigError as error:
        yield Finding(name="config", state="problem", detail=str(error))
        return
    yield Finding(name="config", state="ok", detail=f"{config.source}: {counted(len(config.assets), 'asset')}")
    yield from about(config)
