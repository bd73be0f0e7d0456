"""guardrail.toml as one frozen object, or exactly what is wrong with it.

Not concerned with what the settings do: each stage takes the part it needs.
An unknown key, a wrong type or an impossible value is a `ConfigError` that names the key; nothing is ignored.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec

from guardrail.errors import ConfigError
from guardrail.model import AssetClass
from guardrail.toolspec import ToolSpec, problems

MAX_CONFIG_BYTES: Final = 8 * 1024 * 1024
"""Largest guardrail.toml, in bytes."""


MAX_ASSETS: Final = 100_000
"""Most assets of one configuration."""

MAX_ASSET_FILE_BYTES: Final = 64 * 1024 * 1024
"""Largest file of assets, in bytes."""

_SET_BY_LOAD: Final = ("base", "source", "asset_files")

MAX_ID_CHARS: Final = 128
"""Longest asset id, in characters."""


MIN_REFERENCE: Final = 3
"""Fewest scores that another is compared with."""

MAX_REFERENCE: Final = 1_000
"""Most scores that another is compared with."""


Weakens = Literal["false", "true", "up", "down", "wider", "narrower", "people", "removed", "any", "ask", "none"]
"""The change that makes a control weaker: switched off or on, a larger or smaller amount, more or fewer members, its
removal, any change. Of `ask` nobody can tell but a person, and `none` says that the key is no control."""


WEAKENS: Final[tuple[Weakens, ...]] = get_args(Weakens)
"""The words for it."""


_POINTER: Final = re.compile(r"/(?:input|result)(?:/[^/]+)*")
_WEB: Final = re.compile(r"https?://[^\s/@?#]+(?:/[^\s#]*)?")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s*?\[\x00]+")


_ZONE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

Maturity = Literal["observe", "escalate", "deny"]
"""How far a rule is rolled out: the most that it may ask for, `observe` being nothing at all."""

PROTECTED: Final = ("guard.", "guardrail.", "review.")
"""Families of rules that always hold: the guard's own files, what is not understood, faults, and what people gave."""


def is_protected(rule: str) -> bool:
    """Whether this rule can be neither observed nor softened, in whatever mode."""
    return rule.startswith(PROTECTED)


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table that refuses unknown keys."""


class RecordConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[asset.record]`: which key of an evaluation record is what; a dotted key reaches into tables.

    Args:
        items: key of the list or table of records; empty if the file itself is the list, or one record.
        id: key that tells one record from another; empty means its place in the list.
        score: key of the score.
        subject: key of the model that is scored; without one in the record it is the asset's `model`.
        judge: key of who scored it.
        threshold: key of the threshold, or the threshold itself.
        direction: `min` if a score passes from the threshold up, `max` if it passes up to it, or the key that says so.
        criteria: keys of what is measured, and how: a change of one is a change of the criteria; `*` is allowed.
        reference: scores of comparable models, or of earlier runs; at least three, or none.
        outlier: how far from the reference a score may lie, in standard deviations estimated from the median.
        count: key that says over how many items a score was taken, such as `n`; empty means that records do not say.
        expected: over how many items a score has to be taken, or, without `count`, how many records a whole file has;
            fewer are told as left out, and 0 says nothing.
    """

    items: str = ""
    id: str = ""
    score: str = "score"
    subject: str = "model"
    judge: str = "judge"
    threshold: float | str = "threshold"
    direction: str = "direction"
    criteria: tuple[str, ...] = ("criteria", "rubric")
    reference: tuple[float, ...] = ()
    outlier: float = 3.5
    count: str = ""
    expected: int = 0


class AssetConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"asset_class": "class"}):
    """One `[[asset]]`: something worth guarding.

    Args:
        id: unique name, such as `model:beta`.
        asset_class: `weights`, `checkpoint`, `adapter`, `control`, `evaluation`, `criteria` or `registry`.
        paths: files or directories it lives in; relative ones are relative to guardrail.toml.
        uris: addresses it lives at where there is no path: `s3://bucket/key`, `hf://org/name`, `k8s:configmap/name`,
            `systemd:name.timer`, `process:name`, `account:name`; an asset needs a path or an address.
        model: the model it belongs to.
        owner: the person or team that owns it.
        registered: the date it was registered on; rules use this and never a file's mtime.
        digest: `sha256:<hex>` of its content, for an asset of one file; `guardrail doctor` compares it.
        controls: for `control`: key -> the value that is safe; a dotted key reaches into tables.
        zones: names of the `[zones]` it may be in: a copy or move to any other place is held, whoever ordered it;
            empty says nothing about places.
        separation: whether an order about it must come from somebody who does not operate the agent; the general
            `mandates.separation` by default.
        weakens: for `control`: key -> the change that weakens it: `false`, `true`, `up`, `down`, `wider`, `narrower`,
            `people`, `removed`, `any`, `ask` or `none`; a dotted key reaches into tables, and a key may have `*` in it.
        record: for `evaluation`: which key of a record is what; without it every edit is one of the whole file.
    """

    id: str
    asset_class: AssetClass
    paths: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    model: str | None = None
    owner: str | None = None
    registered: dt.date | None = None
    digest: str | None = None
    controls: dict[str, Any] = {}
    zones: tuple[str, ...] = ()
    separation: bool | None = None
    weakens: dict[str, Any] = {}
    record: RecordConfig | None = None


class AgentConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[agent]]`: who operates which agents; several tables that fit one agent add up.

    Args:
        id: glob on ids of agents.
        operator: the person who runs them, by the name that is signed with.
    """

    id: str
    operator: str


class InventoryConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[assets]`: assets that are declared beside guardrail.toml.

    Args:
        files: files of further assets, `*` allowed in the last name: TOML with `[[asset]]` tables, or JSON lines with
            one asset a line, which is read ten times as fast; relative to guardrail.toml, as all paths in them are.
    """

    files: tuple[str, ...] = ()


class PersonConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[person]]`: somebody whose signature on a mandate counts.

    Args:
        name: who it is, such as `dana@example.com`.
        key: Ed25519 public key, `ed25519:` and 32 bytes in base64.
    """

    name: str
    key: str


Algorithm = Literal[
    "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"
]
"""What bundles may be signed with; OPA knows the same."""


class BundleKeyConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[policy.key]]`: a key that policy bundles may be signed with.

    Args:
        id: its name, as the signature's `kid` or `keyid` has it.
        algorithm: such as `ES256`; the signature's own word for it does not count.
        key: file with the public key or certificate in PEM, or that PEM itself; for `HS256` and its like the secret,
            best given as `${ENV_NAME}`.
        scope: what the `scope` of the signature must be.
    """

    id: str
    algorithm: Algorithm
    key: str
    scope: str = ""


class PolicyConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"keys": "key"}):
    """`[policy]`: what decides.

    Args:
        engine: `wasm` evaluates in this process, `opa` asks an OPA server, `shadow` asks both, where the stricter wins.
        bundle: directory, `.tar.gz` file, or `http://` or `https://` address of a policy bundle; empty means the one
            that is shipped.
        bundle_token: for an address: bearer token, best given as `${ENV_NAME}`.
        poll_seconds: how often a configured bundle is looked at for a new one, in seconds.
        key_id: id of the one `[[policy.key]]` that must have signed; empty means that the signature says which.
        keys: the `[[policy.key]]` tables; with one, bundles must be signed.
        maturity: how far a rule is rolled out, by its id: `observe` records it, `escalate` lets it hold a call for a
            person at most, `deny` is all of it; `"*"` is for every other rule; goes before what the bundle says.
        url: for `opa` and `shadow`: `http://host:port`, or `unix:///path/to/opa.sock`.
        token: for `opa` and `shadow`: bearer token, best given as `${ENV_NAME}`.
        memory_bytes: largest memory of one wasm instance, in bytes.
    """

    engine: Literal["wasm", "opa", "shadow"] = "wasm"
    bundle: str = ""
    bundle_token: str = ""
    poll_seconds: float = 30.0
    key_id: str = ""
    keys: tuple[BundleKeyConfig, ...] = ()
    maturity: dict[str, Maturity] = {}
    url: str = "http://127.0.0.1:8181"
    token: str = ""
    memory_bytes: int = 64 * 1024 * 1024


class MandateConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[mandates]`: where people's orders lie.

    Args:
        directory: directory with `*.mandate.json`; empty means no mandates, so nothing on an asset is sanctioned.
        separation: whether every order must come from somebody who does not operate the agent it is for; an agent
            without an `[[agent]]` table then has no orders.
        revokers: names of people who may revoke any mandate; its issuer always may.
    """

    directory: str = ""
    separation: bool = False
    revokers: tuple[str, ...] = ()


class HistoryConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[history]`: what is remembered of sessions and agents.

    Args:
        reconnaissance: globs on files and addresses that somebody reads or lists who looks for other hosts; `*` does
            not stop at a slash.
    """

    reconnaissance: tuple[str, ...] = (
        "*/.ssh",
        "*/.ssh/known_hosts*",
        "*/.ssh/config",
        "/etc/hosts",
        "/etc/ssh/ssh_known_hosts",
        "/etc/ansible/hosts",
        "/proc/*/net/arp",
        "*/.bash_history",
        "*/.zsh_history",
        "net:neighbours",
        "*/.kube/config",
        "*/.aws/config",
        "server://[*]/*",
    )


class TrailConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[trail]`: the audit ledger.

    Args:
        directory: where it is kept; empty means a directory of this config's own under `$XDG_STATE_HOME/guardrail`.
        origin: name of this ledger in its checkpoints: no blanks, no `+`.
        segment_bytes: size of one segment file, in bytes.
        checkpoint_seconds: longest time between two signed checkpoints while records arrive, in seconds.
        timeout_seconds: longest wait for a durable write before the call is denied, in seconds.
        documents: record what policy saw with each decision, so that `guardrail policy diff` can make it again.
    """

    directory: str = ""
    origin: str = "guardrail.local/trail"
    segment_bytes: int = 64 * 1024 * 1024
    checkpoint_seconds: float = 1.0
    timeout_seconds: float = 2.0
    documents: bool = True


class ReviewConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[review]`: escalations and the leave that people give.

    Args:
        store: SQLite file with open escalations; empty means a file beside the trail's directory.
        grant_seconds: how long an approval may wait for its call, in seconds (at most four hours).
    """

    store: str = ""
    grant_seconds: int = 900


class DecisionLogConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[decision_log]`: decisions in OPA's own format, for those who collect them; off unless a place is set.

    Args:
        file: file of one JSON object a line.
        url: address of a log server, such as `https://host/logs`.
        token: for `url`: bearer token, best given as `${ENV_NAME}`.
        labels: what tells this guard from others, besides `id`, `version`, `app` and `engine`.
        erase: JSON pointers, into `/input` or `/result`, of what is removed; `*` is any one step.
        mask: JSON pointers of what is replaced by `**`.
        buffer_bytes: most memory for decisions that wait, in bytes; of too many the oldest are dropped and counted.
        flush_seconds: longest time that a decision waits, in seconds.
    """

    file: str = ""
    url: str = ""
    token: str = ""
    labels: dict[str, str] = {}
    erase: tuple[str, ...] = (
        "/input/evaluations/*/properties/attrs/after",
        "/input/evaluations/*/properties/attrs/before",
        "/input/evaluations/*/properties/attrs/command",
        "/input/evaluations/*/properties/attrs/environment",
    )
    mask: tuple[str, ...] = ()
    buffer_bytes: int = 16 * 1024 * 1024
    flush_seconds: float = 5.0


class LimitConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[limits]`: every bound on judging one call. At a bound the answer is opaque or a fault, never a guess.

    Args:
        decision_ms: whole time for one decision, in milliseconds.
        command_bytes: longest shell text that is analysed, in bytes.
        depth: deepest nesting of shells, substitutions and wrappers that is entered, in levels.
        expansions: most words that globs and braces of one call may expand to.
        effects: most effects of one call.
        script_bytes: largest script or config file that is read for analysis, in bytes.
        sessions: most sessions whose history is in memory; the longest unused is dropped, and read again if needed.
    """

    decision_ms: int = 2000
    command_bytes: int = 64 * 1024
    depth: int = 8
    expansions: int = 4096
    effects: int = 1024
    script_bytes: int = 256 * 1024
    sessions: int = 10_000


class ServiceConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[service]`: the sidecar.

    Args:
        host: address to listen on, for TCP.
        port: port to listen on, for TCP.
        socket: path of a Unix socket to listen on instead of TCP.
        token: bearer token that clients must send, best given as `${ENV_NAME}`; required on TCP.
        body_bytes: largest request body, in bytes.
        concurrency: most requests judged at one time; further ones get 503.
        shutdown_seconds: how long requests that are being judged may take to finish when the service is told to stop,
            in seconds.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    socket: str = ""
    token: str = ""
    body_bytes: int = 256 * 1024
    concurrency: int = 64
    shutdown_seconds: float = 10.0


class Config(
    _Section,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"assets": "asset", "inventory": "assets", "people": "person", "agents": "agent", "tools": "tool"},
):
    """Everything in guardrail.toml.

    Args:
        assets: the `[[asset]]` tables, those of all files together.
        inventory: where further assets are declared.
        people: the `[[person]]` tables.
        agents: the `[[agent]]` tables.
        zones: `[zones]`: name -> the directories and addresses that belong to it, with all that lies below.
        tools: the `[[tool]]` tables: tools of your own, and which argument is what.
        mode: `enforce`, or `observe` to decide and record only: every call runs, and records say so; what protects the
            guard itself, and faults, deny all the same.
        unsafe_fail_open: let calls run when judging fails; warns at start and is written into every record.
        base: directory that relative paths are relative to; set by `load`.
        source: the file this was read from; set by `load`.
        asset_files: the files that further assets were read from, and directories that are read as a whole; set by
            `load`.
    """

    assets: tuple[AssetConfig, ...] = ()
    people: tuple[PersonConfig, ...] = ()
    agents: tuple[AgentConfig, ...] = ()
    zones: dict[str, tuple[str, ...]] = {}
    tools: tuple[ToolSpec, ...] = ()
    policy: PolicyConfig = PolicyConfig()
    mandates: MandateConfig = MandateConfig()
    history: HistoryConfig = HistoryConfig()
    trail: TrailConfig = TrailConfig()
    review: ReviewConfig = ReviewConfig()
    decision_log: DecisionLogConfig = DecisionLogConfig()
    limits: LimitConfig = LimitConfig()
    service: ServiceConfig = ServiceConfig()
    mode: Literal["enforce", "observe"] = "enforce"
    unsafe_fail_open: bool = False
    base: str = ""
    source: str = ""
    asset_files: tuple[str, ...] = ()
    inventory: InventoryConfig = InventoryConfig()

    def path(self, text: str) -> Path:
        """A path of this configuration: `~` expanded, relative ones taken from the file's own directory."""
        return Path(self.base or os.getcwd(), os.path.expanduser(text))


def load(path: str | os.PathLike[str]) -> Config:
    """Read guardrail.toml.

    Args:
        path: the file.

    Returns:
        The configuration, checked.

    Raises:
        ConfigError: if it cannot be read, is not TOML, or holds anything unknown, ill-typed or impossible.
    """
    file = Path(path).absolute()
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration `{file}`: {error.strerror}") from None
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(f"the configuration `{file}` is larger than {MAX_CONFIG_BYTES} bytes")
    return parse(data, base=str(file.parent), source=str(file))


def parse(text: str | bytes, *, base: str = "", source: str = "") -> Config:
    """Read a configuration from text.

    Args:
        text: TOML.
        base: directory that relative paths are relative to.
        source: name to use in messages.

    Raises:
        ConfigError: as `load`.
    """
    where = source or "the configuration"
    try:
        raw: Any = msgspec.toml.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{where}` is not valid TOML: {error}") from None
    for reserved in _SET_BY_LOAD:
        if reserved in raw:
            raise ConfigError(f"`{where}` has the unknown key `{reserved}`: remove it")
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"`{where}` is not a valid configuration: {_sentence(error, raw)}") from None
    config = msgspec.structs.replace(config, base=base, source=source)
    if config.inventory.files:
        config = _with_files(config, where)
    _check(config, where)
    return config


class _AssetFile(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"assets": "asset"}):
    assets: tuple[AssetConfig, ...] = ()


_asset_lines: Final = msgspec.json.Decoder(AssetConfig)


def _with_files(config: Config, where: str) -> Config:
    """The configuration with the assets that stand in files of their own.

    Raises:
        ConfigError: if one is missing, too large, or holds what is no asset: an asset that is left out is not guarded.
    """
    assets = list(config.assets)
    files: dict[str, None] = {}
    folders: dict[str, None] = {}
    for pattern in config.inventory.files:
        if any(char in pattern for char in "*?["):
            folders[_own_folder(config, pattern, where)] = None
        for file in _matching_files(config, pattern, where):
            if file not in files:
                files[file] = None
                assets.extend(_read_assets(file))
                if len(assets) > MAX_ASSETS:
                    raise ConfigError(f"`{where}` declares more than {MAX_ASSETS} assets, the last in `{file}`")
    return msgspec.structs.replace(config, assets=tuple(assets), asset_files=(*files, *folders))


def _own_folder(config: Config, pattern: str, where: str) -> str:
    """The directory of a pattern: a file that is added there changes which asset a path is, so it is guarded as well.

    Raises:
        ConfigError: if guarding it would guard everything beside the configuration.
    """
    folder, base = os.path.realpath(config.path(pattern).parent), os.path.realpath(config.path(""))
    if base == folder or base.startswith(folder.rstrip("/") + "/"):
        raise ConfigError(f"`{where}`: `assets.files` has `{pattern}`: give these files a directory of their own")
    return folder


def _matching_files(config: Config, pattern: str, where: str) -> list[str]:
    path = config.path(pattern)
    if not pattern or any(char in str(path.parent) for char in "*?["):
        raise ConfigError(f"`{where}`: `assets.files` has `{pattern}`: name a file, or `*` in the last name only")
    if not any(char in path.name for char in "*?["):
        return [str(path)]
    # A link is followed: what it leads to is named in every message, and guarded like the file.
    found = sorted(str(one) for one in path.parent.glob(path.name) if one.is_file() and not one.name.startswith("."))
    if not found:
        raise ConfigError(f"`{where}`: `assets.files` has `{pattern}`, which no file fits: mend it or take it out")
    return found


def _read_assets(file: str) -> Sequence[AssetConfig]:
    try:
        with open(file, "rb") as stream:
            data = stream.read(MAX_ASSET_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the assets in `{file}`: {error.strerror}") from None
    if len(data) > MAX_ASSET_FILE_BYTES:
        raise ConfigError(f"the assets in `{file}` are more than {MAX_ASSET_FILE_BYTES} bytes: split the file")
    if file.endswith((".jsonl", ".ndjson")):
        return _read_lines(file, data)
    if not file.endswith(".toml"):
        raise ConfigError(f"`{file}` is no file of assets: its name must end in `.toml` or `.jsonl`")
    try:
        raw: Any = msgspec.toml.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{file}` is not valid TOML: {error}") from None
    try:
        return msgspec.convert(raw, _AssetFile).assets
    except msgspec.ValidationError as error:
        raise ConfigError(f"`{file}` is no file of assets: {_sentence(error, raw)}") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) != len({name for name, _ in pairs}):
        raise ValueError("a key stands there twice")


def _read_lines(file: str, data: bytes) -> Sequence[AssetConfig]:
    found: list[AssetConfig] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            json.loads(line, object_pairs_hook=_no_key_twice)
            found.append(_asset_lines.decode(line))
        except (ValueError, RecursionError) as error:
            text = str(error)
            raise ConfigError(f"`{file}` is no file of assets: line {number}: {text[:1].lower()}{text[1:]}") from None
        if len(found) > MAX_ASSETS:
            raise ConfigError(f"`{file}` declares more than {MAX_ASSETS} assets")
    return found


def _check(config: Config, where: str) -> None:
    wrong = [*_asset_problems(config.assets), *_number_problems(config), *_order_problems(config)]
    wrong += [f"tool `{', '.join(spec.names)}`: {problem}" for spec in config.tools for problem in problems(spec)]
    names = [person.name for person in config.people]
    wrong += [f"person `{name}` is listed twice" for name in _twice(names)]
    if any(char in config.trail.origin for char in " +\n") or not config.trail.origin:
        wrong.append("`trail.origin` must be a name without blanks or `+`")
    wrong += _policy_problems(config.policy)
    wrong += _log_problems(config.decision_log)
    if config.policy.engine != "wasm" and not config.policy.url.startswith(("http://", "https://", "unix:///")):
        wrong.append("`policy.url` must start with `http://`, `https://` or `unix:///`")
    if wrong:
        raise ConfigError(f"`{where}` is not a valid configuration: {'; '.join(wrong)}")


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
    problems += [
        f"`mandates.revokers`: `{name}` is no [[person]], whose key could be looked at"
        for name in config.mandates.revokers
        if name not in people
    ]
    return problems


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


def dotted(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with dots, however they were written: TOML reads `a.b = true` as a table in a table."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            yield f"{prefix}{key}", value


def _number_problems(config: Config) -> list[str]:
    problems: list[str] = []
    for section in ("limits", "trail", "review", "service", "policy", "decision_log"):
        part = getattr(config, section)
        for name in part.__struct_fields__:
            value = getattr(part, name)
            if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
                problems.append(f"`{section}.{name}` must be greater than 0")
    if config.review.grant_seconds > 4 * 3600:
        problems.append("`review.grant_seconds` may be at most 14400 (four hours)")
    if config.service.port > 65535:
        problems.append("`service.port` may be at most 65535")
    return problems


def _twice(names: Sequence[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1) if len(set(names)) < len(names) else []


def _is_digest(text: str) -> bool:
    head, _, tail = text.partition(":")
    return head == "sha256" and len(tail) == 64 and all(c in "0123456789abcdef" for c in tail)


def secret(text: str, key: str) -> str:
    """A secret of the configuration, read when it is needed: an auditor does not have to know the service's token.

    Args:
        text: the value, or `${NAME}` for that environment variable.
        key: the setting, for the message.

    Returns:
        The secret; empty if none is configured.

    Raises:
        ConfigError: if the variable is not set or is empty.
    """
    if not (text.startswith("${") and text.endswith("}")):
        return text
    value = os.environ.get(text[2:-1], "")
    if not value:
        raise ConfigError(
            f"`{key}` names the environment variable `{text[2:-1]}`, which is not set or is empty: set it"
        )
    return value


def _sentence(error: msgspec.ValidationError, raw: Any) -> str:
    """What is wrong, where, and what would be right."""
    text, _, place = str(error).partition(" - at `")
    text = text[:1].lower() + text[1:]
    steps = [step for step in place.rstrip("`").removeprefix("$").replace("[", ".[").split(".") if step]
    section, name = _walk(steps)
    where = ".".join(steps).replace(".[", "[")
    entry = raw
    for step in steps[:2]:
        try:
            entry = entry[int(step[1:-1])] if step.startswith("[") else entry[step]
        except (LookupError, TypeError, ValueError):
            break
    if isinstance(entry, dict) and "id" in entry:
        where += f" (`{entry['id']}`)"  # pyright: ignore[reportUnknownArgumentType]
    if "unknown field" in text and section is not None:
        names = [field.encode_name for field in msgspec.structs.fields(section)]
        known = ", ".join(f"`{name}`" for name in names if name not in _SET_BY_LOAD)
        text += f"; what is known there is {known}"
    elif "enum value" in text and section is not None:
        field = next((f for f in msgspec.structs.fields(section) if f.encode_name == name), None)
        choices = [choice for choice in get_args(getattr(field, "type", None)) if choice != "guard"]
        text += f"; use one of {', '.join(f'`{choice}`' for choice in choices)}"
    elif "RFC3339" in text:
        text += "; write it as 2024-08-19"
    return f"{text}, at `{where}`" if where else text


def _walk(steps: Sequence[str]) -> tuple[type[msgspec.Struct] | None, str]:
    """The table that a path leads to, and the last key on the way."""
    section: type[msgspec.Struct] = Config
    name = ""
    for step in steps:
        if step.startswith("["):
            continue
        name = step
        field = next((f for f in msgspec.structs.fields(section) if f.encode_name == step), None)
        kind: Any = getattr(field, "type", None)
        inner = next((part for part in (kind, *get_args(kind)) if isinstance(part, type)), None)
        if inner is not None and issubclass(inner, msgspec.Struct):
            section = inner
        else:
            break
    return section, name


ASSET_CLASSES: Final[tuple[str, ...]] = tuple(name for name in get_args(AssetClass) if name != "guard")
"""The classes an operator may give an asset."""
