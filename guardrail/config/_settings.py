"""The tables of guardrail.toml: every setting, its type, its unit and its default.

Not concerned with how a file is read (`_reading`), nor with values that are of the right type and cannot be meant
(`_problems`).
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec

from guardrail.model import AssetClass
from guardrail.toolspec import ToolSpec

Weakens = Literal["false", "true", "up", "down", "wider", "narrower", "people", "removed", "any", "ask", "none"]
"""The change that makes a control weaker: switched off or on, a larger or smaller amount, more or fewer members, its
removal, any change. Of `ask` nobody can tell but a person, and `none` says that the key is no control."""

WEAKENS: Final[tuple[Weakens, ...]] = get_args(Weakens)
"""The words for it."""

Maturity = Literal["observe", "escalate", "deny"]
"""How far a rule is rolled out: the most that it may ask for, `observe` being nothing at all."""

PROTECTED: Final = ("guard.", "guardrail.", "review.")
"""Families of rules that always hold: the guard's own files, what is not understood, faults, and what people gave."""

SET_BY_LOAD: Final = ("base", "source", "asset_files")
"""Fields of a `Config` that no file may set."""


def is_protected(rule: str) -> bool:
    """Whether this rule can be neither observed nor softened, in whatever mode.

    Args:
        rule: id of the rule.
    """
    return rule.startswith(PROTECTED)


def dotted(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with dots, however they were written: TOML reads `a.b = true` as a table in a table.

    Args:
        table: keys and values, some of which may be tables again.
        prefix: what stands before each key.

    Returns:
        Dotted keys, with values that are no tables.
    """
    for key, value in table.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            yield f"{prefix}{key}", value


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table that refuses unknown keys."""


class RecordConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class AssetConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"asset_class": "class"}):
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


class AgentConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[agent]]`: who operates which agents; several tables that fit one agent add up.

    Args:
        id: glob on ids of agents.
        operator: the person who runs them, by the name that is signed with.
    """

    id: str
    operator: str


class InventoryConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[assets]`: assets that are declared beside guardrail.toml.

    Args:
        files: files of further assets, `*` allowed in the last name: TOML with `[[asset]]` tables, or JSON lines with
            one asset a line, which is read ten times as fast; relative to guardrail.toml, as all paths in them are.
    """

    files: tuple[str, ...] = ()


class PersonConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class BundleKeyConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class PolicyConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"keys": "key"}):
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


class MandateConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class ObligationConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[obligations]`: where what has to be gone is looked for, and who is asked about addresses.

    Args:
        roots: directories that are swept, with all below them, besides those that the asset lies in, those of
            `[zones]` and the stores of Hugging Face, Ollama, PyTorch and LM Studio; such as `/tmp` and `/dev/shm`.
        compare_bytes: most bytes that one sweep reads for comparing contents; beyond it nothing is proven.
        s3_url: address of an object store that speaks S3, for assets at `s3://`; empty means that they cannot be seen;
            credentials are AWS's own environment variables.
        s3_region: its region.
        mlflow_url: address of an MLflow server, for assets at `mlflow:NAME/VERSION`; credentials are MLflow's own
            environment variables.
        attend_seconds: how often a guard looks by itself, in a thread, at what is due and at people's words, as long as
            anything is owed; 0 means never, and then `Guard.attend` has to be called.
    """

    roots: tuple[str, ...] = ()
    compare_bytes: int = 1024 * 1024 * 1024 * 1024
    s3_url: str = ""
    s3_region: str = "us-east-1"
    mlflow_url: str = ""
    attend_seconds: float = 10.0


class HistoryConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class WitnessConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[trail.witness]]`: somebody else who cosigns what the trail has signed.

    Args:
        url: address of the witness, to which `/add-checkpoint` is added.
        key: its verifier key, `name+hash+base64`, of the type that cosigns with a time.
    """

    url: str
    key: str


Disclosed = Literal["args", "output", "error", "reasoning"]
"""What of a call may be kept beside the trail: its arguments, what it returned, what it raised, and what the agent said
before it."""


class TrailConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"witnesses": "witness"}):
    """`[trail]`: the audit ledger.

    Args:
        directory: where it is kept; empty means a directory of this config's own under `$XDG_STATE_HOME/guardrail`.
        store: database that replicas write together, `postgresql://host/database` or `service=name`, without a
            password, or all of it as `${ENV_NAME}`; `directory` is then what one replica keeps for itself.
        key: for `store`: file with the private key of the ledger, the same for all replicas; `trail.key` in
            `directory` by default.
        origin: name of this ledger in its checkpoints: no blanks, no `+`.
        segment_bytes: size of one segment file, in bytes.
        checkpoint_seconds: longest time between two signed checkpoints while records arrive, in seconds.
        timeout_seconds: longest wait for a durable write before the call is denied, in seconds.
        documents: record what policy saw with each decision, so that `guardrail policy diff` can make it again.
        disclose: what of a call is kept beside the trail, readable and redactable, while its record only commits to it:
            `args`, `output`, `error`, `reasoning`; empty keeps nothing but digests.
        keep_days: records younger than this are never pruned, whoever orders it, in days.
        checkpoint_file: a second file for every signed checkpoint, best on another host's disk; empty means none.
        witnesses: who cosigns the checkpoints.
    """

    directory: str = ""
    store: str = ""
    key: str = ""
    origin: str = "guardrail.local/trail"
    segment_bytes: int = 64 * 1024 * 1024
    checkpoint_seconds: float = 1.0
    timeout_seconds: float = 2.0
    documents: bool = True
    disclose: tuple[Disclosed, ...] = ()
    keep_days: int = 190
    checkpoint_file: str = ""
    witnesses: tuple[WitnessConfig, ...] = ()


class GroupConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[review.groups.NAME]`: people of whom some have to approve what certain rules hold.

    Args:
        members: their names, each a `[[person]]`.
        n: how many of them.
        rules: globs on ids of the rules that they decide on.
    """

    members: tuple[str, ...]
    n: int = 1
    rules: tuple[str, ...] = ("*",)


class OidcConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[review.oidc]`: an identity provider whose ID tokens sign votes.

    Args:
        issuer: its name, as `iss` has it.
        audience: the client that people sign in to, as `aud` has it.
        jwks: file with its keys, as its `jwks_uri` gives them.
        name: which claim is the name of a person: `email`, verified, or `sub`.
        amr: means of signing in, of which one is needed for what is critical.
    """

    issuer: str
    audience: str
    jwks: str
    name: Literal["email", "sub"] = "email"
    amr: tuple[str, ...] = ("hwk", "pop", "sc", "fido")


class WebhookConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[review.webhook]]`: an address that the service tells of escalations.

    Args:
        name: what it is called in records.
        url: address, `https://host/path`.
        secret: what messages are signed with, `whsec_` and base64, best given as `${ENV_NAME}`.
        format: `cloudevents`, or `slack` for an incoming webhook of Slack.
        link: address where people read more, with `{id}` for the escalation's id.
    """

    name: str
    url: str
    secret: str
    format: Literal["cloudevents", "slack"] = "cloudevents"
    link: str = ""


class ReviewConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"webhooks": "webhook"}):
    """`[review]`: escalations and the leave that people give.

    Args:
        store: SQLite file where adapters remember their turns; empty means a file beside the trail's directory.
        grant_seconds: how long an approval may wait for its call, in seconds (at most four hours).
        escalation_seconds: how long a question may wait for people, in seconds; after that it counts as denied.
        sticky_seconds: how long a rejection holds for the same deed of the same agent, in seconds; 0 asks again at
            once.
        accept_unsigned: whether an answer counts that nobody signed, such as that of a resumed LangGraph thread; never
            for what is critical where there are `[[person]]` tables, and never where a group has to decide.
        critical: globs on ids of rules that are critical, besides those that are about weights leaving or being lost.
        distinct: whether one person counts for one group only.
        groups: `[review.groups.NAME]`: people who have to approve.
        webhooks: the `[[review.webhook]]` tables.
        oidc: `[review.oidc]`: an identity provider whose ID tokens sign votes as well.
    """

    store: str = ""
    grant_seconds: int = 900
    escalation_seconds: int = 24 * 3600
    sticky_seconds: int = 900
    accept_unsigned: bool = True
    critical: tuple[str, ...] = ()
    distinct: bool = True
    groups: dict[str, GroupConfig] = {}
    webhooks: tuple[WebhookConfig, ...] = ()
    oidc: OidcConfig | None = None


class DecisionLogConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class LimitConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class ServiceConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[service]`: the sidecar.

    Args:
        host: address to listen on, for TCP.
        port: port to listen on, for TCP.
        socket: path of a Unix socket to listen on instead of TCP.
        token: bearer token that clients must send, best given as `${ENV_NAME}`; required on TCP.
        reviewer_token: bearer token of those who review, another than `token`, best given as `${ENV_NAME}`; without it
            nobody reviews over HTTP.
        review_socket: path of a Unix socket for those who review alone; where there is one, they are answered nowhere
            else.
        review_host: address to listen on for those who review alone, for TCP, instead of `review_socket`.
        review_port: port to listen on at `review_host`.
        metrics_token: bearer token of whoever may read `/metrics` and nothing else, best given as `${ENV_NAME}`;
            `token` opens it as well.
        body_bytes: largest request body, in bytes.
        concurrency: most requests judged at one time; further ones get 503.
        shutdown_seconds: how long requests that are being judged may take to finish when the service is told to stop,
            in seconds.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    socket: str = ""
    token: str = ""
    reviewer_token: str = ""
    review_socket: str = ""
    review_host: str = ""
    review_port: int = 8766
    metrics_token: str = ""
    body_bytes: int = 256 * 1024
    concurrency: int = 64
    shutdown_seconds: float = 10.0


class ExecuteConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[execute]`: bounds on tools that the guard starts itself (`guardrail run`, `POST /v1/execute`).

    Args:
        environment: names of variables that a tool is given from the guard's own environment; all others it has to be
            sent with the call, where they are judged.
        seconds: how long a tool may run, in seconds.
        grace_seconds: how long it has to end by itself after that, in seconds, before it is killed.
        output_bytes: most that is passed on of each of its two outputs, in bytes; the rest is read and dropped.
        over_http: whether the service carries calls out (`POST /v1/execute`), as its own user.
        concurrency: most tools that the service runs at one time; further ones get 503.
        confine: how much the kernel holds a tool to what it was judged to do: `off`, `floor`, `default` or `strict`.
        confine_required: whether a tool is not started where this kernel cannot hold it as asked; otherwise it is held
            as far as can be, and its record says what is lacking.
        confine_read: directories that a confined tool may read and run programs of, besides its own directory.
        confine_write: directories that it may change, besides its own directory.
        confine_connect: TCP ports that it may connect to.
    """

    environment: tuple[str, ...] = (
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "TMPDIR",
    )  # fmt: skip
    seconds: float = 600.0
    grace_seconds: float = 2.0
    output_bytes: int = 1024 * 1024
    over_http: bool = False
    concurrency: int = 16
    confine: Literal["off", "floor", "default", "strict"] = "off"
    confine_required: bool = True
    confine_read: tuple[str, ...] = ("/usr", "/etc", "/proc")
    confine_write: tuple[str, ...] = ()
    confine_connect: tuple[int, ...] = ()


class HookConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[hooks]`: what harnesses that ask before each call are told.

    Args:
        ask: harnesses at which the person who sits there may decide what waits for a person: `claude-code` or
            `gemini-cli`; everywhere else such a call is denied until somebody has approved it.
        deadline_seconds: longest time for one answer, in seconds; then it is a denial. Harnesses let the call run when
            their own time is over, so this has to be well below it.
        idle_seconds: how long a guard that a hook has started stays without being asked, in seconds.
    """

    ask: tuple[Literal["claude-code", "gemini-cli"], ...] = ()
    deadline_seconds: float = 10.0
    idle_seconds: float = 900.0


class ConsoleConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[console]`: pages on which people look and answer, who sign in to the provider of `[review.oidc]`.

    Args:
        url: how a browser reaches the service, `https://guardrail.example.com`; `URL/console/callback` is what the
            provider has to send people back to. Plain `http` only for a loopback address.
        authorization: address of the provider that a browser signs in at, its `authorization_endpoint`.
        tokens: address of the provider where a code becomes a token, its `token_endpoint`.
        client_secret: what the service shows there, best given as `${ENV_NAME}`; empty for a public client, which is
            known by its code verifier alone.
        scopes: what is asked for besides `openid`.
        viewers: who may look, as their names stand in the token; `*` is everybody who can sign in.
        approvers: who may answer too, as far as the rules of `[review]` let them.
        admins: who may cancel an escalation and take back a grant as well.
        session_seconds: how long a sign-in is good for, in seconds.
    """

    url: str
    authorization: str
    tokens: str
    client_secret: str = ""
    scopes: tuple[str, ...] = ("email",)
    viewers: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()
    session_seconds: int = 8 * 3600


class Config(
    Section,
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
        console: `[console]`: pages for people; without it there are none.
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
    obligations: ObligationConfig = ObligationConfig()
    history: HistoryConfig = HistoryConfig()
    trail: TrailConfig = TrailConfig()
    review: ReviewConfig = ReviewConfig()
    decision_log: DecisionLogConfig = DecisionLogConfig()
    limits: LimitConfig = LimitConfig()
    service: ServiceConfig = ServiceConfig()
    execute: ExecuteConfig = ExecuteConfig()
    hooks: HookConfig = HookConfig()
    console: ConsoleConfig | None = None
    mode: Literal["enforce", "observe"] = "enforce"
    unsafe_fail_open: bool = False
    base: str = ""
    source: str = ""
    asset_files: tuple[str, ...] = ()
    inventory: InventoryConfig = InventoryConfig()

    def path(self, text: str) -> Path:
        """A path of this configuration: `~` expanded, relative ones taken from the file's own directory.

        Args:
            text: the path as it was written.
        """
        return Path(self.base or os.getcwd(), os.path.expanduser(text))
