"""Policy sources made into what ships: policy.wasm, data.json and manifest.json, the same bytes every time.

OPA compiles; it is needed here and in tests, never at run time.
Not concerned with running a policy: `guardrail.policy._bundle` reads what is written here.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from guardrail.config import Maturity, is_protected
from guardrail.errors import ConfigError
from guardrail.model import AssetClass, Kind, Op
from guardrail.policy._bundle import ARTEFACTS, ENTRYPOINT, MANIFEST_VERSION, Bundle, Manifest, bundle_of
from guardrail.policy._rules import Rule, RuleBook

OPA_VERSION: Final = "1.21.1"
"""The OPA that builds the policy that ships."""

OPA_SECONDS: Final = 120
"""Longest run of one `opa` command, in seconds."""

TRIAL_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""Memory of the engine that runs the examples of a policy that was just built, in bytes."""

HOW_TO_GET_OPA: Final = (
    f"install it with `GOBIN=$PWD/.tools/bin go install github.com/open-policy-agent/opa@v{OPA_VERSION}`,"
    " put it on PATH, or name it in GUARDRAIL_OPA"
)

RELEASE: Final = "guardrail/release/data.json"
"""The one generated source: it tells rules their own revision."""

_STAGED: Final = "policies"
"""Name of the bundle root while it is built: file names are inside the module, so it is the same everywhere."""

Family = Literal[
    "inspect", "copy", "move", "delete", "edit", "times", "keys", "lifecycle", "opaque", "remote", "mention"
]
"""How an operation is judged; `policies/guardrail/lib/shape.rego` has the same list."""

OutcomeWord = Literal["allow", "escalate", "deny"]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table that refuses unknown keys."""


class ByPrecision(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An outcome for each precision of an effect."""

    exact: OutcomeWord
    pattern: OutcomeWord
    opaque: OutcomeWord


class Labelled(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as sending something away."""

    ops: tuple[Op, ...]
    targets: tuple[str, ...]


class Way(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """From addresses that begin so, to addresses that begin so."""

    source: str
    to: str


class Administration(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is held though it touches no asset: see `policies/guardrail/rules/admin.rego`."""

    kinds: tuple[Kind, ...]
    held: tuple[str, ...]
    words: tuple[str, ...]
    keys: tuple[str, ...]
    verbs: tuple[str, ...]
    devices: tuple[str, ...]
    not_devices: tuple[str, ...]
    programs: tuple[str, ...]
    ops: tuple[Op, ...]
    shipped: tuple[Way, ...]


class Earlier(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When what was done before counts: see `policies/guardrail/rules/sequence.rego`."""

    scope: Literal["session", "agent"]
    hosts: tuple[str, ...]
    refusals: Annotated[int, msgspec.Meta(ge=1)]


class Confined(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rules rest where the kernel holds a call, and in which modes: see `policies/guardrail/lib/held.rego`."""

    modes: tuple[Literal["floor", "default", "strict"], ...]
    ports: tuple[int, ...]
    rests: tuple[str, ...]


class Placement(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as bringing an asset elsewhere: see `policies/guardrail/rules/placement.rego`."""

    families: tuple[Family, ...]


class Judging(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What nobody decides about themselves: see `policies/guardrail/rules/relation.rego`."""

    classes: tuple[AssetClass, ...]
    relations: tuple[Literal["self", "peer", "other"], ...]


class Evaluation(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How scores are judged: see `policies/guardrail/rules/evaluation.rego`."""

    relation: Literal["none", "same", "family"]


class Settings(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`data.guardrail.settings`; `docs/policy-data.md` explains every key."""

    version: str
    ops: dict[Op, Family]
    targeted: tuple[Op, ...]
    unsanctioned: ByPrecision
    code: dict[str, Literal["run", "hold"]]
    labelled: Labelled
    sequence: Earlier
    confined: Confined
    placement: Placement
    judging: Judging
    approvers: dict[str, tuple[str, ...]]
    administration: Administration
    evaluation: Evaluation
    outcomes: dict[str, OutcomeWord]
    maturity: dict[str, Maturity]
    moved: tuple[str, ...]


class _Guardrail(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    settings: Settings


class _Data(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    guardrail: _Guardrail


class Opa:
    """An `opa` binary.

    Args:
        path: the binary.
    """

    def __init__(self, path: str) -> None:
        self.path: Final = path

    @classmethod
    def find(cls) -> Opa:
        """The binary that GUARDRAIL_OPA names, else `.tools/bin/opa` in the working directory, else one on PATH.

        Raises:
            ConfigError: if there is none.
        """
        named = os.environ.get("GUARDRAIL_OPA", "")
        local = Path(".tools", "bin", "opa").absolute()
        path = named or (str(local) if local.is_file() else shutil.which("opa"))
        if not path or not os.access(path, os.X_OK):
            raise ConfigError(f"no `opa` binary{f' at `{named}`' if named else ''}: {HOW_TO_GET_OPA}")
        return cls(os.path.abspath(path))

    def run(self, *arguments: str, cwd: Path) -> str:
        """Run one command and return what it wrote to stdout.

        Raises:
            ConfigError: if it fails or takes too long; the message has what OPA says.
        """
        try:
            done = subprocess.run(
                [self.path, *arguments], cwd=cwd, capture_output=True, timeout=OPA_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"`opa {arguments[0]}` could not be run: {error}") from None
        if done.returncode:
            said = (done.stderr + done.stdout).decode("utf-8", "replace").strip()
            mend = ": run `opa fmt --write` on it" if arguments[0] == "fmt" else ""
            raise ConfigError(f"`opa {arguments[0]}` says: {said}{mend}")
        return done.stdout.decode("utf-8")

    @property
    def version(self) -> str:
        """Such as `1.21.1`."""
        for line in self.run("version", cwd=Path.cwd()).splitlines():
            if line.startswith("Version:"):
                return line.partition(":")[2].strip()
        raise ConfigError(f"`{self.path}` does not say its version, so it is no OPA")


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
            raise ConfigError(f"`{root}` is not a policy bundle: it has no `{needed}`")
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


def read_settings(sources: Mapping[str, bytes]) -> Settings:
    """The tunables in data.json.

    Raises:
        ConfigError: if a key is unknown, missing or ill-typed, or an operation is not given a family.
    """
    try:
        settings = msgspec.json.decode(sources["data.json"], type=_Data).guardrail.settings
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`data.json` is not valid: {error}") from None
    missing = sorted(set(Op.__args__) - settings.ops.keys())  # type: ignore[attr-defined]
    if missing:
        raise ConfigError(f"`data.json` gives no family to `{missing[0]}`: add it to `guardrail.settings.ops`")
    return settings


def check_sources(opa: Opa, stage: Path) -> None:
    """Types against the schema, the portable dialect, strict mode, and the format.

    Raises:
        ConfigError: with what OPA says.
    """
    root = stage / _STAGED
    common = ("--capabilities", str(root / "capabilities.json"))
    opa.run("check", "--strict", "--bundle", _STAGED, *common, "--schema", str(root / "schemas"), cwd=stage)
    opa.run("fmt", "--list", "--fail", _STAGED, cwd=stage)


def portable_capabilities(opa: Opa) -> bytes:
    """The content of capabilities.json: what OPA's wasm compiler implements itself, and what we allow of it."""
    current: Any = json.loads(opa.run("capabilities", "--current", cwd=Path.cwd()))
    builtins = [builtin for builtin in current["builtins"] if builtin["name"] in PORTABLE]
    missing = sorted(set(PORTABLE) - {builtin["name"] for builtin in builtins})
    if missing:
        raise ConfigError(f"this OPA lacks `{missing[0]}`, which the portable dialect has")
    # Template strings write sets and objects as text, in an order that differs between engines.
    features = [feature for feature in current["features"] if feature != "template_strings"]
    # INVARIANT: an empty `allow_net` forbids all hosts; leaving it out would allow any. `wasm_abi_versions` is the
    # other way round: an empty list would forbid building wasm.
    return _json({"builtins": builtins, "features": features, "allow_net": []})


PORTABLE: Final = (
    "eq", "assign", "neq", "equal", "lt", "lte", "gt", "gte", "plus", "minus", "mul", "div", "rem", "abs", "ceil",
    "floor", "round", "count", "sum", "product", "max", "min", "sort", "bits.and", "bits.lsh", "bits.negate",
    "bits.or", "bits.rsh", "bits.xor", "numbers.range", "and", "or", "intersection", "union", "internal.member_2",
    "internal.member_3", "array.concat", "array.flatten", "array.reverse", "array.slice", "object.filter",
    "object.get", "object.keys", "object.remove", "object.union", "object.union_n", "json.filter", "json.remove",
    "is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name", "to_number",
    "concat", "contains", "endswith", "format_int", "indexof", "lower", "replace", "split", "startswith",
    "strings.replace_n", "strings.reverse", "substring", "trim", "trim_left", "trim_prefix", "trim_right",
    "trim_space", "trim_suffix", "upper", "glob.match", "regex.find_all_string_submatch_n", "regex.is_valid",
    "regex.match", "net.cidr_contains", "net.cidr_intersects", "base64.decode", "base64.encode", "base64.is_valid",
    "base64url.decode", "base64url.encode", "json.is_valid", "json.unmarshal", "graph.reachable", "walk",
)  # fmt: skip
"""Functions that every engine gives the same answer for.

Native in OPA's wasm compiler (`internal/compiler/wasm/wasm.go`, read 2026-11-22), less what is deprecated and what
writes text in an order that differs between engines. `eq` is in no engine's list, but nothing compiles without it.
"""


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
