"""Policy sources made into what ships: policy.wasm, data.json and manifest.json, the same bytes every time.

OPA compiles; it is needed here and in tests, never at run time.
Not concerned with running a policy: `guardrail.policy._bundle` reads what is written here.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from guardrail.config import is_protected
from guardrail.errors import ConfigError
from guardrail.policy._bundle import ARTEFACTS, ENTRYPOINT, MANIFEST_VERSION, Bundle, Manifest, bundle_of
from guardrail.policy._opa_binary import Opa
from guardrail.policy._rules import Rule, RuleBook
from guardrail.policy._settings import Settings, read_settings

TRIAL_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""Memory of the engine that runs the examples of a policy that was just built, in bytes."""

RELEASE: Final = "guardrail/release/data.json"
"""The one generated source: it tells rules their own revision."""

_STAGED: Final = "policies"
"""Name of the bundle root while it is built: file names are inside the module, so it is the same everywhere."""


def build(root: Path, opa: Opa) -> dict[str, bytes]:
    """Build a policy.

    Args:
        root: bundle root with the sources.
        opa: the compiler.

    Returns:
        The files to write, by path below `root`: the artefacts under `build/`, and the generated `RELEASE`.

    Raises:
        ConfigError: if a source is missing, or OPA or the checks of rules and settings refuse it.
    """
    sources = read_sources(root)
    settings = read_settings(sources)
    revision = revision_of(sources)
    release = _json({"revision": revision})
    with tempfile.TemporaryDirectory(prefix="guardrail-policy-") as directory:
        stage = Path(directory)
        _stage(stage, {**sources, RELEASE: release})
        check_sources(opa, stage)
        compiled = _compile(opa, stage, revision)
        rules = _rules(opa, stage)
    book = RuleBook(revision, rules)
    _check_names(settings, book)
    manifest = Manifest(
        v=MANIFEST_VERSION,
        revision=revision,
        entrypoint=ENTRYPOINT,
        opa=opa.version,
        capabilities=_sha256(sources["capabilities.json"]),
        wasm=_sha256(compiled["policy.wasm"]),
        data=_sha256(compiled["data.json"]),
        sources={path: _sha256(content) for path, content in sorted(sources.items())},
        moved=settings.moved,
        rules=rules,
    )
    wasm, data = compiled["policy.wasm"], compiled["data.json"]
    _try(Bundle(directory=root / "build", manifest=manifest, rules=book, wasm=wasm, data=data))
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    return {
        RELEASE: release,
        "build/policy.wasm": compiled["policy.wasm"],
        "build/data.json": compiled["data.json"],
        "build/manifest.json": text,
    }


def built_bundle(root: Path, files: Mapping[str, bytes]) -> Bundle:
    """What `build` made, to be started without being written anywhere.

    Args:
        root: the bundle root, for messages.
        files: what `build` returned.
    """
    return bundle_of({name: files[f"build/{name}"] for name in ARTEFACTS}, root)


def write(root: Path, files: Mapping[str, bytes]) -> None:
    """Write what `build` made; each file is replaced whole."""
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.new")
        fresh.write_bytes(content)
        os.replace(fresh, file)


def differences(root: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Paths whose content under `root` is not what `build` made."""
    return tuple(path for path, content in files.items() if _content(root / path) != content)


def stale_sources(root: Path, manifest: Manifest) -> tuple[str, ...]:
    """Sources that are not those the artefact was built from; needs no OPA."""
    now = {path: _sha256(content) for path, content in read_sources(root).items()}
    stale = {path for path in now.keys() | manifest.sources.keys() if now.get(path) != manifest.sources.get(path)}
    if _content(root / RELEASE) != _json({"revision": manifest.revision}):
        stale.add(RELEASE)
    return tuple(sorted(stale))


def read_sources(root: Path) -> dict[str, bytes]:
    """Everything that a build depends on, by path below the bundle root: no tests, nothing generated.

    Raises:
        ConfigError: if a file that must be there is missing.
    """
    sources = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(_source_files(root))}
    for needed in (".manifest", "capabilities.json", "data.json", "guardrail/main.rego", "schemas/input.json"):
        if needed not in sources:
            raise ConfigError(f"`{root}` has no sources of a policy: there is no `{needed}` in it, as in `policies`")
    return sources


def _source_files(root: Path) -> Iterator[Path]:
    for name in (".manifest", "capabilities.json", "data.json"):
        if (root / name).is_file():
            yield root / name
    yield from (root / "schemas").glob("*.json")
    yield from (path for path in (root / "guardrail").rglob("*.rego") if not path.name.endswith("_test.rego"))


def revision_of(sources: Mapping[str, bytes]) -> str:
    """`version+digest`: the version people gave it, and a digest of every source."""
    lines = "".join(f"{_sha256(content)}  {path}\n" for path, content in sorted(sources.items()))
    return f"{read_settings(sources).version}+{_sha256(lines.encode())[:12]}"


def check_sources(opa: Opa, stage: Path) -> None:
    """Types against the schema, the portable dialect, strict mode, and the format.

    Raises:
        ConfigError: with what OPA says.
    """
    root = stage / _STAGED
    common = ("--capabilities", str(root / "capabilities.json"))
    opa.run("check", "--strict", "--bundle", _STAGED, *common, "--schema", str(root / "schemas"), cwd=stage)
    opa.run("fmt", "--list", "--fail", _STAGED, cwd=stage)


def _stage(stage: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        file = stage / _STAGED / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _compile(opa: Opa, stage: Path, revision: str) -> dict[str, bytes]:
    # Without --prune-unused every rule that refers to the entrypoint would become one too.
    opa.run(
        *("build", "--target", "wasm", "--bundle", _STAGED, "--entrypoint", ENTRYPOINT, "--prune-unused"),
        *("--capabilities", f"{_STAGED}/capabilities.json", "--revision", revision, "--output", "out.tar.gz"),
        cwd=stage,
    )
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO((stage / "out.tar.gz").read_bytes())) as archive:
        for member in archive:
            name = member.name.lstrip("/")
            stream = archive.extractfile(member) if name in {"policy.wasm", "data.json"} else None
            if stream is not None:
                found[name] = stream.read()
    if found.keys() != {"policy.wasm", "data.json"}:
        raise ConfigError("`opa build` made no policy.wasm and data.json")
    return found


def _rules(opa: Opa, stage: Path) -> tuple[Rule, ...]:
    inspected: Any = json.loads(opa.run("inspect", "--annotations", "--format", "json", _STAGED, cwd=stage))
    return tuple(
        sorted(
            (_rule(item) for item in inspected["annotations"] if "id" in item["annotations"].get("custom", {})),
            key=lambda rule: rule.id,
        )
    )


def _rule(item: Mapping[str, Any]) -> Rule:
    notes, place = item["annotations"], item["location"]
    source = f"{place['file'].removeprefix(f'{_STAGED}/')}:{place['row']}"
    fields = {
        "title": notes.get("title", ""),
        "description": " ".join(notes.get("description", "").split()),
        **notes["custom"],
        "source": source,
    }
    try:
        return msgspec.convert(fields, Rule)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the METADATA of the rule at `{source}` is not complete: {error}") from None


def _check_names(settings: Settings, rules: RuleBook) -> None:
    named = {
        *settings.outcomes, *settings.moved, *settings.approvers, *settings.maturity, *settings.confined.rests
    }  # fmt: skip
    unknown = sorted(named - {*rules.ids, "*"})
    if unknown:
        raise ConfigError(f"`data.json` names the rule `{unknown[0]}`, and no rule has that id")
    if held := next((rule for rule in sorted(settings.maturity) if is_protected(rule)), None):
        raise ConfigError(f"`data.json` gives the rule `{held}` a maturity, and it always holds: remove that line")


def _try(bundle: Bundle) -> None:
    """Start the engine once, which runs every example: what does not do what it says is not built."""
    from guardrail.policy._wasm import WasmEngine

    try:
        WasmEngine(bundle, memory_bytes=TRIAL_MEMORY_BYTES).close()
    except ConfigError as error:
        raise ConfigError(
            f"{error}; if `data.json` was changed on purpose, put the rule into `guardrail.settings.moved`"
        ) from None


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
