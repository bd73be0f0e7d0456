"""Several MCP servers behind one relay, and the files of clients that name them."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pytest

from guardrail import jsonc
from guardrail.cli import main
from guardrail_adapters.mcp._clients import plan, write
from guardrail_adapters.mcp._servers import Reached, Started, read_servers
from tests.mandate_support import Place
from tests.mcp_far import TOKEN, far_toy
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


def test_servers_over_http_stand_beside_started_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Token from the environment, session, both forms of answers, what a server says by itself; and it is judged."""
    monkeypatch.setenv("FAR_TOKEN", TOKEN)
    place = Place(tmp_path)
    with far_toy() as far, far_toy(legacy=True) as old, far_toy() as locked:
        named = {
            "far": {"type": "http", "url": far.url, "headers": {"Authorization": "Bearer ${FAR_TOKEN}"}},
            "old": {"url": old.url},
            "locked": {"url": locked.url},
            "sse": {"type": "sse", "url": "https://h/sse"},
            "off": {"command": "nothing", "disabled": True},
            **servers(tmp_path),
        }
        (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": named}))
        wire = Wire(relay_command(place, "--servers", "mcp.json", "--hold", "0"), tmp_path)
        wire.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={})
        wire.send({"method": "notifications/initialized"})
        assert wire.next()["method"] == "notifications/tools/list_changed"
        listed = [found["name"] for found in wire.ask("tools/list")["result"]["tools"]]
        assert {name.partition("__")[0] for name in listed} == {"far", "one", "filesystem"}
        assert words(wire.call("far__inspect", x=1)) == "far ran inspect"
        wire.start("tools/call", name="far__stream", arguments={})
        assert wire.next()["method"] == "notifications/progress"
        assert words(wire.next()["result"]) == "far ran stream"
        assert words(wire.call("one__one")) == "ran one"
        assert "is pending" in words(wire.call("far__inspect", **HELD))
        for name, why in (("break", "ended its answer"), ("moved", "answered 307")):
            wire.start("tools/call", name=f"far__{name}", arguments={})
            said = wire.next()
            said = wire.next() if said.get("method") == "notifications/progress" else said
            assert why in said["error"]["message"]
        assert wire.end() == 0
        assert [call["name"] for call in far.calls()] == ["inspect", "stream", "break", "moved"]
        assert far.seen[-1][0] == "DELETE"
        assert not any("authorization" in headers for _, headers, _ in (*old.seen, *locked.seen))
    for line in (
        b"`old` is left out: the server `old` gave no answer: it speaks HTTP with SSE, the transport of 2024-11-05",
        b"`locked` is left out: the server `locked` gave no answer: it answered 401: give it a token in `headers`",
        b"`sse` is left out: it speaks HTTP with SSE",
        b"`off` is left out: it is switched off",
    ):
        assert line in wire.errors


def test_a_variable_that_is_not_set_starts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server without its token is not asked with an empty one."""
    place, file = Place(tmp_path), tmp_path / "mcp.json"
    entry = {"url": "https://h/mcp", "headers": {"Authorization": "Bearer ${GUARDRAIL_TEST_UNSET}"}}
    file.write_text(json.dumps({"mcpServers": {"far": entry}}))
    assert main(["proxy", "mcp", "--config", str(place.toml), "--servers", str(file)]) == 2
    assert "needs `GUARDRAIL_TEST_UNSET` in the environment" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("claude_desktop_config.json", '{"mcpServers": {"near": {"command": "x", "env": {"T": "t"}}}}'),
        (
            ".mcp.json",
            (
                '{"mcpServers": {"near": {"command": "x", "env": {"T": "${T}"}}, "far": {"type": "http", "url":'
                ' "${HOST:-https://h}/mcp", "headers": {"Authorization": "Bearer ${T}", "X-Of": "${V:-v}"}}}}'
            ),
        ),
        (
            ".cursor/mcp.json",
            (
                '{"mcpServers": {"near": {"command": "x", "env": {"T": "${env:T}"}}, "far": {"url": "https://h/mcp",'
                ' "headers": {"Authorization": "Bearer ${env:T}", "X-Of": "v"}}}}'
            ),
        ),
        (
            ".vscode/mcp.json",
            (
                '{"inputs": [], "servers": {"near": {"type": "stdio", "command": "x", "env": {"T": "${env:T}"}}, "far":'
                ' {"type": "http", "url": "https://h/mcp", "headers": {"Authorization": "Bearer ${env:T}", "X-Of":'
                ' "v"}}}}'
            ),
        ),
        (
            ".gemini/settings.json",
            (
                '{"theme": "x", "mcpServers": {"near": {"command": "x", "env": {"T": "$T"}}, "far": {"httpUrl":'
                ' "https://h/mcp", "headers": {"Authorization": "Bearer $T", "X-Of": "v"}}}}'
            ),
        ),
        (
            ".codex/config.toml",
            (
                '[mcp_servers.near]\ncommand = "x"\nenv_vars = ["T"]\n[mcp_servers.far]\nurl = "https://h/mcp"\n'
                'bearer_token_env_var = "T"\nenv_http_headers = { "X-Of" = "OF" }\n'
            ),
        ),
    ],
)
def test_each_client_s_own_form_is_understood(tmp_path: Path, name: str, text: str) -> None:
    """A started server and one over HTTP are the same before an import and after it, and the relay gets what they need.

    Only the example of Claude Desktop has no variable.
    """
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    before = read_servers(file)
    change = plan(file, ["guardrail", "proxy", "mcp"])
    assert change is not None
    assert change.notes == ()
    write(change)
    for found in (before, read_servers(Path(f"{file}.guardrail.json"))):
        near = found.filled("near", {"T": "t"})
        assert isinstance(near, Started)
        assert (near.command, near.env.get("T", "t")) == ("x", "t")
        if "far" in found.entries:
            headers = {"Authorization": "Bearer t", "X-Of": "v"}
            assert found.filled("far", {"T": "t", "OF": "v"}) == Reached(url="https://h/mcp", headers=headers)
    own = read_servers(file).entries["guardrail"]
    assert own["args"][-2:] == ["--servers", f"{file}.guardrail.json"]
    assert ("T" in (*own.get("env", ()), *own.get("env_vars", ()))) is ("claude_desktop" not in name)


def test_what_cannot_be_relayed_stays_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No server is left unguarded without a word, and none is moved that could not be started or reached."""
    place, file = Place(tmp_path), tmp_path / ".gemini/settings.json"
    file.parent.mkdir()
    named = {
        "old": {"url": "https://h/sse"},
        "asks": {"command": "x", "args": ["${input:key}"]},
        "signs": {"httpUrl": "https://h/mcp", "oauth": {"enabled": True}},
        "off": {"command": "x", "disabled": True},
        "listed": {"command": "x", "includeTools": ["a"]},
    }
    file.write_text(json.dumps({"mcpServers": named}))
    command = ["proxy", "mcp", "import", str(file), "--config", str(place.toml), "--write"]
    assert main(command) == 0
    said = capsys.readouterr().out
    for text in (
        "`old` stays, and nothing judges its calls: it speaks HTTP with SSE",
        "`asks` stays, and nothing judges its calls: only its client can fill in `${input:key}`",
        "`signs` stays, and nothing judges its calls: its client signs in to it by itself",
        "`off` stays, and nothing judges its calls: it is switched off",
        "of `listed` these are the client's own and count no more: `includeTools`",
    ):
        assert text in said
    assert set(json.loads(file.read_text())["mcpServers"]) == {"old", "asks", "signs", "off", "guardrail"}
    assert main(command) == 0
    assert "no server of it can be relayed" in capsys.readouterr().out


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
    assert set(taken[key]) == {"guardrail"}
    assert taken["other"] == [1]
    own = taken[key]["guardrail"]
    assert own["args"][-2:] == ["--servers", f"{file}.guardrail.json"]
    # Started as a module, as here, it is the interpreter that a client can start.
    assert (own["command"], own["args"][:2]) == (sys.executable, ["-m", "guardrail"])
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
    assert set(tomllib.loads(after)["mcp_servers"]) == {"guardrail"}
    assert "# mine" in after
    moved = json.loads((tmp_path / "config.toml.guardrail.json").read_text())["mcpServers"]
    assert moved["files"] == {"command": "npx", "args": ["-y", "server"], "env": {"A": "1"}}
    assert main([*command, "--undo"]) == 0
    assert file.read_text() == before


def test_comments_of_a_client_s_file_stay_and_what_it_starts_is_relayed(tmp_path: Path) -> None:
    """JSON as editors write it, with comments and commas at the end."""
    place, file = Place(tmp_path), tmp_path / "mcp.json"
    before = (
        '// of the team\n{\n\t"servers": {\n\t\t// reads the docs\n'
        '\t\t"files": {"command": "npx", "args": ["-y", "x"],},\n'
        '\t\t"old": {"type": "sse", "url": "https://h/sse"}, // later\n\t},\n\t"inputs": [], /* none */\n}\n'
    )
    file.write_text(before)
    command = ["proxy", "mcp", "import", str(file), "--config", str(place.toml)]
    assert main([*command, "--write"]) == 0
    after = file.read_text()
    for comment in ("// of the team", "// reads the docs", "// later", "/* none */"):
        assert comment in after
    now = jsonc.read(after).value
    assert list(now["servers"]) == ["old", "guardrail"]
    assert now["inputs"] == []
    moved = json.loads((tmp_path / "mcp.json.guardrail.json").read_text())["mcpServers"]
    assert moved == {"files": {"command": "npx", "args": ["-y", "x"]}}
    assert main([*command, "--undo"]) == 0
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"mcpServers": {"a": {"command": "x"}} /* c', "line 1: `,` or `}` is missing"),
        ('{"mcpServers": {"a": {"command": "x"}, "a": {}}}', "the key `a` is there twice"),
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
