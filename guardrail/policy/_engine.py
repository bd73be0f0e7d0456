"""What an engine is, and which one a configuration means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from guardrail.config import Config, secret
from guardrail.errors import ConfigError
from guardrail.policy._bundle import Bundle, bundle_directory, load_bundle
from guardrail.policy._news import PolicyNews
from guardrail.policy._rules import RuleBook
from guardrail.policy._ruling import Ruling

if TYPE_CHECKING:
    from guardrail.policy.bundles._signature import VerificationKey

MAX_KEY_BYTES: Final = 64 * 1024
"""Largest file with a verification key, in bytes."""


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


def open_engine(
    config: Config,
    *,
    state: Path | None = None,
    keep: bool = False,
    told: Callable[[PolicyNews], None] | None = None,
    accepts: Callable[[str, str], str] | None = None,
) -> PolicyEngine:
    """Start the engine that a configuration names, and make sure that it answers.

    Args:
        config: `policy` says which engine and which bundle.
        state: directory with what was accepted before; without one nothing is known to be older.
        keep: write down there what is accepted now.
        told: called when another bundle comes into force later, or one is refused, from any thread.
        accepts: says of a bundle, by digest and revision, why it is not to be taken up now; nothing if it is.

    Returns:
        The engine; if `policy.bundle` is set, one that takes up new bundles while it is used.

    Raises:
        ConfigError: if there is no good bundle: missing, damaged, signed by nobody known, older than one accepted
            before, of another version, in need of functions that this host does not give, or not doing what its own
            examples say; or if the OPA server does not serve this very policy, or the variable of a secret is not set.
    """
    if not config.policy.bundle:
        # The policy that ships is as trusted as this code, and changes with it.
        return _checked(_maker(config)(load_bundle(bundle_directory(config))), config)
    from guardrail.policy._reload import ReloadingEngine
    from guardrail.policy.bundles._read import receive
    from guardrail.policy.bundles._source import source_of
    from guardrail.policy.bundles._state import BundleState

    keys, key_id = verification_keys(config), config.policy.key_id
    engine = ReloadingEngine(
        source_of(config),
        verify=lambda members, where: receive(members, keys=keys, key_id=key_id, where=where),
        make=_maker(config),
        state=None if state is None else BundleState(state, writable=keep),
        poll_seconds=config.policy.poll_seconds,
        told=told or _tell_nobody,
        accepts=accepts,
    )
    return _checked(engine, config)


def hurry(engine: PolicyEngine) -> None:
    """Have the source of an engine looked at now, if it has one."""
    look = getattr(engine, "hurry", None)
    if look is not None:
        look()


def verification_keys(config: Config) -> tuple[VerificationKey, ...]:
    """The keys of `[[policy.key]]`, read.

    Raises:
        ConfigError: if one cannot be read, or is not one for its algorithm.
    """
    if not config.policy.keys:
        return ()
    from guardrail.policy.bundles._signature import VerificationKey, load_public_key

    found: list[VerificationKey] = []
    for given in config.policy.keys:
        text = secret(given.key, f"policy.key `{given.id}`")
        if not given.algorithm.startswith("HS") and "-----BEGIN" not in text:
            text = _read_key(config.path(text), given.id)
        key = VerificationKey(id=given.id, algorithm=given.algorithm, key=text, scope=given.scope)
        if not given.algorithm.startswith("HS"):
            load_public_key(key)
        found.append(key)
    return tuple(found)


def _read_key(path: Path, key_id: str) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_KEY_BYTES).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            f"cannot read the key `{key_id}` of `[[policy.key]]`, `{path}`: {why}; name a file with a public key in PEM"
        ) from None


def _maker(config: Config) -> Callable[[Bundle], PolicyEngine]:
    """Starts an engine of the configured kind for a bundle; the secret is read once."""
    policy = config.policy
    token = "" if policy.engine == "wasm" else secret(policy.token, "policy.token")

    def make(bundle: Bundle) -> PolicyEngine:
        if policy.engine == "opa":
            from guardrail.policy._opa import OpaEngine

            return OpaEngine(bundle, url=policy.url, token=token)
        from guardrail.policy._wasm import WasmEngine

        wasm = WasmEngine(bundle, memory_bytes=policy.memory_bytes)
        if policy.engine == "wasm":
            return wasm
        from guardrail.policy._opa import OpaEngine
        from guardrail.policy._shadow import ShadowEngine

        try:
            return ShadowEngine(wasm, OpaEngine(bundle, url=policy.url, token=token))
        except BaseException:
            wasm.close()
            raise

    return make


def _checked(engine: PolicyEngine, config: Config) -> PolicyEngine:
    """The engine, once its policy is known to have every rule that the settings name."""
    unknown = sorted(rule for rule in config.policy.maturity if rule != "*" and rule not in engine.rules)
    if unknown:
        engine.close()
        raise ConfigError(
            f"`policy.maturity` names the rule `{unknown[0]}`, which the policy does not have:"
            " `guardrail policy check --json` lists them"
        )
    return engine


def refusal(engine: PolicyEngine) -> str:
    """Why the bundle that the source has now is not in force; empty if it is, or if the engine takes up none."""
    from guardrail.policy._reload import ReloadingEngine

    return engine.refused if isinstance(engine, ReloadingEngine) else ""


def _tell_nobody(_: PolicyNews) -> None:
    """Whoever asks for no news gets none; `ReloadingEngine.refused` has them all the same."""
