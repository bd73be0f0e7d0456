"""Bundles to hand out: the policy that was built, in the form that OPA and `policy.bundle` take, signed by `opa sign`.

Not concerned with compiling: `guardrail.policy._build` has done that.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from guardrail.errors import ConfigError
from guardrail.policy._build import read_sources
from guardrail.policy._bundle import ENTRYPOINT, MANIFEST_VERSION, Manifest
from guardrail.policy._opa_binary import Opa
from guardrail.policy.bundles._archive import pack
from guardrail.policy.bundles._read import ROOT, Description
from guardrail.policy.bundles._signature import SIGNATURES


class Signing(msgspec.Struct, frozen=True, kw_only=True):
    """How to sign a bundle.

    Args:
        key: file with the private key in PEM, or the secret for `HS*`.
        algorithm: such as `ES256`.
        key_id: name that verifiers know the key by.
        scope: claim that the verifier's key must have too, or empty.
    """

    key: str
    algorithm: str
    key_id: str
    scope: str = ""


def wasm_bundle(built: Mapping[str, bytes], issued: int) -> dict[str, bytes]:
    """The bundle for `policy.bundle`: the compiled module, its data, and what is known about its rules.

    Args:
        built: what `guardrail.policy._build.build` made.
        issued: time of issue, in seconds since 1970.
    """
    manifest = msgspec.json.decode(built["build/manifest.json"], type=Manifest)
    modules = [{"entrypoint": ENTRYPOINT, "module": "/policy.wasm"}]
    return {
        ".manifest": _manifest(manifest, issued, wasm=modules),
        "data.json": built["build/data.json"],
        "policy.wasm": built["build/policy.wasm"],
    }


def rego_bundle(root: Path, built: Mapping[str, bytes], issued: int) -> dict[str, bytes]:
    """The same revision for OPA servers, which cannot be relied on to run wasm: its sources and its data.

    Args:
        root: bundle root with the sources.
        built: what `guardrail.policy._build.build` made of them.
        issued: time of issue, in seconds since 1970.
    """
    manifest = msgspec.json.decode(built["build/manifest.json"], type=Manifest)
    rules = {name: content for name, content in read_sources(root).items() if name.endswith(".rego")}
    return {".manifest": _manifest(manifest, issued), "data.json": built["build/data.json"], **rules}


def signed(members: Mapping[str, bytes], opa: Opa, signing: Signing, issued: int) -> dict[str, bytes]:
    """The same members with a signature by OPA's own signer.

    Args:
        members: the bundle.
        opa: the binary that signs.
        signing: the key.
        issued: time of issue, in seconds since 1970; it goes into the claim `iat`.

    Raises:
        ConfigError: if the key cannot be read or is not one for the algorithm.
    """
    claims = {"keyid": signing.key_id, "iat": issued, "scope": signing.scope}
    key = signing.key
    if not signing.algorithm.startswith("HS"):
        key = str(Path(key).absolute())
        if not Path(key).is_file():
            raise ConfigError(f"there is no signing key at `{signing.key}`: name a file with a private key in PEM")
    with tempfile.TemporaryDirectory(prefix="guardrail-sign-") as directory:
        stage = Path(directory, "bundle")
        for name, content in members.items():
            file = stage / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        (Path(directory) / "claims.json").write_text(json.dumps(claims), encoding="utf-8")
        opa.run(
            *("sign", "--bundle", ".", "--signing-key", key, "--signing-alg", signing.algorithm),
            *("--claims-file", "../claims.json", "--output-file-path", ".."),
            cwd=stage,
        )
        return {**members, SIGNATURES: (Path(directory) / SIGNATURES).read_bytes()}


def write_bundle(path: Path, members: Mapping[str, bytes]) -> None:
    """Write a tar.gz; a reader sees the old one or the new one, never a half.

    Raises:
        ConfigError: if it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_bytes(pack(members))
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write the bundle `{path}`: {(error.strerror or str(error)).lower()}") from None


def _manifest(manifest: Manifest, issued: int, **more: Any) -> bytes:
    told = Description(
        v=MANIFEST_VERSION,
        rules=manifest.rules,
        moved=manifest.moved,
        opa=manifest.opa,
        capabilities=manifest.capabilities,
        issued=issued,
    )
    metadata = {"guardrail": msgspec.to_builtins(told)}
    value = {"revision": manifest.revision, "roots": [ROOT], "rego_version": 1, **more, "metadata": metadata}
    return msgspec.json.encode(value)
