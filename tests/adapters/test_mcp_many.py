"""Several MCP servers behind one relay, and the files of clients that name them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from guardrail.cli import main
from tests.mandate_support import Place
from tests.mcp_support import Wire, answer, calls, eventually, reached, relay_command, tool, toy, waiting, words

HELD = {"thing": "models/beta.safetensors"}


def servers(root: Path) -> dict[str, dict[str, object]]:
    """Two toys."""
    found: dict[str, dict[str, object]] = {}
    for name in ("one", "filesystem"):
        (root / name).mkdir()
        command, *args = toy(root / name, [[tool("inspect"), tool("write_file")], [tool("ask"), tool(name)]])
        found[name] = {"command": command, "args": args, "type": "stdio"}
    return found


def test_servers_behind_one_relay_are_told_apart_by_name(tmp_path: Path) -> None:
    """One list of tools, each call to the server it names, judged under that name; questions come back to who asked."""
    place = Place(tmp_path)
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": servers(tmp_path)}))
    wire = Wire(relay_command(place, "--servers", "mcp.json", "--hold", "50"), tmp_path)
    listed = wire.hello(sampling={})["result"]["tools"]
    assert [found["name"] for found in listed] == [
        f"{server}__{name}" for server in ("one", "filesystem") for name in ("inspect", "write_file", "ask", server)
    ]
    assert words(wire.call("one__one", x=1)) == "ran one"
    assert calls(tmp_path / "one") == [{"name": "one", "arguments": {"x": 1}}]
    denied = wire.call("filesystem__write_file", path=str(tmp_path / "trail/trail.key"), content="mine")
    assert words(denied) == "This action is not permitted here and was not carried out."
    assert calls(tmp_path / "filesystem") == []
    wire.start("tools/call", name="filesystem__ask", arguments={})
    request = wire.next()
    wire.send({"id": request["id"], "result": {"said": "yes"}})
    assert words(wire.next()["result"]) == "client said yes"
    # A question that a server takes back is known to the client by the relay's name for it.
    wire.start("tools/call", name="filesystem__filesystem", arguments={"take": "back"})
    request = wire.next()
    assert wire.next() == {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": request["id"]},
    }
    assert words(wire.next()["result"]) == "ran filesystem"
    held = wire.start("tools/call", name="one__inspect", arguments=HELD)
    answer(place, eventually(lambda: waiting(place))[0])
    assert words(wire.next()["result"]) == "ran inspect"
    held = wire.start("tools/call", name="one__inspect", arguments=HELD)
    assert eventually(lambda: waiting(place))
    wire.send({"method": "notifications/cancelled", "params": {"requestId": held}})
    assert eventually(lambda: not waiting(place))
    assert "none of them is meant" in wire.ask("tools/call", name="two__inspect", arguments={})["error"]["message"]
    wire.send(b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}')
    assert "stands twice" in wire.next()["error"]["message"]
    assert wire.end() == 0
    assert [message.get("id") for message in reached(tmp_path / "filesystem")].count("s1") == 1


@pytest.mark.parametrize("key", ["mcpServers", "servers"])
def test_a_client_s_file_is_taken_over_shown_first_and_given_back(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON: nothing is written unasked, a second import has nothing to do, and undoing restores every byte."""
    place, file = Place(tmp_path), tmp_path / ".mcp.json"
    before = json.dumps({key: {"web": {"url": "https://h/mcp"}, **servers(tmp_path)}, "other": [1]}).encode()
    file.write_bytes(before)
    command = ["proxy", "mcp", "import", str(file), "--config", str(place.toml)]
    assert main(command) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert file.read_bytes() == before
    assert main([*command, "--write"]) == 0
    taken = json.loads(file.read_text())
    assert set(taken[key]) == {"web", "guardrail"}
    assert taken["other"] == [1]
    assert taken[key]["guardrail"]["args"][-2:] == ["--servers", f"{file}.guardrail.json"]
    assert main([*command, "--write"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert json.loads(file.read_text()) == taken
    file.write_text(file.read_text() + "\n")
    assert main([*command, "--undo"]) == 2
    file.write_text(file.read_text()[:-1])
    assert main([*command, "--undo"]) == 0
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.glob(".mcp.json*")] == [".mcp.json"]
    assert main([*command, "--undo"]) == 2


def test_a_file_of_codex_keeps_its_comments(tmp_path: Path) -> None:
    """TOML: only the tables of the servers go, and undoing restores every byte."""
    place, file = Place(tmp_path), tmp_path / "config.toml"
    before = (
        'model = "x" # mine\n[mcp_servers.files]\ncommand = "npx"\nargs = ["-y", "server"]\n[mcp_servers.files.env]\n'
        'A = "1"\n'
        '[tools]\nweb = true\n[mcp_servers.far]\nurl = "https://h/mcp"\n'
    )
    file.write_text(before)
    command = ["proxy", "mcp", "import", str(file), "--config", str(place.toml)]
    assert main([*command, "--write"]) == 0
    after = file.read_text()
    assert set(tomllib.loads(after)["mcp_servers"]) == {"far", "guardrail"}
    assert "# mine" in after
    moved = json.loads((tmp_path / "config.toml.guardrail.json").read_text())["mcpServers"]
    assert moved == {"files": {"command": "npx", "args": ["-y", "server"], "env": {"A": "1"}}}
    assert main([*command, "--undo"]) == 0
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"mcpServers": {"a": {"command": "x"}} // c\n}', "comments have to be taken out"),
        ('{"mcpServers": {"a__b": {"command": "x"}}}', "cannot be named so"),
        ('{"mcpServers": {"a": {"command": 7}}}', "cannot be used"),
        ('{"other": {}}', "has no servers"),
    ],
)
def test_a_file_that_cannot_be_read_is_left_as_it_is(
    tmp_path: Path, text: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one sentence."""
    place, file = Place(tmp_path), tmp_path / "mcp.json"
    file.write_text(text)
    assert main(["proxy", "mcp", "import", str(file), "--config", str(place.toml), "--write"]) == 2
    assert why in capsys.readouterr().err
    assert file.read_text() == text
