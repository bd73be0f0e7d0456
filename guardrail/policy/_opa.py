"""The engine in an OPA server, asked through opa-python-client.

Decisions are pure, so a question may be put again; that is done once, at once, and only when a kept connection broke.
Not concerned with managing the server: it is given its bundle when it is started, never through this client, which
would rewrite a policy that the server refuses.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import shlex
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import orjson

from guardrail.errors import ConfigError, EngineFault
from guardrail.policy._bundle import Bundle, policies_directory
from guardrail.policy._conclude import read_answer
from guardrail.policy._document import require_object
from guardrail.policy._examples import check_examples
from guardrail.policy._rules import RuleBook
from guardrail.policy._ruling import OtherRevision, Ruling

PACKAGE: Final = "guardrail.main"
RULE: Final = "decision"

START_SECONDS: Final = 5.0
"""Longest time for one answer while the engine is opened, in seconds."""

GRACE_SECONDS: Final = 0.05
"""How much longer than the deadline the caller's thread waits for the event loop to report, in seconds."""

CLOSE_SECONDS: Final = 2.0
"""Longest wait for the event loop to end, in seconds."""


class OpaEngine:
    """Asks an OPA server.

    Args:
        bundle: the built policy that the server must serve too.
        url: `http://host:port`, `https://host:port` or `unix:///path`.
        token: bearer token to send, or empty.

    Raises:
        ConfigError: if the extra `opa` is not installed, no server answers, or it serves another policy.
    """

    def __init__(self, bundle: Bundle, *, url: str, token: str) -> None:
        self.name: Final = "opa"
        self.revision: Final = bundle.revision
        self.rules: Final[RuleBook] = bundle.rules
        self._url = _split(url)
        self._shown = url
        self._shipped = bundle.directory.is_relative_to(policies_directory())
        self._token = token
        self._lock = threading.Lock()
        self._line: _Line | None = None
        self._closed = False
        self._checked = False
        _require_client()
        try:
            self._check_server(bundle.manifest.moved)
            self._checked = True
        except BaseException:
            self.close()
            raise

    def decide(self, document: bytes, *, deadline: float) -> Ruling:
        """Ask the server; see `PolicyEngine.decide`.

        Raises:
            EngineFault: if it does not answer in time, or with anything but a result.
        """
        return self.wait(self.submit(document, deadline), deadline)

    def wait(self, future: Future[Ruling], deadline: float) -> Ruling:
        """Wait for what `submit` asked.

        Raises:
            EngineFault: as `decide`.
        """
        try:
            return future.result(max(0.0, deadline - time.monotonic()) + GRACE_SECONDS)
        except TimeoutError:
            future.cancel()
            raise EngineFault(f"the OPA server at `{self._shown}` did not answer in time") from None

    async def adecide(self, document: bytes, *, deadline: float) -> Ruling:
        """Ask the server from a coroutine; see `PolicyEngine.adecide`.

        Raises:
            EngineFault: as `decide`.
        """
        return await asyncio.wrap_future(self.submit(document, deadline))

    def close(self) -> None:
        """End the connection and its thread; later questions are faults."""
        with self._lock:
            self._closed = True
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def _current(self) -> _Line:
        with self._lock:
            if self._closed:
                raise EngineFault("the policy engine is closed")
            # A forked child has neither the thread nor a connection that it could share with its parent.
            if self._line is None or self._line.pid != os.getpid():
                self._line = _Line(self._url, self._token)
            return self._line

    def submit(self, document: bytes, deadline: float) -> Future[Ruling]:
        """Put the question and do not wait; the future has the ruling, or the `EngineFault`."""
        # Checked as JSON, so that a text which closes our own bracket cannot write a question of its own.
        require_object(document)
        line = self._current()
        return asyncio.run_coroutine_threadsafe(self._ask(line, document, deadline), line.loop)

    async def _ask(self, line: _Line, document: bytes, deadline: float) -> Ruling:
        left = deadline - time.monotonic()
        if left <= 0:
            raise EngineFault("the deadline had passed before policy was asked")
        try:
            async with asyncio.timeout(left):
                body = await line.query(document)
            answer = body["result"]
        except TimeoutError:
            raise EngineFault(f"the OPA server at `{self._shown}` did not answer in time") from None
        except KeyError:
            raise EngineFault(f"the OPA server at `{self._shown}` has no rule `{PACKAGE}.{RULE}`") from None
        except Exception as error:  # noqa: BLE001  # the client's errors have no common base: aiohttp's, JSON's, its own
            raise EngineFault(f"the OPA server at `{self._shown}` gave no answer: {_sentence(error)}") from None
        served: object = answer.get("revision") if isinstance(answer, dict) else None  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
        if self._checked and isinstance(served, str) and served not in (self.rules.revision, "unknown"):
            # The server went to another bundle. Its answer is not read with the rules of this one.
            raise OtherRevision(
                f"the OPA server at `{self._shown}` answered with revision `{served}`, not `{self.rules.revision}`"
            )
        return Ruling(orjson.dumps(answer), self.rules, self.revision)

    def _check_server(self, moved: Sequence[str]) -> None:
        """The server answers, with this very revision, and does what the rules' examples say."""
        try:
            ruling = self.decide(b'{"evaluations":[]}', deadline=time.monotonic() + START_SECONDS)
            served = read_answer(ruling.answer).revision
        except EngineFault as error:
            raise ConfigError(f"{error}; {self._help()}") from None
        if served != self.rules.revision:
            raise ConfigError(
                f"the OPA server at `{self._shown}` serves policy revision `{served}`, not `{self.rules.revision}`;"
                f" {self._help()}"
            )
        try:
            check_examples(self, START_SECONDS, moved=moved)
        except EngineFault as error:
            raise ConfigError(f"{error}; {self._help()}") from None

    def _help(self) -> str:
        if self._shipped:
            return f"start one with `{shlex.join(server_command(self._shown))}`"
        command = (*_serve(self._shown), "--bundle", "RULES.tar.gz")
        return (
            f"start one with `{shlex.join(command)}`, where RULES.tar.gz is what `guardrail policy build "
            "--rego-bundle` made together with `policy.bundle`"
        )


def server_command(url: str, root: Path | None = None) -> tuple[str, ...]:
    """The command that serves a policy at this address, asking nobody about newer versions.

    Args:
        url: as in `policy.url`.
        root: bundle root with the sources; that of the policy that ships by default.
    """
    # Built files would be taken for data, and tests for rules.
    return (*_serve(url), "--bundle", str(root or policies_directory()), "--ignore", "build,*_test.rego")


def _serve(url: str) -> tuple[str, ...]:
    address = url if url.startswith("unix:") else urlsplit(url).netloc
    return ("opa", "run", "--server", "--skip-version-check", "--addr", address)


class _Line:
    """An event loop in a thread of its own, and the one client that lives on it."""

    def __init__(self, url: SplitResult, token: str) -> None:
        self.pid: Final = os.getpid()
        self.loop: Final = asyncio.new_event_loop()
        self._url = url
        self._token = token
        self._client: Any = None
        self._thread = threading.Thread(target=self._run, name="guardrail-opa", daemon=True)
        self._thread.start()

    async def query(self, document: bytes) -> Any:
        """Put one question; runs on `loop`."""
        import aiohttp

        from guardrail.policy._opa_client import new_client

        if self._client is None:
            self._client = new_client(self._url, self._token, START_SECONDS)
        # The client would parse and write the document again; the fragment goes out as the bytes it is.
        question = orjson.Fragment(document)
        try:
            return await self._client.query_rule(question, PACKAGE, RULE)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # A kept connection that the server has closed meanwhile shows only now.
            return await self._client.query_rule(question, PACKAGE, RULE)

    def close(self) -> None:
        if self.pid != os.getpid():
            return  # the parent's
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self._finish())
        finally:
            self.loop.close()

    async def _finish(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._client is not None:
            await self._client.close_connection()


def _require_client() -> None:
    try:
        importlib.import_module("guardrail.policy._opa_client")
    except ImportError as error:
        raise ConfigError(
            f"the engine `opa` needs a package that is not installed ({error.name}):"
            " install the extra `guardrail-runtime[opa]`"
        ) from None


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    socket = parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/")
    server = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.path in {"", "/"} and port != -1
    if not (plain and (socket or server)):
        raise ConfigError(f"`policy.url` must be `http://host:port` or `unix:///path`, not `{url}`")
    return parts


def _sentence(error: BaseException) -> str:
    """What went wrong, in our words: the client's own quote addresses, certificates and whole answers."""
    import aiohttp

    from guardrail.policy._opa_client import BadAnswer

    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted here"
        case aiohttp.ClientSSLError():
            return "it does not speak TLS"
        case aiohttp.ServerDisconnectedError():
            return "it closed the connection"
        case OSError() if error.errno is not None and error.errno > 0:
            return os.strerror(error.errno).lower()
        case OSError():
            return "nothing can be reached there"
        case aiohttp.ClientError():
            return "what it sends is no answer of an OPA server"
        case BadAnswer():
            return str(error)
        case ValueError():
            return "what it sends is not JSON"
        case _:
            return f"the client failed ({type(error).__name__})"
