"""`guardrail doctor`: what this host and this configuration really enforce, and what they do not."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from guardrail.cli import CONFIG_HELP, EXIT_ALLOW, EXIT_FAULT, find_config

if TYPE_CHECKING:
    from guardrail.config import AssetConfig, Config

State = Literal["ok", "note", "problem"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at.

    Args:
        name: what was looked at.
        state: `ok`, `note` (works, with a limit worth knowing) or `problem` (calls will be denied, or not be guarded).
        detail: what was found, and how to mend it.
    """

    name: str
    state: State
    detail: str


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    sub = verbs.add_parser("doctor", help="say what this host and configuration really enforce")
    sub.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    sub.add_argument("--json", action="store_true", help="print the findings as JSON")
    sub.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 if any is a problem."""
    import orjson

    findings = list(_findings(args.config))
    if args.json:
        print(orjson.dumps(msgspec.to_builtins(findings), option=orjson.OPT_INDENT_2).decode())
    else:
        for finding in findings:
            print(f"{finding.state:<8} {finding.name:<12} {finding.detail}")
    return EXIT_FAULT if any(finding.state == "problem" for finding in findings) else EXIT_ALLOW


def _findings(given: str | None) -> Iterator[Finding]:
    from guardrail import config as _config
    from guardrail.errors import ConfigError

    yield Finding(
        name="python", state="ok", detail=f"{platform.python_version()} on {platform.system()} {platform.release()}"
    )
    try:
        config = _config.load(find_config(given))
    except ConfigError as error:
        yield Finding(name="config", state="problem", detail=str(error))
        return
    yield Finding(name="config", state="ok", detail=f"{config.source}: {len(config.assets)} assets")
    yield from _asset_findings(config)
    yield _engine_finding(config)
    yield _mandate_finding(config)
    yield _trail_finding(config)
    yield from _strength_findings(config)


def _asset_findings(config: Config) -> Iterator[Finding]:
    if not config.assets:
        yield Finding(name="assets", state="problem", detail="none declared, so nothing is guarded: add an [[asset]]")
    for asset in config.assets:
        missing = [path for path in asset.paths if not os.path.lexists(config.path(path))]
        if missing:
            yield Finding(
                name="assets",
                state="note",
                detail=f"`{asset.id}`: nothing at `{missing[0]}` yet; the name is guarded, other names of it cannot be",
            )
        elif asset.asset_class == "control" and not asset.controls:
            yield Finding(
                name="assets",
                state="note",
                detail=f"`{asset.id}` lists no `controls`, so every edit of it is unsanctioned",
            )

        if asset.digest is not None and not missing:
            yield _digest_finding(asset, [str(config.path(path)) for path in asset.paths])


def _digest_finding(asset: AssetConfig, paths: list[str]) -> Finding:
    import hashlib

    if len(paths) > 1 or not os.path.isfile(paths[0]):
        detail = f"`{asset.id}`: `digest` is compared for an asset of one file only"
        return Finding(name="assets", state="note", detail=detail)
    try:
        with open(paths[0], "rb") as stream:
            found = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return Finding(name="assets", state="problem", detail=f"cannot read `{paths[0]}`: {error.strerror}")
    if found != asset.digest:
        detail = f"`{asset.id}`: `{paths[0]}` has the digest `{found}`, not the declared one: find out who changed it"
        return Finding(name="assets", state="problem", detail=detail)
    return Finding(name="assets", state="ok", detail=f"`{asset.id}` has its declared digest")


def _engine_finding(config: Config) -> Finding:
    from guardrail.errors import ConfigError, Fault
    from guardrail.guard import Guard
    from guardrail.model import FAULT_RULE, ToolCall

    try:
        with Guard.open(config, record=False) as guard:
            # The first decision of a process pays for what is made on first use.
            guard.check(ToolCall(tool="bash", args={"command": "true"}, cwd="/"))
            decision = guard.check(ToolCall(tool="bash", args={"command": "true"}, cwd="/"))
    except (ConfigError, Fault) as error:
        return Finding(name="policy", state="problem", detail=str(error))
    fault = next((reason for reason in decision.reasons if reason.rule == FAULT_RULE), None)
    if fault is not None:
        return Finding(name="policy", state="problem", detail=f"every call is denied: {fault.message}")
    return Finding(
        name="policy",
        state="ok",
        detail=f"{decision.engine}, {decision.policy}; a decision took {decision.elapsed_us} us",
    )


def _mandate_finding(config: Config) -> Finding:
    from guardrail.errors import GuardrailError
    from guardrail.mandates import MandateBook

    if not config.mandates.directory:
        return Finding(
            name="mandates", state="note", detail="no directory set, so no effect on an asset is ever sanctioned"
        )
    try:
        book = MandateBook(config)
    except GuardrailError as error:
        return Finding(name="mandates", state="problem", detail=str(error))
    if book.problems:
        return Finding(name="mandates", state="problem", detail=f"refused: {'; '.join(map(str, book.problems))}")
    return Finding(name="mandates", state="ok", detail=f"read from {config.path(config.mandates.directory)}")


def _trail_finding(config: Config) -> Finding:
    from guardrail.audit import trail_directory

    directory = trail_directory(config)
    parent = directory
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if not os.access(parent, os.W_OK | os.X_OK):
        return Finding(
            name="trail",
            state="problem",
            detail=f"cannot write to `{parent}`: calls would be denied: set `trail.directory` elsewhere",
        )
    return Finding(name="trail", state="ok", detail=f"{directory}, signed with a key kept in the same place")


def _strength_findings(config: Config) -> Iterator[Finding]:
    for module, what in (("langgraph", "langgraph adapter"), ("langchain", "langchain middleware")):
        if importlib.util.find_spec(module) is not None:
            yield Finding(
                name="strength", state="ok", detail=f"owned: the {what} runs the tool itself, after the decision"
            )
    yield Finding(
        name="strength",
        state="note",
        detail="advised: for `check` and the sidecar's answers, whoever asked has to obey; nothing here can make them",
    )
    yield Finding(
        name="strength",
        state="note",
        detail="no kernel confinement in this version: a tool that runs is not held to what was judged",
    )
    if config.unsafe_fail_open:
        yield Finding(name="strength", state="problem", detail="unsafe_fail_open is set: calls run when judging fails")
    if os.geteuid() == 0:
        yield Finding(
            name="strength",
            state="note",
            detail="running as root: what runs here can rewrite the trail and its key; run the agent as another user",
        )
    if sys.platform != "linux":
        yield Finding(name="strength", state="problem", detail="paths are resolved by Linux interfaces only")
