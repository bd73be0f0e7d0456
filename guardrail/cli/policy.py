"""`guardrail policy`: build the policy from its sources, check what was built, and run its tests."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from guardrail.cli._words import counted

_OK = 0
_STALE = 1


def add(subparsers: Any) -> None:
    """Add the verb to the command line."""
    verb = subparsers.add_parser("policy", help="build, check and test the policy")
    actions = verb.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser("build", help="compile the policy; needs an `opa` binary")
    check = actions.add_parser("check", help="check that the built policy belongs to its sources, and works")
    check.add_argument("--require-rebuild", action="store_true", help="build again with `opa`, and compare every byte")
    test = actions.add_parser("test", help="run the policy's own tests; needs an `opa` binary")
    for action in (build, check, test):
        action.add_argument("--root", type=Path, help="bundle root with the sources (default: the one that is shipped)")
        action.add_argument("--json", action="store_true", help="machine-readable output")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run one action.

    Returns:
        0 if all is well, 1 if the built policy is stale or a test fails.

    Raises:
        ConfigError: if there is no `opa`, or the sources or the built policy cannot be used.
    """
    from guardrail.policy._bundle import policies_directory

    root: Path = args.root if args.root is not None else policies_directory()
    actions = {"build": _build, "check": _check, "test": _test}
    return actions[args.action](args, root)


def _build(args: argparse.Namespace, root: Path) -> int:
    from guardrail.policy import _build as builder

    files = builder.build(root, builder.Opa.find())
    changed = builder.differences(root, files)
    builder.write(root, files)
    revision = json.loads(files[builder.RELEASE])["revision"]
    _say(
        args,
        {"revision": revision, "changed": list(changed)},
        f"built {revision}: {counted(len(changed), 'file')} changed",
    )
    return _OK


def _check(args: argparse.Namespace, root: Path) -> int:
    from guardrail.policy import _build as builder
    from guardrail.policy._bundle import load_bundle
    from guardrail.policy._wasm import WasmEngine

    bundle = load_bundle(root / "build")
    stale = builder.stale_sources(root, bundle.manifest)
    if args.require_rebuild:
        stale = tuple(sorted({*stale, *builder.differences(root, builder.build(root, builder.Opa.find()))}))
    if stale:
        _say(args, {"ok": False, "stale": list(stale)}, "the built policy is stale: run `guardrail policy build`")
        if not args.json:
            print("\n".join(f"  {path}" for path in stale), file=sys.stderr)
        return _STALE
    engine = WasmEngine(bundle, memory_bytes=64 * 1024 * 1024)
    engine.close()
    facts = {"ok": True, "stale": [], "revision": bundle.manifest.revision, "rules": list(bundle.rules.ids)}
    _say(
        args, facts, f"{bundle.manifest.revision}: {counted(len(bundle.rules), 'rule')}, all examples as they should be"
    )
    return _OK


def _test(args: argparse.Namespace, root: Path) -> int:
    import subprocess

    from guardrail.policy._build import OPA_SECONDS, Opa

    command = [Opa.find().path, "test", "--bundle", ".", "--ignore", "build", "--schema", "schemas"]
    command += ["--format", "json"] if args.json else ["--verbose"]
    return subprocess.run(command, cwd=root, timeout=OPA_SECONDS, check=False).returncode


def _say(args: argparse.Namespace, facts: dict[str, Any], sentence: str) -> None:
    print(json.dumps(facts) if args.json else sentence)
