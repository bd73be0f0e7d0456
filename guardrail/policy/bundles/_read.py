"""From the members of a bundle to a policy that can be started, in either of two forms.

- OPA's own: `.manifest`, `data.json`, a wasm module, and what `.manifest` says about rules under `metadata.guardrail`.
- The directory that `guardrail policy build` writes: `manifest.json`, `data.json`, `policy.wasm`.

Not concerned with where members come from, nor with whether the policy does what its examples say.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from guardrail.config import is_protected
from guardrail.errors import ConfigError
from guardrail.policy._bundle import ENTRYPOINT, MANIFEST_VERSION, Bundle, Manifest, bundle_of
from guardrail.policy._rules import Rule, RuleBook
from guardrail.policy.bundles._signature import SIGNATURES, Signed, VerificationKey, verify

ROOT: Final = "guardrail"
"""The part of `data` that a policy of ours consists of."""

_PLACE: Final = f"data.{ENTRYPOINT.replace('/', '.')}"


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`metadata.guardrail` of a bundle's `.manifest`.

    Args:
        v: version of this form.
        rules: the metadata of every rule.
        moved: rules whose examples are not run.
        opa: version of the OPA that compiled it.
        capabilities: SHA-256 of the capabilities it was compiled with.
        issued: when it was made, in seconds since 1970; the signature's `iat` goes first.
    """

    v: int
    rules: tuple[Rule, ...]
    moved: tuple[str, ...] = ()
    opa: str = ""
    capabilities: str = ""
    issued: int | None = None


class _Module(msgspec.Struct, frozen=True, kw_only=True):
    entrypoint: str
    module: str


class _Metadata(msgspec.Struct, frozen=True, kw_only=True):
    guardrail: Description | None = None


class _OpaManifest(msgspec.Struct, frozen=True, kw_only=True):
    """OPA adds fields with time, and none of the others concerns us."""

    revision: str = ""
    roots: tuple[str, ...] = ("",)
    wasm: tuple[_Module, ...] = ()
    metadata: _Metadata = _Metadata()


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that was read and, where keys are configured, verified.

    Args:
        bundle: the policy.
        digest: SHA-256 over names and contents of all members but the signature.
        issued: when it was made, in seconds since 1970, if it says so.
        key: id of the key that signed it, if it had to be signed.
    """

    bundle: Bundle
    digest: str
    issued: int | None
    key: str | None


def receive(members: Mapping[str, bytes], *, keys: Sequence[VerificationKey], key_id: str, where: str) -> Received:
    """Verify and read a bundle.

    Args:
        members: what it consists of.
        keys: keys of which one must have signed it; none means that it need not be signed.
        key_id: the one of them that must have been used, or empty.
        where: its address, for messages.

    Raises:
        ConfigError: if its signature is not right, or it is no policy that can be used here.
    """
    signed: Signed | None = None
    if keys:
        signed = verify(members, keys=keys, key_id=key_id, where=where)
    issued: int | None = None
    if ".manifest" in members:
        bundle, issued = _opa_bundle(members, where)
    else:
        bundle = bundle_of(members, Path(where))
    _check_data(bundle.data, where)
    return Received(
        bundle=bundle,
        digest=digest_of(members),
        issued=signed.issued if signed is not None and signed.issued is not None else issued,
        key=None if signed is None else signed.key,
    )


def digest_of(members: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents, in hexadecimal; signing a bundle again does not change it."""
    lines = (
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in sorted(members.items())
        if name != SIGNATURES
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _opa_bundle(members: Mapping[str, bytes], where: str) -> tuple[Bundle, int | None]:
    for name in members:
        base = posixpath.basename(name)
        if base in ("data.yaml", "data.yml", ".manifest.pb") or name == "patch.json":
            # OPA verifies no signature of a delta, and YAML has more than one reading.
            raise ConfigError(f"the policy bundle `{where}` has `{name}`: build a whole bundle, with data in JSON")
    manifest = _manifest(members[".manifest"], where)
    told = manifest.metadata.guardrail
    if told is None:
        raise ConfigError(
            f"the policy bundle `{where}` does not describe its rules: its `.manifest` has no `metadata.guardrail`;"
            " make it with `guardrail policy build --bundle`"
        )
    if told.v != MANIFEST_VERSION:
        raise ConfigError(f"the policy bundle `{where}` is of another version: build it again with this one")
    if not told.rules:
        # A policy without rules would allow everything and look as if it had judged.
        raise ConfigError(f"the policy bundle `{where}` has no rules")
    if not manifest.revision:
        raise ConfigError(f"the policy bundle `{where}` has no revision: build it with `--revision`")
    data = _data(members, manifest.roots, where)
    wasm = _module(members, manifest.wasm, where)
    made = Manifest(
        v=MANIFEST_VERSION,
        revision=manifest.revision,
        entrypoint=ENTRYPOINT,
        opa=told.opa,
        capabilities=told.capabilities,
        wasm=hashlib.sha256(wasm).hexdigest(),
        data=hashlib.sha256(data).hexdigest(),
        sources={},
        moved=told.moved,
        rules=told.rules,
    )
    book = RuleBook(manifest.revision, told.rules)
    return Bundle(directory=Path(where), manifest=made, rules=book, wasm=wasm, data=data), told.issued


def _manifest(text: bytes, where: str) -> _OpaManifest:
    try:
        return msgspec.json.decode(text, type=_OpaManifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"the policy bundle `{where}` has no usable `.manifest`: {error}") from None


def _module(members: Mapping[str, bytes], modules: Sequence[_Module], where: str) -> bytes:
    found = [module.module.lstrip("/") for module in modules if module.entrypoint == ENTRYPOINT]
    if len(found) != 1 or found[0] not in members:
        raise ConfigError(
            f"the policy bundle `{where}` has no wasm module for `{_PLACE}`:"
            f" build it with `opa build --target wasm --entrypoint {ENTRYPOINT}`"
        )
    return members[found[0]]


def _data(members: Mapping[str, bytes], roots: Sequence[str], where: str) -> bytes:
    """Every data.json, each at the place that its directory says; `opa build` makes one of them."""
    files = {name: content for name, content in members.items() if posixpath.basename(name) == "data.json"}
    whole: dict[str, Any] = {}
    for name, content in sorted(files.items()):
        try:
            value: Any = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise ConfigError(f"the policy bundle `{where}` has a `{name}` that is not JSON: {error}") from None
        _place(whole, [step for step in posixpath.dirname(name).split("/") if step], value, where, name)
    if ROOT not in roots or whole.keys() - {ROOT}:
        raise ConfigError(
            f"the policy bundle `{where}` is about more than `data.{ROOT}`, or does not own it:"
            f' give its `.manifest` the roots ["{ROOT}"]'
        )
    return files["data.json"] if list(files) == ["data.json"] else orjson.dumps(whole)


def _place(whole: dict[str, Any], steps: Sequence[str], value: Any, where: str, name: str) -> None:
    if not isinstance(value, dict):
        raise ConfigError(f"the policy bundle `{where}` has a `{name}` that is no JSON object")
    target: dict[str, Any] = whole
    for step in steps:
        inner: Any = target.setdefault(step, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"the policy bundle `{where}` says `{name}` twice")
        target = inner  # pyright: ignore[reportUnknownVariableType]
    if target.keys() & value.keys():
        raise ConfigError(f"the policy bundle `{where}` has data in `{name}` that stands elsewhere too")
    target.update(value)  # pyright: ignore[reportUnknownArgumentType]


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    maturity: dict[str, str] = {}


class _Guardrail(msgspec.Struct, frozen=True, kw_only=True):
    settings: _Settings = _Settings()


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    guardrail: _Guardrail = _Guardrail()


def _check_data(data: bytes, where: str) -> None:
    """A bundle may not switch off what protects the guard, whoever signed it."""
    try:
        found = msgspec.json.decode(data, type=_Data).guardrail.settings.maturity
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"the policy bundle `{where}` has a `data.json` that is not valid: {error}") from None
    for rule in sorted(found):
        if is_protected(rule):
            raise ConfigError(
                f"the policy bundle `{where}` gives the rule `{rule}` a maturity, and it always holds: remove that line"
            )
