"""`guardrail assets`: find models, register what they are known by, and say what a file is."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import EXIT_DENY, EXIT_ESCALATE, EXIT_FAULT
from guardrail.cli._options import where

if TYPE_CHECKING:
    from guardrail.assets import Inventory
    from guardrail.assets.identity._claims import Claim
    from guardrail.assets.identity._match import Match
    from guardrail.assets.identity._registry import Registry
    from guardrail.assets.identity._scan import Proposal, Scanned
    from guardrail.config import Config

EXIT_OK: Final = 0

PROGRESS_SECONDS: Final = 0.2
"""Time between two lines of progress, in seconds."""

MIN_REGISTERED_BYTES: Final = 256
"""Smallest file that is known by its content, in bytes."""

_EXITS: Final = "exit codes: 0 done, 1 something could not be read, 2 usage or configuration"
_MATCH_EXITS: Final = (
    "exit codes: 0 no file is an asset's, 3 one is or holds an asset's, 4 one may stem from an asset's, "
    "1 one could not be read, 2 usage or configuration"
)
_CONTENT: Final = frozenset(("weights", "checkpoint", "adapter"))


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    top = verbs.add_parser(
        "assets",
        help="find models, register them, say what a file is",
        description="What is worth guarding, known by structure and content: never by names or dates.",
    )
    actions = top.add_subparsers(dest="action", metavar="ACTION", required=True)

    scan = actions.add_parser("scan", help="look for models and print them as [[asset]] tables", epilog=_EXITS)
    scan.add_argument("paths", nargs="+", metavar="PATH", help="a directory, or one file")
    scan.add_argument("--json", action="store_true", help="print JSON")
    scan.set_defaults(run=_scan)

    register = actions.add_parser(
        "register", help="read the files of declared assets, so that copies of them are recognised", epilog=_EXITS
    )
    register.add_argument("ids", nargs="*", metavar="ID", help="only these assets; all by default")
    where(register)
    register.set_defaults(run=_register)

    importing = actions.add_parser(
        "import",
        help="take the digests of an asset's files from a manifest, or from an MLflow registry",
        description="Reads a model-signing bundle (OMS), a CycloneDX ML-BOM, the tree listing of a Hugging Face "
        "repository, an Ollama manifest, or the files of a model version in MLflow. Who signed it is for those tools "
        "to verify.",
        epilog=_EXITS,
    )
    importing.add_argument("id", metavar="ID", help="the asset")
    importing.add_argument(
        "file",
        metavar="FILE",
        help="the manifest, JSON; `-` is standard input; mlflow:NAME/VERSION or mlflow:NAME@ALIAS is a model version",
    )
    importing.add_argument(
        "--tracking-uri", metavar="URI", default="", help="the MLflow server; MLFLOW_TRACKING_URI by default"
    )
    where(importing)
    importing.set_defaults(run=_import)

    listing = actions.add_parser("list", help="list declared assets and what is registered of them", epilog=_EXITS)
    where(listing)
    listing.set_defaults(run=_list)

    match = actions.add_parser("match", help="say what a file is, and why", epilog=_MATCH_EXITS)
    match.add_argument("files", nargs="+", metavar="FILE")
    where(match)
    match.set_defaults(run=_match)


class _Progress:
    """One line on standard error that is written over, on a terminal only."""

    def __init__(self, total: int = 0) -> None:
        self._shown = sys.stderr.isatty()
        self._total = total
        self._done = 0
        self._started = self._last = time.monotonic()

    def bytes(self, more: int) -> None:
        self._done += more
        if self._due():
            rate = self._done / max(1e-9, time.monotonic() - self._started)
            part = f" of {_size(self._total)}" if self._total else ""
            self._print(f"{_size(self._done)}{part} read, {_size(int(rate))}/s")

    def entries(self, count: int, path: str) -> None:
        if self._due():
            self._print(f"{count} entries, {path[-60:]}")

    def _due(self) -> bool:
        now = time.monotonic()
        if not self._shown or now - self._last < PROGRESS_SECONDS:
            return False
        self._last = now
        return True

    def _print(self, text: str) -> None:
        from guardrail.printing import visible

        print(f"\r\x1b[K{visible(text)}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


# -- scan


def _scan(args: argparse.Namespace) -> int:
    from guardrail.assets.identity._scan import scan
    from guardrail.errors import ConfigError

    progress = _Progress()
    results: list[Scanned] = []
    for path in args.paths:
        try:
            results.append(scan(os.path.abspath(path), progress.entries))
        except OSError as error:
            progress.end()
            raise ConfigError(f"cannot look at `{path}`: {(error.strerror or str(error)).lower()}") from None
    progress.end()
    found = [proposal for result in results for proposal in result.proposals]
    unreadable = [line for result in results for line in result.unreadable]
    _print_scan(found, unreadable, sum(result.entries for result in results), as_json=args.json)
    return EXIT_FAULT if unreadable else EXIT_OK


def _print_scan(found: Sequence[Proposal], unreadable: Sequence[str], entries: int, *, as_json: bool) -> None:
    import msgspec

    from guardrail.printing import visible

    if as_json:
        rows = [{"id": name, **msgspec.to_builtins(one)} for name, one in _named(found)]
        print(json.dumps({"assets": rows, "entries": entries, "unreadable": list(unreadable)}, indent=2))
        return
    for name, one in _named(found):
        # A tokenizer is found, and told; models share them, so that a person has to want it guarded.
        mark = "# " if one.kind == "tokenizer" else ""
        print(f"# {one.kind}, {_size(one.size)}")
        print(f'{mark}[[asset]]\n{mark}id = {json.dumps(name)}\n{mark}class = "{one.asset_class}"')
        print(f"{mark}paths = {json.dumps(list(one.paths))}\n")
    print(f"{len(found)} found among {entries} entries", file=sys.stderr)
    for line in unreadable:
        print(visible(f"not read: {line}"), file=sys.stderr)


def _named(found: Sequence[Proposal]) -> Iterator[tuple[str, Proposal]]:
    """An id for each, unlike all others."""
    taken: set[str] = set()
    for one in found:
        base = name = f"model:{one.name}"
        count = 1
        while name in taken:
            count += 1
            name = f"{base}-{count}"
        taken.add(name)
        yield name, one


# -- the registry


def _open(args: argparse.Namespace) -> tuple[Config, Registry]:
    from guardrail.audit import beside_trail
    from guardrail.central import TakeUp
    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.errors import ConfigError

    config = TakeUp(load(find_config(args.config)), keep=False).merged()
    try:
        from guardrail.assets.identity._registry import Registry
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed: install `guardrail-runtime[identity]`") from None
    return config, Registry(beside_trail(config, "identity.db"))


def _register(args: argparse.Namespace) -> int:
    from guardrail.assets import Inventory
    from guardrail.errors import ConfigError
    from guardrail.printing import visible

    config, registry = _open(args)
    with registry:
        inventory = Inventory(config)
        declared = {asset.id: asset for asset in inventory if asset.asset_class in _CONTENT}
        if unknown := [name for name in args.ids if name not in declared]:
            raise ConfigError(f"no model is declared as `{unknown[0]}`: see `guardrail assets list`")
        rows: list[dict[str, Any]] = []
        for name in args.ids or declared:
            files = list(inventory.files_of(name))
            rows.extend(_register_one(registry, name, files))
            if not files and declared[name].roots:
                rows.append({"asset": name, "path": declared[name].roots[0], "state": "no files"})
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            print(visible(f"{row['state']:11} {row['asset']}  {row['path']}"))
    return EXIT_FAULT if any(row["state"] == "not read" for row in rows) else EXIT_OK


def _register_one(registry: Registry, asset: str, files: Sequence[str]) -> Iterator[dict[str, Any]]:
    from guardrail.assets.identity._fingerprint import fingerprint
    from guardrail.assets.identity._registry import state_of

    progress = _Progress(sum(_size_of(path) for path in files))
    for path in files:
        row: dict[str, Any] = {"asset": asset, "path": path, "state": "unchanged"}
        try:
            status = os.lstat(path)
            if not _counts(path, status.st_size):
                continue
            state = state_of(status)
            if not registry.is_current(path, state):
                registry.put(asset, path, state, fingerprint(path, registry.key, progress.bytes, asset=True))
                row["state"] = "registered"
        except OSError as error:
            row |= {"state": "not read", "reason": error.strerror or str(error)}
        yield row
    progress.end()


def _size_of(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def _list(args: argparse.Namespace) -> int:
    from guardrail.assets import Inventory
    from guardrail.printing import visible

    config, registry = _open(args)
    with registry:
        known: dict[str, list[tuple[str, int]]] = {}
        for asset, path, size in registry.files():
            known.setdefault(asset, []).append((path, size))
        stale = _stale(registry, Inventory(config), known)
    rows = [
        {
            "id": asset.id,
            "class": asset.asset_class,
            "paths": [str(config.path(path)) for path in asset.paths],
            "uris": list(asset.uris),
            "registered": [{"path": path, "size": size} for path, size in known.get(asset.id, [])],
            "stale": stale.get(asset.id, []),
        }
        for asset in config.assets
    ]
    if args.json:
        print(json.dumps(rows, indent=2))
        return EXIT_OK
    for row in rows:
        files: list[dict[str, Any]] = row["registered"]  # type: ignore[assignment]
        text = f"{len(files)} files, {_size(sum(file['size'] for file in files))}" if files else "not registered"
        if row["stale"]:
            others: list[str] = row["stale"]  # type: ignore[assignment]
            text += f"; {len(others)} new or changed since, such as {others[0]}: register again"
        text = text if row["class"] in _CONTENT else "known by its place"
        print(visible(f"{row['id']}  ({row['class']}; {text})"))
    return EXIT_OK


def _stale(registry: Registry, inventory: Inventory, known: Collection[str]) -> dict[str, list[str]]:
    """Files of registered assets whose content, as it is now, is not what they are known by."""
    from guardrail.assets.identity._registry import state_of

    found: dict[str, list[str]] = {}
    for asset in known:
        for path in inventory.files_of(asset):
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                if _counts(path, status.st_size) and not registry.is_current(path, state_of(status)):
                    found.setdefault(asset, []).append(path)
    return found


def _counts(path: str, size: int) -> bool:
    """Whether a file of an asset is known by its content: none that stands beside weights, or in anybody's files."""
    from guardrail.assets import is_beside_weights

    return size >= MIN_REGISTERED_BYTES and not is_beside_weights(path)


def _import(args: argparse.Namespace) -> int:
    from guardrail.assets import is_beside_weights
    from guardrail.assets.identity._claims import Unfit
    from guardrail.assets.identity._mlflow import claims_of_version, is_reference
    from guardrail.errors import ConfigError
    from guardrail.printing import visible

    config, registry = _open(args)
    with registry:
        if args.id not in {asset.id for asset in config.assets}:
            raise ConfigError(f"no asset is declared as `{args.id}`: see `guardrail assets list`")
        progress = _Progress()
        try:
            if is_reference(args.file):
                named, claims = claims_of_version(args.file, args.tracking_uri, progress.bytes)
                source = "mlflow"
            else:
                source, claims = _of_manifest(args.file)
                named = f"{source}:{os.path.basename(args.file)}"
        except OSError as error:
            raise ConfigError(f"cannot read `{args.file}`: {(error.strerror or str(error)).lower()}") from None
        except Unfit as error:
            raise ConfigError(f"`{args.file}` cannot be imported: {error}") from None
        finally:
            progress.end()
        # What stands beside weights stands in other models too, and would make each of them this one.
        claims = tuple(one for one in claims if not is_beside_weights(f"/{one.name}"))
        if not claims:
            raise ConfigError(f"`{args.file}` cannot be imported: it has no digest of weights")
        registry.claim(args.id, named, claims)
    if args.json:
        rows = [{"name": one.name, "algorithm": one.algorithm, "digest": one.digest.hex()} for one in claims]
        print(json.dumps({"asset": args.id, "source": source, "claims": rows}, indent=2))
    else:
        print(visible(f"{len(claims)} digests of {args.id} from {source}"))
    return EXIT_OK


def _of_manifest(name: str) -> tuple[str, tuple[Claim, ...]]:
    from guardrail.assets.identity._claims import MAX_CLAIMS_BYTES, claims_of

    with contextlib.nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb") as stream:
        return claims_of(stream.read(MAX_CLAIMS_BYTES + 1))


# -- match


def _match(args: argparse.Namespace) -> int:
    # First, because it says what has to be installed.
    config, registry = _open(args)
    from guardrail.assets.identity._match import match
    from guardrail.cli._assets_place import Places

    code = EXIT_OK
    rows: list[dict[str, Any]] = []
    with registry, contextlib.closing(Places(config)) as places:
        if registry.empty:
            text = "nothing is registered, so only places are known and no content: run `guardrail assets register`"
            print(text, file=sys.stderr)
        for file in args.files:
            progress = _Progress(_size_of(file))
            try:
                found = places.joined(match(os.path.realpath(file), registry, progress.bytes), file)
            except OSError as error:
                progress.end()
                remedy = ": name the files in it" if isinstance(error, IsADirectoryError) else ""
                print(f"cannot read `{file}`: {(error.strerror or str(error)).lower()}{remedy}", file=sys.stderr)
                code = max(code, EXIT_FAULT)
                continue
            progress.end()
            code = max(code, {"none": EXIT_OK, "stems-from": EXIT_ESCALATE}.get(found.conclusion, EXIT_DENY), key=_rank)
            rows.append(_told(file, found, as_json=args.json))
    if args.json:
        print(json.dumps(rows, indent=2))
    return code


def _rank(code: int) -> int:
    return (EXIT_OK, EXIT_FAULT, EXIT_ESCALATE, EXIT_DENY).index(code)


def _told(file: str, found: Match, *, as_json: bool) -> dict[str, Any]:
    import msgspec

    from guardrail.printing import visible

    if not as_json:
        verdict = {"is": "is", "contains": "holds", "stems-from": "may stem from"}.get(found.conclusion)
        head = f"{verdict} {found.asset}" if verdict else "is no asset's, as far as is known"
        time_taken = "unchanged since it was last read" if found.cached else f"{found.seconds:.2f} s"
        print(visible(f"{file}: {head}  ({found.kind or 'no model format'}, {_size(found.size)}; {time_taken})"))
        for evidence in found.evidence:
            print(visible(f"  {evidence.says}"))
        if found.dates:
            print(visible(f"  {found.dates}"))
        for note in found.notes:
            print(visible(f"  not looked into: {note}"))
    return {"file": file, **msgspec.to_builtins(found)}
