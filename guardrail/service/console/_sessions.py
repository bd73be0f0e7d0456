"""Who is signed in, and what they are about to sign; kept in memory, so that a restart signs everybody out.

INVARIANT: a cookie holds nothing but a random name, and what is kept is found by its digest; signing in gives a new
name, so that a name planted before is worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from guardrail.review._statements import AnyStatement

MAX_SESSIONS: Final = 1024
"""Most sessions; of too many the oldest is signed out."""

MAX_STARTED: Final = 8
"""Most sign-ins that one session may have begun and not ended; the oldest is forgotten."""

STARTED_SECONDS: Final = 600
"""How long a sign-in may take, in seconds."""

Role = Literal["viewer", "approver", "admin"]
"""What somebody may do: look; answer too; cancel and revoke too."""

RANKS: Final[tuple[Role, ...]] = ("viewer", "approver", "admin")


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that was begun.

    Args:
        nonce: what the token has to repeat; for a statement the digest of it.
        verifier: what shows that it was begun here (RFC 7636).
        until: when it is too late, in seconds of the clock.
        back: path that follows.
        statement: what is signed with it; None where somebody only wants to look.
        version: the entity tag of what they were shown.
    """

    nonce: str
    verifier: str
    until: float
    back: str
    statement: AnyStatement | None = None
    version: int | None = None


class Session(msgspec.Struct, kw_only=True):
    """One browser.

    Args:
        name: who it is; empty before they signed in.
        role: what they may do; None for nothing.
        csrf: what each form of theirs has to repeat.
        until: when it ends, in seconds of the clock.
        started: sign-ins that were begun, by their `state`.
        said: one sentence for the next page.
    """

    name: str = ""
    role: Role | None = None
    csrf: str
    until: float
    started: OrderedDict[str, Started] = msgspec.field(default_factory=OrderedDict[str, Started])
    said: str = ""

    def may(self, role: Role) -> bool:
        """Whether they may do what this role may."""
        return self.role is not None and RANKS.index(self.role) >= RANKS.index(role)

    def begin(self, started: Started) -> str:
        """Remember a sign-in, and give it its `state`."""
        state = secrets.token_urlsafe(32)
        self.started[state] = started
        while len(self.started) > MAX_STARTED:
            self.started.popitem(last=False)
        return state

    def end(self, state: str, now: float) -> Started | None:
        """The sign-in of a `state`, which is good once; None if there is none, or it took too long."""
        started = self.started.pop(state, None)
        return started if started is not None and now < started.until else None

    def is_theirs(self, csrf: str) -> bool:
        """Whether a form came from a page of this session."""
        return hmac.compare_digest(csrf.encode(), self.csrf.encode())


class Sessions:
    """All of them.

    Args:
        seconds: how long a sign-in is good for, in seconds.
        clock: seconds that only ever grow.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[bytes, Session] = OrderedDict()

    def find(self, cookie: str) -> Session | None:
        """The session that a cookie names."""
        key = _key(cookie)
        session = self._kept.get(key)
        if session is not None and self._clock() >= session.until:
            del self._kept[key]
            return None
        return session

    def open(self, name: str = "", role: Role | None = None) -> tuple[str, Session]:
        """A new session, and the cookie that names it."""
        cookie = secrets.token_urlsafe(32)
        seconds = self._seconds if name else STARTED_SECONDS
        session = Session(name=name, role=role, csrf=secrets.token_urlsafe(32), until=self._clock() + seconds)
        self._kept[_key(cookie)] = session
        while len(self._kept) > MAX_SESSIONS:
            # Whoever has not signed in goes first: anybody who can connect may open such a one.
            nameless = next((key for key, one in self._kept.items() if not one.name), None)
            self._kept.pop(nameless if nameless is not None else next(iter(self._kept)))
        return cookie, session

    def close(self, cookie: str) -> None:
        """Sign out."""
        self._kept.pop(_key(cookie), None)


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
