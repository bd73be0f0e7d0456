"""The mandate: what a person lets an agent do, and what the agent owes, for which assets and how long.

Not concerned with signatures or files.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal, get_args

import msgspec

from guardrail.canonical import canonical
from guardrail.errors import ConfigError
from guardrail.model import MAX_NAME_CHARS, Op, Subject

MAX_MANDATE_BYTES: Final = 64 * 1024
"""Largest mandate, signed or not, in bytes."""

MAX_USES: Final = 1_000_000
"""Most uses that a grant may count, in calls."""

ZONE: Final = "zone:"
"""How a target begins that names a zone of the configuration."""

TARGETED: Final = frozenset(("copy", "rename", "link", "net_send", "api_copy"))
"""Effects that go somewhere, so that a grant of them names targets; `targeted` in the policy's data."""

MAX_TEXT_CHARS: Final = 4096
"""Longest `text` of a mandate, in characters."""

QUIET_SECONDS: Final = 3600
"""How long what was deleted must have been gone before it is looked for a second time, in seconds."""

MAX_ITEMS_BYTES: Final = 16 * 1024
"""Longest list of items of one obligation, as JSON in bytes: it has to fit into a record of the trail."""

MAX_QUIET_SECONDS: Final = 90 * 24 * 3600
"""Longest such time, in seconds."""

DECIMAL: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
MANDATE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Moment = Annotated[dt.datetime, msgspec.Meta(tz=True)]
"""An RFC 3339 date and time with its offset."""


class MandateGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be done.

    Args:
        effects: operations, such as `copy`; never empty.
        assets: globs on asset ids; never empty, `*` is every asset.
        targets: where a copy, rename, link or send may go: globs, or `zone:NAME` for a zone of the configuration; empty
            covers no target at all.
        approval: a person must still approve each call.
        uses: most calls that may be released under this grant, ever; None for any number.
        registered_from: covers only assets that the inventory says were registered on that day or later.
        registered_until: covers only assets that the inventory says were registered on that day or before.
    """

    effects: tuple[Op, ...]
    assets: tuple[str, ...]
    targets: tuple[str, ...] = ()
    approval: bool = False
    uses: int | None = None
    registered_from: dt.date | None = None
    registered_until: dt.date | None = None

    @property
    def key(self) -> str:
        """What the grant reaches, in short: uses are counted under it, in whichever place of its mandate it stands."""
        reach = (self.effects, self.assets, self.targets, self.registered_from, self.registered_until)
        return hashlib.sha256(
            canonical([sorted(map(str, part)) if isinstance(part, tuple) else str(part) for part in reach])
        ).hexdigest()[:16]


class Obligation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What must be done.

    Args:
        id: name of this duty within the mandate.
        effect: what is owed: that an asset is deleted, that it is there unchanged until it is due (`retain`), that it
            is brought somewhere (`transfer`), a service that is one called, such as one that shuts down, or that every
            item of an evaluation has its score in the record that is one.
        asset: id of the asset, no glob.
        due: until when; the end of the mandate by default.
        quiet_seconds: for `delete`: how long it must have been gone before it is looked for a second time.
        fallback: for `delete`: `guardrail` lets the guard delete it itself when it is due and was not done.
        derivatives: for `delete`: further names and copies that are found are deleted too, when the guard does it.
        items: for `evaluate` and `records`: the items that need a score, by the names that the record has for them.
        count: instead of `items`: how many items need one.
        records: for `service`: id of the evaluation that decides whether it is owed; empty if it always is.
        below: for `records`: it is owed if the mean of the scores is below this number, as text such as `0.7`; for
            `evaluate`: the threshold that the record must not state otherwise.
        to: for `transfer`: the directory that it has to lie in, as an absolute path.
        source: for `transfer`: whether it is to be `gone` from where it was, or `kept` there too.
        judge: for `evaluate`: glob on who has to give the scores, as the record names the judge; empty for anybody.
    """

    id: str
    effect: Literal["delete", "retain", "transfer", "service", "evaluate"]
    asset: str
    due: Moment | None = None
    quiet_seconds: int = QUIET_SECONDS
    fallback: Literal["", "guardrail"] = ""
    derivatives: bool = False
    items: tuple[str, ...] = ()
    count: int = 0
    records: str = ""
    below: str = ""
    judge: str = ""
    to: str = ""
    source: Literal["", "gone", "kept"] = ""


class Mandate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person ordered.

    Args:
        id: unique name.
        issuer: name of the `[[person]]` who signs it; never the agent it is for.
        subject: glob on the id of the agents it is for.
        not_before: from when on it holds.
        not_after: until when it holds; that moment is no longer in it.
        v: version of this format.
        model: glob on the agent's model; None for any, also an unknown one.
        session: glob on the session; None for any.
        text: the order in words, for people.
        grants: what may be done.
        obligations: what must be done.
    """

    id: str
    issuer: str
    subject: str
    not_before: Moment
    not_after: Moment
    v: Literal[1] = 1
    model: str | None = None
    session: str | None = None
    text: str = ""
    grants: tuple[MandateGrant, ...] = ()
    obligations: tuple[Obligation, ...] = ()

    @classmethod
    def from_json(cls, data: bytes | str) -> Mandate:
        """Read a mandate, strictly.

        Raises:
            ConfigError: if anything in it is unknown, ill-typed, missing or impossible.
        """
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > MAX_MANDATE_BYTES:
            raise ConfigError(f"a mandate may have at most {MAX_MANDATE_BYTES} bytes, this one has {len(raw)}")
        try:
            mandate = _decoder.decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            told = sentence(error)
            if ".effects[" in told:
                told += f": use {', '.join(get_args(Op))}"
            raise ConfigError(f"not a mandate: {told}") from None
        mandate.validate()
        return mandate

    def validate(self) -> None:
        """Check what the types cannot say.

        Raises:
            ConfigError: if a name is empty or odd, a set of conditions is empty, or the window is.
        """
        problem = next(_problems(self), None)
        if problem is not None:
            raise ConfigError(f"not a mandate: {problem}")

    def to_json(self) -> bytes:
        """Canonical JSON: what is signed."""
        return canonical(msgspec.to_builtins(self))

    def why_not(self, subject: Subject, session: str, now_us: int) -> str | None:
        """Why this mandate does not count for a call, or None if it does.

        Args:
            subject: who asks.
            session: in which session.
            now_us: the time, in microseconds since 1970.
        """
        if self.issuer == subject.id:
            # INVARIANT: nobody gives a mandate to themselves, whatever the glob says.
            return f"`{self.issuer}` issued it and cannot use it"
        if not fnmatchcase(subject.id, self.subject):
            return f"it is for `{self.subject}`, not `{subject.id}`"
        if self.model is not None and (subject.model is None or not fnmatchcase(subject.model, self.model)):
            return f"it is for the model `{self.model}`, not `{subject.model or 'unknown'}`"
        if self.session is not None and not fnmatchcase(session, self.session):
            return f"it is for the session `{self.session}`, not `{session}`"
        return self.why_not_now(now_us)

    def unknown_assets(self, ids: Collection[str]) -> tuple[str, ...]:
        """What it names as an asset although no asset is called that, each once; a slip there grants nothing, silently.

        Args:
            ids: the assets that exist.
        """
        globs = dict.fromkeys(glob for grant in self.grants for glob in grant.assets)
        owed = dict.fromkeys(duty.asset for duty in self.obligations if duty.asset not in globs)
        missed = (glob for glob in globs if not any(map(_glob(glob).fullmatch, ids)))
        return (*missed, *(asset for asset in owed if asset not in ids))

    def unknown_zones(self, names: Collection[str]) -> tuple[str, ...]:
        """What it names as a zone although no zone is called that, each once; a slip there grants nothing, silently.

        Args:
            names: the zones that exist.
        """
        targets = dict.fromkeys(target for grant in self.grants for target in grant.targets)
        zones = (target.removeprefix(ZONE) for target in targets if target.startswith(ZONE))
        return tuple(zone for zone in zones if zone not in names)

    def without_target(self) -> tuple[str, ...]:
        """Effects that go somewhere, in grants that name no target; such a grant covers none of them, silently."""
        effects = (effect for grant in self.grants if not grant.targets for effect in grant.effects)
        return tuple(dict.fromkeys(effect for effect in effects if effect in TARGETED))

    def why_not_now(self, now_us: int) -> str | None:
        """Why this mandate does not hold at a time, or None if it does."""
        if now_us < microseconds(self.not_before):
            return f"it is not valid before {self.not_before.isoformat()}"
        if now_us >= microseconds(self.not_after):
            return f"it expired at {self.not_after.isoformat()}"
        return None


def sentence(error: Exception) -> str:
    """What a decoder says, as the second half of a sentence: `JSON is malformed` keeps its capitals."""
    text = str(error) or type(error).__name__
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _glob(text: str) -> re.Pattern[str]:
    """A glob as policy reads it: `*` stays within a part, `**` does not. What else a glob may hold fits anything."""
    if any(char in text for char in "[]{}\\"):
        return re.compile(".*", re.DOTALL)
    wild = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*|\*|\?)", text)
    return re.compile("".join(wild.get(part) or re.escape(part) for part in parts), re.DOTALL)


def reaches(target: str, place: str) -> bool:
    """Whether a place is one that a target of a grant names, as policy reads globs: `*` stays within a part.

    Args:
        target: the glob.
        place: a path or an address.
    """
    if any(char in target for char in "[]{}\\"):
        return "**" not in target and target.count("/") == place.count("/") and fnmatchcase(place, target)
    return _glob(target).fullmatch(place) is not None


def microseconds(moment: dt.datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def _problems(mandate: Mandate) -> Iterator[str]:
    yield from _name_problems(mandate)
    if mandate.not_after <= mandate.not_before:
        yield "`not_after` must be later than `not_before`"
    # An empty set of conditions is invalid, never trivially true: an order that says nothing was meant to say more.
    if not mandate.grants and not mandate.obligations:
        yield "it grants nothing and obliges to nothing"
    for grant in mandate.grants:
        if not grant.effects or not grant.assets or not all((*grant.assets, *grant.targets)):
            yield "a grant needs at least one of `effects`, one of `assets`, and no empty glob"
        if grant.uses is not None and not 1 <= grant.uses <= MAX_USES:
            yield f"the `uses` of a grant must be 1 to {MAX_USES}; leave it out for any number"
        first, last = grant.registered_from, grant.registered_until
        if first is not None and last is not None and last < first:
            yield "`registered_until` must not be before `registered_from`"
    counted = [grant.key for grant in mandate.grants if grant.uses is not None]
    if len(set(counted)) < len(counted):
        yield "two grants with `uses` reach the same: make them one"
    for duty in mandate.obligations:
        if not MANDATE_ID.fullmatch(duty.id) or not duty.asset or any(char in duty.asset for char in "*?["):
            yield f"the obligation `{duty.id}` needs a plain `id` and the id of one asset"
        yield from _duty_problems(mandate, duty)
    ids = [duty.id for duty in mandate.obligations]
    if len(set(ids)) < len(ids):
        yield "two obligations have the same `id`"


def _duty_problems(mandate: Mandate, duty: Obligation) -> Iterator[str]:
    name = f"the obligation `{duty.id}`"
    if max(len(duty.asset), len(duty.records)) > MAX_NAME_CHARS:
        yield f"{name} names an asset with more than {MAX_NAME_CHARS} characters"
    if duty.due is not None and duty.due <= mandate.not_before:
        yield f"{name} is due before its order begins"
    if not 0 <= duty.quiet_seconds <= MAX_QUIET_SECONDS:
        yield f"{name} has `quiet_seconds` that are not 0 to {MAX_QUIET_SECONDS}"
    if duty.effect != "delete" and (duty.fallback or duty.derivatives):
        yield f"{name} has `fallback` or `derivatives`, which belong to `delete`"
    if duty.effect == "transfer":
        if not duty.to.startswith("/") or any(char in duty.to for char in "*?[") or "/../" in f"{duty.to}/":
            yield f"{name} needs the absolute path of a directory in `to`"
        if not duty.source:
            yield f"{name} has to say whether its `source` is to be `gone` or `kept`"
    elif duty.to or duty.source:
        yield f"{name} has `to` or `source`, which belong to `transfer`"
    yield from _evaluation_problems(duty, name)


def _evaluation_problems(duty: Obligation, name: str) -> Iterator[str]:
    if duty.effect == "evaluate" or duty.records:
        if bool(duty.items) == bool(duty.count) or duty.count < 0 or not all(duty.items):
            yield f"{name} needs either `items` or a `count` of 1 or more: over what a mean is taken"
        if len(set(duty.items)) < len(duty.items):
            yield f"{name} names an item twice"
        if len(canonical(duty.items)) > MAX_ITEMS_BYTES:
            yield f"{name} names items in more than {MAX_ITEMS_BYTES} bytes: give their `count`"
    elif duty.items or duty.count:
        yield f"{name} has `items` or `count`, which belong to `evaluate` or `records`"
    if duty.judge and duty.effect != "evaluate":
        yield f"{name} has a `judge`, which belongs to `evaluate`"
    if duty.records and (duty.effect != "service" or not duty.below):
        yield f"{name} has `records`, which belongs to `service` and needs `below`"
    if duty.below and (not DECIMAL.fullmatch(duty.below) or (duty.effect != "evaluate" and not duty.records)):
        yield f"{name} has a `below` that is no number such as `0.7`, or nothing that it is about"


def _name_problems(mandate: Mandate) -> Iterator[str]:
    if not MANDATE_ID.fullmatch(mandate.id):
        yield f"`id` must have up to 128 of the characters A-Z a-z 0-9 _ . : @ -, not `{mandate.id}`"
    for name in ("issuer", "subject", "model", "session"):
        value = getattr(mandate, name)
        if value is not None and (not value or len(value) > MAX_NAME_CHARS):
            yield f"`{name}` must have 1 to {MAX_NAME_CHARS} characters"
    if mandate.issuer == mandate.subject:
        yield f"`{mandate.issuer}` cannot issue a mandate to itself"
    if len(mandate.text) > MAX_TEXT_CHARS:
        yield f"`text` may have at most {MAX_TEXT_CHARS} characters"


_decoder: Final = msgspec.json.Decoder(Mandate)
