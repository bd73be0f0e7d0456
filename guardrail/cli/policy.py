"""`guardrail policy`: build the policy and its bundles, check, test and time it, and compare it with another one."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli import positive
from guardrail.cli._words import counted

if TYPE_CHECKING:
    from guardrail.policy._opa_binary import Opa
    from guardrail.policy.bundles._make import Signing

_OK: Final = 0
_NOT: Final = 1

_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""Memory of an engine that is started to look at a policy, in bytes."""


def add(subparsers: Any) -> None:
    """Add the verb to the command line."""
    verb = subparsers.add_parser(
        "policy",
        help="build, check, test, time and compare the policy",
        epilog="exit codes: 0 all is well, 1 stale, failing or different, 2 usage or a policy that cannot be used",
    )
    actions = verb.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser("build", help="compile the policy, and make bundles of it; needs an `opa` binary")
    check = actions.add_parser("check", help="check that the built policy belongs to its sources, and works")
    check.add_argument("--require-rebuild", action="store_true", help="build again with `opa`, and compare every byte")
    check.add_argument("--config", metavar="FILE", help="check the bundle that this guardrail.toml means")
    test = actions.add_parser("test", help="run the policy's own tests and examples; needs an `opa` binary")
    bench = actions.add_parser("bench", help="time the decision by each engine")
    _add_diff(actions.add_parser("diff", help="replay recorded decisions under another policy: which would change?"))
    for action in (build, check, test, bench):
        action.add_argument("--root", type=Path, help="bundle root with the sources (default: the one that is shipped)")
        action.add_argument("--json", action="store_true", help="machine-readable output")
    _add_bundles(build)
    bench.add_argument("--rounds", type=positive, default=2000, help="decisions that are timed with each engine")
    verb.set_defaults(run=run)


def _add_bundles(build: argparse.ArgumentParser) -> None:
    build.add_argument("--bundle", metavar="FILE", type=Path, help="also write a bundle for `policy.bundle`")
    build.add_argument("--rego-bundle", metavar="FILE", type=Path, help="also write the same revision for OPA servers")
    build.add_argument("--signing-key", metavar="KEY", help="sign bundles: a file in PEM, or `${NAME}` with a secret")
    build.add_argument("--signing-alg", metavar="ALG", default="RS256", help="such as ES256; default RS256, as of OPA")
    build.add_argument("--key-id", metavar="ID", default="", help="name that verifiers know the key by")
    build.add_argument("--scope", metavar="SCOPE", default="", help="scope that the verifier's key must have too")
    build.add_argument("--issued", metavar="SECONDS", type=int, help="time of issue since 1970; default now")


def _add_diff(diff: argparse.ArgumentParser) -> None:
    diff.description = "Replay the decisions in a trail under another policy, and list those that would be others."
    diff.epilog = "exit codes: 0 none would change, 1 some would, 2 usage or a policy or trail that cannot be used"
    diff.add_argument("new", metavar="BUNDLE", help="the other policy: a directory or a .tar.gz")
    diff.add_argument("--config", metavar="FILE", help="guardrail.toml whose trail is meant, and whose keys count")
    diff.add_argument("--trail", metavar="DIR", help="the trail; by default that of the configuration")
    diff.add_argument("--last", type=positive, metavar="N", help="only the last N decisions")
    diff.add_argument("--json", action="store_true", help="machine-readable output")


def run(args: argparse.Namespace) -> int:
    """Run one action.

    Returns:
        0 if all is well, 1 if the built policy is stale, a test fails or a decision would change.

    Raises:
        ConfigError: if there is no `opa`, or the sources, a bundle or the trail cannot be used.
    """
    from guardrail.policy._bundle import policies_directory

    if args.action == "diff":
        return _diff(args)
    root: Path = args.root if args.root is not None else policies_directory()
    actions = {"build": _build, "check": _check, "test": _test, "bench": _bench}
    return actions[args.action](args, root)


# ── build ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _build(args: argparse.Namespace, root: Path) -> int:
    from guardrail.policy import _build as builder
    from guardrail.policy._opa_binary import Opa

    opa, signing = Opa.find(), _signing(args)
    files = builder.build(root, opa)
    changed = builder.differences(root, files)
    builder.write(root, files)
    bundles = _bundles(args, root, files, opa, signing)
    revision = json.loads(files[builder.RELEASE])["revision"]
    made = "".join(f"\n  {path}" for path in bundles)
    _say(
        args,
        {"revision": revision, "changed": list(changed), "bundles": bundles},
        f"built {revision}: {counted(len(changed), 'file')} changed{made}",
    )
    return _OK


def _signing(args: argparse.Namespace) -> Signing | None:
    from guardrail.config import secret
    from guardrail.errors import ConfigError
    from guardrail.policy.bundles._make import Signing

    if not args.signing_key:
        return None
    if not args.key_id:
        raise ConfigError("a signature needs the name of its key: give `--key-id`")
    key = secret(args.signing_key, "--signing-key")
    return Signing(key=key, algorithm=args.signing_alg, key_id=args.key_id, scope=args.scope)


def _bundles(
    args: argparse.Namespace, root: Path, files: dict[str, bytes], opa: Opa, signing: Signing | None
) -> list[str]:
    from guardrail.policy.bundles import _make as maker

    issued = args.issued if args.issued is not None else int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    wanted = {args.bundle: maker.wasm_bundle(files, issued), args.rego_bundle: maker.rego_bundle(root, files, issued)}
    made: list[str] = []
    for path, members in wanted.items():
        if path is not None:
            maker.write_bundle(path, members if signing is None else maker.signed(members, opa, signing, issued))
            made.append(str(path))
    return made


# ── check ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check(args: argparse.Namespace, root: Path) -> int:
    if args.config is not None:
        return _check_configured(args)
    from guardrail.policy import _build as builder
    from guardrail.policy._bundle import load_bundle
    from guardrail.policy._opa_binary import Opa
    from guardrail.policy._wasm import WasmEngine

    bundle = load_bundle(root / "build")
    stale = builder.stale_sources(root, bundle.manifest)
    if args.require_rebuild:
        stale = tuple(sorted({*stale, *builder.differences(root, builder.build(root, Opa.find()))}))
    if stale:
        _say(args, {"ok": False, "stale": list(stale)}, "the built policy is stale: run `guardrail policy build`")
        if not args.json:
            print("\n".join(f"  {path}" for path in stale), file=sys.stderr)
        return _NOT
    engine = WasmEngine(bundle, memory_bytes=_MEMORY_BYTES)
    engine.close()
    facts = {"ok": True, "stale": [], "revision": bundle.manifest.revision, "rules": list(bundle.rules.ids)}
    _say(
        args, facts, f"{bundle.manifest.revision}: {counted(len(bundle.rules), 'rule')}, all examples as they should be"
    )
    return _OK


def _check_configured(args: argparse.Namespace) -> int:
    """What a guard with this configuration would start with, and whether that is what the source has now."""
    from guardrail.audit import beside_trail
    from guardrail.cli import find_config
    from guardrail.config import load
    from guardrail.policy import open_engine, refusal

    config = load(find_config(args.config))
    engine = open_engine(config, state=beside_trail(config, "policy"))
    try:
        why = refusal(engine)
        facts = {"ok": not why, "refused": why, "revision": engine.revision, "rules": list(engine.rules.ids)}
        signed = f", signed by one of {counted(len(config.policy.keys), 'key')}" if config.policy.keys else ""
        rules = counted(len(engine.rules), "rule")
        sentence = f"{engine.revision}: {rules}, all examples as they should be{signed}"
        _say(args, facts, f"{sentence}; kept, because {why}" if why else sentence)
    finally:
        engine.close()
    return _NOT if why else _OK


# ── test ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _test(args: argparse.Namespace, root: Path) -> int:
    from guardrail.policy import _build as builder
    from guardrail.policy._examples import covered
    from guardrail.policy._opa_binary import Opa

    opa = Opa.find()
    builder.read_sources(root)  # says what is wrong with the place, before `opa` does
    tests = _rego_tests(opa, root)
    bad = [result for result in tests if result.get("fail") or result.get("error")]
    bundle = builder.built_bundle(root, builder.build(root, opa))
    from guardrail.policy._wasm import WasmEngine

    engine = WasmEngine(bundle, memory_bytes=_MEMORY_BYTES)
    try:
        rules = covered(engine, moved=bundle.manifest.moved)
    finally:
        engine.close()
    bare = [rule.id for rule in rules if rule.lacks]
    facts = {
        "ok": not bad and not bare and bool(tests),
        "tests": {"passed": len(tests) - len(bad), "failed": [f"{r['package']}.{r['name']}" for r in bad]},
        "rules": {r.id: {"match": r.match, "not_match": r.not_match, "lacks": r.lacks} for r in rules},
    }
    lines = [f"{counted(len(tests), 'Rego test')}, {len(bad)} failed"]
    lines += [f"  FAIL  {name}" for name in facts["tests"]["failed"]]  # type: ignore[index]
    lines.append(f"{counted(len(rules), 'rule')} by their examples, {len(bare)} not covered")
    lines += [f"  {rule.id}: {rule.lacks}" for rule in rules if rule.lacks]
    _say(args, facts, "\n".join(lines))
    return _OK if facts["ok"] else _NOT


def _rego_tests(opa: Opa, root: Path) -> list[dict[str, Any]]:
    from guardrail.errors import ConfigError

    command = ("test", "--bundle", ".", "--ignore", "build", "--schema", "schemas", "--format", "json")
    done = opa.attempt(*command, cwd=root)
    try:
        results: Any = json.loads(done.stdout)
    except ValueError:
        said = (done.stderr + done.stdout).decode("utf-8", "replace").strip()
        raise ConfigError(f"`opa test` says: {said}") from None
    return results if isinstance(results, list) else []  # pyright: ignore[reportUnknownVariableType]


# ── bench ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _bench(args: argparse.Namespace, root: Path) -> int:
    from guardrail.cli._bench import measure

    rows = measure(root, args.rounds, _MEMORY_BYTES)
    facts = {"rounds": args.rounds, "engines": rows}
    lines = [f"{'engine':<8} {'p50 us':>10} {'p99 us':>10}"]
    lines += [
        f"{row['engine']:<8} {row['p50_us']:>10.1f} {row['p99_us']:>10.1f}"
        if "p50_us" in row
        else f"{row['engine']:<8} left out: {row['left_out']}"
        for row in rows
    ]
    _say(args, facts, "\n".join(lines))
    return _OK


# ── diff ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _diff(args: argparse.Namespace) -> int:
    from guardrail.cli._replay import replay

    found = replay(args.new, config=args.config, trail=args.trail, last=args.last)
    if args.json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        from guardrail.printing import visible

        for line in found.lines():
            print(visible(line))
    return _NOT if found.changes else _OK


def _say(args: argparse.Namespace, facts: dict[str, Any], sentence: str) -> None:
    print(json.dumps(facts) if args.json else sentence)
