"""Mandates: what counts as a person's order, and everything that does not."""

from __future__ import annotations

import base64
import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail.config import Config, MandateConfig, PersonConfig
from guardrail.errors import ConfigError
from guardrail.mandates import Mandate, MandateBook, MandateGrant, Obligation, new_key, sign
from guardrail.mandates import _directory as directory_module
from guardrail.mandates._mandate import microseconds
from guardrail.mandates._signing import PAYLOAD_TYPE, key_id, load_key, open_envelope, pae, public_text, read_public
from guardrail.model import Subject

AGENT = Subject(id="ops-agent", model="vendor/model-5")
ORDER: dict[str, Any] = {
    "id": "m1",
    "issuer": "dana",
    "subject": "ops-*",
    "not_before": "2026-01-01T00:00:00Z",
    "not_after": "2026-02-01T00:00:00Z",
    "text": "copy beta to the cold store, then delete it",
    "grants": [{"effects": ["copy"], "assets": ["model:beta"], "targets": ["/cold/**"], "approval": True}],
    "obligations": [{"id": "gone", "effect": "delete", "asset": "model:beta"}],
}
IN_JANUARY = 1_767_744_000_000_000
"""2026-01-07, in microseconds."""


class Desk:
    """A directory of mandates and the people whose signature counts there."""

    def __init__(self, base: Path) -> None:
        self.directory = base / "mandates"
        self.directory.mkdir()
        self.keys = {name: Ed25519PrivateKey.generate() for name in ("dana", "eve")}
        people = tuple(PersonConfig(name=name, key=public_text(key)) for name, key in self.keys.items())
        self.config = Config(people=people, mandates=MandateConfig(directory="mandates"), base=str(base))

    def put(self, name: str = "m1", *, by: str | Ed25519PrivateKey = "dana", **changes: Any) -> Path:
        """Sign an order and lay it into the directory."""
        path = self.directory / f"{name}.mandate.json"
        mandate = Mandate.from_json(json.dumps(ORDER | {"id": name} | changes))
        path.write_bytes(sign(mandate, self.keys[by] if isinstance(by, str) else by))
        return path

    def age(self) -> None:
        """Wait until file clocks have certainly ticked, so that nothing is read again for that reason alone."""
        until = time.time_ns() + directory_module.SETTLED_NS
        while time.time_ns() <= until:
            os.stat(self.directory)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Dana and Eve may sign."""
    return Desk(tmp_path)


def current(book: MandateBook, subject: Subject = AGENT, session: str = "s1", now_us: int = IN_JANUARY) -> list[str]:
    """Ids of the mandates that hold."""
    return [mandate.id for mandate in book.current(subject, session, now_us)]


def only_problem(book: MandateBook) -> str:
    """The one reason for which the one file does not count."""
    ((_, reason),) = book.why_not(AGENT, "s1", IN_JANUARY)
    return reason


# ── what counts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_signed_mandate_counts_for_its_agent_in_its_window(desk: Desk) -> None:
    """With everything the person wrote."""
    desk.put()
    (mandate,) = MandateBook(desk.config).current(AGENT, "s1", IN_JANUARY)
    assert mandate.grants == (
        MandateGrant(effects=("copy",), assets=("model:beta",), targets=("/cold/**",), approval=True),
    )
    assert mandate.obligations == (Obligation(id="gone", effect="delete", asset="model:beta"),)


def test_without_a_directory_nothing_is_sanctioned() -> None:
    """Empty means no mandates."""
    book = MandateBook(Config())
    assert current(book) == []
    assert book.problems == ()


def test_the_window_begins_at_its_first_moment_and_ends_before_its_last(desk: Desk) -> None:
    """To the microsecond, in any time zone."""
    desk.put(not_before="2026-01-01T01:00:00+01:00")
    book = MandateBook(desk.config)
    start = microseconds(book.mandates[0].not_before)
    end = microseconds(book.mandates[0].not_after)
    assert start == 1_767_225_600_000_000
    assert [current(book, now_us=now) for now in (start - 1, start, end - 1, end)] == [[], ["m1"], ["m1"], []]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"not_after": "2026-01-02T00:00:00Z"}, "it expired at 2026-01-02T00:00:00+00:00"),
        ({"not_before": "2026-01-20T00:00:00Z"}, "it is not valid before 2026-01-20T00:00:00+00:00"),
        ({"subject": "other-*"}, "it is for `other-*`, not `ops-agent`"),
        ({"model": "vendor/model-4*"}, "it is for the model `vendor/model-4*`, not `vendor/model-5`"),
        ({"session": "s2"}, "it is for the session `s2`, not `s1`"),
    ],
)
def test_a_genuine_mandate_that_does_not_apply_says_why(desk: Desk, changes: dict[str, str], reason: str) -> None:
    """Expired, too early, another agent, another model, another session: one reason each, and it does not count."""
    desk.put(**changes)
    book = MandateBook(desk.config)
    assert current(book) == []
    assert only_problem(book) == reason
    assert book.problems == ()


def test_a_mandate_for_a_model_does_not_count_for_an_unknown_one(desk: Desk) -> None:
    """An agent that does not say what it is gets less, never more."""
    desk.put(model="*")
    book = MandateBook(desk.config)
    assert current(book) == ["m1"]
    assert current(book, Subject(id="ops-agent")) == []


def test_nobody_uses_a_mandate_of_their_own(desk: Desk) -> None:
    """Refused when it is written for oneself, and when a glob would cover the issuer."""
    desk.put(subject="*", issuer="dana")
    book = MandateBook(desk.config)
    assert current(book) == ["m1"]
    assert current(book, Subject(id="dana")) == []
    with pytest.raises(ConfigError, match="cannot issue a mandate to itself"):
        desk.put(subject="dana", issuer="dana")


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_signer_is_refused(desk: Desk) -> None:
    """Signed well, by somebody the configuration does not name."""
    desk.put(by=Ed25519PrivateKey.generate(), issuer="mallory")
    assert only_problem(MandateBook(desk.config)) == "its issuer `mallory` is no [[person]] of the configuration"


def test_a_signature_by_another_known_person_is_refused(desk: Desk) -> None:
    """Eve may sign, but not in Dana's name, also when the envelope claims Dana's key."""
    path = desk.put(by="eve", issuer="dana")
    book = MandateBook(desk.config)
    assert "not the one of its issuer `dana`" in only_problem(book)
    _rewrite(path, lambda e: e["signatures"][0].update(keyid=key_id(read_public(desk.config.people[0].key))))
    assert only_problem(MandateBook(desk.config)) == "the signature is not that of its issuer `dana`"
    assert current(book) == []


def test_any_changed_byte_of_a_signed_mandate_is_refused(desk: Desk) -> None:
    """Every byte of the file: it either no longer counts, or says exactly the same as before."""
    path = desk.put()
    original = path.read_bytes()
    people = {person.name: read_public(person.key) for person in desk.config.people}
    expected = open_envelope(original, people)
    survived = 0
    for offset in range(len(original)):
        changed = bytearray(original)
        changed[offset] ^= 1 << offset % 7
        try:
            assert open_envelope(bytes(changed), people) == expected
            survived += 1
        except ConfigError:
            pass
    # Blanks between the parts of the envelope are the only bytes that carry nothing.
    assert survived <= original.count(b" ") + original.count(b"\n")


def test_a_changed_payload_is_refused(desk: Desk) -> None:
    """The signature stays, the order becomes wider."""
    path = desk.put()

    def widen(envelope: dict[str, Any]) -> None:
        payload = base64.b64decode(envelope["payload"]).replace(b'"model:beta"],"effects"', b'"*"],"effects"')
        assert b'"*"' in payload
        envelope["payload"] = base64.b64encode(payload).decode()

    _rewrite(path, widen)
    assert only_problem(MandateBook(desk.config)) == "the signature is not that of its issuer `dana`"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda e: e.update(extra=1), "unknown field `extra`"),
        (lambda e: e.update(payloadType="application/json"), "its payload type is `application/json`"),
        (lambda e: e.update(signatures=[]), "exactly one signature, and has 0"),
        (lambda e: e.update(signatures=e["signatures"] * 2), "exactly one signature, and has 2"),
        (lambda e: e.update(payload="%%%"), "not base64"),
        (lambda e: e["signatures"][0].update(sig="AAAA"), "the signature is not that of its issuer"),
        (lambda e: e["signatures"][0].update(sig="???"), "the signature is not that of its issuer"),
        (lambda e: e["signatures"][0].pop("keyid"), "missing required field `keyid`"),
    ],
)
def test_a_malformed_envelope_is_refused(desk: Desk, change: Callable[[dict[str, Any]], None], reason: str) -> None:
    """Each with its own reason; it never counts."""
    _rewrite(desk.put(), change)
    book = MandateBook(desk.config)
    assert reason in only_problem(book)
    assert current(book) == []


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (lambda p: p | {"extra": 1}, "unknown field `extra`"),
        (lambda p: p | {"v": 2}, "not a mandate"),
        (lambda p: p | {"grants": [{"effects": ["steal"], "assets": ["a"]}]}, "not a mandate"),
        (lambda p: p | {"obligations": [{"id": "x", "effect": "copy", "asset": "a"}]}, "not a mandate"),
        (lambda p: p | {"not_after": "2026-02-01T00:00:00"}, "timezone"),
        (lambda p: p | {"not_after": "soon"}, "RFC3339"),
        (lambda p: p | {"not_after": p["not_before"]}, "must be later"),
        (lambda p: p | {"grants": [], "obligations": []}, "grants nothing and obliges to nothing"),
        (lambda p: p | {"grants": [{"effects": [], "assets": ["a"]}]}, "at least one of `effects`"),
        (lambda p: p | {"grants": [{"effects": ["copy"], "assets": []}]}, "at least one of `effects`"),
        (lambda p: p | {"grants": [{"effects": ["copy"], "assets": [""]}]}, "no empty glob"),
        (lambda p: p | {"obligations": [{"id": "x", "effect": "delete", "asset": "*"}]}, "id of one asset"),
        (lambda p: p | {"obligations": p["obligations"] * 2}, "the same `id`"),
        (lambda p: p | {"id": "../x"}, "`id` must have"),
        (lambda p: p | {"subject": ""}, "`subject` must have"),
        (lambda p: p | {"text": "x" * 5000}, "at most 4096"),
        (lambda p: [p], "not a mandate"),
    ],
)
def test_an_impossible_order_is_refused_though_its_signature_is_good(
    desk: Desk, payload: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    """A person can sign nonsense with other tools; it still does not count."""
    good = json.loads(Mandate.from_json(json.dumps(ORDER)).to_json())
    _forge(desk, json.dumps(payload(good), sort_keys=True, separators=(",", ":")).encode())
    book = MandateBook(desk.config)
    assert reason in only_problem(book)
    assert current(book) == []


def test_signed_bytes_that_two_parsers_could_read_differently_are_refused(desk: Desk) -> None:
    """A repeated key: one reader takes the first, another the last."""
    good = Mandate.from_json(json.dumps(ORDER)).to_json()
    _forge(desk, good.replace(b'"subject":', b'"subject":"nobody","subject":'))
    assert "not canonical JSON" in only_problem(MandateBook(desk.config))


def test_two_mandates_with_one_id_cancel_each_other(desk: Desk) -> None:
    """Which of them was meant is not for us to guess; others are not touched."""
    desk.put("m1").rename(desk.directory / "copy.mandate.json")
    desk.put("m1", subject="*")
    desk.put("m2")
    book = MandateBook(desk.config)
    assert current(book) == ["m2"]
    assert [problem.file for problem in book.problems] == ["copy.mandate.json", "m1.mandate.json"]
    assert all("used by another mandate too" in problem.reason for problem in book.problems)


def test_files_that_are_no_mandates_are_refused_or_passed_over(desk: Desk) -> None:
    """Too large, a directory, a pipe, a dangling link: refused, and nobody waits; other names are not looked at."""
    desk.put("good")
    (desk.directory / "large.mandate.json").write_bytes(b" " * 70_000)
    (desk.directory / "dir.mandate.json").mkdir()
    os.mkfifo(desk.directory / "pipe.mandate.json")
    (desk.directory / "link.mandate.json").symlink_to("nowhere")
    (desk.directory / "README").write_text("not a mandate")
    book = MandateBook(desk.config)
    assert current(book) == ["good"]
    assert {problem.file.split(".")[0]: problem.reason.split(":")[0] for problem in book.problems} == {
        "large": "it is larger than 65536 bytes",
        "dir": "cannot be read",
        "pipe": "it is no regular file",
        "link": "cannot be read",
    }
    assert str(book.problems[0]).startswith("`")


def test_too_many_mandates_count_as_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound is a refusal, never a choice among them."""
    monkeypatch.setattr(directory_module, "MAX_FILES", 2)
    for name in ("a", "b", "c"):
        desk.put(name)
    book = MandateBook(desk.config)
    assert current(book) == []
    assert "holds 3 mandates" in book.problems[0].reason


def test_a_key_or_directory_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """Clear sentences; nothing is passed over in silence."""
    for key in ("", "ed25519:", "ed25519:AAAA", "rsa:" + "A" * 44, "ed25519:" + "A" * 43 + "B"):
        with pytest.raises(ConfigError, match="is not a public key"):
            MandateBook(Config(people=(PersonConfig(name="dana", key=key),)))
    with pytest.raises(ConfigError, match=r"create it, or leave `mandates\.directory` empty"):
        MandateBook(Config(mandates=MandateConfig(directory="missing"), base=str(tmp_path)))


# ── how it changes ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (FileNotFoundError, "create it"),
        (PermissionError, "let the user that the guard runs as read and enter it"),
        (NotADirectoryError, "name a directory"),
        (OSError, "make it readable"),
    ],
)
def test_a_directory_that_cannot_be_read_comes_with_the_remedy_that_fits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: type[OSError], remedy: str
) -> None:
    """Creating what is there already helps nobody."""

    def refuse(path: str) -> None:
        raise error(5, "odd", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ConfigError, match=f": odd: {remedy}, or leave `mandates.directory` empty$"):
        MandateBook(desk.config)


@pytest.mark.parametrize(
    ("glob", "asset", "named"),
    [
        ("model:beta", "model:beta", True),
        ("model:betta", "model:beta", False),
        ("*", "model:beta", True),
        ("model:*", "model:org/beta", False),
        ("model:**", "model:org/beta", True),
        ("model:bet?", "model:beta", True),
        ("model.beta", "model:beta", False),
        ("model:{a,b}", "model:beta", True),
        ("model:[a-c]*", "model:beta", True),
    ],
)
def test_an_asset_that_there_is_not_is_noticed(desk: Desk, glob: str, asset: str, named: bool) -> None:
    """As policy reads globs, where `*` stays within a part; what is not understood is not complained about."""
    grants = [{"effects": ["delete"], "assets": [glob]}]
    mandate = Mandate.from_json(json.dumps(ORDER | {"grants": grants, "obligations": []}))
    assert mandate.unknown_assets({asset}) == (() if named else (glob,))
    assert Mandate.from_json(json.dumps(ORDER)).unknown_assets(set()) == ("model:beta",)


def test_files_with_other_names_are_named_and_do_not_count(desk: Desk) -> None:
    """A misnamed order is the likeliest reason why nothing is sanctioned."""
    desk.put("m1").rename(desk.directory / "m1.json")
    (desk.directory / ".gitkeep").write_text("")
    book = MandateBook(desk.config)
    assert (book.mandates, book.problems, book.unread) == ((), (), ("m1.json",))


def test_a_mandate_counts_from_its_arrival_to_its_withdrawal(desk: Desk) -> None:
    """With the very next call, also when it is replaced by renaming."""
    book = MandateBook(desk.config)
    assert current(book) == []
    path = desk.put()
    assert current(book) == ["m1"]
    desk.age()
    fresh = desk.put("m2").rename(desk.directory / "fresh")
    fresh.replace(path)
    assert current(book) == ["m2"]
    path.unlink()
    assert current(book) == []


def test_a_file_changed_in_place_is_noticed_though_its_size_and_mtime_are_the_same(desk: Desk) -> None:
    """The change time cannot be put back."""
    path = desk.put()
    desk.age()
    book = MandateBook(desk.config)
    assert current(book) == ["m1"]
    desk.age()
    before, data = path.stat(), path.read_bytes()
    with path.open("r+b") as stream:
        stream.write(data.replace(b'"sig": "', b'"sig": " ')[: len(data)])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert current(book) == []
    assert len(book.problems) == 1


def test_with_many_files_a_change_in_place_is_noticed_within_its_bound(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is looked at again after `STAT_SECONDS`; the directory on every call."""
    for number in range(directory_module.EAGER_FILES + 3):
        path = desk.put(f"m{number}")
    desk.age()
    book = MandateBook(desk.config)
    assert len(current(book)) == directory_module.EAGER_FILES + 3
    with path.open("r+b") as stream:
        stream.write(b"x")
    monkeypatch.setattr(directory_module, "STAT_SECONDS", 0.0)
    assert len(current(book)) == directory_module.EAGER_FILES + 2


def test_a_directory_that_goes_away_takes_its_mandates_along(desk: Desk) -> None:
    """Nothing counts any more, and the problem says so; when it comes back, so do they."""
    desk.put()
    book = MandateBook(desk.config)
    assert current(book) == ["m1"]
    desk.directory.rename(desk.directory.with_name("away"))
    assert current(book) == []
    assert "cannot be read" in book.problems[0].reason
    desk.directory.with_name("away").rename(desk.directory)
    assert current(book) == ["m1"]


def test_an_unchanged_directory_is_not_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only looked at: no file is opened and no signature checked."""
    for number in range(6):
        desk.put(f"m{number}")
    desk.age()
    book = MandateBook(desk.config)

    def never(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(directory_module.MandateDirectory, "_read", never)
    assert all(len(current(book)) == 6 for _ in range(100))


# ── keys and envelopes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_key_is_for_its_owner_only_and_never_overwrites(tmp_path: Path) -> None:
    """Mode 0600, PKCS#8 in PEM, and the public half in the form of [[person]]."""
    path = tmp_path / "dana.key"
    public = new_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert public_text(load_key(path)) == public
    assert len(read_public(public)) == 32
    with pytest.raises(ConfigError, match="a key is never overwritten"):
        new_key(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_key(path)
    with pytest.raises(ConfigError, match="cannot write the key"):
        new_key(tmp_path / "missing" / "key")


def test_what_is_no_private_key_is_refused(tmp_path: Path) -> None:
    """Missing, nonsense, another algorithm."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    with pytest.raises(ConfigError, match="cannot read the key"):
        load_key(tmp_path / "missing")
    path = tmp_path / "key"
    for data, reason in (
        (b"x", "not an unencrypted private key"),
        (
            X25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            "not an Ed25519 key",
        ),
    ):
        path.write_bytes(data)
        path.chmod(0o600)
        with pytest.raises(ConfigError, match=reason):
            load_key(path)


def test_the_encoding_before_signing_is_that_of_dsse() -> None:
    """The example of the DSSE protocol document."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_an_order_that_is_too_large_is_not_signed(desk: Desk) -> None:
    """What would be refused later is refused at once."""
    grants = [{"effects": ["copy"], "assets": ["a" * 500]}] * 100
    with pytest.raises(ConfigError, match="at most 65536 bytes"):
        desk.put(grants=grants)
    empty = msgspec.structs.replace(Mandate.from_json(json.dumps(ORDER)), grants=(), obligations=())
    with pytest.raises(ConfigError, match="grants nothing"):
        sign(empty, desk.keys["dana"])


def _rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    envelope = json.loads(path.read_bytes())
    change(envelope)
    path.write_text(json.dumps(envelope))


def _forge(desk: Desk, payload: bytes) -> None:
    """Dana signs these bytes, whatever they say."""
    key = desk.keys["dana"]
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": key_id(key.public_key().public_bytes_raw()),
                "sig": base64.b64encode(key.sign(pae(PAYLOAD_TYPE, payload))).decode(),
            }
        ],
    }
    (desk.directory / "forged.mandate.json").write_text(json.dumps(envelope))
