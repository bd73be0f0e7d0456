"""Decision tokens: what holds, once, for this call, and nothing else does."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guardrail import ConfigError, Decision, Guard, TokenError, TokenVerifier, ToolCall
from guardrail.audit import trail_key
from guardrail.audit._note import SigningKey
from guardrail.cli import main
from guardrail.tokens import MAX_TOKEN_SECONDS, TokenSigner, effects_digest

CALL = ToolCall(tool="bash", args={"command": "ls /srv"}, cwd="/", session="s1")


class Clock:
    """A clock that is set."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """A guard with a trail, and so with a key."""
    (tmp_path / "guardrail.toml").write_text(
        "[limits]\ndecision_ms = 60000\n"
        "[trail]\ntimeout_seconds = 60\n"
        'directory = "trail"\n[[asset]]\nid = "model:a"\nclass = "weights"\npaths = ["models"]\n'
    )
    with Guard.open(str(tmp_path / "guardrail.toml")) as opened:
        yield opened


def _signer(guard: Guard, clock: Clock) -> TokenSigner:
    from guardrail.audit._note import read_keys

    return TokenSigner(
        SigningKey(guard.config.trail.origin, read_keys(trail_key(guard.config))[0]), guard.config.trail.origin, clock
    )


def _vkey(guard: Guard) -> str:
    return trail_key(guard.config).with_name("trail.vkey").read_text()


def test_a_token_holds_once_for_the_call_that_was_judged(guard: Guard) -> None:
    """It names the decision, its record, the call and its effects; a second use is refused, also after its time."""
    clock = Clock()
    decision = guard.check(CALL)
    token = _signer(guard, clock).sign(CALL, decision)
    verifier = TokenVerifier([_vkey(guard)], clock=clock)
    claims = verifier.verify(token, CALL)
    assert (claims.jti, claims.seq, claims.sid) == (decision.decision_id, decision.seq, "s1")
    assert (claims.digest, claims.effects) == (CALL.digest, effects_digest(decision))
    with pytest.raises(TokenError, match="was used before"):
        verifier.verify(token, CALL)
    clock.now += 60
    with pytest.raises(TokenError, match="time is over"):
        verifier.verify(token, CALL)


@pytest.mark.parametrize(
    "other",
    [
        ToolCall(tool="bash", args={"command": "ls /"}, cwd="/", session="s1"),
        ToolCall(tool="bash", args={"command": "ls /srv"}, cwd="/tmp", session="s1"),
        ToolCall(tool="bash", args={"command": "ls /srv"}, cwd="/", session="s2"),
    ],
)
def test_a_token_for_another_call_does_not_hold(guard: Guard, other: ToolCall) -> None:
    """Other arguments, another directory, another session; and what was refused is not used up."""
    verifier = TokenVerifier([_vkey(guard)])
    token = _signer(guard, Clock()).sign(CALL, guard.check(CALL))
    with pytest.raises(TokenError, match="another call, session or agent"):
        verifier.verify(token, other)
    assert TokenVerifier([_vkey(guard)], clock=Clock()).verify(token, CALL)


def test_what_is_not_exactly_our_token_does_not_hold(guard: Guard) -> None:
    """Each flipped bit, each other spelling, another kind, another key, no signature, and a time that is too long."""
    clock = Clock()
    verifier = TokenVerifier([_vkey(guard)], clock=clock)
    token = _signer(guard, clock).sign(CALL, guard.check(CALL))
    head, claims, signature = token.split(".")

    def word(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    def plain(text: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(base64.urlsafe_b64decode(text + "=="))
        return found

    forged = [
        "", "a.b", f"{token}.", f"{token}=", token.replace(".", ". "), "x" * 10_000, f"{head}.{claims}.",
        f"{word({**plain(head), 'alg': 'none'})}.{claims}.",
        f"{word({**plain(head), 'crit': ['x']})}.{claims}.{signature}",
        f"{word({**plain(head), 'typ': 'JWT'})}.{claims}.{signature}",
        f"{head}.{word({**plain(claims), 'sid': 's2'})}.{signature}",
    ]  # fmt: skip
    forged += [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(0, len(token), 7)]
    stranger = TokenSigner(
        SigningKey(guard.config.trail.origin, Ed25519PrivateKey.generate()), guard.config.trail.origin, clock
    )
    forged.append(stranger.sign(CALL, guard.check(CALL)))
    for text in forged:
        with pytest.raises(TokenError, match="the token does not hold"):
            verifier.verify(text, CALL)
    clock.now -= 3600
    with pytest.raises(TokenError, match="from the future"):
        verifier.verify(token, CALL)
    with pytest.raises(TokenError, match="holds for 1 to"):
        _signer(guard, clock).sign(CALL, guard.check(CALL), seconds=MAX_TOKEN_SECONDS + 1)
    for keys in ([], ["nonsense"]):
        with pytest.raises(ConfigError):
            TokenVerifier(keys)


def test_only_an_allow_that_is_on_record_gets_a_token(guard: Guard, tmp_path: Path) -> None:
    """A denial, a question, an allow without a record, and the decision about another call get none."""
    signer = _signer(guard, Clock())
    copy = ToolCall(tool="bash", args={"command": f"cp {tmp_path}/models/a /tmp/x"}, cwd="/")
    asked = ToolCall(tool="bash", args={"command": "bash"}, cwd="/")
    wrong: list[tuple[ToolCall, Decision]] = [
        (copy, guard.check(copy)),
        (asked, guard.check(asked)),
        (CALL, guard.preview(CALL)),
        (copy, guard.check(CALL)),
    ]
    for call, decision in wrong:
        with pytest.raises(TokenError, match="allowed and is on record"):
            signer.sign(call, decision)


def test_a_verifier_that_cannot_remember_takes_nothing(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over makes room; otherwise the next one is refused, since it could be sent again unseen."""
    monkeypatch.setattr("guardrail.tokens.MAX_SEEN", 2)
    clock = Clock()
    verifier = TokenVerifier([_vkey(guard)], clock=clock)
    tokens = [_signer(guard, clock).sign(CALL, guard.check(CALL)) for _ in range(3)]
    for token in tokens[:2]:
        verifier.verify(token, CALL)
    with pytest.raises(TokenError, match="too many"):
        verifier.verify(tokens[2], CALL)
    clock.now += 100
    assert verifier.verify(_signer(guard, clock).sign(CALL, guard.check(CALL)), CALL)


async def test_the_service_signs_and_the_command_line_verifies(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An allow comes with a token, a denial without; exit code 0 if it holds for the call, 3 if not."""
    from guardrail.service._callers import ANYBODY
    from guardrail.service._judging import Judging
    from guardrail.service._tokens import TokenRoutes
    from guardrail.service._turns import Limits, Turns

    async def post(call: dict[str, object]) -> dict[str, str]:
        sent: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": json.dumps(call).encode()}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        scope = {
            "guardrail.caller": ANYBODY,
            "method": "POST",
            "path": "/v1/token",
            "headers": [(b"content-type", b"application/json")],
        }
        await TokenRoutes(guard, Judging(guard, Turns(Limits.of_judging(guard.config.service))))(scope, receive, send)
        found: dict[str, str] = json.loads(sent[-1]["body"])  # type: ignore[arg-type]
        return found

    call = {"tool": "bash", "args": {"command": "ls /srv"}, "cwd": "/", "session": "s1"}
    signed = await post(call)
    assert "token" not in await post({**call, "args": {"command": f"rm -r {tmp_path}/models"}})
    for command, code in (("ls /srv", 0), ("ls /", 3)):
        text = json.dumps({**call, "args": {"command": command}})
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        words = ["token", "verify", signed["token"], "--call", "-", "--config", str(tmp_path / "guardrail.toml")]
        assert main(words) == code
    out, err = capsys.readouterr()
    assert out.startswith("it holds: decision ")
    assert "another call, session or agent" in err
