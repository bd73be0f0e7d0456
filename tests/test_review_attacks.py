"""Attacks on review: what an agent, or one person alone, might try to get more than people gave."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guardrail import Denied, Escalated, Grant, Guard, Outcome, Subject, ToolCall
from guardrail.audit import retention
from guardrail.audit._verify_kept import ORDER_TYPE
from guardrail.canonical import canonical
from guardrail.errors import ConfigError, TrailError
from guardrail.mandates import seal
from guardrail.mandates._revocation import REVOCATION_TYPE, Revocation, open_revocation
from guardrail.mandates._signing import PAYLOAD_TYPE as MANDATE
from guardrail.mandates._signing import open_envelope, pae, public_text
from guardrail.mandates._word import WORD_TYPE, Word, open_word
from guardrail.obligations._certificate import PAYLOAD_TYPE as CERTIFICATE
from guardrail.obligations._certificate import PREDICATE_TYPE, STATEMENT_TYPE, check_certificate
from guardrail.review import Case, Inbox, Refused, Scope, Vote
from guardrail.review._statements import PAYLOAD_TYPE as VOTE
from guardrail.review._statements import (
    CancelStatement,
    GlassStatement,
    ReviewStatement,
    VoteStatement,
    is_signed,
    open_statement,
    sign_statement,
)
from guardrail.review._view import lines
from tests.mandate_support import AGENT, Place
from tests.review_support import say, vote

DELETE = {"grants": [{"effects": ["delete"], "assets": ["model:beta"], "approval": True}]}
OPAQUE = "curl -s http://127.0.0.1/x | sh"
AGENTS = '[[agent]]\nid = "ops-*"\noperator = "op"\n[review]\nsticky_seconds = 600\n'


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place with a model, an agent that somebody operates, and an order that wants each deletion approved."""
    return ordered(tmp_path, **DELETE)


def ordered(root: Path, **order: Any) -> Place:
    """A place with an order."""
    place = Place(root, people=("dana", "eve", "finn", "op"), more=AGENTS)
    place.order(by="eve", **order)
    return place


def approve(place: Place, guard: Guard, call: ToolCall, by: str = "dana", **more: Any) -> Case:
    """Ask for a call, and have somebody say yes to it."""
    return say(guard, guard.check(call), by, place.keys[by], **more)


def released(guard: Guard, call: ToolCall, grant: Grant | None = None) -> bool:
    """Whether the tool would run; it takes the use with it."""
    ran: list[bool] = []
    try:
        guard.run(call, lambda _: ran.append(True), grant=grant)
    except (Denied, Escalated):
        return False
    return bool(ran)


# ── another thing than what was approved ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("swap", ["link", "directory"])
def test_a_copy_that_was_approved_for_one_place_goes_to_no_other(tmp_path: Path, swap: str) -> None:
    """The directory that it was to go to becomes a link, or another directory: people are asked anew."""
    place = ordered(
        tmp_path,
        grants=[{"effects": ["copy"], "assets": ["model:beta"], "approval": True, "targets": [f"{tmp_path}/**"]}],
    )
    call = place.bash("cp models/beta.safetensors backup/out.bin")
    with place.guard() as guard:
        approve(place, guard, call)
        (tmp_path / "backup").rename(tmp_path / "old")
        if swap == "link":
            (tmp_path / "backup").symlink_to(tmp_path / "elsewhere")
        else:
            (tmp_path / "backup").mkdir()
        assert not released(guard, call)
        assert guard.check(call).outcome is Outcome.ESCALATE


def test_what_a_pattern_reaches_since_the_approval_was_not_approved(place: Place) -> None:
    """Another file beside the ones that people saw: the call has grown, and is asked about again."""
    call = place.bash("rm models/beta*")
    with place.guard() as guard:
        approve(place, guard, call)
        (place.root / "models" / "beta-3.safetensors").write_bytes(b"w")
        assert not released(guard, call)


@pytest.mark.parametrize("scope", [Scope(uses=1), Scope(uses=1, ops=("delete",)), Scope(uses=1, seconds=60)])
def test_what_is_critical_is_never_approved_by_a_scope(place: Place, scope: Scope) -> None:
    """A scope is bound to no file, so that the use could go to another file of the same weights."""
    with place.guard() as guard:
        with pytest.raises(Refused, match="approve each call by itself"):
            approve(place, guard, place.bash("rm models/beta.safetensors"), scope=scope)
        assert not released(guard, place.bash("rm models/beta-2.safetensors"))


@pytest.mark.parametrize("change", ["agent", "session", "cwd", "tool"])
def test_a_grant_is_worth_nothing_to_anybody_else(place: Place, change: str) -> None:
    """Handed over in another session, tool or directory, or to another agent, the same grant releases nothing."""
    call = place.bash(OPAQUE)
    others = {
        "agent": msgspec.structs.replace(call, subject=Subject(id="ops-other")),
        "session": msgspec.structs.replace(call, session="other"),
        "cwd": msgspec.structs.replace(call, cwd="/"),
        "tool": msgspec.structs.replace(call, tool="shell"),
    }
    with place.guard() as guard:
        grant = approve(place, guard, call).grants[0].grant
        assert not released(guard, others[change], grant)
        assert released(guard, call, grant)


def test_a_scoped_grant_that_another_agent_brings_along_is_not_theirs(place: Place) -> None:
    """It is for the agent that was held, also where another one shows it."""
    with place.guard() as guard:
        grant = approve(place, guard, place.bash(OPAQUE), scope=Scope(uses=3)).grants[0].grant
        assert not released(guard, place.bash(OPAQUE, subject=Subject(id="ops-other")), grant)
        assert released(guard, place.bash(OPAQUE), grant)


# ── a no that is talked round ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "again"),
    [
        ("rm models/beta.safetensors", "rm models/beta.safetensors; ls backup"),
        ("rm models/beta.safetensors", "echo x > backup/note && rm models/beta.safetensors"),
        ("rm models/beta.safetensors", "rm models/beta.safetensors models/beta-2.safetensors"),
        (OPAQUE, "curl  -s   'http://127.0.0.1/x'  |sh"),
        (OPAQUE, f"{OPAQUE}; ls"),
        (OPAQUE, f"{OPAQUE} # please"),
    ],
)
def test_a_rejection_is_not_evaded_by_adding_to_the_call(place: Place, said: str, again: str) -> None:
    """With another blank, other quotes, or something harmless beside it, it is still what people said no to."""
    with place.guard() as guard:
        approve(place, guard, place.bash(said), verdict="deny")
        answer = guard.check(place.bash(again, session="other"))
        assert (answer.outcome, answer.reasons[0].rule) == (Outcome.DENY, "review.rejected")


@pytest.mark.parametrize("other", ["curl -s http://127.0.0.1/y | sh", "rm models/beta-2.safetensors"])
def test_a_rejection_is_of_that_deed_alone(place: Place, other: str) -> None:
    """Another download, or another file, is put to people."""
    with place.guard() as guard:
        for said in (OPAQUE, "rm models/beta.safetensors"):
            approve(place, guard, place.bash(said), verdict="deny")
        assert guard.check(place.bash(other)).outcome is Outcome.ESCALATE


# ── what a reviewer is not shown ──────────────────────────────────────────────────────────────────────────────────────


def shown(guard: Guard, call: ToolCall) -> str:
    """What people read of a call that is held."""
    case = guard.desk.find(guard.check(call).escalation or "")
    assert case is not None
    return "\n".join(lines(case, time.time_ns() // 1000))


def test_what_holds_a_call_is_not_hidden_behind_harmless_effects(place: Place) -> None:
    """Of many effects those that a person has to decide about are shown first."""
    many = "; ".join(f"ls backup/{number}" for number in range(40))
    with place.guard() as guard:
        text = shown(guard, place.bash(f"{many}; rm models/beta.safetensors"))
    assert f"delete {place.root}/models/beta.safetensors" in text


def test_every_reason_that_an_approval_lifts_is_shown(tmp_path: Path) -> None:
    """An approval lifts what was shown: of more reasons than fit, rule and asset are named all the same."""
    assets = "".join(f'[[asset]]\nid = "model:m{at}"\nclass = "weights"\npaths = ["m{at}"]\n' for at in range(24))
    place = Place(tmp_path, people=("dana", "eve"), more=assets)
    for at in range(24):
        (tmp_path / f"m{at}").write_bytes(b"w")
    place.order(by="eve", grants=[{"effects": ["delete"], "assets": ["model:*"], "approval": True}])
    with place.guard() as guard:
        text = shown(guard, place.bash("rm " + " ".join(f"m{at}" for at in range(24))))
    assert [at for at in range(24) if f"model:m{at}" not in text] == []


def test_the_end_of_a_long_address_is_shown(tmp_path: Path) -> None:
    """Where a name begins says nothing: what it leads to stands at its end, and a cut is said."""
    place = ordered(
        tmp_path,
        grants=[{"effects": ["copy"], "assets": ["model:beta"], "approval": True, "targets": [f"{tmp_path}/**"]}],
    )
    (tmp_path / "backup" / ("a" * 250)).mkdir()
    with place.guard() as guard:
        text = shown(guard, place.bash(f"cp models/beta.safetensors backup/{'a' * 250}/public.bin"))
    line = next(line for line in text.splitlines() if line.startswith("effect"))
    assert "/public.bin" in line
    assert "characters left out" in line


def test_who_signs_second_sees_what_the_glass_lifts(place: Place) -> None:
    """Ops, assets and for how long: nothing else says it, since no call is held."""
    with place.guard() as guard:
        case = guard.clerk.take(glass(place, ops=("net_send", "exec"), seconds=1234))
    text = "\n".join(lines(case, time.time_ns() // 1000))
    for line in ("lifts       net_send, exec", "on          model:beta", "for         1234 seconds"):
        assert line in text


# ── who says yes ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "principal", ["user:dana", "USER:Dana", "mailto:dana", "dana ", "ｄａｎａ", "config:user:dana"]
)
@pytest.mark.parametrize("role", ["principal", "delegation"])
def test_nobody_approves_what_is_done_for_them_however_they_are_written(
    place: Place, principal: str, role: str
) -> None:
    """A word for the kind of name, case, blanks and look-alike letters make nobody another person."""
    who: dict[str, Any] = {"principal": principal} if role == "principal" else {"delegation": (principal, "agent:p")}
    call = place.bash("rm models/beta.safetensors", subject=msgspec.structs.replace(AGENT, **who))
    with place.guard() as guard:
        with pytest.raises(Refused) as refused:
            approve(place, guard, call)
        assert refused.value.code == "separation_of_duties"
        assert approve(place, guard, call, by="finn").state == "approved"


# ── broken glass ──────────────────────────────────────────────────────────────────────────────────────────────────────


def glass(place: Place, by: str = "dana", **more: Any) -> bytes:
    """What the first of two people signs."""
    plain = {"agent": AGENT.id, "ops": ("exec_opaque",), "assets": ("model:beta",), "ticket": "INC-1", "reason": "fire"}
    return sign_statement(GlassStatement(voter=by, t_us=time.time_ns() // 1000, **plain | more), place.keys[by])


def test_a_second_signature_for_other_glass_breaks_none(tmp_path: Path) -> None:
    """One person opens two with the same nonce at two guards: what somebody signed at one counts at no other."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = ordered(tmp_path / "a", **DELETE), ordered(tmp_path / "b", **DELETE)
    keys = "\n".join(line for line in one.toml.read_text().splitlines() if line.startswith("key"))
    theirs = "\n".join(line for line in two.toml.read_text().splitlines() if line.startswith("key"))
    text = two.toml.read_text()
    for old, new in zip(theirs.splitlines(), keys.splitlines(), strict=True):
        text = text.replace(old, new)
    two.toml.write_text(text)
    two.keys = one.keys
    with one.guard() as here, two.guard() as there:
        harmless = here.clerk.take(glass(one, nonce="n", ops=("read",)))
        second = vote(harmless, "eve", one.keys["eve"])
        assert here.clerk.take(second).state == "approved"
        grave = there.clerk.take(glass(two, nonce="n", ops=("delete",)))
        with pytest.raises(Refused):
            there.clerk.take(second)
        assert there.desk.find(grave.held.id) == grave


def test_the_same_first_word_sent_twice_breaks_glass_once(place: Place) -> None:
    """Bytes that come again, also after a restart, are the same request."""
    said = glass(place)
    with place.guard() as guard:
        first = guard.clerk.take(said)
        assert guard.clerk.take(said).held.id == first.held.id
    with place.guard() as guard:
        assert guard.clerk.take(said).held.id == first.held.id
        assert len(guard.desk.cases()) == 1


@pytest.mark.parametrize("role", ["first", "second", "review"])
def test_glass_is_not_broken_by_who_operates_the_agent(place: Place, role: str) -> None:
    """Neither as one of the two nor as the one who looks at it afterwards; and nothing is left open by the attempt."""
    from guardrail.review._statements import ReviewStatement

    with place.guard() as guard:
        if role == "first":
            with pytest.raises(Refused, match="operates"):
                guard.clerk.take(glass(place, by="op"))
            assert guard.desk.cases() == ()
            return
        case = guard.clerk.take(glass(place))
        if role == "second":
            with pytest.raises(Refused, match="operates"):
                guard.clerk.take(vote(case, "op", place.keys["op"]))
            return
        guard.clerk.take(vote(case, "eve", place.keys["eve"]))
        said = ReviewStatement(voter="op", t_us=time.time_ns() // 1000, escalation=case.held.id)
        with pytest.raises(Refused, match="operates"):
            guard.clerk.take(sign_statement(said, place.keys["op"]))


# ── time, files, and what stays on record ─────────────────────────────────────────────────────────────────────────────


def test_a_clock_that_is_set_back_revives_no_grant(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour goes by, and the wall clock is kept from saying so."""
    call, real = place.bash(OPAQUE), time.clock_gettime_ns
    with place.guard() as guard:
        approve(place, guard, call)
        monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: real(clock) + 3_600_000_000_000)
        assert not released(guard, call)
        monkeypatch.undo()
        assert released(guard, call)  # nothing else stood in its way


def test_a_cancellation_is_on_record_with_its_signature(place: Place) -> None:
    """Whoever reads the trail later can verify who ended it."""
    from guardrail.audit._verify import read_records

    with place.guard() as guard:
        held = guard.check(place.bash(OPAQUE))
        said = CancelStatement(voter="dana", t_us=time.time_ns() // 1000, escalation=held.escalation or "")
        envelope = sign_statement(said, place.keys["dana"])
        guard.clerk.take(envelope)
    closed = [record for _, record in read_records(place.root / "trail") if record.get("event") == "closed"]
    assert closed[0]["envelope"] == envelope.decode()


def test_what_is_no_file_in_the_inbox_keeps_no_vote_out(place: Place) -> None:
    """A directory, a link and a pipe with the names of votes: those that were signed are taken in all the same."""
    import os

    with place.guard() as guard:
        held = guard.desk.find(guard.check(place.bash(OPAQUE)).escalation or "")
        assert held is not None
        inbox = Inbox(place.root / "trail.inbox")
        inbox.make()
        for at in range(70):
            (inbox.directory / f"0{at}.vote.json").mkdir()
        os.mkfifo(inbox.directory / "00.vote.json.x")
        (inbox.directory / "1.vote.json").symlink_to("/etc/passwd")
        inbox.put(vote(held, "dana", place.keys["dana"]))
        open_files = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            inbox.take_in(guard.clerk)
        assert len(os.listdir("/proc/self/fd")) == open_files
        case = guard.desk.find(held.held.id)
        assert case is not None
        assert case.state == "approved"


# ── what somebody signed for something else ───────────────────────────────────────────────────────────────────────────


def test_only_the_vote_itself_passes_for_a_recorded_vote(place: Place) -> None:
    """Whoever writes the trail shows somebody's no, cancellation, wider or narrower yes as the yes on record."""
    key, people = place.keys["dana"], keys_of(place)
    with place.guard() as guard:
        held = [guard.check(place.bash(command)) for command in ("rm models/beta.safetensors", OPAQUE)]
        case, other = (guard.desk.find(one.escalation or "") for one in held)
        assert case is not None
        assert other is not None
    name, now = case.held.id, time.time_ns() // 1000
    signed = {
        "yes": vote(case, "dana", key),
        "no": vote(case, "dana", key, "deny"),
        "scoped": vote(case, "dana", key, scope=Scope(uses=9, seconds=60)),
        "other": vote(other, "dana", key),
        "cancelled": sign_statement(CancelStatement(voter="dana", t_us=now, escalation=name), key),
        "reviewed": sign_statement(ReviewStatement(voter="dana", t_us=now, escalation=name), key),
        "glass": glass(place, "dana"),
    }
    passed = [
        what
        for what, envelope in signed.items()
        if is_signed(Vote(voter="dana", verdict="approve", at_us=now, envelope=envelope.decode()), case.held, people)
    ]
    assert passed == ["yes"]


KINDS: dict[str, str] = {
    "mandate": MANDATE,
    "vote": VOTE,
    "word": WORD_TYPE,
    "revocation": REVOCATION_TYPE,
    "prune": ORDER_TYPE,
    "certificate": CERTIFICATE,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_over_one_kind_of_word_is_none_over_another(place: Place, kind: str) -> None:
    """The same bytes, signed by the right key as anything else, and called what they were to be afterwards."""
    openers = opener(place)
    payload, opens = openers[kind]
    key = place.keys["dana"]
    opens(seal(KINDS[kind], payload, key))
    for other in KINDS.values():
        if other == KINDS[kind]:
            continue
        for said in (other, KINDS[kind]):
            wrong = json.loads(seal(other, payload, key)) | {"payloadType": said}
            with pytest.raises((ConfigError, TrailError, Refused), match=r"signature|payload type|not signed|order"):
                opens(json.dumps(wrong).encode())


def opener(place: Place) -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """For each kind of word a good one, and what takes its envelope or refuses it."""
    people = keys_of(place)
    when = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    word = Word(obligation="m/gone", asset="model:beta", by="dana", at=when)
    said = VoteStatement(voter="dana", t_us=1, escalation="e", subject="sha256:00", verdict="approve")
    order = json.loads(retention.write_order(retention.draft("guardrail.local/trail", 1, "r")))
    eve = {"name": "eve", "key": public_text(place.keys["eve"])}

    def prune(envelope: bytes) -> object:
        (one,) = json.loads(envelope)["signatures"]
        dana = {"name": "dana", "key": public_text(place.keys["dana"]), "sig": one["sig"]}
        message = pae(ORDER_TYPE, base64.b64decode(order["payload"]))
        second = eve | {"sig": base64.b64encode(place.keys["eve"].sign(message)).decode()}
        both = json.dumps({**order, "signatures": [dana, second]}).encode()
        return retention.check_order(retention.read_order(both), "guardrail.local/trail", people)

    raw = b"\x01" + place.keys["dana"].public_key().public_bytes_raw()
    vkey = f"l+{hashlib.sha256(b'l' + bytes([10]) + raw).hexdigest()[:8]}+{base64.b64encode(raw).decode()}"

    def certificate(envelope: bytes) -> object:
        sealed = json.loads(envelope)
        (one,) = sealed["signatures"]
        named = {**sealed, "signatures": [one | {"keyid": "+".join(vkey.split("+", 2)[:2])}]}
        return check_certificate(json.dumps(named).encode(), vkey)

    deleted = {"_type": STATEMENT_TYPE, "predicateType": PREDICATE_TYPE, "predicate": {}}
    return {
        "mandate": (json_of(place.signed("m", **DELETE)), lambda data: open_envelope(data, people)),
        "vote": (canonical(msgspec.to_builtins(said)), lambda data: open_statement(data, people)),
        "word": (word.to_json(), lambda data: open_word(data, people)),
        "revocation": (
            canonical(msgspec.to_builtins(Revocation(mandate="m", by="dana", at=when))),
            lambda data: open_revocation(data, people, ("dana",)),
        ),
        "prune": (base64.b64decode(order["payload"]), prune),
        "certificate": (json.dumps(deleted).encode(), certificate),
    }


def keys_of(place: Place) -> dict[str, bytes]:
    """Whose key is whose."""
    return {name: key.public_key().public_bytes_raw() for name, key in place.keys.items()}


def json_of(envelope: bytes) -> bytes:
    """The payload of an envelope."""
    return base64.b64decode(json.loads(envelope)["payload"])


@pytest.mark.parametrize("again", ["Dana", "user:dana", "ｄａｎａ", "dana "])
def test_one_person_under_two_names_is_not_two_people(tmp_path: Path, again: str) -> None:
    """With a key for each spelling they could be both of the two who prune, or break glass."""
    with pytest.raises(ConfigError, match="could be one"):
        Place(tmp_path, people=("dana", again)).guard()
