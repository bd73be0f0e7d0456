"""Findings about the trail, and the state beside it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guardrail.cli.findings._finding import Finding, cause

if TYPE_CHECKING:
    from guardrail.config import Config


_MOST_TRAIL_BYTES: Final = 64 * 1024 * 1024
"""Largest trail that is verified in passing, in bytes."""


def trail_finding(config: Config) -> Finding:
    """Whether decisions can be recorded, and whether what is recorded is as it was written."""
    from guardrail.audit import trail_directory

    directory = trail_directory(config)
    parent = directory
    while not os.path.lexists(parent) and parent != parent.parent:
        parent = parent.parent
    try:
        # Asking for permission is no proof: root has it on file systems that take no file at all.
        with tempfile.TemporaryFile(dir=parent, prefix=".guardrail-doctor-"):
            pass
    except OSError as error:
        return Finding(
            name="trail",
            state="problem",
            detail=f"cannot write to `{parent}`: {cause(error)}, so every call would be denied: "
            "set `trail.directory` to where the guard may write",
        )
    if config.trail.store:
        return _shared_finding(config)
    wrong = _wrong_in_trail(directory, config.trail.origin)
    if wrong:
        return Finding(name="trail", state="problem", detail=wrong)
    return Finding(name="trail", state="ok", detail=f"{directory}, signed with a key kept in the same place")


def _shared_finding(config: Config) -> Finding:
    from guardrail.audit import need_driver, trail_key, trail_place
    from guardrail.errors import GuardrailError

    try:
        need_driver()
        from guardrail.audit.postgres import examine

        detail = examine(trail_place(config), key=trail_key(config), origin=config.trail.origin)
    except GuardrailError as error:
        return Finding(name="trail", state="problem", detail=str(error))
    return Finding(name="trail", state="ok", detail=detail)


def _wrong_in_trail(directory: Path, origin: str) -> str:
    """Why a guard would not go on with this trail, or what is not as it was written; empty if neither."""
    from guardrail.audit import verify
    from guardrail.audit._note import open_signer
    from guardrail.errors import TrailError

    try:
        size = sum(path.stat().st_size for path in directory.glob("*.seg"))
        if not size:
            return ""
        open_signer(directory, origin, fresh=False)
        report = verify(directory, deep=False) if size <= _MOST_TRAIL_BYTES else None
    except TrailError as error:
        return str(error)
    except OSError as error:
        return f"cannot read the trail `{directory}`: {cause(error)}: let the user that the guard runs as read it"
    if report is None or report.ok:
        return ""
    return f"`{directory}` is not as it was written: {report.problems[0]}: run `guardrail audit verify`"


def state_findings(config: Config) -> Iterator[Finding]:
    """The files of state that only a guard with a trail opens; the others are opened with the policy."""
    from guardrail.audit import beside_trail
    from guardrail.history._store import LOST
    from guardrail.own import review_store
    from guardrail.review._schema import LOST as LOST_REVIEWS
    from guardrail.storage import why_unusable

    for what, path, lost in (
        ("the history", beside_trail(config, "history.db"), LOST),
        ("the review store", review_store(config), LOST_REVIEWS),
    ):
        if wrong := why_unusable(path, lost):
            yield Finding(name="state", state="problem", detail=f"{what} `{path}` cannot be opened: {wrong}")
