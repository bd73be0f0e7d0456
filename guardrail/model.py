"""The frozen records that pass between the stages of the flow.

Not concerned with how any of them is worked out: no I/O, no framework, no policy.
Field names are the field's standard terms; `docs/design.md` has the table.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec
import orjson

from guardrail.canonical import canonical, check_depth, check_names
from guardrail.errors import InvalidCall
from guardrail.printing import printable

MAX_CALL_BYTES: Final = 256 * 1024
"""Largest ToolCall accepted, in bytes of JSON. Above it the call is a fault, hence a denial."""

MAX_CALL_DEPTH: Final = 64
"""Deepest nesting of arrays and objects in a ToolCall."""

MAX_DELEGATION: Final = 16
"""Longest chain of delegation of a subject, in names."""

MAX_NAME_CHARS: Final = 512
"""Longest id, tool, session, subject id or model name, in characters."""


@functools.total_ordering
class Outcome(enum.Enum):
    """ALLOW < ESCALATE < DENY; outcomes combine by `max`, and only ALLOW is true."""

    ALLOW = "allow"
    ESCALATE = "escalate"
    DENY = "deny"

    def __lt__(self, other: Outcome) -> bool:
        return _SEVERITY[self] < _SEVERITY[other]

    def __bool__(self) -> bool:
        # INVARIANT: the only truthy outcome is ALLOW, so `if outcome:` can never release anything else.
        return self is Outcome.ALLOW


_SEVERITY: Final = {Outcome.ALLOW: 0, Outcome.ESCALATE: 1, Outcome.DENY: 2}

Op = Literal[
    "read", "list", "create", "write", "append", "truncate", "delete", "rename", "copy", "link",
    "set_times", "set_security", "mount",
    "exec", "exec_opaque", "env", "remote_exec",
    "net_send", "net_recv",
    "signal", "service", "schedule",
    "api_delete", "api_copy", "api_visibility",
    "set_key", "record_score",
    "mention",
]  # fmt: skip
"""What an effect does. `mention` is an operand naming a thing, of which we cannot say what is done to it."""

Kind = Literal["file", "dir", "net", "process", "service", "account", "object", "env", "code", "any"]
"""What sort of thing. `account` is a user, role or token; `object` is something behind an API, such as a bucket's."""
Modality = Literal["must", "may"]
Precision = Literal["exact", "pattern", "opaque"]
AssetClass = Literal["weights", "checkpoint", "adapter", "control", "evaluation", "criteria", "registry", "guard"]
"""`guard` is reserved: the guard registers its own config, keys, mandates and trail under it."""


class Subject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """The agent, its model, and on whose behalf it acts.

    Args:
        id: name of the agent; what a mandate's `subject` is matched against.
        model: model behind the agent, `vendor/name`.
        principal: the person or service the agent acts for.
        delegation: who handed the work on to it, from the first to the last; none of them approves what it does.
    """

    id: str = "unknown"
    model: str | None = None
    principal: str | None = None
    delegation: tuple[str, ...] = ()


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the agent sent: one tool and its arguments.

    Args:
        tool: the tool's name, as the agent knows it.
        args: the tool's arguments.
        id: the caller's own id for this call; returned in the Decision.
        cwd: absolute working directory; relative paths are unknown without it.
        subject: who asks.
        session: name of the conversation or run; history is kept for it.
        reasoning: what the agent said before it: evidence, kept where `trail.disclose` says so, and never judged.
    """

    tool: str
    args: dict[str, Any] = {}
    id: str = ""
    cwd: str | None = None
    subject: Subject = Subject()
    session: str = "default"
    reasoning: str = ""

    @classmethod
    def from_json(cls, text: bytes | str) -> ToolCall:
        """Read one ToolCall, strictly.

        Args:
            text: one JSON object, at most `MAX_CALL_BYTES` bytes.

        Returns:
            The call.

        Raises:
            InvalidCall: if it is too large, not JSON, nested too deep, or has a missing, unknown or ill-typed field.
        """
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        if len(data) > MAX_CALL_BYTES:
            raise InvalidCall(f"not a tool call: it has more than {MAX_CALL_BYTES} bytes")
        if not data.strip():
            raise InvalidCall("not a tool call: the line is empty")
        check_depth(data, MAX_CALL_DEPTH)
        check_names(data)
        try:
            call = _decoder.decode(data)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidCall(f"not a tool call: {_lower(error)}") from None
        call.validate()
        return call

    @classmethod
    def from_mapping(cls, value: Mapping[str, Any]) -> ToolCall:
        """Read one ToolCall from plain Python values, with the same checks as `from_json`.

        Raises:
            InvalidCall: as `from_json`, also for a value that JSON cannot carry.
        """
        try:
            return cls.from_json(orjson.dumps(value))
        except (orjson.JSONEncodeError, RecursionError) as error:
            raise InvalidCall(f"not a tool call: {_lower(error)}") from None

    def validate(self) -> None:
        """Check what the types cannot say.

        Raises:
            InvalidCall: if a name is empty, too long or has a NUL, or `cwd` is not absolute.
        """
        if not self.tool:
            raise InvalidCall("not a tool call: `tool` is empty")
        if len(self.subject.delegation) > MAX_DELEGATION:
            raise InvalidCall(f"not a tool call: `delegation` has more than {MAX_DELEGATION} names")
        names = (self.tool, self.id, self.session, self.subject.id, self.subject.model or "", *self.subject.delegation)
        for name in names:
            if len(name) > MAX_NAME_CHARS:
                raise InvalidCall(f"not a tool call: a name is longer than {MAX_NAME_CHARS} characters")
        if self.cwd is not None and (not self.cwd.startswith("/") or "\0" in self.cwd):
            raise InvalidCall(f"not a tool call: `cwd` must be an absolute path, not `{printable(self.cwd)}`")

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides what would run; an approval is bound to it.

        The caller's `id` is left out: the same action asked twice is the same action.
        """
        text = canonical(
            {
                "tool": self.tool,
                "args": self.args,
                "cwd": self.cwd,
                "subject": msgspec.to_builtins(self.subject),
                "session": self.session,
            }
        )
        return "sha256:" + hashlib.sha256(text).hexdigest()


class Edit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """New content for a file, where the call says it: what turns a write into key changes.

    Args:
        kind: `whole` replaces the file by `text`; `append` adds `text`; `replace` puts `text` for `old`.
        text: the new text.
        old: for `replace`, the text that must be there.
        all: for `replace`, every occurrence and not only the first.
    """

    kind: Literal["whole", "append", "replace"]
    text: str
    old: str = ""
    all: bool = False


ANY_DEPTH: Final = "[/]"
"""In a pattern, right before its last name: at any depth below the directory before it, where it was listed."""


class Resource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The canonical address of a thing.

    Args:
        kind: what sort of thing; `any` when even that is unknown.
        path: absolute path as asked for, before symbolic links; a trailing slash is kept.
        uri: for what is not a local file, such as `ssh://host/path`.
        pattern: instead of `path`, a glob with `*` for every unknown part; `*` alone can be anything.
        recursive: what lies below is meant too.
        nofollow: the operation acts on a symbolic link itself (unlink, rename, lstat).
        real: the path on the live filesystem, symbolic links resolved; filled in by `assets`.
        dev: device number, filled in by `assets`.
        ino: inode number, filled in by `assets`.
        asset: id of the asset this is, or is part of, or contains; filled in by `assets`.
    """

    kind: Kind
    path: str | None = None
    uri: str | None = None
    pattern: str | None = None
    recursive: bool = False
    nofollow: bool = False
    real: str | None = None
    dev: int | None = None
    ino: int | None = None
    asset: str | None = None

    @property
    def address(self) -> str:
        """The one printable name of this resource."""
        return printable(self.path or self.uri or self.pattern or self.kind)


class Origin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where in the call an effect comes from.

    Args:
        spec: the spec that produced it, such as `cp` or `tool:write_file`.
        start: first character in the shell text, or 0.
        end: one past the last character in the shell text, or 0.
    """

    spec: str
    start: int = 0
    end: int = 0


class Effect(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One (op, resource) pair the call would bring about.

    Args:
        op: what is done.
        resource: to what.
        target: for rename, copy and link the new name; for net_send the other side.
        attrs: facts for rules: plain JSON values, no nested objects except for `set_key`.
        modality: `must` if the call does it when it succeeds, `may` if it could.
        precision: `exact`, `pattern` (the resource is a set), or `opaque` (we cannot see what is done).
        origin: what produced this effect.
        flow: how data got here, such as `("pipe",)` or `("redirect",)`; `("text",)` if the call says what it is.
        edit: new content, where known, of the target where there is one; consumed by `assets`, never serialised into a
            decision.
    """

    op: Op
    resource: Resource
    target: Resource | None = None
    attrs: dict[str, Any] = {}
    modality: Modality = "must"
    precision: Precision = "exact"
    origin: Origin | None = None
    flow: tuple[str, ...] = ()
    edit: Edit | None = None

    @property
    def asset(self) -> str | None:
        """The asset this effect bears on: its resource's, else its target's."""
        return self.resource.asset or (self.target.asset if self.target else None)


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One rule that fired.

    Args:
        rule: stable id of the rule, `family.name`; `guardrail.fault` for a failure in judging.
        outcome: what that rule asks for.
        message: one sentence for operators; never sent to the agent.
        effect: index into `Decision.effects`, if the rule is about one.
        asset: id of the asset, if the rule is about one.
        asked: what the rule would have asked for, had it been rolled out; `outcome` is what counts.
    """

    rule: str
    outcome: Outcome
    message: str
    effect: int | None = None
    asset: str | None = None
    asked: Outcome | None = None


class MandateUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One grant of a mandate that a decision rests on.

    Args:
        mandate: id of the mandate.
        grant: which of its grants, from 1.
        use: the number of this use, if they are counted and the call was released.
        of: how many there may be, if they are counted and the call was released.
    """

    mandate: str
    grant: int
    use: int | None = None
    of: int | None = None


FAULT_RULE: Final = "guardrail.fault"
"""The rule id of every denial that comes from a failure in judging."""

NEUTRAL: Final[Mapping[Outcome, str]] = {
    Outcome.ALLOW: "This action is permitted.",
    Outcome.ESCALATE: "This action needs a decision by a person and was not carried out.",
    Outcome.DENY: "This action is not permitted here and was not carried out.",
}
"""What an agent may read. It names no rule and no monitor, so that behaviour cannot be fitted to either."""


class Mismatch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Two engines that were asked the same and answered otherwise.

    Args:
        wasm: the outcome of the module in this process.
        opa: the outcome of the OPA server.
        only_wasm: ids of rules that only the module's answer has, or has otherwise.
        only_opa: the same of the server's answer.
        used: whose answer counts: the stricter one, and that of `wasm` where both are as strict.
    """

    wasm: str
    opa: str
    only_wasm: tuple[str, ...]
    only_opa: tuple[str, ...]
    used: Literal["wasm", "opa"]

    def __str__(self) -> str:
        return f"wasm={self.wasm} opa={self.opa}"


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was decided about one call, and why.

    Args:
        decision_id: unique id of this decision (UUIDv7 text).
        outcome: allow, escalate or deny.
        reasons: the rules that fired, strictest first.
        effects: what the call would do, with assets resolved.
        id: the caller's id of the call.
        digest: what an approval of this call must be bound to.
        escalation: id of the escalation that the call waits on, if people can be asked.
        binding: digest over the call and the files it resolved to, where a person has to look at it.
        policy: revision of the policy that answered, with the digest of its bundle.
        engine: name of the engine that answered.
        elapsed_us: time from receipt of the call to the decision, in microseconds.
        grant: id of the grant that lifted an escalation, if one did.
        use: which use of that grant this is, from 1; 0 where nothing was used.
        mandates: the orders that an allowed call rests on.
        seq: sequence number of this decision's record in the trail, if it was recorded.
        mode: `observe` where calls run whatever the rules ask for.
        observed: what the outcome would have been with every rule rolled out, where that is stricter.
        mismatch: how two engines differed, if two were asked and did.
    """

    decision_id: str
    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    effects: tuple[Effect, ...] = ()
    id: str = ""
    digest: str = ""
    escalation: str | None = None
    binding: str = ""
    policy: str = ""
    engine: str = ""
    elapsed_us: int = 0
    grant: str | None = None
    use: int = 0
    mandates: tuple[MandateUse, ...] = ()
    seq: int | None = None
    mode: Literal["enforce", "observe"] = "enforce"
    observed: Outcome | None = None
    mismatch: Mismatch | None = None

    def __bool__(self) -> bool:
        # INVARIANT: true only for ALLOW; adapters may write `if guard.check(call):`.
        return self.outcome is Outcome.ALLOW

    @property
    def neutral(self) -> str:
        """The text that may be given back to the agent."""
        return NEUTRAL[self.outcome]

    @property
    def assets(self) -> tuple[str, ...]:
        """Ids of the assets that the call would touch, each once, in order."""
        return assets_of(self.effects)

    def to_dict(self) -> dict[str, Any]:
        """The Decision of the batch contract, as plain JSON values; `observed` is only there if it says something."""
        out: dict[str, Any] = {
            "id": printable(self.id),
            "decision_id": self.decision_id,
            "outcome": self.outcome.value,
            "reasons": [_reason_dict(reason) for reason in self.reasons],
            "effects": [effect_dict(effect) for effect in self.effects],
            "assets": list(self.assets),
            "digest": self.digest,
            "policy": self.policy,
            "engine": self.engine,
            "grant": self.grant,
            "mandates": [msgspec.to_builtins(use) for use in self.mandates],
            "seq": self.seq,
            "elapsed_us": self.elapsed_us,
        }
        if self.mode != "enforce":
            out["mode"] = self.mode
        if self.escalation is not None:
            out["escalation"] = self.escalation
            out["binding"] = self.binding
        if self.observed is not None:
            out["observed"] = self.observed.value
        return out

    def to_json(self) -> bytes:
        """`to_dict` as one line of JSON."""
        return orjson.dumps(self.to_dict())


def _reason_dict(reason: Reason) -> dict[str, Any]:
    out: dict[str, Any] = {"rule": reason.rule, "outcome": reason.outcome.value, "message": printable(reason.message)}
    if reason.effect is not None:
        out["effect"] = reason.effect
    if reason.asset is not None:
        out["asset"] = reason.asset
    if reason.asked is not None:
        out["asked"] = reason.asked.value
    return out


def effect_dict(effect: Effect) -> dict[str, Any]:
    """One effect of the batch contract, as plain JSON values with printable text."""
    out: dict[str, Any] = {
        "op": effect.op,
        "resource": _resource_dict(effect.resource),
        "asset": effect.asset,
        "precision": effect.precision,
        "modality": effect.modality,
    }
    if effect.target is not None:
        out["target"] = _resource_dict(effect.target)
    if effect.attrs:
        out["attrs"] = _printable_json(effect.attrs)
    if effect.flow:
        out["flow"] = list(effect.flow)
    if effect.origin is not None:
        out["origin"] = {
            "spec": printable(effect.origin.spec),
            "span": [effect.origin.start, effect.origin.end],
        }
    return out


def _resource_dict(resource: Resource) -> dict[str, Any]:
    out: dict[str, Any] = {"kind": resource.kind}
    for name in ("path", "uri", "pattern", "real", "asset"):
        value = getattr(resource, name)
        if value is not None:
            out[name] = printable(value)
    for name in ("dev", "ino"):
        number = getattr(resource, name)
        if number is not None:
            out[name] = number
    if resource.recursive:
        out["recursive"] = True
    return out


def _printable_json(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(k)): _printable_json(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_printable_json(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, int | float | bool) or value is None:
        return value
    return printable(str(value))


def assets_of(effects: Iterable[Effect]) -> tuple[str, ...]:
    """Ids of the assets that effects bear on, each once, in order."""
    found: dict[str, None] = {}
    for effect in effects:
        if effect.resource.asset is not None:
            found[effect.resource.asset] = None
        if effect.target is not None and effect.target.asset is not None:
            found[effect.target.asset] = None
    return tuple(found)


def new_id(now_ms: int | None = None) -> str:
    """A UUIDv7 (RFC 9562 section 5.7): unique, and in order of time to the millisecond.

    Args:
        now_ms: the time it is given, in milliseconds since 1970; now by default.
    """
    time_ = f"{(time.time_ns() // 1_000_000 if now_ms is None else now_ms) & 0xFFFF_FFFF_FFFF:012x}"
    # Nineteen digits at random: the version takes the place of the first, and the variant half of the fifth.
    random = os.urandom(10).hex()
    return f"{time_[:8]}-{time_[8:]}-7{random[1:4]}-{_VARIANT[random[4]]}{random[5:8]}-{random[8:]}"


_VARIANT: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""The digit that says which variant a UUID is of, and carries two random bits."""


def strictest(outcomes: Iterable[Outcome]) -> Outcome:
    """Combine outcomes.

    Returns:
        The strictest of them; DENY for none, because an empty set of conditions is never trivially true.
    """
    return max(outcomes, default=Outcome.DENY)


def _lower(error: BaseException) -> str:
    text = (str(error) or type(error).__name__).rstrip(".").replace("\n", " ")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


_decoder: Final = msgspec.json.Decoder(ToolCall)
