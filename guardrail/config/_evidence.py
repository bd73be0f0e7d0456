"""Tables about what is recorded, shared, and about who may overrule: trail, centre, decision log, review."""

from __future__ import annotations

from typing import Literal

from guardrail.config._section import Section


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
        origin: name of this ledger in its checkpoints: no blanks, no `+`; or `${ENV_NAME}`.
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


class CentralConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[central]`: a database that guards with trails of their own have in common.

    Args:
        store: the database, `postgresql://host/database` or `service=name`, without a password, or all of it as
            `${ENV_NAME}`; empty means that this guard has nothing in common with others.
        poll_seconds: how often it is asked for news, in seconds; notifications tell of them at once, unless one is
            lost.
        timeout_seconds: longest wait for an answer, in seconds; then it counts as cut off.
        escalations: whether escalations of this guard can be seen and answered by way of it, if its trail is in files,
            and people who ask this guard see those of others.
        inventory_by: each a `[[person]]` whose signed inventories are taken up, beside the assets that are declared
            here; empty takes none.
        bundle_by: each a `[[person]]` who says which bundle of `policy.bundle` is to be served; empty serves what is
            there.
    """

    store: str = ""
    poll_seconds: float = 5.0
    timeout_seconds: float = 2.0
    escalations: bool = False
    inventory_by: tuple[str, ...] = ()
    bundle_by: tuple[str, ...] = ()


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
        private: whether it may lie at a loopback or private address; never at one where a cloud answers its machines.
    """

    name: str
    url: str
    secret: str
    format: Literal["cloudevents", "slack"] = "cloudevents"
    link: str = ""
    private: bool = False


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
