"""A built policy on disk: found, read, and checked against its own manifest.

Not concerned with who built it: the directory is trusted as far as its owner is, like the package itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.policy._rules import Rule, RuleBook

ENTRYPOINT: Final = "guardrail/main/decision"
"""The one rule that is asked."""

ARTEFACTS: Final = ("manifest.json", "policy.wasm", "data.json")
"""What a built policy consists of."""

MANIFEST_VERSION: Final = 1
"""Version of the form of manifest.json that this code reads."""

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""Largest policy.wasm, data.json or manifest.json, in bytes."""

_PACKAGE: Final = Path(__file__).resolve().parent.parent


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What manifest.json says about a built policy.

    Args:
        v: version of this form.
        revision: name of this policy and its data; differs whenever one of them does.
        entrypoint: the rule to ask.
        opa: version of the OPA that compiled it.
        capabilities: SHA-256 of capabilities.json.
        wasm: SHA-256 of policy.wasm.
        data: SHA-256 of data.json.
        sources: SHA-256 of every file it was built from, by path below the bundle root.
        moved: rules whose examples are not run, because the settings were moved away from them.
        rules: the metadata of every rule.
    """

    v: int
    revision: str
    entrypoint: str
    opa: str
    capabilities: str
    wasm: str
    data: str
    sources: dict[str, str]
    moved: tuple[str, ...]
    rules: tuple[Rule, ...]


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """One built policy, checked.

    Args:
        directory: where it was read from.
        manifest: what it says about itself.
        rules: its rules.
        wasm: the module.
        data: the JSON object that rules see as `data`.
    """

    directory: Path
    manifest: Manifest
    rules: RuleBook
    wasm: bytes
    data: bytes

    @property
    def revision(self) -> str:
        """The revision with the digest of module and data: one name for one behaviour."""
        digest = hashlib.sha256(f"{self.manifest.wasm} {self.manifest.data}".encode()).hexdigest()
        return f"{self.manifest.revision}/{digest[:12]}"


def policies_directory() -> Path:
    """The bundle root that was shipped: inside the installed package, else in the checkout."""
    packaged = _PACKAGE / "_policies"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "policies"


def bundle_directory(config: Config) -> Path:
    """The directory of the built policy that this configuration means."""
    return config.path(config.policy.bundle) if config.policy.bundle else policies_directory() / "build"


def load_bundle(directory: Path) -> Bundle:
    """Read a built policy.

    Args:
        directory: with `policy.wasm`, `data.json` and `manifest.json`.

    Raises:
        ConfigError: if a file is missing, too large, not what the manifest says, or the manifest is not one.
    """
    return bundle_of({name: _read(directory, name) for name in ARTEFACTS}, directory)


def bundle_of(files: Mapping[str, bytes], directory: Path) -> Bundle:
    """A built policy from the content of its files.

    Args:
        files: `policy.wasm`, `data.json` and `manifest.json`, by name.
        directory: where they came from, for messages.

    Raises:
        ConfigError: as `load_bundle`.
    """
    for name in ARTEFACTS:
        if name not in files:
            raise ConfigError(
                f"`{directory}` is no policy bundle: it has neither `.manifest` nor `{name}`;"
                " make one with `guardrail policy build`"
            )
    manifest = _manifest(files["manifest.json"], directory)
    wasm, data = files["policy.wasm"], files["data.json"]
    for name, content, expected in (("policy.wasm", wasm, manifest.wasm), ("data.json", data, manifest.data)):
        if hashlib.sha256(content).hexdigest() != expected:
            raise ConfigError(
                f"the policy bundle `{directory}` is damaged: `{name}` is not the file that manifest.json names;"
                " build it again with `guardrail policy build`"
            )
    return Bundle(
        directory=directory,
        manifest=manifest,
        rules=RuleBook(manifest.revision, manifest.rules),
        wasm=wasm,
        data=data,
    )


def _manifest(text: bytes, directory: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"the policy bundle `{directory}` has no usable manifest.json: {error}") from None
    if manifest.v != MANIFEST_VERSION or manifest.entrypoint != ENTRYPOINT:
        raise ConfigError(
            f"the policy bundle `{directory}` is of another version:"
            f" build it again with `guardrail policy build` of this version"
        )
    if not manifest.rules:
        # A policy without rules would allow everything and look as if it had judged.
        raise ConfigError(f"the policy bundle `{directory}` has no rules")
    return manifest


def _read(directory: Path, name: str) -> bytes:
    try:
        with (directory / name).open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot read the policy bundle `{directory}`: {error.strerror} for `{name}`;"
            " set `policy.bundle` to a directory made by `guardrail policy build`"
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"the policy bundle `{directory}` has a `{name}` larger than {MAX_FILE_BYTES} bytes")
    return content
