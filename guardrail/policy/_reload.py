"""The engine of a bundle that may be replaced while calls are being decided.

1. Look at the source now and then. 2. Verify what came. 3. Not older than the last one accepted. 4. Start its engine,
which runs every example. 5. Write it down. 6. Exchange one reference.
A failure at any step leaves the engine that was there: the last good bundle serves on, and why the new one does not is
told. Nothing on the way of a decision takes a lock.
INVARIANT: a call is decided by one engine of one bundle, whose rules come with the answer.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from guardrail.errors import ConfigError, GuardrailError
from guardrail.policy._bundle import Bundle
from guardrail.policy._engine import PolicyEngine
from guardrail.policy._news import PolicyNews
from guardrail.policy._rules import RuleBook
from guardrail.policy._ruling import OtherRevision, Ruling
from guardrail.policy.bundles._read import Received
from guardrail.policy.bundles._source import Source
from guardrail.policy.bundles._state import BundleState

DRAIN_SECONDS: Final = 30.0
"""How long a replaced engine is kept for calls that it is still deciding, in seconds."""

AGAIN_SECONDS: Final = 0.05
"""Shortest time between two looks at the source because a server went to another revision, in seconds."""

CLOSE_SECONDS: Final = 2.0
"""Longest wait for the thread that looks at the source, when closing, in seconds."""


Verify = Callable[[Mapping[str, bytes], str], Received]
"""From members and their address to a bundle whose signature was verified."""

Make = Callable[[Bundle], PolicyEngine]
"""From a bundle to an engine that has run its examples."""


class _NotNow(ConfigError):
    """A bundle that is good, and that nobody wants to be served yet."""


class ReloadingEngine:
    """Decides by the last good bundle of a source.

    Args:
        source: where bundles come from.
        verify: reads and verifies one.
        make: starts the engine of one.
        state: what was accepted before, if anything is written down.
        poll_seconds: how often to look at the source, in seconds.
        told: called when another bundle is in force or one is refused, from any thread.
        accepts: says of a bundle, by digest and revision, why it is not to be taken up now; nothing if it is.

    Raises:
        ConfigError: if the source has no good bundle, and none that was accepted before was kept.
    """

    def __init__(
        self,
        source: Source,
        *,
        verify: Verify,
        make: Make,
        state: BundleState | None,
        poll_seconds: float,
        told: Callable[[PolicyNews], None],
        accepts: Callable[[str, str], str] | None = None,
    ) -> None:
        self._source = source
        self._verify = verify
        self._make = make
        self._state = state
        self._poll_seconds = poll_seconds
        self._told = told
        self._accepts = accepts
        self._tag = ""
        self._digest: str = ""
        self._refused = ""
        self._retired: list[tuple[float, PolicyEngine]] = []
        self._stop = threading.Event()
        self._engine: PolicyEngine = self._first()
        self._start()

    @property
    def name(self) -> str:
        """`wasm`, `opa` or `shadow`."""
        return self._engine.name

    @property
    def revision(self) -> str:
        """The revision in force now."""
        return self._engine.revision

    @property
    def rules(self) -> RuleBook:
        """The rules of that revision."""
        return self._engine.rules

    @property
    def refused(self) -> str:
        """Why what the source has now is not in force; empty if it is."""
        return self._refused

    def decide(self, document: bytes, *, deadline: float) -> Ruling:
        """Ask the engine in force; see `PolicyEngine.decide`.

        Raises:
            EngineFault: as that engine does.
        """
        engine = self._current()
        try:
            return engine.decide(document, deadline=deadline)
        except OtherRevision:
            # The server was quicker than we: its new bundle is asked again, wholly, once it is in force here too.
            if not self._renewed(engine, deadline):
                raise
            return self._engine.decide(document, deadline=deadline)

    async def adecide(self, document: bytes, *, deadline: float) -> Ruling:
        """Ask the engine in force, from a coroutine; see `PolicyEngine.adecide`.

        Raises:
            EngineFault: as that engine does.
        """
        engine = self._current()
        try:
            return await engine.adecide(document, deadline=deadline)
        except OtherRevision:
            import asyncio  # a process that judges one call never needs it

            if not await asyncio.to_thread(self._renewed, engine, deadline):
                raise
            return await self._engine.adecide(document, deadline=deadline)

    def reload(self) -> bool:
        """Look at the source now.

        Returns:
            Whether another bundle is in force; `refused` says why not, where one was refused.
        """
        with self._turn:
            return not self._stop.is_set() and self._look()

    def hurry(self) -> None:
        """Look at the source soon, in the thread that does so; waits for nothing."""
        self._wake.set()

    def close(self) -> None:
        """Stop looking, and close every engine; later questions are faults."""
        self._stop.set()
        self._wake.set()
        if self._pid == os.getpid():
            self._thread.join(CLOSE_SECONDS)
        self._engine.close()
        for _, engine in self._retired:
            engine.close()

    # ── taking up a bundle ────────────────────────────────────────────────────────────────────────────────────────────

    def _first(self) -> PolicyEngine:
        try:
            made = self._next()
        except ConfigError as error:
            kept = self._kept()
            if kept is None:
                raise
            if not isinstance(error, _NotNow):
                self._tell_refused(str(error), kept.revision)
            return kept
        if made is None:
            raise ConfigError(f"the source `{self._source.name}` has no policy bundle: see to it")
        return made

    def _next(self) -> PolicyEngine | None:
        """The engine of what the source has, or None if that is in force already.

        Raises:
            ConfigError: if it is not to be taken up.
        """
        fetched = self._source.fetch(self._tag)
        if fetched is None:
            return None
        received = self._verify(fetched.members, self._source.name)
        if received.digest == self._digest:
            self._tag = fetched.tag
            return None
        if self._accepts is not None and (why := self._accepts(received.digest, received.bundle.manifest.revision)):
            raise _NotNow(why)
        if self._state is not None:
            self._state.check(self._source.name, received)
        engine = self._make(received.bundle)
        try:
            if self._state is not None:
                self._state.accept(self._source.name, received, fetched.members)
        except BaseException:
            engine.close()
            raise
        self._tag, self._digest = fetched.tag, received.digest
        return engine

    def _kept(self) -> PolicyEngine | None:
        """The engine of the bundle accepted last, verified again, if a copy of exactly that one is there."""
        if self._state is None:
            return None
        try:
            members, last = self._state.kept(self._source.name), self._state.last(self._source.name)
            if members is None or last is None:
                return None
            received = self._verify(members, self._source.name)
            if received.digest != last.digest:
                return None
            engine = self._make(received.bundle)
        except ConfigError:
            return None  # what the source itself has is the better thing to complain about
        self._digest = received.digest
        return engine

    def _look(self) -> bool:
        try:
            made = self._next()
        except _NotNow:
            made = None  # nothing is wrong with it, and it is asked for again
        except GuardrailError as error:
            self._tell_refused(str(error), self._engine.revision)
            return False
        except Exception as error:  # noqa: BLE001 - whatever a source or a bundle does, the last good one serves on
            self._tell_refused(f"looking for a new bundle failed ({type(error).__name__})", self._engine.revision)
            return False
        self._refused = ""
        if made is None:
            return False
        if self._stop.is_set():
            made.close()  # closed while the new one was being made
            return False
        old, self._engine = self._engine, made
        self._retired.append((time.monotonic() + DRAIN_SECONDS, old))
        self._told(PolicyNews(event="policy", revision=made.revision, source=self._source.name))
        return True

    def _tell_refused(self, why: str, revision: str) -> None:
        # Asked for in full next time, because it may be mended; told once, because it may not.
        self._tag = ""
        if why != self._refused:
            self._refused = why
            self._told(PolicyNews(event="policy_refused", revision=revision, source=self._source.name, why=why))

    # ── the thread ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        self._pid = os.getpid()
        self._turn = threading.Lock()
        self._wake = threading.Event()
        self._looked = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="guardrail-policy", daemon=True)
        self._thread.start()

    def _current(self) -> PolicyEngine:
        if self._pid != os.getpid() and not self._stop.is_set():
            self._start()  # a forked child has no thread of its own, and the locks may have been held
        return self._engine

    def _run(self) -> None:
        while not self._stop.is_set():
            hurried = self._wake.wait(self._poll_seconds)
            self._wake.clear()
            if self._stop.is_set():
                return
            self.reload()
            with self._turn:
                self._let_go()
            with self._looked:
                self._looked.notify_all()
            if hurried and not self._stop.is_set():
                self._wake.wait(AGAIN_SECONDS)

    def _let_go(self) -> None:
        now = time.monotonic()
        for _, engine in [item for item in self._retired if item[0] <= now]:
            engine.close()
        self._retired = [item for item in self._retired if item[0] > now]

    def _renewed(self, engine: PolicyEngine, deadline: float) -> bool:
        """Have the source looked at, and wait until another engine is in force or there is no time left."""
        with self._looked:
            self._wake.set()
            while self._engine is engine and not self._stop.is_set():
                left = deadline - time.monotonic()
                if left <= 0 or not self._looked.wait(left):
                    break
                self._wake.set()
        return self._engine is not engine
