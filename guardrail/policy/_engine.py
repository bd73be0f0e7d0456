"""What an engine is, and which one a configuration means."""

from __future__ import annotations

from typing import Protocol

from guardrail.config import Config, secret
from guardrail.policy._bundle import bundle_directory, load_bundle
from guardrail.policy._rules import RuleBook
from guardrail.policy._ruling import Ruling


class PolicyEngine(Protocol):
    """What decides, asked from any thread.

    Each answer is made wholly under one revision and comes with its rules, also while another bundle is taken up.
    """

    @property
    def name(self) -> str:
        """`wasm`, `opa` or `shadow`."""
        ...

    @property
    def revision(self) -> str:
        """The revision in force now, with the digest of its module and data."""
        ...

    @property
    def rules(self) -> RuleBook:
        """The rules of that revision."""
        ...

    def decide(self, document: bytes, *, deadline: float) -> Ruling:
        """Ask policy.

        Args:
            document: made by `guardrail.policy.document`.
            deadline: when the answer is no longer wanted, on the clock of `time.monotonic`.

        Returns:
            The answer and the rules it was made under, for `guardrail.policy.conclude`.

        Raises:
            EngineFault: if there is no usable answer in time.
        """
        ...

    async def adecide(self, document: bytes, *, deadline: float) -> Ruling:
        """The same, from a coroutine.

        Raises:
            EngineFault: as `decide`.
        """
        ...

    def close(self) -> None:
        """Let go of threads, connections and memory; later questions are faults."""
        ...


def open_engine(config: Config) -> PolicyEngine:
    """Start the engine that a configuration names, and make sure that it answers.

    Args:
        config: `policy` says which engine and which bundle.

    Raises:
        ConfigError: if the bundle is missing, damaged or of another version, needs functions that this host does not
            give, does not do what its own examples say, or if the OPA server does not serve this very policy,
            or the variable of its token is not set.
    """
    bundle = load_bundle(bundle_directory(config))
    if config.policy.engine == "wasm":
        from guardrail.policy._wasm import WasmEngine

        return WasmEngine(bundle, memory_bytes=config.policy.memory_bytes)
    from guardrail.policy._opa import OpaEngine

    return OpaEngine(bundle, url=config.policy.url, token=secret(config.policy.token, "policy.token"))
