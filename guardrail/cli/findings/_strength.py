"""Findings about how strong what stands between agents and tools is on this host."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from guardrail.cli.findings._finding import Finding

if TYPE_CHECKING:
    from guardrail.config import Config


def strength_findings(config: Config) -> Iterator[Finding]:
    """What stands between agents and tools here, and how far it can be trusted."""
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
        name="strength", state="ok", detail="owned: `guardrail run` starts the tool itself, after the decision"
    )
    yield from hook_findings(config)
    yield _kernel_finding()
    yield _trial_finding()
    if config.execute.confine == "bwrap":
        yield bubblewrap_finding()
    if config.execute.confine == "floor":
        yield _floor_finding(config)
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


def hook_findings(config: Config) -> Iterator[Finding]:
    """What was put into harnesses, as the settings are now."""
    from guardrail.errors import ConfigError
    from guardrail.hooks._install import state_of
    from guardrail.own import hooked

    for path in hooked(config):
        try:
            harness, what, whole = state_of(config, path)
        except ConfigError as error:
            yield Finding(name="hooks", state="problem", detail=f"{error}: install the hook again")
            continue
        if whole:
            detail = f"advised: {harness} asks before each call (`{path}`); it runs calls when its hook fails to answer"
            yield Finding(name="hooks", state="note", detail=detail)
        else:
            detail = f"{what} in `{path}`: `guardrail hook install` it again, or take it out with `--undo`"
            yield Finding(name="hooks", state="problem", detail=detail)


def bubblewrap_finding(program: str | None = None) -> Finding:
    """Whether bubblewrap, to which the configuration leaves it, makes a sandbox here, found by trying.

    Args:
        program: where it is; found on the path by default.
    """
    from guardrail.confine import JobError
    from guardrail.confine.bubblewrap import Bubblewrap
    from guardrail.confine.kernel import Bounds

    try:
        Bubblewrap([], Bounds(), program=program).close()
    except JobError as error:
        return Finding(name="kernel", state="problem", detail=f"{error}; until then `guardrail run` starts nothing")
    return Finding(
        name="kernel", state="ok", detail="bubblewrap makes sandboxes here; it tells nothing of what it holds"
    )


def _kernel_finding() -> Finding:
    """What this kernel can hold a tool to, found by trying."""
    from guardrail.confine.kernel import ConfineError, host_report

    try:
        report = host_report()
    except ConfineError as error:
        return Finding(name="kernel", state="note", detail=f"what it can hold a tool to is not known: {error}")
    held = f"Landlock ABI {report.landlock_abi}" if report.landlock_abi else "no Landlock"
    listener = "a seccomp listener" if report.listener == "ok" else f"no seccomp listener ({report.listener})"
    found = f"{report.kernel} on {report.machine} has {held} and {listener}"
    if report.is_whole:
        detail = f"{found}: it can hold all of `{report.mode}`, for tools that are run with `--confine`"
        return Finding(name="kernel", state="ok", detail=detail)
    lacking = ", ".join(report.lacking)
    detail = (
        f"{found}: at most `{report.mode}` can be held, and it lacks {lacking}; where all is required nothing starts"
    )
    return Finding(name="kernel", state="note", detail=detail)


def _floor_finding(config: Config) -> Finding:
    """What the mode that is configured leaves open, whatever this kernel has."""
    left = "it holds no times and modes of assets and tells of nothing that it holds"
    where = "an asset that everybody may read and that lies where the tool may write"
    then = f"with {where} nothing starts" if config.execute.confine_required else f"{where} is not held either"
    detail = f"`execute.confine` is `floor`: {left}, and {then}; `default` holds and tells of both"
    return Finding(name="kernel", state="note", detail=detail)


def _trial_finding() -> Finding:
    """Whether tools can be run on a copy here, found by trying."""
    from guardrail.trial import host_problem

    if (problem := host_problem()) is not None:
        return Finding(name="trial", state="note", detail=f"`guardrail run --trial` starts nothing here: {problem}")
    return Finding(name="trial", state="ok", detail="`guardrail run --trial` can run a command on a copy here")
