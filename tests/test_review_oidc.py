"""Votes with an ID token: whose it is, what it was got for, and that it is good for nothing else."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from guardrail import Guard, Outcome
from guardrail.audit._verify import read_records
from guardrail.canonical import canonical
from guardrail.config import OidcConfig
from guardrail.errors import ConfigError
from guardrail.review import Case, Clerk, Escalation, Group, MemoryLedger, Quorum, Refused, ReviewDesk
from guardrail.review._oidc import Provider, nonce_of
from guardrail.review._statements import VoteStatement
from tests.mandate_support import Place

OPAQUE = "curl -s http://127.0.0.1/x | sh"
DELETE = {"grants": [{"effects": ["delete"], "assets": ["model:beta"], "approval": True}]}
DANA = "dana@example.com"


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """An identity provider with one key of each kind."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())

    def jwks(self) -> dict[str, Any]:
        """Its keys, as it publishes them."""
        n, p = self.rsa.public_key().public_numbers(), self.ec.public_key().public_numbers()
        return {
            "keys": [
                {"kid": "r", "kty": "RSA", "use": "sig", "n": b64(n.n.to_bytes(256, "big")), "e": b64(b"\x01\x00\x01")},
                {"kid": "e", "kty": "EC", "crv": "P-256", "x": b64(p.x.to_bytes(32)), "y": b64(p.y.to_bytes(32))},
            ]
        }

    def token(self, kid: str = "r", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """An ID token."""
        now = int(time.time())
        plain = {
            "iss": "https://idp.example", "aud": "guardrail", "sub": "u1", "iat": now, "exp": now + 300,
            "email": DANA, "email_verified": True, "amr": ["hwk"],
        }  # fmt: skip
        head = {"alg": "RS256" if kid == "r" else "ES256", "kid": kid} | (header or {})
        signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(plain | claims).encode())}".encode()
        if kid == "r":
            signature = self.rsa.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            r, s = decode_dss_signature(self.ec.sign(signed, ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{signed.decode()}.{b64(signature)}"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """One for all tests: making a key takes a while."""
    return Issuer()


@pytest.fixture
def place(tmp_path: Path, issuer: Issuer) -> Place:
    """A place whose people sign in."""
    (tmp_path / "jwks.json").write_text(json.dumps(issuer.jwks()))
    oidc = '[review.oidc]\nissuer = "https://idp.example"\naudience = "guardrail"\njwks = "jwks.json"\n'
    place = Place(tmp_path, people=("eve",), more=oidc)
    place.order(by="eve", **DELETE)
    return place


@pytest.fixture
def guard(place: Place) -> Iterator[Guard]:
    """A guard of that place."""
    with place.guard() as guard:
        yield guard


@pytest.fixture
def clerk(tmp_path: Path, issuer: Issuer) -> Clerk:
    """A clerk of that provider, over a ledger in memory: what is refused needs no more."""
    (tmp_path / "jwks.json").write_text(json.dumps(issuer.jwks()))
    oidc = OidcConfig(issuer="https://idp.example", audience="guardrail", jwks="jwks.json")
    return Clerk(ReviewDesk(MemoryLedger()), {}, Provider(oidc, tmp_path / "jwks.json"))


def waiting(clerk: Clerk, quorum: Quorum | None = None) -> Case:
    """A call that waits on its desk."""
    now = time.time_ns() // 1000
    times = {"created_us": now, "expires_us": now + 10**9, "leave_seconds": 60}
    return clerk._desk.open(Escalation(id="e", digest="sha256:d", agent="a", quorum=quorum or Quorum(), **times))


def held(guard: Guard, place: Place, command: str = OPAQUE) -> Case:
    """A call that waits."""
    case = guard.desk.find(guard.check(place.bash(command)).escalation or "")
    assert case is not None
    return case


def statement(case: Case, voter: str = DANA, **more: Any) -> VoteStatement:
    """What is said."""
    subject = case.held.binding or case.held.digest
    now = time.time_ns() // 1000
    plain = {"escalation": case.held.id, "subject": subject, "verdict": "approve"}
    return VoteStatement(voter=voter, t_us=now, **plain | more)


def envelope(said: VoteStatement, token: str) -> bytes:
    """What is sent."""
    text = base64.b64encode(canonical(msgspec.to_builtins(said))).decode()
    return json.dumps({"statement": text, "id_token": token}).encode()


@pytest.mark.parametrize("kid", ["r", "e"])
def test_a_vote_of_somebody_who_signed_in_for_it_counts(guard: Guard, place: Place, issuer: Issuer, kid: str) -> None:
    """It releases the call once; the trail has the claims and the digest of the token, and not the token."""
    case = held(guard, place)
    said = statement(case)
    token = issuer.token(kid, nonce=nonce_of(said))
    after = guard.clerk.take(envelope(said, token))
    assert (after.state, after.votes[0].proof) == ("approved", "oidc:https://idp.example")
    assert [guard.check(place.bash(OPAQUE)).outcome for _ in range(2)] == [Outcome.ALLOW, Outcome.ESCALATE]
    (record,) = (record for _, record in read_records(place.root / "trail") if record["kind"] == "vote")
    assert json.loads(record["vote"]["envelope"])["claims"]["sub"] == "u1"
    assert token not in json.dumps(record)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"aud": "other"}, "for somebody else"),
        ({"aud": ["guardrail", "other"]}, "got by somebody else"),
        ({"azp": "other"}, "got by somebody else"),
        ({"exp": 1}, "has expired"),
        ({"iat": 1}, "too old"),
        ({"iat": 2**40}, "from the future"),
        ({"nonce": "x"}, "another statement"),
        ({"email_verified": False}, "has not verified"),
        ({"email": "mallory@example.com"}, "not one of"),
        ({"email": ""}, "not one of"),
        ({"email": "ｄana@example.com"}, "not one of"),
        ({"email": "user:dana@example.com"}, "not one of"),
        ({"email": None}, "not a vote with an ID token"),
    ],
)
def test_a_token_that_was_got_for_something_else_is_no_vote(
    clerk: Clerk, issuer: Issuer, claims: dict[str, Any], why: str
) -> None:
    """Another issuer, audience, time, person or statement."""
    case = waiting(clerk)
    said = statement(case)
    with pytest.raises(Refused, match=why):
        clerk.take(envelope(said, issuer.token(**{"nonce": nonce_of(said)} | claims)))
    assert clerk._desk.find(case.held.id) == case


@pytest.mark.parametrize("forgery", ["none", "hmac", "kid", "crit", "signature", "parts", "other key", "rubbish"])
def test_a_token_that_the_provider_has_not_signed_is_no_vote(clerk: Clerk, issuer: Issuer, forgery: str) -> None:
    """What the token says of its own algorithm is not believed."""
    said = statement(waiting(clerk))
    nonce = nonce_of(said)
    genuine = issuer.token(nonce=nonce)
    token = {
        "none": lambda: issuer.token(nonce=nonce, header={"alg": "none"}).rpartition(".")[0] + ".",
        "hmac": lambda: issuer.token(nonce=nonce, header={"alg": "HS256"}),
        "kid": lambda: issuer.token(nonce=nonce, header={"kid": "x"}),
        "crit": lambda: issuer.token(nonce=nonce, header={"crit": ["b64"]}),
        "signature": lambda: genuine[:-8] + ("A" * 8 if genuine[-8:] != "A" * 8 else "B" * 8),
        "parts": lambda: genuine + ".x",
        "other key": lambda: Issuer().token("e", nonce=nonce),
        "rubbish": lambda: "\u00e9.\u00e9.\u00e9",
    }[forgery]()
    with pytest.raises(Refused, match="not a vote with an ID token"):
        clerk.take(envelope(said, token))


@pytest.mark.parametrize(("listed", "registered"), [("kim@example.com", "\u212aim@example.com"), ("strasse", "straße")])
def test_who_is_registered_under_a_name_that_folds_to_another_is_not_that_person(
    tmp_path: Path, issuer: Issuer, listed: str, registered: str
) -> None:
    """The Kelvin sign folds to a k: neither in the other's name nor in their own do they speak for the group."""
    (tmp_path / "jwks.json").write_text(json.dumps(issuer.jwks()))
    oidc = OidcConfig(issuer="https://idp.example", audience="guardrail", jwks="jwks.json")
    clerk = Clerk(ReviewDesk(MemoryLedger()), {}, Provider(oidc, tmp_path / "jwks.json"))
    case = waiting(clerk, Quorum(groups=(Group(name="g", members=(listed,)),), signed=True))
    for name in (listed, registered):
        said = statement(case, name)
        with pytest.raises(Refused, match="not one of|none of the groups"):
            clerk.take(envelope(said, issuer.token(nonce=nonce_of(said), email=registered)))
    said = statement(case, listed.upper())
    assert clerk.take(envelope(said, issuer.token(nonce=nonce_of(said), email=listed))).state == "approved"


def test_a_token_without_end_is_refused_and_stops_nothing(clerk: Clerk) -> None:
    """Brackets within brackets in its header: an error of the sender, and not a fault of the guard."""
    said = statement(waiting(clerk))
    deep = b64(b'{"alg":"RS256","kid":"r","x":' + b"[" * 6000)
    with pytest.raises(Refused, match="not a vote with an ID token"):
        clerk.take(envelope(said, f"{deep}.e30.e30"))


def test_what_is_critical_needs_a_strong_sign_in(guard: Guard, place: Place, issuer: Issuer) -> None:
    """A password is not enough to delete weights; a hardware key is."""
    case = held(guard, place, "rm models/beta.safetensors")
    said = statement(case)
    with pytest.raises(Refused, match="stronger sign-in"):
        guard.clerk.take(envelope(said, issuer.token(nonce=nonce_of(said), amr=["pwd"])))
    assert guard.clerk.take(envelope(said, issuer.token(nonce=nonce_of(said)))).state == "approved"


def test_without_a_provider_a_token_is_no_vote(tmp_path: Path, issuer: Issuer) -> None:
    """Nothing is believed that the settings do not name."""
    place = Place(tmp_path)
    with place.guard() as guard:
        said = statement(held(guard, place))
        with pytest.raises(Refused, match="no identity provider is configured"):
            guard.clerk.take(envelope(said, issuer.token(nonce=nonce_of(said))))


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (None, "cannot read `review.oidc.jwks`"),
        ("{}", "holds no keys that can be used"),
        ('{"keys": []}', "holds no key to verify with"),
        ('{"keys": [{"kid": "k", "kty": "oct", "k": "x"}]}', "must be RSA, or EC with P-256"),
        ('{"keys": [{"kid": "k", "kty": "RSA", "n": "wAAB", "e": "AQAB"}]}', "no keys that can be used"),
    ],
)
def test_keys_that_cannot_be_used_are_refused(tmp_path: Path, keys: str | None, why: str) -> None:
    """Missing, empty, symmetric or weak."""
    path = tmp_path / "jwks.json"
    if keys is not None:
        path.write_text(keys)
    with pytest.raises(ConfigError, match=why):
        Provider(OidcConfig(issuer="i", audience="a", jwks="jwks.json"), path)


def test_the_keys_of_the_provider_are_guarded(guard: Guard, place: Place) -> None:
    """Whoever writes them could sign anybody in."""
    assert guard.check(place.bash("echo '{}' > jwks.json")).outcome is Outcome.DENY
