"""Tables about what the rules are and what they see: policy, mandates, obligations, history, limits."""

from __future__ import annotations

from typing import Literal

from guardrail.config._section import Maturity, Section

Algorithm = Literal[
    "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"
]
"""What bundles may be signed with; OPA knows the same."""


class BundleKeyConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[policy.key]]`: a key that policy bundles may be signed with.

    Args:
        id: its name, as the signature's `kid` or `keyid` has it.
        algorithm: such as `ES256`; the signature's own word for it does not count.
        key: file with the public key or certificate in PEM, or that PEM itself; for `HS256` and its like the secret,
            best given as `${ENV_NAME}`.
        scope: what the `scope` of the signature must be.
    """

    id: str
    algorithm: Algorithm
    key: str
    scope: str = ""


class PolicyConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"keys": "key"}):
    """`[policy]`: what decides.

    Args:
        engine: `wasm` evaluates in this process, `opa` asks an OPA server, `shadow` asks both, where the stricter wins.
        bundle: directory, `.tar.gz` file, or `http://` or `https://` address of a policy bundle; empty means the one
            that is shipped.
        bundle_token: for an address: bearer token, best given as `${ENV_NAME}`.
        poll_seconds: how often a configured bundle is looked at for a new one, in seconds.
        key_id: id of the one `[[policy.key]]` that must have signed; empty means that the signature says which.
        keys: the `[[policy.key]]` tables; with one, bundles must be signed.
        maturity: how far a rule is rolled out, by its id: `observe` records it, `escalate` lets it hold a call for a
            person at most, `deny` is all of it; `"*"` is for every other rule; goes before what the bundle says.
        url: for `opa` and `shadow`: `http://host:port`, or `unix:///path/to/opa.sock`.
        token: for `opa` and `shadow`: bearer token, best given as `${ENV_NAME}`.
        memory_bytes: largest memory of one wasm instance, in bytes.
    """

    engine: Literal["wasm", "opa", "shadow"] = "wasm"
    bundle: str = ""
    bundle_token: str = ""
    poll_seconds: float = 30.0
    key_id: str = ""
    keys: tuple[BundleKeyConfig, ...] = ()
    maturity: dict[str, Maturity] = {}
    url: str = "http://127.0.0.1:8181"
    token: str = ""
    memory_bytes: int = 64 * 1024 * 1024


class MandateConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[mandates]`: where people's orders lie.

    Args:
        directory: directory with `*.mandate.json`; empty means no mandates, so nothing on an asset is sanctioned.
        separation: whether every order must come from somebody who does not operate the agent it is for; an agent
            without an `[[agent]]` table then has no orders.
        revokers: names of people who may revoke any mandate; its issuer always may.
    """

    directory: str = ""
    separation: bool = False
    revokers: tuple[str, ...] = ()


class ObligationConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[obligations]`: where what has to be gone is looked for, and who is asked about addresses.

    Args:
        roots: directories that are swept, with all below them, besides those that the asset lies in, those of
            `[zones]` and the stores of Hugging Face, Ollama, PyTorch and LM Studio; such as `/tmp` and `/dev/shm`.
        compare_bytes: most bytes that one sweep reads for comparing contents; beyond it nothing is proven.
        s3_url: address of an object store that speaks S3, for assets at `s3://`; empty means that they cannot be seen;
            credentials are AWS's own environment variables.
        s3_region: its region.
        mlflow_url: address of an MLflow server, for assets at `mlflow:NAME/VERSION`; credentials are MLflow's own
            environment variables.
        attend_seconds: how often a guard looks by itself, in a thread, at what is due and at people's words, as long as
            anything is owed; 0 means never, and then `Guard.attend` has to be called.
    """

    roots: tuple[str, ...] = ()
    compare_bytes: int = 1024 * 1024 * 1024 * 1024
    s3_url: str = ""
    s3_region: str = "us-east-1"
    mlflow_url: str = ""
    attend_seconds: float = 10.0


class HistoryConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[history]`: what is remembered of sessions and agents.

    Args:
        reconnaissance: globs on files and addresses that somebody reads or lists who looks for other hosts; `*` does
            not stop at a slash.
    """

    reconnaissance: tuple[str, ...] = (
        "*/.ssh",
        "*/.ssh/known_hosts*",
        "*/.ssh/config",
        "/etc/hosts",
        "/etc/ssh/ssh_known_hosts",
        "/etc/ansible/hosts",
        "/proc/*/net/arp",
        "*/.bash_history",
        "*/.zsh_history",
        "net:neighbours",
        "*/.kube/config",
        "*/.aws/config",
        "server://[*]/*",
    )


class LimitConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[limits]`: every bound on judging one call. At a bound the answer is opaque or a fault, never a guess.

    Args:
        decision_ms: whole time for one decision, in milliseconds.
        command_bytes: longest shell text that is analysed, in bytes.
        depth: deepest nesting of shells, substitutions and wrappers that is entered, in levels.
        expansions: most words that globs and braces of one call may expand to.
        effects: most effects of one call.
        script_bytes: largest script or config file that is read for analysis, in bytes.
        sessions: most sessions whose history is in memory; the longest unused is dropped, and read again if needed.
    """

    decision_ms: int = 2000
    command_bytes: int = 64 * 1024
    depth: int = 8
    expansions: int = 4096
    effects: int = 1024
    script_bytes: int = 256 * 1024
    sessions: int = 10_000
