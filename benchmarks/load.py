"""The service under load, on TCP and on a Unix socket, beside a real OPA server and a peer's policy server, in one run.

    python -m benchmarks.load [--seconds N] [--rounds N] [--connections 1,8,64] [--peer-python PATH] [--json]

TCP is asked by wrk, with one thread; a Unix socket, which wrk cannot reach, by a client of our own in another process,
which asks over TCP as well, so that one can be compared with the other. Every answer is looked at: one that is not a
200 with the outcome that it must have is counted as wrong, and the run fails.

    guardrail           a shell line, judged whole: parse, effects, assets, policy, trail
    guardrail, asset    the same for a line that reads an asset, with its durable record
    OPA                 `opa run --server` with the same bundle, given the typed effects of the first line ready-made
    AGT policy server   agent-governance-toolkit's own server with one YAML rule, given the action's name

Everybody is asked in turn, and all of it again in each round, so that what else the machine does falls on all alike.
Prints the median of the rounds of req/s, p50, p99 and of the processor time that a request cost the server, and the
ratios of req/s to our own on TCP by the same client. Machines differ: quote the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.peer_agt import YAML_POLICY
from benchmarks.run import calls, opa_server, wait_for, world
from tests.ports import free_port

WARM_SECONDS: Final = 1
"""How long each server is asked before anything counts, in seconds."""

ATTEMPTS: Final = 5
"""How often a row is measured that was held up as a whole."""

LATE_SECONDS: Final = 0.5
"""By how much a row may be late, in seconds."""

LUA: Final = """
threads = {{}}
wrk.method, wrk.body, wrk.headers["content-type"] = "POST", {body}, "application/json"
function setup(thread) table.insert(threads, thread) end
function init(args) wrong = 0 end
function response(status, headers, body)
  if status ~= 200 or not string.find(body, {want}, 1, true) then wrong = wrong + 1 end
end
function done(summary, latency, requests)
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), threads[1]:get("wrong") + errors))
end
"""

PEER_SERVER: Final = """
import sys, uvicorn
from agentmesh.server import policy_server
uvicorn.run(policy_server.app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


class Target(NamedTuple):
    """Somebody to ask.

    Args:
        name: for the table.
        address: `host:port`, or the path of a Unix socket.
        path: of the route.
        body: what is sent.
        want: what a right answer has in it.
        pid: of the process that answers.
    """

    name: str
    address: str
    path: str
    body: str
    want: str
    pid: int = 0


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=5, help="how long each row is measured; default 5")
    options.add_argument("--rounds", type=int, default=3, help="how often everybody is asked; default 3")
    options.add_argument("--connections", default="1,8,64", help="how many at one time; default 1,8,64")
    options.add_argument("--peer-python", help="interpreter of an environment with the peers of requirements/bench.in")
    options.add_argument("--opa", default=os.environ.get("GUARDRAIL_OPA") or shutil.which("opa"), help="the OPA binary")
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--ask", metavar="TARGET", help=argparse.SUPPRESS)
    args = options.parse_args()
    counts = [int(word) for word in args.connections.split(",")]
    if args.ask:
        print(json.dumps(_ask(Target(**json.loads(args.ask)), counts[0], args.seconds)))
        return 0
    with tempfile.TemporaryDirectory(prefix="guardrail-load-") as scratch, contextlib.ExitStack() as stack:
        targets = _targets(Path(scratch), args, stack)
        for target in targets:
            _asked(target, 1, WARM_SECONDS, Path(scratch))
        rounds = [
            [_row(target, count, args.seconds, Path(scratch)) for count in counts for target in targets]
            for _ in range(args.rounds)
        ]
        rows = [_median(several) for several in zip(*rounds, strict=True)]
    print(json.dumps(rows, indent=1) if args.json else _table(rows))
    return int(any(row["wrong"] for row in rows))


def _targets(root: Path, args: argparse.Namespace, stack: contextlib.ExitStack) -> list[Target]:
    world(root)
    plain, asset = (calls(root)[kind][0] for kind in ("exact, no asset", "asset, durable intent"))
    bodies = [json.dumps({"tool": call.tool, "args": call.args, "cwd": call.cwd}) for call in (plain, asset)]
    allow = '"outcome":"allow"'
    tcp, its = stack.enter_context(_service(root, "tcp", "--port", "0", "--insecure-no-token"))
    unix, other = stack.enter_context(_service(root, "unix", "--socket", str(root / "run/decide.sock")))
    found = [
        Target("guardrail", tcp, "/v1/decide", bodies[0], allow, its),
        Target("guardrail, asset", tcp, "/v1/decide", bodies[1], allow, its),
        Target("guardrail, own client", tcp, "/v1/decide", bodies[0], allow, its),
        Target("guardrail, own client", unix, "/v1/decide", bodies[0], allow, other),
        Target("guardrail, asset, own client", unix, "/v1/decide", bodies[1], allow, other),
    ]
    if args.opa:
        asked = json.dumps({"input": json.loads(_document(root, plain))})
        place, path = stack.enter_context(opa_server(args.opa)), "/v1/data/guardrail/main/decision"
        opa = Target("OPA, same bundle", place.removeprefix("http://"), path, asked, allow, _answering(place))
        found += [opa, opa._replace(name="OPA, own client")]
    else:
        print("OPA server: left out, no `opa` found: make tools", file=sys.stderr)
    if args.peer_python:
        peer = stack.enter_context(_peer(root, args.peer_python))
        action = {"agent_did": "did:a", "action": "run_command", "context": {"action": {"type": "run_command"}}}
        found.append(
            Target(
                "AGT policy server",
                peer,
                "/api/v1/policy/evaluate",
                json.dumps(action),
                '"decision":"allow"',
                _answering(f"http://{peer}"),
            )
        )
    else:
        print("peer: left out, no --peer-python given: make bench sets one up", file=sys.stderr)
    return found


@contextlib.contextmanager
def _service(root: Path, name: str, *options: str) -> Iterator[tuple[str, int]]:
    config = root / f"{name}.toml"
    text = (root / "guardrail.toml").read_text().replace("trail-wasm", f"trail-{name}")
    # One client asks for all of them, and none of them is to wait for its share.
    config.write_text(f"{text}[service]\neach_rate = 1e9\neach_burst = 1000000000\neach_concurrency = 100000\n")
    command = [sys.executable, "-m", "guardrail", "serve", "--config", str(config), *options]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert service.stdout is not None
        place = service.stdout.readline().split()[3].rstrip(",")
        yield place.removeprefix("http://").removeprefix("unix:"), service.pid
    finally:
        service.terminate()
        service.wait(60)


@contextlib.contextmanager
def _peer(root: Path, python: str) -> Iterator[str]:
    port = free_port()
    (root / "peer").mkdir()
    (root / "peer/models.yaml").write_text(YAML_POLICY)
    environment = {**os.environ, "AGENTMESH_POLICY_DIR": str(root / "peer")}
    server = subprocess.Popen([python, "-W", "ignore", "-c", PEER_SERVER, str(port)], env=environment)
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 60)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def _document(root: Path, call: Any) -> bytes:
    """What policy is asked about a call."""
    from guardrail import Guard

    with Guard.open(root / "guardrail.toml", record=False) as guard:
        asked: list[bytes] = []
        decide = guard.engine.decide
        guard.engine.decide = lambda document, **more: asked.append(document) or decide(document, **more)  # type: ignore[assignment, func-returns-value]
        guard.check(call)
    return asked[0]


def _row(target: Target, count: int, seconds: int, root: Path) -> dict[str, Any]:
    for _ in range(ATTEMPTS):
        before = _processor_us(target.pid)
        found = _asked(target, count, seconds, root)
        spent = (_processor_us(target.pid) - before) / max(1, found["requests"])
        # Whoever shares the machine may have stopped it all for a while, which says nothing about anybody here.
        if found["seconds"] < seconds + LATE_SECONDS:
            break
    kind = "unix" if target.address.startswith("/") else "tcp"
    return {"who": target.name, "transport": kind, "connections": count, **found, "processor_us": spent}


def _asked(target: Target, count: int, seconds: int, root: Path) -> dict[str, Any]:
    return _own(target, count, seconds) if "own client" in target.name else _wrk(target, count, seconds, root)


def _median(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row of several of the same; every wrong answer counts."""
    figures = ("per_second", "p50_us", "p99_us", "processor_us")
    middle = {name: statistics.median(row[name] for row in rows) for name in figures}
    return {**rows[0], **middle, "wrong": sum(row["wrong"] for row in rows)}


def _processor_us(pid: int) -> float:
    """Processor time of a process since it began, its own and the kernel's for it, in microseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1e6


def _answering(url: str) -> int:
    """The child of ours that listens at an address."""
    port = int(url.rpartition(":")[2])
    (inode,) = {
        fields[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if (fields := line.split())[1].endswith(f":{port:04X}") and fields[3] == "0A"
    }
    for child in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
        if any(os.readlink(held) == f"socket:[{inode}]" for held in Path(f"/proc/{child}/fd").iterdir()):
            return int(child)
    raise ProcessLookupError(f"nobody of ours listens on port {port}")


def _own(target: Target, count: int, seconds: int) -> dict[str, Any]:
    words = ["--ask", json.dumps(target._asdict()), "--connections", str(count), "--seconds", str(seconds)]
    done = subprocess.run([sys.executable, "-m", "benchmarks.load", *words], check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _wrk(target: Target, count: int, seconds: int, root: Path) -> dict[str, Any]:
    script = root / "ask.lua"
    script.write_text(LUA.format(body=json.dumps(target.body), want=json.dumps(target.want)))
    words = ["wrk", "-t1", f"-c{count}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script)]
    done = subprocess.run(
        [*words, f"http://{target.address}{target.path}"], check=True, stdout=subprocess.PIPE, text=True
    )
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    requests, took_us, p50_us, p99_us, wrong = (int(word) for word in line.split()[1:])
    took = took_us / 1e6
    return {"requests": requests, "seconds": took, "per_second": requests / took, "p50_us": p50_us, "p99_us": p99_us,
            "wrong": wrong}  # fmt: skip


def _ask(target: Target, count: int, seconds: float) -> dict[str, Any]:
    """Keep so many connections busy, each with one question at a time."""
    body = target.body.encode()
    request = f"POST {target.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    request += f"content-length: {len(body)}\r\n\r\n"
    sent, want, times, wrong = request.encode() + body, target.want.encode(), list[int](), 0
    poll, begun = select.epoll(), {}
    for _ in range(count):
        connection = _connect(target.address)
        poll.register(connection.fileno(), select.EPOLLIN)
        begun[connection.fileno()] = [connection, time.perf_counter_ns(), b""]
        connection.sendall(sent)
    start = time.perf_counter_ns()
    while (now := time.perf_counter_ns()) - start < seconds * 1e9:
        for descriptor, _ in poll.poll(1.0):
            state = begun[descriptor]
            state[2] += state[0].recv(65536)
            head, end, answer = state[2].partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
            if not end or len(answer) < length:
                continue
            times.append(time.perf_counter_ns() - state[1])
            wrong += not (head.startswith(b"HTTP/1.1 200") and want in answer)
            state[1], state[2] = time.perf_counter_ns(), b""
            state[0].sendall(sent)
    times.sort()
    took = (now - start) / 1e9
    return {
        "requests": len(times),
        "seconds": took,
        "per_second": len(times) / took,
        "p50_us": times[len(times) // 2] // 1000,
        "p99_us": times[len(times) * 99 // 100] // 1000,
        "wrong": wrong,
    }


def _connect(address: str) -> socket.socket:
    if address.startswith("/"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        return connection
    host, _, port = address.partition(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _table(rows: list[dict[str, Any]]) -> str:
    names = ("guardrail", "guardrail, own client")
    ours = {
        (row["connections"], "own client" in row["who"]): row["per_second"]
        for row in rows
        if row["who"] in names and row["transport"] == "tcp"
    }
    lines = [
        "who                           over  conn     req/s     p50 us     p99 us     cpu us  req/s to ours  wrong"
    ]
    for row in rows:
        ratio = row["per_second"] / ours[row["connections"], "own client" in row["who"]]
        lines.append(
            f"{row['who']:<29} {row['transport']:<5} {row['connections']:>4} {row['per_second']:>9.0f} "
            f"{row['p50_us']:>10.0f} {row['p99_us']:>10.0f} {row['processor_us']:>10.0f} "
            f"{ratio:>14.2f} {row['wrong']:>6}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
