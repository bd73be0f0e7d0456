"""`guardrail doctor`: what this host and this configuration really enforce, and what they do not."""

from __future__ import annotations

import argparse
import grp
import importlib.util
import json
import os
import platform
import pwd
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from guardrail.cli import CONFIG_HELP, EXIT_ALLOW, EXIT_FAULT, find_config
from guardrail.cli._words import counted

if TYPE_CHECKING:
    from guardrail.config import AssetConfig, Config
    from guardrail.mandates import Mandate, MandateBook

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
    from guardrail.config import MandateConfig
    from guardrail.errors import ConfigError

    yield Finding(
        name="python", state="ok", detail=f"{platform.python_version()} on {platform.system()} {platform.release()}"
    )
    try:
        config = _config.load(find_config(given))
    except ConfigError as error:
        yield Finding(name="config", state="problem", detail=str(error))
        return
    yield Finding(name="config", state="ok", detail=f"{config.source}: {counted(len(config.assets), 'asset')}")
    yield from _writable_findings(config)
    yield from _asset_findings(config)
    book = _book(config)
    # What the mandates lack is said once, below, and not as a fault of the policy too.
    judged = config if book.error is None else msgspec.structs.replace(config, mandates=MandateConfig(), people=())
    yield _engine_finding(judged)
    yield _catalogue_finding()
    yield from _mandate_findings(config, book)
    yield _trail_finding(config)
    yield from _state_findings(config)
    yield from _review_findings(config)
    yield from _service_findings(config)
    yield from _strength_findings(config)


def _catalogue_finding() -> Finding:
    """What the analysis knows of commands, by its own examples."""
    from guardrail.effects import broken_examples, families

    count = sum(len(names) for names in families().values())
    try:
        broken = list(broken_examples())
    except ValueError as error:
        return Finding(name="catalogue", state="problem", detail=f"a spec cannot be used: {error}: install anew")
    if broken:
        detail = f"{counted(len(broken), 'example')} of the specs do not hold, such as {broken[0]}: install anew"
        return Finding(name="catalogue", state="problem", detail=detail)
    return Finding(name="catalogue", state="ok", detail=f"{counted(count, 'command')} described, all examples hold")


# ── the configuration and who may change it ──────────────────────────────────────────────────────────────────────────


def _writable_findings(config: Config) -> Iterator[Finding]:
    """Whoever can change these files decides what is guarded, and by whose order."""
    files = [("config", Path(config.source)), *(("assets", Path(path)) for path in config.asset_files)]
    if config.mandates.directory:
        directory = config.path(config.mandates.directory)
        files += [("mandates", path) for path in (directory, *_mandate_files(directory))]
    places: dict[Path, tuple[str, bool]] = {}
    for name, path in files:
        places.setdefault(path, (name, False))
        # Whoever may write to the directory can put another file in place, except where it is sticky.
        places.setdefault(path.absolute().parent, (name, True))
    for place, (name, sticky) in places.items():
        if others := _other_writers(place, sticky=sticky):
            how = f"{others} may change `{place}`, and with it what is guarded or ordered: `chmod go-w` it"
            yield Finding(name=name, state="problem", detail=how)


def _mandate_files(directory: Path) -> list[Path]:
    try:
        return sorted(directory.glob("*.mandate.json"))
    except OSError:
        return []  # said where they are read


def _other_writers(place: Path, *, sticky: bool) -> str:
    """Who besides its owner may write there; a volume that is mounted read-only is nobody's to write to."""
    try:
        found, flags = os.stat(place), os.statvfs(place).f_flag
    except OSError:
        return ""  # said where it is read
    if flags & os.ST_RDONLY or (sticky and found.st_mode & stat.S_ISVTX):
        return ""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    return "its group" if found.st_mode & stat.S_IWGRP and not _is_own_group(found) else ""


def _is_own_group(found: os.stat_result) -> bool:
    """Whether the group is its owner alone, as where every user has a group of the same name."""
    try:
        owner, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    return group.gr_name == owner and not set(group.gr_mem) - {owner}


# ── the assets ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _asset_findings(config: Config) -> Iterator[Finding]:
    if not config.assets:
        yield Finding(name="assets", state="problem", detail="none declared, so nothing is guarded: add an [[asset]]")
    for asset in config.assets:
        paths = [config.path(path) for path in asset.paths]
        told = [finding for path in paths for finding in _path_findings(asset, path)]
        yield from told
        if asset.asset_class == "control" and not asset.controls and not asset.weakens:
            detail = f"`{asset.id}` lists no `controls` and no `weakens`, so every edit of it is unsanctioned"
            yield Finding(name="assets", state="note", detail=detail)
        if told:
            continue
        for path in paths:
            yield from _control_findings(asset, path)
            yield from _record_findings(asset, path)
        if asset.digest is not None:
            yield _digest_finding(asset, [str(path) for path in paths])


def _path_findings(asset: AssetConfig, path: Path) -> Iterator[Finding]:
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            os.scandir(path).close()
    except (FileNotFoundError, NotADirectoryError):
        detail = f"`{asset.id}`: nothing at `{path}` yet; the name is guarded, other names of it cannot be"
        yield Finding(name="assets", state="note", detail=detail)
    except OSError as error:
        detail = (
            f"`{asset.id}`: cannot look at `{path}`: {_cause(error)}, so other names of it stay unknown: "
            "let the user that the guard runs as read it and enter the directories above it"
        )
        yield Finding(name="assets", state="problem", detail=detail)
    if os.path.realpath(path) == "/":
        detail = (
            f"`{asset.id}` is all of `/`, so every command touches it, and the guard's own files count as part of it: "
            "name the directories that the model lies in"
        )
        yield Finding(name="assets", state="problem", detail=detail)


def _record_findings(asset: AssetConfig, path: Path) -> Iterator[Finding]:
    """Whether an evaluation record can be judged by its scores."""
    from guardrail.assets import check_record

    if asset.record is None:
        return
    for file in [path] if path.is_file() else sorted(one for one in path.glob("*") if one.is_file())[:_MOST_RECORDS]:
        try:
            with open(file, "rb") as stream:
                wrong = check_record(str(file), stream.read(_MOST_BYTES), asset.record)
        except OSError as error:
            wrong = f"cannot be read: {_cause(error)}"
        if wrong is not None:
            detail = f"`{asset.id}`: `{file}`: {wrong}, so every edit of it is one of the whole file: mend `record`"
            yield Finding(name="assets", state="problem", detail=detail)


_MOST_RECORDS = 100
"""Most files of one evaluation asset that are looked into."""

_MOST_BYTES = 64 * 1024 * 1024
"""Most that is read of one of them, in bytes."""


def _control_findings(asset: AssetConfig, path: Path) -> Iterator[Finding]:
    """Whether each control has its safe value now: the guard sees changes, and this one may have been made before."""
    from guardrail.config import dotted
    from guardrail.effects import key_changes

    if not (asset.controls or asset.weakens) or not path.is_file():
        return
    try:
        content = path.read_bytes()
    except OSError as error:
        yield Finding(name="assets", state="problem", detail=f"`{asset.id}`: cannot read `{path}`: {_cause(error)}")
        return
    keys = key_changes(str(path), None, content)
    if keys is None:
        detail = (
            f"`{asset.id}`: `{path}` is not JSON, TOML or YAML with one plain meaning, so its controls cannot be read, "
            "and every edit of it is unsanctioned"
        )
        yield Finding(name="assets", state="problem", detail=detail)
        return
    values = {change.key: change.after for change in keys}
    for key, weakens in dotted(asset.weakens):
        if "*" not in key and weakens != "none" and not any(k == key or k.startswith(f"{key}.") for k in values):
            detail = f"`{asset.id}`: `{path}` has no key `{key}`: add it, or mend `weakens`"
            yield Finding(name="assets", state="problem", detail=detail)
    for key, safe in dotted(asset.controls):
        if key not in values:
            detail = f"`{asset.id}`: `{path}` has no key `{key}`: add it with its safe value, or mend `controls`"
            yield Finding(name="assets", state="problem", detail=detail)
        elif type(values[key]) is not type(safe) or values[key] != safe:
            detail = (
                f"`{asset.id}`: `{key}` in `{path}` is {_value(values[key])} now, and {_value(safe)} is the safe "
                "value: find out who changed it"
            )
            yield Finding(name="assets", state="problem", detail=detail)


def _value(value: object) -> str:
    return f"`{json.dumps(value, default=str)[:64]}`"


def _digest_finding(asset: AssetConfig, paths: list[str]) -> Finding:
    import hashlib

    if len(paths) > 1 or not os.path.isfile(paths[0]):
        detail = f"`{asset.id}`: `digest` is compared for an asset of one file only"
        return Finding(name="assets", state="note", detail=detail)
    try:
        with open(paths[0], "rb") as stream:
            found = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return Finding(name="assets", state="problem", detail=f"cannot read `{paths[0]}`: {_cause(error)}")
    if found != asset.digest:
        detail = f"`{asset.id}`: `{paths[0]}` has the digest `{found}`, not the declared one: find out who changed it"
        return Finding(name="assets", state="problem", detail=detail)
    return Finding(name="assets", state="ok", detail=f"`{asset.id}` has its declared digest")


def _engine_finding(config: Config) -> Finding:
    from guardrail.errors import ConfigError, Fault
    from guardrail.guard import Guard
    from guardrail.model import FAULT_RULE, ToolCall
    from guardrail.policy import refusal

    try:
        with Guard.open(config, record=False) as guard:
            # The first decision of a process pays for what is made on first use.
            guard.check(ToolCall(tool="bash", args={"command": "true"}, cwd="/"))
            decision = guard.check(ToolCall(tool="bash", args={"command": "true"}, cwd="/"))
            why = refusal(guard.engine)
    except (ConfigError, Fault) as error:
        return Finding(name="policy", state="problem", detail=str(error))
    fault = next((reason for reason in decision.reasons if reason.rule == FAULT_RULE), None)
    if fault is not None:
        return Finding(name="policy", state="problem", detail=f"every call is denied: {fault.message}")
    if why:
        return Finding(name="policy", state="problem", detail=f"the last good policy `{decision.policy}` serves: {why}")
    if config.mode == "observe":
        detail = f"{decision.engine}, {decision.policy}; mode `observe`: calls run whatever the rules ask for"
        return Finding(name="policy", state="note", detail=detail)
    return Finding(
        name="policy",
        state="ok",
        detail=f"{decision.engine}, {decision.policy}; a decision took {decision.elapsed_us} us",
    )


# ── mandates ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Book(msgspec.Struct, frozen=True, kw_only=True):
    """The mandates as they could be read.

    Args:
        book: the mandates, if a directory is set and can be read.
        error: why they cannot be read.
    """

    book: MandateBook | None = None
    error: str | None = None


def _book(config: Config) -> _Book:
    from guardrail.errors import GuardrailError
    from guardrail.mandates import MandateBook, MandateLedger

    try:
        from guardrail.audit import beside_trail

        return _Book(book=MandateBook(config, MandateLedger(beside_trail(config, "orders.db"), readonly=True)))
    except GuardrailError as error:
        return _Book(error=str(error))


def _why_not(book: MandateBook, mandate: Mandate, now_us: int) -> str | None:
    ended = book.ended(mandate)
    return str(ended) if ended is not None else mandate.why_not_now(now_us)


def _mandate_findings(config: Config, read: _Book) -> Iterator[Finding]:
    if read.book is None:
        yield Finding(name="mandates", state="problem", detail=read.error or "cannot be read")
        return
    if not config.mandates.directory:
        detail = "no directory set, so no effect on an asset is ever sanctioned"
        yield Finding(name="mandates", state="note", detail=detail)
        return
    book, now_us = read.book, time.time_ns() // 1000
    why_not = [(mandate.id, _why_not(book, mandate, now_us)) for mandate in book.mandates]
    files, count = len(book.mandates) + len(book.problems), sum(reason is None for _, reason in why_not)
    others = "".join(f"; `{name}`: {reason}" for name, reason in why_not if reason is not None)
    detail = f"{config.path(config.mandates.directory)}: {counted(files, 'file')}, {count} in force now{others}"
    if count == 0:
        detail += ", so nothing on an asset is sanctioned"
    yield Finding(name="mandates", state="ok" if files else "note", detail=detail)
    if book.problems:
        yield Finding(name="mandates", state="problem", detail=f"refused: {'; '.join(map(str, book.problems))}")
    known = {asset.id for asset in config.assets}
    for mandate in book.mandates:
        for name in mandate.unknown_assets(known):
            detail = f"`{mandate.id}` is about `{name}`, and no asset is called that"
            yield Finding(name="mandates", state="note", detail=detail)
        for name in mandate.unknown_zones(config.zones):
            detail = f"`{mandate.id}` allows the zone `{name}`, and no zone is called that"
            yield Finding(name="mandates", state="note", detail=detail)
        for effect in mandate.without_target():
            detail = f"`{mandate.id}` allows `{effect}` and names no target, so it covers none: add `targets`"
            yield Finding(name="mandates", state="note", detail=detail)
    if book.unread:
        names = ", ".join(f"`{name}`" for name in book.unread)
        detail = f"not read, because a mandate's name ends in `.mandate.json`: {names}"
        yield Finding(name="mandates", state="note", detail=detail)


# ── the trail ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _trail_finding(config: Config) -> Finding:
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
            detail=f"cannot write to `{parent}`: {_cause(error)}, so every call would be denied: "
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
        return f"cannot read the trail `{directory}`: {_cause(error)}: let the user that the guard runs as read it"
    if report is None or report.ok:
        return ""
    return f"`{directory}` is not as it was written: {report.problems[0]}: run `guardrail audit verify`"


_MOST_TRAIL_BYTES = 64 * 1024 * 1024
"""Largest trail that is verified in passing, in bytes."""


def _state_findings(config: Config) -> Iterator[Finding]:
    """The files of state that only a guard with a trail opens; the others are opened with the policy."""
    from guardrail.audit import beside_trail
    from guardrail.history._store import LOST
    from guardrail.review._schema import LOST as LOST_REVIEWS
    from guardrail.storage import why_unusable

    reviews = config.path(config.review.store) if config.review.store else beside_trail(config, "reviews.db")

    for what, path, lost in (
        ("the history", beside_trail(config, "history.db"), LOST),
        ("the review store", reviews, LOST_REVIEWS),
    ):
        if wrong := why_unusable(path, lost):
            yield Finding(name="state", state="problem", detail=f"{what} `{path}` cannot be opened: {wrong}")


def _cause(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


# ── the service ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _review_findings(config: Config) -> Iterator[Finding]:
    from guardrail.cli._doctor_review import review_findings

    for state, detail in review_findings(config):
        yield Finding(name="review", state=state, detail=detail)


def _service_findings(config: Config) -> Iterator[Finding]:
    from guardrail.config import secret
    from guardrail.errors import ConfigError

    try:
        secret(config.service.token, "service.token")
    except ConfigError as error:
        yield Finding(name="service", state="note", detail=f"`guardrail serve` would not start here: {error}")


def _hook_findings(config: Config) -> Iterator[Finding]:
    """What was put into harnesses, as the settings are now."""
    from guardrail.errors import ConfigError
    from guardrail.guard import hooked
    from guardrail.hooks._install import state_of

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


# ── how strong ────────────────────────────────────────────────────────────────────────────────────────────────────────


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
        name="strength", state="ok", detail="owned: `guardrail run` starts the tool itself, after the decision"
    )
    yield from _hook_findings(config)
    yield _kernel_finding()
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
