"""Break a trail in every way that a machine does, and count what was lost, and what was found.

    python scripts/trail_faults.py [--kills 200] [--images 400] [--cuts 1] [--flips 7] [--calls 60] [--in DIR] [--json]

kills   a writer with four threads is killed (SIGKILL) at random points; what it acknowledged comes through a pipe.
images  of the last, unacknowledged batch only some 512-byte sectors reached the disk, as after a power cut.
cuts    the segment ends at every CUTS-th byte.
flips   one bit of every FLIPS-th byte of every file of evidence is another.
calls   `strace` makes the N-th write-like call fail, with ENOSPC and with EIO, for N up to CALLS or the last one.

Exit code 0 if no acknowledged record was lost and every alteration was found, 1 if not. Needs `strace` for `calls`.
Not covered: disks that lie about what they have flushed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from guardrail.audit import Trail, verify  # noqa: E402
from guardrail.audit._segment import read_frame  # noqa: E402
from guardrail.audit._verify import read_records  # noqa: E402
from guardrail.errors import TrailError  # noqa: E402

SEGMENT_BYTES = 1 << 14
SECTOR = 512
NEVER = 1e6  # seconds

CALLS = ("pwrite64", "write", "fdatasync", "fsync", "fallocate", "ftruncate", "rename", "unlink", "mkdir")
"""System calls that change what is on disk."""

_KILLED = """
import os, struct, sys, threading
from guardrail.audit import Trail
trail = Trail.open(sys.argv[1], segment_bytes=1 << 14, checkpoint_seconds=0.02, timeout_seconds=60)
def work(lane):
    while True:
        seq = trail.append({"kind": "x", "lane": lane, "pad": "y" * (lane * 40)})
        os.write(1, struct.pack(">QQ", seq, lane))
for lane in range(4):
    threading.Thread(target=work, args=(lane,)).start()
"""

_FAILING = """
import os, struct, sys
from guardrail.audit import Trail
from guardrail.errors import TrailError
code = 0
try:
    trail = Trail.open(sys.argv[1], segment_bytes=4096, checkpoint_seconds=0.0, timeout_seconds=60)
    for number in range(40):
        allow = number % 2 == 0
        record = {"kind": "intent" if allow else "decision", "number": number, "pad": "y" * 200}
        try:
            seq = trail.append(record)
        except TrailError:
            code = 3
            continue
        os.write(1, struct.pack(">QQ", seq, number))
    trail.close()
except TrailError:
    code = 3
os._exit(code)
"""


def main() -> int:
    """Break, count, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--images", type=int, default=400)
    options.add_argument("--cuts", type=int, default=1, help="every so many bytes; 0 leaves it out")
    options.add_argument("--flips", type=int, default=7, help="every so many bytes; 0 leaves it out")
    options.add_argument("--calls", type=int, default=60, help="0 leaves it out")
    options.add_argument("--seed", type=int, default=4711)
    options.add_argument("--in", dest="root", default=None, help="a directory on the disk to be tried")
    options.add_argument("--json", action="store_true", help="print JSON")
    args = options.parse_args()
    chance = random.Random(args.seed)
    found: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="guardrail-faults-", dir=args.root) as name:
        root = Path(name)
        for kind, run in (
            ("kills", lambda: kills(root, args.kills, chance)),
            ("images", lambda: images(root, args.images, chance)),
            ("cuts", lambda: cuts(root, args.cuts)),
            ("flips", lambda: flips(root, args.flips)),
            ("calls", lambda: calls(root, args.calls)),
        ):
            if getattr(args, kind):
                found[kind] = dict(run())
                if not args.json:
                    counts = ", ".join(f"{number} {what}" for what, number in found[kind].items())
                    print(f"{kind:<7} {counts}", flush=True)
    bad = sum(number for counts in found.values() for what, number in counts.items() if what in BAD)
    if args.json:
        print(json.dumps({**found, "ok": not bad}))
    else:
        print("nothing acknowledged was lost, and every alteration was found" if not bad else f"{bad} FAILURES")
    return 1 if bad else 0


BAD = ("lost", "not as written", "not found", "not located", "went on with less", "hung")
"""Counts that must be 0."""


# ── crashes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def kills(root: Path, rounds: int, chance: random.Random) -> Counter[str]:
    """Kill a writer at random points, into one trail that grows."""
    directory, known, count = root / "kills", dict[int, int](), Counter[str]({"lost": 0, "not as written": 0})
    for number in range(rounds):
        process = _child(_KILLED, directory)
        if process.stdout is None:
            raise SystemExit("the child has no output")
        heard = b""
        for _ in range(chance.randint(1, 150)):
            heard += os.read(process.stdout.fileno(), 16)
        process.send_signal(signal.SIGKILL)
        heard += process.communicate(timeout=120)[0]
        known.update(struct.unpack_from(">QQ", heard, at) for at in range(0, len(heard) // 16 * 16, 16))
        count["kills"] += 1
        with Trail.open(directory, segment_bytes=SEGMENT_BYTES, timeout_seconds=60) as trail:
            count["lost"] += trail.size <= max(known)
        if number % 20 == 19 or number == rounds - 1:
            there = {seq: record.get("lane") for seq, record in read_records(directory)}
            count["lost"] += sum(there.get(seq) != lane for seq, lane in known.items())
            count["not as written"] += not verify(directory).ok
    count["acknowledged records"] = len(known)
    return count


def images(root: Path, rounds: int, chance: random.Random) -> Counter[str]:
    """Lose random sectors of a last batch that nobody was told of."""
    count = Counter[str]({"lost": 0, "not as written": 0})
    for number in range(rounds):
        if number % 20 == 0:
            whole, kept = _with_last_batch(root / f"image-{number}", chance)
        copy = _copy(whole, root / "image")
        (path,) = copy.glob("*.seg")
        data, start = bytearray(path.read_bytes()), _end_of(path.read_bytes(), kept)
        for at in range(start // SECTOR * SECTOR, len(data), SECTOR):
            if chance.random() < 0.5:
                low = max(at, start)
                data[low : at + SECTOR] = bytes(len(data[low : at + SECTOR]))
        path.write_bytes(data)
        with Trail.open(copy, segment_bytes=1 << 20, timeout_seconds=60) as trail:
            count["lost"] += trail.size < kept
            size = trail.size
            trail.append({"kind": "after"})
        kinds = [record["kind"] for _, record in read_records(copy)]
        count["not as written"] += kinds != ["x"] * size + ["after"] or not verify(copy).ok
        count["images"] += 1
    return count


def _with_last_batch(directory: Path, chance: random.Random) -> tuple[Path, int]:
    """A trail as it is on disk right after its last batch was written: it holds some batches that were acknowledged."""
    live = directory.with_name(directory.name + "-live")
    with Trail.open(live, segment_bytes=1 << 20, checkpoint_seconds=NEVER, timeout_seconds=60) as trail:
        for number in range(4):
            trail.append({"kind": "x", "number": number, "pad": "y" * chance.randint(1, 900)})
        kept = trail.size
        for number in range(chance.randint(2, 9)):
            trail.append({"kind": "x", "number": number, "pad": "z" * chance.randint(1, 900)}, durable=False)
        trail.append({"kind": "x", "number": 99})
        shutil.copytree(live, directory)
    return directory, kept


def _end_of(data: bytes, records: int) -> int:
    at = 0
    for _ in range(records):
        frame = read_frame(data, at)
        if frame is None:
            raise SystemExit("the trail is shorter than it was")
        at = frame.end
    return at


# ── damage ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def cuts(root: Path, step: int) -> Counter[str]:
    """End a crashed trail's segment everywhere: what is left is a beginning of it."""
    count = Counter[str]({"lost": 0, "not as written": 0})
    directory = _crashed(root / "cuts")
    (path,) = directory.glob("*.seg")
    data = path.read_bytes()
    ends = [0]
    while frame := read_frame(data, ends[-1]):
        ends.append(frame.end)
    copy = _copy(directory, root / "cut")
    for cut in range(0, ends[-1] + 2, step):
        _copy(directory, copy)
        (copy / path.name).write_bytes(data[:cut])
        with Trail.open(copy, segment_bytes=1 << 20, checkpoint_seconds=NEVER, timeout_seconds=60) as trail:
            count["lost"] += trail.size != sum(end <= cut for end in ends[1:])
        count["not as written"] += not verify(copy).ok
        count["cuts"] += 1
    return count


def flips(root: Path, step: int) -> Counter[str]:
    """Change one bit of every file of evidence: the verifier names the file, and the record where there is one."""
    count = Counter[str]({"not found": 0, "not located": 0, "went on with less": 0})
    directory = root / "flips"
    with Trail.open(directory, segment_bytes=SEGMENT_BYTES, timeout_seconds=60) as trail:
        for number in range(300):
            # The verifier has two ways to read a leaf: of either kind there are as many.
            word = "y" * (number % 90)
            one = {"kind": "x", "pad": word} if number % 2 else {"kind": "decision", "session": word, "assets": [word]}
            trail.append(one, durable=number % 40 == 0)
    for path in sorted(one for one in directory.rglob("*") if one.is_file()):
        if path.name in ("lock", "trail.key"):
            continue  # not evidence: the one is empty of meaning, without the other nothing is signed
        original = path.read_bytes()
        for offset in range(0, len(original.rstrip(b"\0")), step):
            changed = bytearray(original)
            changed[offset] ^= 1 << offset % 8
            path.write_bytes(changed)
            report = verify(directory)
            count["flips"] += 1
            count["not found"] += report.ok
            count["not located"] += not any(path.name in problem.file for problem in report.problems)
            if path.suffix == ".seg":
                count["went on with less"] += _goes_on(directory, root)
        path.write_bytes(original)
    return count


def _goes_on(directory: Path, root: Path) -> bool:
    """Whether a writer opens a changed trail with fewer records than were signed."""
    copy = _copy(directory, root / "flipped")
    try:
        with Trail.open(copy, segment_bytes=SEGMENT_BYTES, timeout_seconds=60) as trail:
            return trail.size < 300
    except TrailError:
        return False


# ── a kernel that refuses ─────────────────────────────────────────────────────────────────────────────────────────────


def calls(root: Path, most: int) -> Counter[str]:
    """Let the N-th call of each kind fail, in two ways."""
    count = Counter[str]({"lost": 0, "not as written": 0, "hung": 0})
    if shutil.which("strace") is None:
        raise SystemExit(
            "`strace` is not installed: install the package of that name, or leave this out with --calls 0"
        )
    for error in ("EIO", "ENOSPC"):
        for call in CALLS:
            for when in range(1, most + 1):
                if not _one_call(root / "calls", call, error, when, count):
                    break
    return count


def _one_call(directory: Path, call: str, error: str, when: int, count: Counter[str]) -> bool:
    """Whether there was an N-th call to fail."""
    shutil.rmtree(directory, ignore_errors=True)
    with Trail.open(directory, segment_bytes=4096, timeout_seconds=60) as trail:
        trail.append({"kind": "x"})
    log = directory.with_suffix(".log")
    names = [directory / name for name in ("checkpoints", "frontier", "frontier.new", "lock", "tile", "tile/0")]
    names += [directory, *(directory / f"{number:020d}.seg" for number in range(60))]
    before = [
        "strace",
        "-f",
        "-qq",
        "-o",
        str(log),
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:error={error}:when={when}",
    ]
    before += [word for name in names for word in ("-P", str(name))]
    process = _child(_FAILING, directory, before=before)
    try:
        out, told = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        count["hung"] += 1
        return True
    if process.returncode not in (0, 3):
        raise SystemExit(f"{call} {error} {when}: the writer ended with {process.returncode}: {told.decode()}")
    if not re.search(r"\(INJECTED\)", log.read_text()):
        return False
    count["calls that failed"] += 1
    count["calls that were told"] += process.returncode == 3
    heard = dict(struct.unpack_from(">QQ", out, at) for at in range(0, len(out) // 16 * 16, 16))
    with Trail.open(directory, segment_bytes=4096, timeout_seconds=60):
        pass
    there = {seq: record.get("number") for seq, record in read_records(directory)}
    count["lost"] += sum(there.get(seq) != number for seq, number in heard.items())
    count["acknowledged records"] += len(heard)
    count["not as written"] += not verify(directory).ok
    return True


# ── with what ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _crashed(directory: Path) -> Path:
    live = directory.with_name(directory.name + "-live")
    with Trail.open(live, segment_bytes=1 << 20, checkpoint_seconds=NEVER, timeout_seconds=60) as trail:
        for number in range(6):
            trail.append({"kind": "x", "number": number, "pad": "é" * (number * 9)})
        shutil.copytree(live, directory)
    return directory


def _child(script: str, directory: Path, before: list[str] | None = None) -> subprocess.Popen[bytes]:
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*(before or []), sys.executable, "-c", script, str(directory)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _copy(directory: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(directory, to)
    return to


if __name__ == "__main__":
    raise SystemExit(main())
