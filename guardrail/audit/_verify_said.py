"""What people said, as a trail has it: signatures of votes, grants that follow from votes, uses that grants allow.

Not concerned with who may vote where nothing was recorded about that (old trails), nor with what came of a use.
INVARIANT: nothing here is imported from the writer.
Blind spot: of a sign-in the trail keeps the claims and not the token, so that a vote by ID token is compared with what
was said, and its proof is the word of whoever wrote the trail.
Source of envelopes: DSSE, protocol v1.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

Tell = Callable[..., None]
"""Takes what is wrong, and `file`, `offset` and `seq` by name."""

KINDS: Final = frozenset({"escalation", "vote", "grant", "redemption"})
"""Kinds of records that this is about."""

VOTE_TYPE: Final = "application/vnd.guardrail.vote.v1+json"
"""DSSE payload type of everything that people sign about escalations."""

Said = tuple[int, int, dict[str, Any]]
"""One record: its number, its offset, and what is needed of it."""


@dataclasses.dataclass(slots=True)
class _Case:
    """What is known of one escalation."""

    subject: str
    digest: str
    quorum: dict[str, Any]
    glass: bool
    votes: list[dict[str, Any]] = dataclasses.field(default_factory=list[dict[str, Any]])


@dataclasses.dataclass(slots=True)
class _Grant:
    """What is known of one grant."""

    most: int
    expires_us: int
    taken: set[int] = dataclasses.field(default_factory=set[int])
    withdrawn: bool = False


def needed(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what only people read, so that it is cheap to pass on."""
    held = record.get("held")
    if isinstance(held, dict):
        names = ("binding", "digest", "quorum", "glass")
        return {**record, "held": {name: held[name] for name in names if name in held}}
    return record


class People:
    """Checks what people said, record by record in the order of the trail.

    Args:
        keys: names and public keys, former ones too; without any, signatures are counted and not checked.
        tell: takes problems.
    """

    def __init__(self, keys: Iterable[tuple[str, bytes]], tell: Tell) -> None:
        self._keys = {(name, _key_id(key)): key for name, key in keys}
        self._tell = tell
        self._cases: dict[str, _Case] = {}
        self._grants: dict[str, _Grant] = {}
        self.signed = 0
        """Statements whose signature was verified."""
        self.unchecked = 0
        """Statements that bear a signature, while no key is known to check it with."""
        self.signed_in = 0
        """Votes by people who signed in: an identity provider's word, which the trail does not keep."""
        self.unsigned = 0
        """Votes that nobody signed."""

    def take(self, records: Sequence[Said], file: str, *, whole: bool) -> None:
        """Records in their order.

        Args:
            records: what is needed of them.
            file: where they lie.
            whole: every record before them could be read, so that what is missing was never there.
        """
        for seq, offset, record in records:
            try:
                wrong = self._wrong(record, whole=whole)
            except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
                wrong = "the record is not one that review writes"
            if wrong:
                self._tell(wrong, file=file, offset=offset, seq=seq)

    def _wrong(self, record: dict[str, Any], *, whole: bool) -> str:
        event = record.get("event")
        if event is None:
            return ""  # not written by review, which does not fold it either
        name = record["escalation"]
        case = self._cases.get(name)
        match event:
            case "opened":
                held = record["held"]
                subject = held.get("binding") or held["digest"]
                self._cases[name] = _Case(subject, held["digest"], held.get("quorum", {}), bool(held.get("glass")))
                return "" if case is None else f"the escalation `{name}` is opened a second time"
            case "voted":
                wrong = self._vote(name, case, vote := record["vote"])
                if case is not None and vote.get("counts", True):
                    if any(old["voter"].lower() == vote["voter"].lower() for old in case.votes):
                        wrong = wrong or f"a second vote of `{vote['voter']}` on `{name}` counts"
                    case.votes.append({"voter": vote["voter"], "verdict": vote["verdict"]})
                return wrong or ("" if case or not whole else f"a vote on `{name}`, which was never opened")
            case "issued":
                return self._issued(case, record["grant"], whole=whole)
            case "withdrawn" | "closed" | "reviewed":
                return self._ended(record, name)
            case "reserved" | "returned":
                return self._used(record, event, whole=whole)
            case _:
                return ""

    # ── signatures ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _vote(self, name: str, case: _Case | None, vote: dict[str, Any]) -> str:
        voter, proof, envelope = vote["voter"], vote.get("proof", ""), vote.get("envelope", "")
        if not proof:
            self.unsigned += 1
            signs = case is not None and (case.quorum.get("signed") or case.quorum.get("groups"))
            if signs and vote["verdict"] == "approve" and vote.get("counts", True):
                return f"the vote of `{voter}` counts, and nobody signed it"
            return ""
        if proof.startswith("oidc:"):
            self.signed_in += 1
            payload: bytes = base64.b64decode(json.loads(envelope)["statement"], validate=True)
        else:
            opened, wrong = self._opened(envelope, voter, proof.removeprefix("ed25519:"))
            if opened is None:
                return wrong
            payload = opened
        said = json.loads(payload)
        if said["act"] == "break_glass":
            same = case is None or (case.glass and case.digest == "sha256:" + hashlib.sha256(payload).hexdigest())
        else:
            same = said["act"] == "vote" and (said["escalation"], said["verdict"]) == (name, vote["verdict"])
            same = same and (case is None or said["subject"] == case.subject)
        same = same and said["voter"] == voter and _scope(said) == _scope(vote)
        return "" if same else f"the vote of `{voter}` says something else than what they signed"

    def _ended(self, record: dict[str, Any], name: str) -> str:
        """Who took something back, ended it or looked at it; without an envelope it is nobody's word."""
        if record.get("event") == "withdrawn" and (grant := self._grants.get(record["grant"])) is not None:
            grant.withdrawn = True
        envelope, by = record.get("envelope", ""), record.get("by", "")
        if not envelope or "id_token" in envelope or "token_sha256" in envelope:
            return ""
        payload, wrong = self._opened(envelope, by, None)
        if payload is None:
            return wrong
        said = json.loads(payload)
        about = said.get("grant") == record.get("grant") if "grant" in record else said.get("escalation") == name
        wanted = {"withdrawn": "revoke", "closed": "cancel", "reviewed": "review"}[record["event"]]
        same = about and said["voter"] == by and said["act"] == wanted
        return "" if same else f"what `{by}` is said to have signed is something else"

    def _opened(self, envelope: str, who: str, key_id: str | None) -> tuple[bytes | None, str]:
        """The payload of an envelope that is theirs, or None and what is wrong; nothing, if that cannot be known."""
        sealed = json.loads(envelope)
        payload: bytes = base64.b64decode(sealed["payload"], validate=True)
        (signature,) = sealed["signatures"]
        if sealed["payloadType"] != VOTE_TYPE or key_id not in (None, signature["keyid"]):
            return None, f"the vote of `{who}` is not in the envelope that stands in the record"
        if not self._keys:
            self.unchecked += 1
            return payload, ""
        key = self._keys.get((who, signature["keyid"]))
        if key is None:
            how = "it is by a key that is not known to be theirs: if it once was, give it as --person"
            return None, f"the signature of `{who}` cannot be checked: {how}"
        if not _verifies(key, base64.b64decode(signature["sig"], validate=True), payload):
            return None, f"the signature of `{who}` is not theirs: somebody else has written this record"
        self.signed += 1
        return payload, ""

    # ── what follows from it ──────────────────────────────────────────────────────────────────────────────────────────

    def _issued(self, case: _Case | None, grant: dict[str, Any], *, whole: bool) -> str:
        scope = grant.get("scope")
        most = 1 if scope is None else int(scope.get("uses", 1))
        self._grants[grant["id"]] = _Grant(most, int(grant["expires_us"]))
        if case is None:
            return f"the grant `{grant['id']}` is for what was never held" if whole else ""
        if any(vote["verdict"] != "approve" for vote in case.votes):
            return f"the grant `{grant['id']}` was given although somebody had said no"
        approvers = grant.get("approvers") or [grant["approver"]]
        if not set(approvers) <= {vote["voter"] for vote in case.votes}:
            return f"the grant `{grant['id']}` names an approver who has not approved"
        return "" if _enough(case.quorum, approvers) else f"the grant `{grant['id']}` has fewer approvals than it needs"

    def _used(self, record: dict[str, Any], event: str, *, whole: bool) -> str:
        name, grant = record["grant"], self._grants.get(record["grant"])
        if grant is None:
            return f"a use of the grant `{name}`, which nobody gave" if whole else ""
        if event == "returned":
            grant.taken.discard(record["use"])
            return ""
        wrong = ""
        if grant.withdrawn:
            wrong = "after it was taken back"
        elif record["at_us"] >= grant.expires_us:
            wrong = "after it had expired"
        elif record["use"] in grant.taken or len(grant.taken) >= grant.most:
            wrong = "more often than it allows"
        grant.taken.add(record["use"])
        return f"the grant `{name}` was used {wrong}" if wrong else ""


def _scope(said: dict[str, Any]) -> dict[str, Any] | None:
    """A scope with what is left out filled in: who signs writes it out, and the trail leaves out defaults."""
    given: dict[str, Any] | None = said.get("scope")
    return None if given is None else {"ops": None, "assets": None, "targets": None, "uses": 1, "seconds": None} | given


def _enough(quorum: dict[str, Any], approvers: Sequence[str]) -> bool:
    """Whether these are as many as were asked for; necessary, and sufficient where nobody is in two groups."""
    people = {name.lower() for name in approvers}
    groups: list[dict[str, Any]] = quorum.get("groups") or []
    if not groups:
        return len(people) >= max(1, int(quorum.get("n", 1)))
    seats = [(max(1, int(group.get("n", 1))), {name.lower() for name in group["members"]}) for group in groups]
    if quorum.get("distinct", True) and sum(n for n, _ in seats) > len(people):
        return False
    return all(len(people & members) >= n for n, members in seats)


def _key_id(public: bytes) -> str:
    return "sha256:" + hashlib.sha256(public).hexdigest()


def _verifies(public: bytes, signature: bytes, payload: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    kind = VOTE_TYPE.encode()
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(
            signature, b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        )
    except InvalidSignature:
        return False
    return True
