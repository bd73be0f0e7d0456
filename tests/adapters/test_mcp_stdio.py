"""The MCP relay over standard input and output: what passes, what is judged, and frames that no SDK would send."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail.audit import verify
from guardrail.cli import main
from guardrail.config import load
from guardrail_adapters.mcp._kept import TaskFile, tasks_path
from tests.mandate_support import Place
from tests.mcp_support import (
    ROOT,
    STATELESS,
    TASKS,
    Wire,
    answer,
    calls,
    environment,
    eventually,
    reached,
    records,
    reference_server,
    relay_command,
    tool,
    toy,
    waiting,
    wired,
    words,
)

NAME = ("--name", "filesystem")
HELD = {"thing": "models/beta.safetensors"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A model, people, and a guard's configuration."""
    return Place(tmp_path)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Wire]]:
    """A relay before the toy that never waits for people: starting one is what takes time."""
    place = Place(tmp_path_factory.mktemp("asking"))
    with wired(place, *NAME, "--hold", "0") as wire:
        wire.hello()
        yield place, wire


@pytest.fixture(scope="module")
def holding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Wire]]:
    """The same, with one that waits."""
    place = Place(tmp_path_factory.mktemp("holding"))
    with wired(place, *NAME, "--hold", "50") as wire:
        wire.hello()
        yield place, wire


def test_the_reference_server_does_through_the_relay_what_it_does_alone_and_no_more(place: Place) -> None:
    """Allowed calls: the same tools, results and failures; weights and the guard's own files are out of its reach."""
    (place.root / "elsewhere/note.txt").write_text("grüße\n")
    weights = place.root / "models/beta.safetensors"
    server = [*reference_server("server-filesystem"), str(place.root)]
    calls_to_make = [
        ("read_text_file", {"path": str(place.root / "elsewhere/note.txt")}),
        ("write_file", {"path": str(place.root / "elsewhere/new.txt"), "content": "…"}),
        ("list_directory", {"path": str(place.root / "elsewhere")}),
        ("read_text_file", {"path": str(place.root / "elsewhere/none.txt")}),
    ]
    said = []
    for command in (server, relay_command(place, "--hold", "0", command=server)):
        wire = Wire(command, place.root)
        said.append([wire.hello(), *(wire.ask("tools/call", name=n, arguments=a) for n, a in calls_to_make)])
        if len(said) == 2:
            moved = wire.call("move_file", source=str(weights), destination=str(place.root / "elsewhere/x"))
            written = wire.call("write_file", path=str(place.root / "trail/trail.key"), content="mine")
            assert moved == written
            assert words(moved) == "This action is not permitted here and was not carried out."
        assert wire.end() == 0, wire.errors.decode()
    assert weights.exists()
    assert said[0] == said[1]
    assert said[1][-1]["result"]["isError"] is True
    assert verify(place.root / "trail").ok
    assert [kind for _, r in records(place) if (kind := r["kind"]) in ("intent", "result")] == ["intent", "result"] * 4


def test_the_reference_server_runs_a_held_call_once_people_approve_it(place: Place) -> None:
    """Under a name by which its tools are not known, so that naming the model is enough to ask people."""
    server = [*reference_server("server-filesystem"), str(place.root)]
    with wired(place, "--name", "files", "--hold", "50", command=server) as wire:
        wire.hello()
        wire.start("tools/call", name="get_file_info", arguments={"path": str(place.root / "models/beta.safetensors")})
        wire.start("tools/list")
        assert "tools" in wire.next()["result"]
        (case,) = eventually(lambda: waiting(place))
        answer(place, case)
        assert "size: 100" in words(wire.next()["result"])


def test_a_call_that_its_client_withdraws_leaves_no_approval_behind(holding: tuple[Place, Wire]) -> None:
    """Cancelled while held: the server never hears of it, and people need not answer any more."""
    place, wire = holding
    identity = wire.start("tools/call", name="inspect", arguments=HELD)
    assert eventually(lambda: waiting(place))
    wire.send({"method": "notifications/cancelled", "params": {"requestId": identity}})
    # A call that is judged after it shows that the cancellation was taken in.
    assert words(wire.call("read_file", path="elsewhere/x")) == "ran read_file"
    assert eventually(lambda: not waiting(place))
    assert "notifications/cancelled" not in [message.get("method") for message in reached(place.root)]


def test_a_call_that_people_approve_while_it_is_held_runs_once(holding: tuple[Place, Wire]) -> None:
    """It waits with progress at hand, runs the moment they say yes, and a second one is asked about anew."""
    place, wire = holding
    identity = wire.start("tools/call", name="inspect", arguments=HELD)
    assert wire.ask("ping")["result"]["method"] == "ping"
    (case,) = eventually(lambda: waiting(place))
    answer(place, case)
    assert words(wire.next()["result"]) == "ran inspect"
    assert [call for call in calls(place.root) if call["name"] == "inspect"] == [{"name": "inspect", "arguments": HELD}]
    again = wire.start("tools/call", name="inspect", arguments=HELD)
    assert again != identity
    wire.ask("ping")
    (other,) = eventually(lambda: waiting(place))
    answer(place, other, "deny")
    assert words(wire.next()["result"]) == "This action is not permitted here and was not carried out."
    assert [call["name"] for call in calls(place.root)].count("inspect") == 1


def test_a_call_that_is_withdrawn_leaves_the_question_to_another_that_waits_for_it(holding: tuple[Place, Wire]) -> None:
    """The same call twice is one question: it stays open for the one that waits, or is asked anew for it."""
    place, wire = holding
    thing = {"thing": "models"}
    first = wire.start("tools/call", name="inspect", arguments=thing)
    assert eventually(lambda: waiting(place))
    second = wire.start("tools/call", name="inspect", arguments=thing)
    assert words(wire.call("read_file", path="elsewhere/x")) == "ran read_file"
    wire.send({"method": "notifications/cancelled", "params": {"requestId": first}})
    assert words(wire.call("read_file", path="elsewhere/x")) == "ran read_file"
    (case,) = eventually(lambda: waiting(place))
    answer(place, case)
    said = wire.next()
    assert (said["id"], words(said["result"])) == (second, "ran inspect")


def test_a_call_that_was_told_to_come_again_finds_its_approval_by_itself(asking: tuple[Place, Wire]) -> None:
    """The client says `pending`, a person approves later, and the same call runs, once."""
    place, wire = asking
    first, second = (words(wire.call("inspect", **HELD)) for _ in range(2))
    assert first == second
    (case,) = waiting(place)
    answer(place, case)
    assert words(wire.call("inspect", **HELD)) == "ran inspect"
    assert "is pending" in words(wire.call("inspect", **HELD))


def test_a_task_outlives_the_relay_that_began_it(place: Place) -> None:
    """The next relay finds it by its id, waits on, runs it once people approve, and keeps what came of it."""
    meta = {**STATELESS, "io.modelcontextprotocol/clientCapabilities": {"extensions": {TASKS: {}}}}

    def status(wire: Wire, task: str) -> dict[str, Any]:
        found: dict[str, Any] = wire.ask("tasks/get", taskId=task)["result"]
        return found

    with wired(place, "--name", "filesystem") as wire:
        wire.start("tools/call", name="inspect", arguments=HELD, _meta=meta)
        made = wire.next()["result"]
        assert (made["resultType"], status(wire, made["taskId"])["status"]) == ("task", "working")
    (case,) = waiting(place)
    with wired(place, "--name", "filesystem") as wire:
        assert status(wire, made["taskId"])["status"] == "working"
        assert waiting(place) == [case]
        answer(place, case)
        done = eventually(lambda: found if (found := status(wire, made["taskId"]))["status"] != "working" else None)
        assert (done["status"], words(done["result"])) == ("completed", "ran inspect")
        unknown = wire.ask("tasks/get", taskId="guardrail-x")["error"]
        assert (unknown["code"], unknown["message"]) == (-32602, "there is no such task: send the call again")
    with contextlib.closing(TaskFile(tasks_path(load(place.toml)), 3600)) as tasks:
        found = tasks.get(made["taskId"], "")
        assert found is not None
        kept, response = found
        assert (kept.created, words((response or {})["result"])) == (made["createdAt"], "ran inspect")
        assert tasks.get(made["taskId"], "somebody") is None
    assert [call["name"] for call in calls(place.root)] == ["inspect"]


def test_a_call_that_runs_is_cancelled_at_the_server(asking: tuple[Place, Wire]) -> None:
    """Cancelled while the server works on it: the server hears so, and its end is on record as unknown."""
    place, wire = asking
    identity = wire.start("tools/call", name="never", arguments={})
    wire.ask("ping")
    wire.send({"method": "notifications/cancelled", "params": {"requestId": identity}})
    assert eventually(
        lambda: any(message.get("method") == "notifications/cancelled" for message in reached(place.root))
    )
    assert eventually(lambda: "CancelledError" in [record.get("error") for _, record in records(place)])


def test_everything_but_tool_calls_passes_both_ways(asking: tuple[Place, Wire]) -> None:
    """Requests and notifications of either side, in either era, with parameters that nobody here knows."""
    odd = {"deep": [{"ключ": "\U0001f512", "n": 1.5, "z": None}], "_meta": {**STATELESS, "x/y": True}}
    _, wire = asking
    wire.hello("2024-11-05", sampling={}, roots={"listChanged": True})
    for method in ("resources/read", "prompts/get", "completion/complete", "tasks/get", "subscriptions/listen"):
        assert wire.ask(method, **odd)["result"] == {"method": method, "params": odd}
    wire.start("tools/call", name="progress", arguments={}, _meta={"progressToken": "p"})
    assert wire.next()["method"] == "notifications/progress"
    assert words(wire.next()["result"]) == "ran progress"
    asked = wire.start("tools/call", name="ask", arguments={})
    request = wire.next()
    assert request["method"] == "sampling/createMessage"
    wire.send({"id": request["id"], "result": {"said": "yes"}})
    assert words(wire.next()["result"]) == "client said yes"
    assert asked
    assert wire.call("fail")["isError"] is True


HOSTILE = [
    (rb'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', "`method` stands twice"),
    (rb'{"jsonrpc":"2.0","id":2,"method":"ping","Method":"tools/call"}', "`Method` must be spelled"),
    ('{"jsonrpc":"2.0","id":3,"method":"ping","paramſ":{}}'.encode(), "must be spelled `params`"),
    (rb'{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"a","Arguments":{}}}', "must be spelled"),
    (rb'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"arguments":{"a":{"b":1,"b":2}}}}', "stands twice"),
    (rb'[{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"read_file"}}]', "batches are part of"),
    (rb'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":1e400}}', "out of range"),
    (rb'{"jsonrpc":"2.0","id":8,"method":"ping","params":{"a":NaN}}', "is not JSON"),
    (rb'{"jsonrpc":"2.0","id":9,"method":"ping","params":{"a":9007199254740993}}', "out of range"),
    (rb'{"jsonrpc":"2.0","id":true,"method":"tools/call","params":{"name":"read_file"}}', "`id` must be"),
    (rb'{"jsonrpc":"2.0","id":10,"method":"ping","params":[1]}', "`params` must be an object"),
    (rb'{"jsonrpc":"1.0","id":11,"method":"ping"}', '`"jsonrpc": "2.0"`'),
    (rb'{"jsonrpc":"2.0","id":12,"method":"ping"', "not JSON"),
    (b"\xff\xfe{}", "not JSON"),
    (b'{"jsonrpc":"2.0","id":13,"params":{"a":' + b"[" * 400 + b"]" * 400 + b"}}", "nested at most"),
    (rb'{"jsonrpc":"2.0","id":14,"method":"tools/call","params":{"name":7}}', "`params.name`"),
    (rb'{"jsonrpc":"2.0","id":15,"method":"tools/call","params":{"name":"a","arguments":[]}}', "`params.arguments`"),
    (rb'{"jsonrpc":"2.0","id":16,"method":"ping","result":{}}', "not both"),
    (rb'{"jsonrpc":"2.0","id":17,"method":"Tools/Call","params":{"name":"a"}}', "must be spelled `tools/call`"),
    (rb'{"jsonrpc":"2.0","id":18,"method":" tools/call\u200b","params":{"name":"a"}}', "must be spelled `tools/call`"),
    ('{"jsonrpc":"2.0","method":"tооls/call","params":{"name":"a"}}'.encode(), "must be spelled `tools/call`"),
    (rb'{"jsonrpc":"2.0","id":19,"method":"' + b"x" * 999 + rb'"}', "at most 256 characters"),
]  # fmt: skip


def test_frames_that_two_parsers_would_read_as_two_go_no_further(asking: tuple[Place, Wire]) -> None:
    """Each is refused with one sentence, nothing of it reaches the server, and the connection goes on."""
    place, wire = asking
    wire.hello()
    before = len(reached(place.root))
    for frame, why in HOSTILE:
        wire.send(frame)
        assert why in wire.next()["error"]["message"], frame
    wire.send({"method": "tools/call", "params": {"name": "read_file"}})
    assert wire.ask("ping")["result"]["method"] == "ping"
    assert [message["method"] for message in reached(place.root)[before:]] == ["ping"]


def test_what_is_forwarded_is_what_was_judged(asking: tuple[Place, Wire]) -> None:
    """A method spelled with an escape is judged as what it is; surrogates and odd spacing come out as plain ASCII."""
    frame = (
        rb'  {"params" : {"arguments":{"thing":"models/beta-2.safetensors"},"name":"insp\u0065ct"},'
        rb'"id":"\ud800", "method":"tools\u002fcall","jsonrpc":"2.0"}  '
    )
    place, wire = asking
    wire.send(frame)
    assert "is pending" in words(wire.next()["result"])
    wire.send(rb'{"id":"\ud800","method":"x\u002fy","jsonrpc":"2.0","params":{"a":"\ud800 \u00e9"}}')
    assert wire.next()["result"]["params"] == {"a": "\ud800 é"}
    lines = (place.root / "frames.log").read_bytes().splitlines()
    assert not [call for call in calls(place.root) if "beta-2" in str(call)]
    assert lines[-1].isascii()
    assert b"x/y" in lines[-1]


def test_batches_are_taken_apart_where_the_protocol_has_them(asking: tuple[Place, Wire]) -> None:
    """2025-03-26 only: each message of a batch is judged by itself, and answered whatever stands before it."""
    place, wire = asking
    wire.hello("2025-03-26")
    batch = [
        {
            "jsonrpc": "2.0",
            "id": "a",
            "method": "tools/call",
            "params": {"name": "inspect", "arguments": {"of": "models"}},
        },
        {
            "jsonrpc": "2.0",
            "id": "b",
            "method": "tools/call",
            "params": {"name": "read_file", "arguments": {"path": "elsewhere/x"}},
        },
    ]
    batch.insert(1, {"jsonrpc": "2.0", "id": "a", "method": "ping"})
    wire.send(json.dumps(batch).encode())
    assert "`id` a is in use" in wire.next()["error"]["message"]
    said = {message["id"]: words(message["result"]) for message in (wire.next(), wire.next())}
    assert "is pending" in said["a"]
    assert said["b"] == "ran read_file"
    assert {"name": "inspect", "arguments": {"of": "models"}} not in calls(place.root)
    wire.hello()


def test_a_server_that_says_what_is_no_message_confuses_nobody(asking: tuple[Place, Wire]) -> None:
    """Its stray lines and its answers to requests that nobody sent are left out, and people are told."""
    _, wire = asking
    assert words(wire.call("junk")) == "ran junk"
    assert eventually(lambda: b"left out: `id` 4711" in wire.errors)
    assert b"no message" in wire.errors


def test_a_request_cannot_take_the_id_of_one_that_is_open(asking: tuple[Place, Wire]) -> None:
    """Else the answer to one would be taken for that of the other."""
    _, wire = asking
    identity = wire.start("tools/call", name="never", arguments={})
    wire.send({"id": identity, "method": "ping"})
    assert f"`id` {identity} is in use" in wire.next()["error"]["message"]
    wire.send({"method": "notifications/cancelled", "params": {"requestId": identity}})


def test_a_relay_whose_guard_cannot_open_starts_no_server(place: Place) -> None:
    """No trail, no server: exit code 1 or 2, one sentence, and nothing has run."""
    (place.root / "trail").write_text("not a directory")
    wire = Wire(relay_command(place, command=toy(place.root)), place.root)
    assert wire.end() in (1, 2)
    assert wire.errors.count(b"\n") == 1
    assert reached(place.root) == []


def test_a_server_that_ends_ends_the_relay(place: Place) -> None:
    """Exit code 1, and whoever waits hears that it has ended."""
    with wired(place, *NAME, command=[sys.executable, "-c", "input()"]) as wire:
        wire.send({"id": 1, "method": "initialize", "params": {}})
        assert wire.process.wait(timeout=60) == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "name the server to start"),
        (("--name", "a b", "--", "true"), "is no name of a server"),
        (("--name", "a_", "--", "true"), "is no name of a server"),
        (("--", "npx", "-y"), "names no server"),
        (("pins", "accept", "x"), "name the tools to accept"),
        (("pins", "list"), "nothing is pinned"),
        (("pins", "forget", "x"), "nothing is pinned"),
    ],
)
def test_wrong_usage_says_what_is_wrong_and_exits_with_2(
    place: Place, arguments: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence each."""
    assert main(["proxy", "mcp", "--config", str(place.toml), *arguments]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1


def test_the_example_does_what_it_says() -> None:
    """`python -m examples.mcp.agent` runs as a reader would run it, and checks itself."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.mcp.agent"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "delete_file beta.safetensors: This action is not permitted here" in done.stdout


@pytest.mark.parametrize(("mode", "said"), [("off", "ran take: 100 bytes"), ("strict", "ran take: nothing")])
def test_a_server_that_is_confined_reaches_no_asset_that_its_calls_do_not_show(
    tmp_path: Path, mode: str, said: str
) -> None:
    """It reads a model that no argument names; held by the kernel it works on, and what it tried is on record."""
    roots = json.dumps(["/usr", "/etc", "/proc", str(ROOT), os.path.realpath(sys.prefix), sys.base_prefix])
    place = Place(tmp_path, more=f"[execute]\nconfine_read = {roots}")
    command = toy(place.root, [[tool("take", "Takes."), tool("inspect", "Looks.")]])
    with wired(place, *NAME, "--confine", mode, command=command) as wire:
        wire.hello()
        wire.ask("tools/list")
        assert words(wire.call("take")) == said
        assert words(wire.call("inspect")) == "ran inspect"
    ended = [record for _, record in records(place) if record.get("event") == "server_ended"]
    if mode == "off":
        assert ended == []
    else:
        (told,) = ended
        assert (told["kernel_mode"], told["kernel_assets"]) == ("strict", "model:beta")


def test_what_a_confined_server_does_besides_waits_for_a_person(tmp_path: Path) -> None:
    """It renames a model that no argument names; a person is asked in the agent's name, and then it goes on."""
    roots = json.dumps(["/usr", "/etc", "/proc", str(ROOT), os.path.realpath(sys.prefix), sys.base_prefix])
    place = Place(tmp_path, more=f"[execute]\nconfine_read = {roots}\nconfine_escalate = 60.0")
    there = [f"{tmp_path}/models/*"]
    place.order(
        by="eve", grants=[{"effects": ["rename"], "assets": ["model:beta"], "targets": there, "approval": True}]
    )
    command = toy(place.root, [[tool("retire", "Retires.")]])
    with wired(place, *NAME, "--agent", "ops-agent", "--confine", "strict", command=command) as wire:
        wire.hello()
        wire.start("tools/call", name="retire", arguments={})
        (case,) = eventually(lambda: waiting(place))
        assert case.held.agent == "ops-agent"
        assert (tmp_path / "models/beta.safetensors").exists()
        answer(place, case, by="dana")
        assert words(wire.next()["result"]) == "ran retire"
    assert (tmp_path / "models/retired.safetensors").exists()


def test_a_server_that_cannot_be_confined_as_asked_is_not_started(place: Place) -> None:
    """Weights lie in its own directory, which only `strict` can take apart; the sentence says so."""
    done = subprocess.run(
        relay_command(place, *NAME, "--confine", "default", command=toy(place.root)), cwd=place.root,
        env=environment(), stdin=subprocess.PIPE, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "use `strict`" in done.stderr) == (2, True)
    assert reached(place.root) == []
