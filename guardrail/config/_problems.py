"""What is wrong with a configuration whose keys and types are right: all of it, in one `ConfigError`.

Not concerned with files: what is named here is looked for by the stage that needs it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from guardrail.config._addresses import refused
from guardrail.config._callers import caller_problems
from guardrail.config._doors import ServiceConfig, ServingConfig
from guardrail.config._evidence import DecisionLogConfig, GroupConfig, TrailConfig, WebhookConfig
from guardrail.config._rules import ObligationConfig, PolicyConfig
from guardrail.config._section import WEAKENS, dotted, is_protected
from guardrail.config._settings import Config
from guardrail.config._subjects import AssetConfig
from guardrail.errors import ConfigError
from guardrail.names import alike
from guardrail.toolspec import problems

MAX_ID_CHARS: Final = 128
"""Longest asset id, in characters."""

MIN_REFERENCE: Final = 3
"""Fewest scores that another is compared with."""

MAX_REFERENCE: Final = 1_000
"""Most scores that another is compared with."""

_POINTER: Final = re.compile(r"/(?:input|result)(?:/[^/]+)*")
MAX_ATTEND_SECONDS: Final = 3600
"""Longest time between two looks at what is due, in seconds."""

_WEB: Final = re.compile(r"https?://[^\s/@?#]+(?:/[^\s#]*)?")
_BROWSED: Final = re.compile(r"(?:https://[^\s/@?#]+|http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?)(?:/[^\s#]*)?")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s*?\[\x00]+")
_PASSWORD: Final = re.compile(r"://[^/?#@]*:[^/?#]*@|password=")
_VKEY: Final = re.compile(r"[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}")
_ZONE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def check(config: Config, where: str) -> None:
    """Refuse a configuration that cannot be meant.

    Args:
        config: what was read.
        where: its name in the message.

    Raises:
        ConfigError: if anything is wrong with it; the message names each thing and how to mend it.
    """
    wrong = [*_asset_problems(config.assets), *_number_problems(config), *_order_problems(config)]
    wrong += [f"tool `{', '.join(spec.names)}`: {problem}" for spec in config.tools for problem in problems(spec)]
    wrong += _people_problems([person.name for person in config.people])
    if any(char in config.trail.origin for char in " +\n") or not config.trail.origin:
        wrong.append("`trail.origin` must be a name without blanks or `+`")
    wrong += _store_problems(config.trail)
    wrong += _central_problems(config)
    wrong += _witness_problems(config.trail)
    wrong += _policy_problems(config.policy)
    wrong += _log_problems(config.decision_log)
    if config.policy.engine != "wasm" and not config.policy.url.startswith(("http://", "https://", "unix:///")):
        wrong.append("`policy.url` must start with `http://`, `https://` or `unix:///`")
    wrong += _obligation_problems(config.obligations)
    if wrong:
        raise ConfigError(f"`{where}` is not a valid configuration: {'; '.join(wrong)}")


def _store_problems(trail: TrailConfig) -> list[str]:
    if trail.key and not trail.store:
        return ["`trail.key` belongs to `trail.store`: a trail in a directory has its key there"]
    return _database_problems(trail.store, "trail.store")


def _central_problems(config: Config) -> list[str]:
    problems = _database_problems(config.central.store, "central.store")
    if config.central.store and not config.mandates.directory:
        problems.append("`central.store` needs `mandates.directory`: a directory of the guard's own, for what was seen")
    if config.central.store and not config.trail.store and config.trail.origin == TrailConfig().origin:
        problems.append("`central.store` needs a `trail.origin` of this guard's own: each trail has one name there")
    if config.central.escalations and not config.central.store:
        problems.append("`central.escalations` needs `central.store`: there is no centre without it")
    people = {person.name for person in config.people}
    for name, given in (("inventory_by", config.central.inventory_by), ("bundle_by", config.central.bundle_by)):
        if given and not config.central.store:
            problems.append(f"`central.{name}` needs `central.store`: there is no centre without it")
        problems += [f"`central.{name}` has `{one}`, who is no [[person]]" for one in given if one not in people]
    if config.central.bundle_by and not config.policy.bundle:
        problems.append("`central.bundle_by` needs `policy.bundle`: that is where the bundle comes from")
    return problems


def _database_problems(store: str, key: str) -> list[str]:
    if not store or (store.startswith("${") and store.endswith("}")):
        return []
    if not store.startswith(("postgresql://", "postgres://", "service=")):
        return [f"`{key}` must be `postgresql://host/database`, `service=name` or `${{ENV_NAME}}`"]
    # The text is not repeated: this is about what must not be seen.
    if _PASSWORD.search(store):
        return [f"`{key}` has a password: put it into a password file or a service file, or write `${{ENV_NAME}}`"]
    return []


def _witness_problems(trail: TrailConfig) -> list[str]:
    problems = [f"witness `{name}` is listed twice" for name in _twice([witness.key for witness in trail.witnesses])]
    for witness in trail.witnesses:
        if not _WEB.fullmatch(witness.url):
            problems.append(f"`trail.witness`: `{witness.url}` must be `https://host/path`")
        if not _VKEY.fullmatch(witness.key):
            problems.append(f"`trail.witness`: `{witness.key}` is no verifier key such as `name+0123abcd+base64`")
    return problems


def _policy_problems(policy: PolicyConfig) -> list[str]:
    problems = [f"policy key `{key_id}` is listed twice" for key_id in _twice([key.id for key in policy.keys])]
    problems += [f"policy key `{key.id}` needs an id and a key" for key in policy.keys if not (key.id and key.key)]
    if policy.bundle.startswith(("http://", "https://")) and not policy.keys:
        # Whoever answers at an address would decide what is allowed here.
        problems.append("`policy.bundle` is an address, so its bundles must be signed: add a `[[policy.key]]`")
    if policy.key_id and policy.key_id not in {key.id for key in policy.keys}:
        problems.append(f"`policy.key_id` is `{policy.key_id}`, and no `[[policy.key]]` has that id")
    problems += [
        f"`policy.maturity` names `{rule}`, and rules that protect the guard always hold: remove that line"
        for rule in policy.maturity
        if is_protected(rule)
    ]
    return problems


def _obligation_problems(duties: ObligationConfig) -> list[str]:
    problems = [
        f"`obligations.{name}` must be `http://host` or `https://host`, without credentials"
        for name in ("s3_url", "mlflow_url")
        if getattr(duties, name) and not _WEB.fullmatch(getattr(duties, name))
    ]
    if not all(duties.roots) or any("\0" in root or any(c in root for c in "*?[") for root in duties.roots):
        problems.append("`obligations.roots` must name directories, and takes no globs: all below counts")
    if not 0 <= duties.attend_seconds <= MAX_ATTEND_SECONDS:
        problems.append(f"`obligations.attend_seconds` must be 0 to {MAX_ATTEND_SECONDS}")
    if not duties.s3_region:
        problems.append("`obligations.s3_region` must not be empty")
    return problems


def _log_problems(log: DecisionLogConfig) -> list[str]:
    problems = [
        f"`decision_log` takes out `{pointer}`, which is no JSON pointer such as `/input/subject/id`"
        for pointer in (*log.erase, *log.mask)
        if not _POINTER.fullmatch(pointer)
    ]
    if log.url and not _WEB.fullmatch(log.url):
        problems.append(
            "`decision_log.url` must be `https://host/path`, and a secret belongs into `decision_log.token`"
        )
    return problems


def _asset_problems(assets: Sequence[AssetConfig]) -> list[str]:
    problems = [f"asset `{asset_id}` is listed twice" for asset_id in _twice([a.id for a in assets])]
    problems += [
        # The second one would look guarded, and never be meant.
        f"the path `{path}` belongs to two assets: name it in one of them, or name what lies below it in the other"
        for path in _twice([path for asset in assets for path in dict.fromkeys(asset.paths)])
    ]
    for asset in assets:
        if not 1 <= len(asset.id) <= MAX_ID_CHARS or not asset.id.isprintable() or any(c in asset.id for c in "*?[]{}"):
            problems.append(
                f"asset id `{asset.id}` must have 1 to {MAX_ID_CHARS} printable characters and none of `*?[]{{}}`"
            )
        if asset.asset_class == "guard":
            problems.append(f"asset `{asset.id}`: the class `guard` is reserved for the guard's own files")
        if not (asset.paths or asset.uris) or not all(asset.paths) or any("\0" in path for path in asset.paths):
            # An asset without a path or an address would guard nothing and look as if it did.
            problems.append(f"asset `{asset.id}` needs at least one path or address, and none may be empty")
        problems += [
            f"asset `{asset.id}`: `{uri}` is no address: write `scheme:name` or `scheme://place/name`, without globs"
            for uri in asset.uris
            if not _URI.fullmatch(uri)
        ]
        if any(char in path for path in asset.paths for char in "*?["):
            problems.append(f"asset `{asset.id}`: `paths` takes no globs: name the directory, which covers all in it")
        if asset.controls and asset.asset_class != "control":
            problems.append(f"asset `{asset.id}`: `controls` belongs to the class `control` only")
        if asset.weakens and asset.asset_class != "control":
            problems.append(f"asset `{asset.id}`: `weakens` belongs to the class `control` only")
        problems += _weakens_problems(asset)
        problems += _record_problems(asset)
        if asset.digest is not None and not _is_digest(asset.digest):
            problems.append(f"asset `{asset.id}`: `digest` must be `sha256:` and 64 hexadecimal digits")
    return problems


def _order_problems(config: Config) -> list[str]:
    """What is wrong with zones, and with who may order what."""
    problems: list[str] = []
    for name, places in config.zones.items():
        if not _ZONE.fullmatch(name):
            problems.append(f"zone `{name}` must have up to 64 of the characters A-Z a-z 0-9 _ . -")
        if not places or any(not place or "\0" in place or any(c in place for c in "*?[") for place in places):
            problems.append(
                f"zone `{name}` needs at least one directory or address, and takes no globs: all below counts"
            )
    problems += [
        f"asset `{asset.id}`: there is no zone `{zone}`: add it to `[zones]`"
        for asset in config.assets
        for zone in asset.zones
        if zone not in config.zones
    ]
    problems += [
        f"agent `{agent.id}`: `id` and `operator` must not be empty"
        for agent in config.agents
        if not agent.id or not agent.operator
    ]
    # One key under two names would let an operator be somebody else to their own agent.
    keys = [person.key for person in config.people]
    problems += [
        f"the key of person `{person.name}` is that of another person too"
        for person in config.people
        if keys.count(person.key) > 1
    ]
    people = {person.name for person in config.people}
    problems += _group_problems(config.review.groups, people, signed_in=config.review.oidc is not None)
    problems += _webhook_problems(config.review.webhooks)
    problems += _console_problems(config)
    problems += [
        f"`mandates.revokers`: `{name}` is no [[person]], whose key could be looked at"
        for name in config.mandates.revokers
        if name not in people
    ]
    return problems


def _people_problems(names: Sequence[str]) -> Iterator[str]:
    """Where two people are asked for, one who is written in two ways must not be both of them."""
    yield from (f"person `{name}` is listed twice" for name in _twice(names))
    spellings: dict[str, str] = {}
    for name in dict.fromkeys(names):
        other = spellings.setdefault(alike(name), name)
        if other != name:
            yield f"the people `{other}` and `{name}` could be one: give each of them one name and one key"


def _group_problems(groups: Mapping[str, GroupConfig], people: Collection[str], *, signed_in: bool) -> Iterator[str]:
    for name, group in groups.items():
        if not 1 <= group.n <= len(set(group.members)):
            yield f"`review.groups.{name}` needs {group.n} of {len(set(group.members))} members: nobody could decide"
        if not group.rules:
            yield f"`review.groups.{name}`: `rules` is empty, so it would decide nothing: name some, or leave it out"
        for member in group.members:
            if member not in people and not signed_in:
                yield f"`review.groups.{name}`: `{member}` is no [[person]], whose signature could be looked at"


def _listener_problems(service: ServiceConfig) -> Iterator[str]:
    """A listener of their own for those who review."""
    if service.review_port > 65535:
        yield "`service.review_port` may be at most 65535"
    apart = [name for name in ("review_socket", "review_host") if getattr(service, name)]
    if len(apart) > 1:
        yield "give either `service.review_socket` or `service.review_host`, not both"
    if apart and not service.reviewer_token:
        yield f"`service.{apart[0]}` needs `service.reviewer_token`: without it nobody reviews over HTTP"
    if service.review_socket and service.review_socket == service.socket:
        yield "`service.review_socket` must be another than `service.socket`: agents ask there"


def _serving_problems(programs: Sequence[ServingConfig]) -> Iterator[str]:
    for one in programs:
        name = f"serving program `{one.program}`"
        if one.program not in one.files:
            yield f"{name}: `files` must have the SHA-256 of the program itself"
        for path, digest in one.files.items():
            if not (path.startswith("/") and _is_digest(f"sha256:{digest}")):
                yield f"{name}: `files` must have absolute paths with 64 hexadecimal digits each, unlike `{path}`"
        if not one.assets:
            yield f"{name}: `assets` is empty: name what it may read"
        if not all(0 < port <= 65535 for port in one.bind):
            yield f"{name}: `bind` must have ports from 1 to 65535"


def _webhook_problems(webhooks: Sequence[WebhookConfig]) -> Iterator[str]:
    for name in _twice([webhook.name for webhook in webhooks]):
        yield f"webhook `{name}` is listed twice"
    for webhook in webhooks:
        if not _ZONE.fullmatch(webhook.name):
            yield f"webhook `{webhook.name}`: `name` must have up to 64 of the characters A-Z a-z 0-9 _ . -"
        for key, text in (("url", webhook.url), ("link", webhook.link)):
            if (text or key == "url") and not _WEB.fullmatch(text.replace("{id}", "id")):
                yield f"webhook `{webhook.name}`: `{key}` must be `https://host/path`"
        if why := _misplaced(webhook):
            yield f"webhook `{webhook.name}`: {why}"


def _misplaced(webhook: WebhookConfig) -> str:
    """What is wrong with the address of a webhook that is written as numbers; names are looked at when one is told."""
    try:
        host = urlsplit(webhook.url).hostname or ""
        why = refused("127.0.0.1" if host == "localhost" else host, private=webhook.private)
    except ValueError:
        return ""
    return why and f"`{host}` {why}"


def _console_problems(config: Config) -> Iterator[str]:
    console = config.console
    if console is None:
        return
    if config.review.oidc is None:
        yield "`console` needs `[review.oidc]`: the provider that people sign in to"
    for key, text in (("url", console.url), ("authorization", console.authorization), ("tokens", console.tokens)):
        if not _BROWSED.fullmatch(text):
            yield f"`console.{key}` must be `https://host/path`, or `http://` of a loopback address"
    if console.url.count("/") != 2:
        yield "`console.url` must be a scheme, a host and a port, without a path"
    if not (console.viewers or console.approvers or console.admins):
        yield "`console` lets nobody in: name people in `viewers`, `approvers` or `admins`"
    if "*" in (*console.approvers, *console.admins):
        yield "`console`: `*` is for `viewers` alone: name those who may answer"
    if not 60 <= console.session_seconds <= 24 * 3600:
        yield "`console.session_seconds` must be between 60 and 86400"


def _weakens_problems(asset: AssetConfig) -> Iterator[str]:
    for key, value in dotted(asset.weakens):
        if not all(key.split(".")):
            yield f"asset `{asset.id}`: `weakens` has the key `{key}`: name the key that is a control"
        if value not in WEAKENS:
            known = ", ".join(f"`{name}`" for name in WEAKENS)
            yield f"asset `{asset.id}`: `weakens` of `{key}` is none of {known}"


def _record_problems(asset: AssetConfig) -> Iterator[str]:
    record = asset.record
    if record is None:
        return
    if asset.asset_class != "evaluation":
        yield f"asset `{asset.id}`: `record` belongs to the class `evaluation` only"
    if not record.score:
        yield f"asset `{asset.id}`: `record.score` is empty: name the key of the score"
    if 0 < len(record.reference) < MIN_REFERENCE or len(record.reference) > MAX_REFERENCE:
        yield f"asset `{asset.id}`: `record.reference` must have {MIN_REFERENCE} to {MAX_REFERENCE} scores, or none"
    numbers = [*record.reference, *([] if isinstance(record.threshold, str) else [record.threshold])]
    if not all(math.isfinite(number) for number in numbers):
        yield f"asset `{asset.id}`: `record.reference` and `record.threshold` must be finite numbers"
    if not (math.isfinite(record.outlier) and record.outlier > 0):
        yield f"asset `{asset.id}`: `record.outlier` must be greater than 0"
    if record.expected < 0:
        yield f"asset `{asset.id}`: `record.expected` must be 0 or a number of items"


_MAY_BE_NONE: Final = frozenset({"review.sticky_seconds", "execute.confine_escalate"})
"""Times of which 0 says something: ask again at once, and ask nobody."""


def _number_problems(config: Config) -> list[str]:
    problems: list[str] = []
    for section in (
        "limits",
        "trail",
        "central",
        "review",
        "service",
        "execute",
        "hooks",
        "policy",
        "decision_log",
        "obligations",
    ):
        part = getattr(config, section)
        for name in part.__struct_fields__:
            value = getattr(part, name)
            if f"{section}.{name}" in _MAY_BE_NONE and value == 0:
                continue
            if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
                problems.append(f"`{section}.{name}` must be greater than 0")
    if config.review.grant_seconds > 4 * 3600:
        problems.append("`review.grant_seconds` may be at most 14400 (four hours)")
    if config.service.port > 65535:
        problems.append("`service.port` may be at most 65535")
    problems += _listener_problems(config.service)
    problems += _serving_problems(config.execute.serving)
    problems += caller_problems(config.service)
    return problems


def _twice(names: Sequence[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1) if len(set(names)) < len(names) else []


def _is_digest(text: str) -> bool:
    head, _, tail = text.partition(":")
    return head == "sha256" and len(tail) == 64 and all(c in "0123456789abcdef" for c in tail)
