"""Decision tokens: proof, for a tool that was not there when a call was judged, that it was, and came out as ALLOW.

A token is a JSON Web Signature in compact form (RFC 7515) with Ed25519 (RFC 8037), signed with the key of the trail, so
that the trail's verifier key is all that a tool has to be given. It is bound to the decision, to the call and its
effects, to the session, and to a time of at most five minutes.

INVARIANT: nothing else that the key signs can be taken for a token: a checkpoint has line breaks and a certificate
begins with `DSSEv1`, while what is signed here is two words of base64url with a dot between them.
Blind spot: a verifier remembers what it has seen in its own memory; two verifiers of one tool each take a token once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import msgspec
import orjson

from guardrail.canonical import canonical
from guardrail.errors import ConfigError, TokenError
from guardrail.model import Decision, Outcome, ToolCall, effect_dict

if TYPE_CHECKING:
    from guardrail.audit._note import SigningKey
    from guardrail.audit._verify_note import Key

TOKEN_SECONDS: Final = 60
"""How long a token is good for unless somebody asks for less or more, in seconds."""

MAX_TOKEN_SECONDS: Final = 300
"""Longest that a token may be good for, in seconds."""

SKEW_SECONDS: Final = 5
"""How far the clocks of guard and tool may be apart, in seconds."""

MAX_TOKEN_BYTES: Final = 8192
"""Longest token that is looked at, in bytes."""

MAX_SEEN: Final = 100_000
"""Most tokens that are remembered at one time; beyond it none is taken: one that is forgotten could be sent again."""

_TYPE: Final = "guardrail-decision+jwt"
_ALGORITHM: Final = "EdDSA"

T = TypeVar("T")


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """INVARIANT: what is unknown here, such as `crit` or a key of the sender's own, makes it no token of ours."""

    alg: str
    typ: str
    kid: str


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a token says.

    Args:
        iss: name of the trail.
        jti: id of the decision.
        sub: the agent.
        sid: the session.
        digest: `ToolCall.digest` of the call.
        effects: digest over what the call was judged to do.
        seq: number of the decision's record in the trail.
        iat: when it was signed, in seconds since the epoch.
        exp: from when on it does not hold, in seconds since the epoch.
    """

    iss: str
    jti: str
    sub: str
    sid: str
    digest: str
    effects: str
    seq: int
    iat: int
    exp: int


_headers: Final = msgspec.json.Decoder(_Header)
_claims: Final = msgspec.json.Decoder(Claims)


class TokenSigner:
    """Signs tokens for decisions.

    Args:
        key: the key of the trail.
        origin: its name.
        clock: the time, in seconds since the epoch.
    """

    def __init__(self, key: SigningKey, origin: str, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._origin = origin
        self._kid = key.vkey.split("+")[1]
        self._clock = clock

    @classmethod
    def open(cls, path: Path, origin: str) -> TokenSigner:
        """The signer of a trail.

        Args:
            path: the file with its private key.
            origin: its name.

        Raises:
            TrailError: if it holds no such key.
            OSError: if it cannot be read.
        """
        from guardrail.audit._note import SigningKey, read_keys

        # While a key is being replaced the file has two; the older one is the one that everybody knows.
        return cls(SigningKey(origin, read_keys(path)[0]), origin)

    def sign(self, call: ToolCall, decision: Decision, *, seconds: int = TOKEN_SECONDS) -> str:
        """A token for a call that was released.

        Args:
            call: the call.
            decision: what released it.
            seconds: how long it holds, in seconds.

        Raises:
            TokenError: if the decision releases nothing, is not on record, or is about another call, or the time is
                too long.
        """
        if decision.outcome is not Outcome.ALLOW or decision.seq is None or decision.digest != call.digest:
            raise TokenError("a token is for a call that was allowed and is on record, and for no other")
        if not 1 <= seconds <= MAX_TOKEN_SECONDS:
            raise TokenError(f"a token holds for 1 to {MAX_TOKEN_SECONDS} seconds, not {seconds}")
        now = int(self._clock())
        claims = Claims(
            iss=self._origin,
            jti=decision.decision_id,
            sub=call.subject.id,
            sid=call.session,
            digest=decision.digest,
            effects=effects_digest(decision),
            seq=decision.seq,
            iat=now,
            exp=now + seconds,
        )
        header = {"alg": _ALGORITHM, "typ": _TYPE, "kid": self._kid}
        text = f"{_word(orjson.dumps(header))}.{_word(msgspec.json.encode(claims))}"
        return f"{text}.{_word(self._key.private.sign(text.encode()))}"


class TokenVerifier:
    """Verifies tokens for a tool, each once; may be used from several threads.

    Args:
        keys: verifier keys of the trail, as `trail.vkey` has them.
        clock: the time, in seconds since the epoch.

    Raises:
        ConfigError: if there is no key, or one is none.
    """

    def __init__(self, keys: Iterable[str], *, clock: Callable[[], float] = time.time) -> None:
        from guardrail.audit._verify_note import read_key

        self._keys: dict[str, Key] = {}
        for vkey in keys:
            try:
                key = read_key(vkey.strip())
            except ValueError as error:
                raise ConfigError(f"`{vkey.strip()}` is no verifier key: it {error}") from None
            self._keys[key.key_id.hex()] = key
        if not self._keys:
            # An empty set of keys must not look like a verifier that has nothing against a token.
            raise ConfigError("a verifier of tokens needs a key: give the line of `trail.vkey`")
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}

    def verify(self, token: str, call: ToolCall) -> Claims:
        """Check a token for the call that is about to be carried out, and take it: it holds once.

        Args:
            token: as it was sent.
            call: what is about to be done, with its session and subject.

        Returns:
            What the token says.

        Raises:
            TokenError: if it does not hold; then nothing may be done.
        """
        claims = self.read(token)
        # 5. It is about this call of this session, to the letter.
        if claims.digest != call.digest or claims.sid != call.session or claims.sub != call.subject.id:
            _refuse("it is for another call, session or agent")
        # 6. Now.
        now = self._clock()
        if claims.iat > now + SKEW_SECONDS:
            _refuse("it is from the future: set the clocks of guard and tool")
        if claims.exp <= now:
            _refuse("its time is over: ask for the decision again")
        # 7. And has not been here before. INVARIANT: last, so that only what holds is remembered.
        self._take(claims, now)
        return claims

    def read(self, token: str) -> Claims:
        """What a token says, if one of the keys has signed it; it is not taken, and may be over or seen before.

        Raises:
            TokenError: if it is no token of this trail.
        """
        # 1. Three words, and not too long.
        words = token.split(".") if len(token) <= MAX_TOKEN_BYTES and token.isascii() else []
        if len(words) != 3:
            _refuse("it is not three words with dots between them")
        header, claims, signature = (_bytes(word) for word in words)
        # 2. Of our kind, by a key that is known.
        head = _decoded(_headers, header)
        if head.alg != _ALGORITHM or head.typ != _TYPE:
            _refuse("it is another kind of token")
        key = self._keys.get(head.kid)
        if key is None:
            _refuse("its key is not known here")
        # 3. Signed.
        if not key.check(signature, f"{words[0]}.{words[1]}".encode()):
            _refuse("its signature is wrong")
        # 4. It says what a token has to say, for no longer than a token may.
        found = _decoded(_claims, claims)
        if found.iss != key.name:
            _refuse("it is from another trail")
        if not 0 < found.exp - found.iat <= MAX_TOKEN_SECONDS:
            _refuse(f"it would hold for longer than {MAX_TOKEN_SECONDS} seconds")
        return found

    def _take(self, claims: Claims, now: float) -> None:
        with self._lock:
            if claims.jti in self._seen:
                _refuse("it was used before")
            if len(self._seen) >= MAX_SEEN:
                self._seen = {jti: exp for jti, exp in self._seen.items() if exp > now}
                if len(self._seen) >= MAX_SEEN:
                    _refuse("too many tokens hold at this time, so it cannot be told whether it was used before")
            self._seen[claims.jti] = claims.exp


def effects_digest(decision: Decision) -> str:
    """SHA-256 over the effects of a decision, as it prints them.

    Args:
        decision: whose effects.
    """
    return "sha256:" + hashlib.sha256(canonical([effect_dict(effect) for effect in decision.effects])).hexdigest()


def _refuse(why: str) -> NoReturn:
    raise TokenError(f"the token does not hold: {why}")


def _word(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(word: str) -> bytes:
    try:
        data = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        _refuse("it is not base64url")
    # One text for each token: another spelling of the same bytes is another text that was never signed.
    if _word(data) != word:
        _refuse("it is not base64url")
    return data


def _decoded(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _refuse("it does not say what a token has to say")
