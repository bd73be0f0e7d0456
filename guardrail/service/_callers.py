"""Who asks, and in whose name they may: known by a token of theirs, a ServiceAccount, a certificate, or the socket.

INVARIANT: a name that a call claims counts only as far as its caller is known and may use it; what a request is sent
with counts before what its connection says, so that a token which is wrong is never made up for by a socket.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from guardrail.config import NO_USER, ClientConfig, Config, ServiceConfig, secret
from guardrail.errors import ConfigError
from guardrail.model import Subject, ToolCall
from guardrail.service._accounts import Accounts, accounts_of
from guardrail.service._bearer import Bearer, bearer_token, digest
from guardrail.service._http import Problem, Scope, headers_of

MIN_TOKEN_CHARS: Final = 16
"""Shortest token that is accepted, in characters."""

UNNAMED: Final = Subject().id
"""The agent of a call that names none."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who asks.

    Args:
        name: what they are called; empty where the transport says no more than that they may ask.
        subjects: globs on names of agents in whose name they may ask.
    """

    name: str = ""
    subjects: tuple[str, ...] = ("*",)

    def may_ask_for(self, agent: str) -> bool:
        """Whether they may ask in an agent's name."""
        return any(fnmatchcase(agent, glob) for glob in self.subjects)

    def attributed(self, call: ToolCall) -> ToolCall:
        """A call with the name of its agent: the caller's own, where it names none.

        Raises:
            Problem: if it names one that is not theirs.
        """
        if self.name and call.subject.id == UNNAMED:
            subject = msgspec.structs.replace(call.subject, id=self.name)
            return msgspec.structs.replace(call, subject=subject)
        self.check(call.subject.id)
        return call

    def check(self, agent: str) -> None:
        """Insist that they may ask in an agent's name.

        Raises:
            Problem: if they may not.
        """
        if not self.may_ask_for(agent):
            raise Problem("not-entitled", f"`{self.name}` may not ask in the name of `{agent[:64]}`")

    def share(self, agent: str) -> str:
        """Whose share of the limits a call of theirs is."""
        return f"client {self.name}" if self.name else f"agent {agent}"


ANYBODY: Final = Caller()
"""Whoever has the one token, or can enter the socket's directory."""


def _only(agent: str) -> Caller:
    """Whoever asks, where only one agent can: in its own name, and in those of agents of its own."""
    return Caller(name=agent, subjects=(glob.escape(agent), f"{glob.escape(agent)}/*"))


class Callers:
    """Everybody who may ask.

    Args:
        settings: `[service]`.
        token: the one token where there are no `[[service.client]]`; empty where none is needed.
        accounts: verifies tokens of ServiceAccounts; None where there are none.
    """

    def __init__(self, settings: ServiceConfig, token: str = "", accounts: Accounts | None = None) -> None:
        self._one = Bearer(token, "the service's token") if token else None
        self._anybody = _only(secret(settings.agent, "service.agent")) if settings.agent else ANYBODY
        self._accounts = accounts
        self._tokens: dict[bytes, Caller] = {}
        self._certificates: dict[str, Caller] = {}
        self._service_accounts: dict[str, Caller] = {}
        self._users: dict[int, Caller] = {}
        for client in settings.clients:
            self._add(client)
        self.are_named = bool(settings.clients)

    @classmethod
    def open(cls, config: Config, settings: ServiceConfig, token: str) -> Callers:
        """Those of a configuration.

        Raises:
            ConfigError: if a token is too short or the same as another, or keys cannot be read.
        """
        cluster = settings.kubernetes
        return cls(settings, token, None if cluster is None else accounts_of(cluster, config))

    def _add(self, client: ClientConfig) -> None:
        caller = Caller(name=client.name, subjects=client.subjects or (client.name,))
        if client.token:
            token = secret(client.token, f"service.client {client.name}: token")
            if len(token) < MIN_TOKEN_CHARS:
                raise ConfigError(f"the token of `{client.name}` must have at least {MIN_TOKEN_CHARS} characters")
            if digest(token.encode()) in self._tokens:
                raise ConfigError(f"the token of `{client.name}` is that of another client, so it would be nobody's")
            self._tokens[digest(token.encode())] = caller
        elif client.certificate:
            self._certificates[client.certificate] = caller
        elif client.service_account:
            self._service_accounts[client.service_account] = caller
        elif client.uid != NO_USER:
            self._users[client.uid] = caller

    async def of(self, scope: Scope) -> Caller:
        """Who asks.

        Raises:
            Problem: if it is nobody who may.
        """
        headers = headers_of(scope)
        if not self.are_named:
            if self._one is not None:
                self._one.check(headers)
            return self._anybody
        token = bearer_token(headers)
        found = self._connected(scope.get("state") or {}) if token is None else await self._with(token)
        if found is None:
            raise Problem("unauthorized", "send a token of one of `service.client`, or connect as one of them")
        return found

    async def _with(self, token: bytes) -> Caller | None:
        # By the digest: how long a look-up takes says nothing about a token that is nearly right.
        known = self._tokens.get(digest(token))
        if known is not None or self._accounts is None:
            return known
        account = await self._accounts.account_of(token.decode("latin-1"))
        return None if account is None else self._service_accounts.get(account)

    def _connected(self, state: Mapping[str, Any]) -> Caller | None:
        for name in certificate_names(state.get("certificate")):
            if name in self._certificates:
                return self._certificates[name]
        return self._users.get(state.get("uid", NO_USER))


def certificate_names(certificate: Mapping[str, Any] | None) -> Iterator[str]:
    """The names in a certificate that was believed, the most exact kind first.

    Args:
        certificate: as `ssl.SSLSocket.getpeercert` gives it; None for none.
    """
    if not certificate:
        return
    others: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())
    for kind in ("URI", "DNS"):
        yield from (f"{kind}:{name}" for what, name in others if what == kind)
    subject: tuple[tuple[tuple[str, str], ...], ...] = certificate.get("subject", ())
    yield from (f"CN:{name}" for part in subject for what, name in part if what == "commonName")
