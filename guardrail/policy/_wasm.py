"""The engine inside this process: OPA's compiler made the module, wasmtime runs it.

Not concerned with what the module says: its answer is read by `guardrail.policy.conclude`.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import wasmtime

from guardrail.errors import ConfigError, EngineFault
from guardrail.policy._bundle import ENTRYPOINT, Bundle
from guardrail.policy._cache import load_module
from guardrail.policy._conclude import read_answer
from guardrail.policy._document import require_object
from guardrail.policy._epoch import start_ticking, stop_ticking, ticks
from guardrail.policy._examples import check_examples, probe
from guardrail.policy._instance import PAGE, Compiled, Instance
from guardrail.policy._rules import RuleBook
from guardrail.policy._ruling import Ruling

RECYCLE_BYTES: Final = 8 * 1024 * 1024
"""An instance whose memory has grown by more than this is thrown away: linear memory never shrinks."""

INLINE_BYTES: Final = 16 * 1024
"""Documents up to this size are decided on the event loop itself; larger ones go to a thread."""

START_SECONDS: Final = 10.0
"""Longest time that one question of the self-check may take, in seconds."""

_HEAD: Final = b'[{"result":'
_TAIL: Final = b"}]"


class WasmEngine:
    """Decides in this process.

    Args:
        bundle: the built policy.
        memory_bytes: largest memory of one instance, in bytes; there is one instance a thread.

    Raises:
        ConfigError: if the module cannot be used here, or does not do what its own examples say.
    """

    def __init__(self, bundle: Bundle, *, memory_bytes: int) -> None:
        self.name: Final = "wasm"
        self.revision: Final = bundle.revision
        self.rules: Final[RuleBook] = bundle.rules
        self.small_reservation = False
        self._data = bundle.data
        self._raw = True
        self._closed = False
        self._local = threading.local()
        try:
            self._compiled = self._start(bundle.wasm, memory_bytes)
            start_ticking(self._compiled.engine)
            self._self_check()
            check_examples(self, START_SECONDS, moved=bundle.manifest.moved)
            self._check_revision()
        except (EngineFault, wasmtime.WasmtimeError) as error:
            self.close()
            raise ConfigError(
                f"the policy bundle `{bundle.directory}` cannot be used: {error};"
                " build it again with `guardrail policy build`"
            ) from None
        except ConfigError:
            self.close()
            raise

    @property
    def raw(self) -> bool:
        """Whether the fast call is in use, which the self-check compared with the public one."""
        return self._raw

    def decide(self, document: bytes, *, deadline: float) -> Ruling:
        """Ask policy; see `PolicyEngine.decide`.

        Raises:
            EngineFault: if the deadline has passed or passes, memory runs out, or the input is not a JSON object.
        """
        left = deadline - time.monotonic()
        if left <= 0:
            raise EngineFault("the deadline had passed before policy was asked")
        require_object(document)
        instance = self._take()
        answer = instance.evaluate(document, ticks(left))
        # Given back only now: after a fault of any kind the instance is not used again.
        if instance.memory_bytes - instance.initial_bytes <= RECYCLE_BYTES:
            self._local.instance = instance
        if not (answer.startswith(_HEAD) and answer.endswith(_TAIL)):
            raise EngineFault("the policy gave no result")
        return Ruling(answer[len(_HEAD) : -len(_TAIL)], self.rules, self.revision)

    async def adecide(self, document: bytes, *, deadline: float) -> Ruling:
        """Ask policy from a coroutine; see `PolicyEngine.adecide`.

        Raises:
            EngineFault: as `decide`.
        """
        if len(document) <= INLINE_BYTES:
            return self.decide(document, deadline=deadline)
        import asyncio  # a process that judges one call never needs it

        return await asyncio.to_thread(self.decide, document, deadline=deadline)

    def close(self) -> None:
        """Stop the clock; later questions are faults."""
        self._closed = True
        compiled = getattr(self, "_compiled", None)
        if compiled is not None:
            stop_ticking(compiled.engine)
        self._local = threading.local()

    def _take(self) -> Instance:
        if self._closed:
            raise EngineFault("the policy engine is closed")
        instance: Instance | None = self._local.__dict__.pop("instance", None)
        return instance if instance is not None else self._instance(self._compiled)

    def _instance(self, compiled: Compiled) -> Instance:
        try:
            instance = Instance(compiled, self._data, ENTRYPOINT)
        except wasmtime.WasmtimeError as error:
            raise EngineFault(f"no instance of the policy could be made: {_last_line(error)}") from None
        if not self._raw:
            instance.use_public_call()
        return instance

    def _start(self, wasm: bytes, memory_bytes: int) -> Compiled:
        compiled = _compile(wasm, memory_bytes, small=False)
        try:
            Instance(compiled, self._data, ENTRYPOINT)
        except wasmtime.WasmtimeError:
            # Under `ulimit -v` the usual 4 GiB of address space an instance cannot be had: 45 % slower, but it works.
            self.small_reservation = True
            compiled = _compile(wasm, memory_bytes, small=True)
            Instance(compiled, self._data, ENTRYPOINT)
        return compiled

    def _self_check(self) -> None:
        """The entrypoint is total, and the private call agrees with the public one, byte for byte."""
        raw, public = self._instance(self._compiled), self._instance(self._compiled)
        self._raw = raw.raw
        public.use_public_call()
        for document in probe():
            answer = public.evaluate(document, ticks(START_SECONDS))
            if answer == b"[]":
                raise EngineFault(f"the entrypoint `{ENTRYPOINT}` is undefined for some input")
            if self._raw and raw.evaluate(document, ticks(START_SECONDS)) != answer:
                self._raw = False

    def _check_revision(self) -> None:
        """Rules report the revision of the manifest; a bundle put together of two would otherwise deny every call."""
        answer = read_answer(self.decide(list(probe())[-1], deadline=time.monotonic() + START_SECONDS).answer)
        if answer.revision != self.rules.revision:
            raise EngineFault(f"its rules are of revision `{answer.revision}`, its manifest of `{self.rules.revision}`")


def _compile(wasm: bytes, memory_bytes: int, *, small: bool) -> Compiled:
    config = wasmtime.Config()
    config.epoch_interruption = True
    if small:
        config.memory_reservation = memory_bytes // PAGE * PAGE
        config.memory_reservation_for_growth = 0
    engine = wasmtime.Engine(config)
    settings = f"epoch small={memory_bytes}" if small else "epoch"
    return Compiled(engine, load_module(engine, wasm, settings=settings), memory_bytes)


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
