"""Run a command in another sandbox, as `scripts/confine_matrix.py` compares it; by an interpreter that has its package.

    python scripts/confine_peer.py nono|sandlock --read DIR … --write DIR … --hide PATH … -- ARG …

What may be read and written is what our own profiles are given, besides /dev; no network. `--hide` is for sandboxes
that can take a path out of what may be written.
"""

from __future__ import annotations

import argparse
import os
import sys

SECONDS = 20
"""Longest run, in seconds."""


def nono(args: argparse.Namespace) -> bytes:
    import nono_py as peer

    rules = peer.CapabilitySet()
    for path in args.read:
        rules.allow_path(path, peer.AccessMode.READ)
    for path in args.write:
        rules.allow_path(path, peer.AccessMode.READ_WRITE)
    rules.block_network()
    done = peer.sandboxed_exec(
        rules, args.argv, cwd=args.cwd, timeout_secs=SECONDS, env=list(os.environ.items()), enforcement_mode="seccomp"
    )
    return done.stdout.encode() if isinstance(done.stdout, str) else done.stdout


def sandlock(args: argparse.Namespace) -> bytes:
    import sandlock as peer

    box = peer.Sandbox(
        fs_readable=args.read, fs_writable=args.write, fs_denied=args.hide, cwd=args.cwd, env=dict(os.environ)
    )
    return box.run(args.argv, timeout=SECONDS).stdout  # type: ignore[no-any-return]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("peer", choices=("nono", "sandlock"))
    for name in ("--read", "--write", "--hide"):
        options.add_argument(name, action="append", default=[])
    options.add_argument("--cwd", required=True)
    options.add_argument("argv", nargs="+")
    args = options.parse_args()
    said = {"nono": nono, "sandlock": sandlock}[args.peer](args)
    sys.stdout.buffer.write(said)


if __name__ == "__main__":
    main()
