"""Tool calls become operations; what is not understood is never dropped and never guessed."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.errors import ConfigError
from guardrail.model import Edit, ToolCall
from guardrail.parse import (
    ApiOperation,
    CodeText,
    Command,
    FileOperation,
    Operation,
    ShellText,
    Unmapped,
    parse,
    tool_table,
)
from guardrail.parse._tools import failures, family, family_names, plain_name, shipped_tools
from guardrail.toolspec import ToolSpec, problems


def ask(tool: str, **args: Any) -> tuple[Operation, ...]:
    """Parse one call."""
    return parse(ToolCall(tool=tool, args=args))


@pytest.mark.parametrize(
    ("tool", "args", "want"),
    [
        ("bash", {"command": "ls"}, ShellText(text="ls")),
        ("Bash", {"command": "ls", "timeout": 5, "description": "x"}, ShellText(text="ls")),
        ("execute", {"command": "ls"}, ShellText(text="ls")),
        ("run_shell_command", {"command": "ls", "dir_path": "/x"}, ShellText(text="ls", cwd="/x")),
        ("exec_command", {"cmd": "ls", "workdir": "/x"}, ShellText(text="ls", cwd="/x")),
        ("shell", {"command": "ls"}, ShellText(text="ls", persistent=True)),
        ("local_shell", {"command": ["rm", "a b"]}, ShellText(text="rm 'a b'")),
        ("read_file", {"path": "/a"}, FileOperation(verb="read", path="/a")),
        ("Read", {"file_path": "/a", "limit": 5}, FileOperation(verb="read", path="/a")),
        ("mcp__filesystem__read_file", {"path": "/a"}, FileOperation(verb="read", path="/a")),
        (
            "write_file",
            {"path": "/a", "content": "x"},
            FileOperation(verb="write", path="/a", edit=Edit(kind="whole", text="x")),
        ),
        (
            "write_file",
            {"file_path": "/a", "text": "x", "append": True},
            FileOperation(verb="append", path="/a", edit=Edit(kind="append", text="x")),
        ),
        (
            "edit_file",
            {"file_path": "/a", "old_string": "x", "new_string": "y", "replace_all": True},
            FileOperation(verb="edit", path="/a", edit=Edit(kind="replace", text="y", old="x", all=True)),
        ),
        (
            "str_replace_based_edit_tool",
            {"command": "str_replace", "path": "/a", "old_str": "x", "new_str": "y"},
            FileOperation(verb="edit", path="/a", edit=Edit(kind="replace", text="y", old="x")),
        ),
        (
            "copy_file",
            {"source_path": "/a", "destination_path": "/b"},
            FileOperation(verb="copy", path="/a", target="/b"),
        ),
        ("move_file", {"source": "/a", "destination": "/b"}, FileOperation(verb="move", path="/a", target="/b")),
        ("file_delete", {"file_path": "/a"}, FileOperation(verb="delete", path="/a")),
        ("delete_directory", {"path": "/a"}, FileOperation(verb="delete", path="/a", recursive=True)),
        ("ls", {}, FileOperation(verb="list", path=".")),
        ("glob", {"pattern": "*", "path": "/a"}, FileOperation(verb="list", path="/a", recursive=True)),
        ("create_directory", {"path": "/a"}, FileOperation(verb="mkdir", path="/a")),
        ("get_file_info", {"path": "/a"}, FileOperation(verb="stat", path="/a")),
    ],
)
def test_a_known_tool_is_mapped_by_data(tool: str, args: dict[str, Any], want: Operation) -> None:
    """Names and arguments are those of the tools' own schemas."""
    assert ask(tool, **args) == (want,)


def test_a_list_of_files_or_commands_gives_one_operation_each() -> None:
    """Nothing in a batch hides behind the first."""
    assert ask("read_multiple_files", paths=["/a", "/b"]) == (
        FileOperation(verb="read", path="/a"),
        FileOperation(verb="read", path="/b"),
    )
    # Some run them in one shell, so that a `cd` holds for the next, others in one each.
    both = (ShellText(text="ls\npwd"), ShellText(text="ls"), ShellText(text="pwd"))
    assert ask("terminal", commands=["ls", "pwd"]) == both


def test_several_edits_of_one_file_are_kept_in_order() -> None:
    """Each is an operation of its own."""
    found = ask("edit_file", path="/a", edits=[{"oldText": "x", "newText": "y"}, {"oldText": "p", "newText": "q"}])
    assert [o.edit.text for o in found if isinstance(o, FileOperation) and o.edit is not None] == ["y", "q"]


def test_an_unknown_tool_keeps_every_string_of_its_arguments() -> None:
    """Keys, values and what is nested."""
    (found,) = ask("launch", target={"host": "h", "files": ["/a", {"x": "/b"}]}, n=3)
    assert isinstance(found, Unmapped)
    assert found.reason == ""
    assert {"target", "host", "h", "files", "/a", "x", "/b", "n"} <= set(found.texts)


@pytest.mark.parametrize(
    ("tool", "args"),
    [
        ("bash", {}),
        ("bash", {"command": 5}),
        ("bash", {"command": None}),
        ("bash", {"command": []}),
        ("bash", {"command": "ls", "cmd": "rm -r /models"}),
        ("bash", {"command": "ls", "dangerouslyDisableSandbox": True}),
        ("bash", {"command": "ls", "timeout": {"command": "rm"}}),
        ("bash", {"command": "ls", "workdir": 3}),
        ("read_file", {"path": ""}),
        ("read_file", {"path": "/a\0b"}),
        ("read_file", {"path": ["/a", 3]}),
        ("read_file", {"path": "/a", "then_delete": True}),
        ("write_file", {"path": "/a"}),
        ("write_file", {"path": "/a", "content": "x", "append": "yes"}),
        ("edit_file", {"path": "/a", "edits": []}),
        ("edit_file", {"path": "/a", "edits": [{"oldText": "a", "newText": "b", "path": "/b"}]}),
        ("copy_file", {"source": "/a"}),
        ("memory", {"command": "frobnicate", "path": "/a"}),
    ],
)
def test_a_known_tool_with_arguments_that_are_not_understood_is_unmapped(tool: str, args: dict[str, Any]) -> None:
    """Missing, ill-typed, doubled and additional arguments: fail closed, with the reason."""
    (found,) = ask(tool, **args)
    assert isinstance(found, Unmapped)
    assert found.reason


def test_the_tools_of_other_servers_are_not_taken_for_ours() -> None:
    """Another server may call anything `read_file`."""
    (found,) = ask("mcp__evil__read_file", path="/a")
    assert isinstance(found, Unmapped)


def test_a_flood_of_strings_is_cut_and_then_names_everything() -> None:
    """At the bound one more text that could be anything."""
    (found,) = ask("launch", files=[str(n) for n in range(10_000)])
    assert isinstance(found, Unmapped)
    assert len(found.texts) < 5000
    assert found.texts[-1] == "/*"


@pytest.mark.parametrize("name", ["BASH", "Run-Bash", "run.bash", "Shell"])
def test_a_tool_is_known_however_its_name_is_written(name: str) -> None:
    """Case and separators are the framework's."""
    assert all(isinstance(operation, ShellText) for operation in ask(name, command="ls"))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("acme_python", {"text": "1"}),
        ("my_repl", {"query": "1"}),
        ("my_tool", {"opts": {"script": "ls"}}),
        ("mcp__x__run", {"command": "ls"}),
    ],
)
def test_an_unknown_tool_that_may_run_code_says_so(name: str, args: dict[str, object]) -> None:
    """By its own name, or by the name of an argument at any depth."""
    (operation,) = ask(name, **args)
    assert isinstance(operation, Unmapped)
    assert operation.reason == "a tool that may run code"


# -- the data


SPECS = [(file, spec) for file in family_names() for spec in family(file)]


@pytest.mark.parametrize(("file", "spec"), SPECS, ids=lambda value: value if isinstance(value, str) else value.names[0])
def test_an_entry_does_what_its_examples_say(file: str, spec: ToolSpec) -> None:
    """`match` and `not_match` of every shipped entry come out as written, and each entry has at least one."""
    assert list(problems(spec, served=True)) == []
    assert list(failures(spec)) == []
    assert spec.match


def test_the_names_of_the_first_family_stand_in_no_other() -> None:
    """It alone is read for most calls, so nothing may be added to its names elsewhere."""
    first = {name for file, spec in SPECS if file == "shell.toml" for name in spec.names if spec.bare}
    others = {name for file, spec in SPECS if file != "shell.toml" for name in spec.names}
    assert first & others == set()


def test_an_unknown_field_of_an_entry_is_refused() -> None:
    """A slip in the data is an error at load, never an argument that is overlooked."""
    import msgspec

    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"names": ["x"], "verb": "read", "path": ["p"], "pth": ["q"]}, ToolSpec)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"verb": "read"}, "needs `path`"),
        ({"verb": "copy", "path": ["a"]}, "needs `target`"),
        ({"verb": "api", "uri": "s3://{b}"}, "needs `op`"),
        ({"verb": "shell", "text": ["a"], "uri": "x:{a}"}, "takes no `uri`"),
        ({"verb": "read", "path": ["a..b"]}, "is no selector"),
        ({"verb": "read", "path": ["a[].x", "b[].x"]}, "two different lists"),
        ({"verb": "read", "path": ["a[].b[].c[].d[].e"]}, "more than 3 lists"),
        ({"verb": "read", "path": ["a"], "bare": False}, "needs `servers`"),
    ],
)
def test_an_entry_that_cannot_work_says_why(fields: dict[str, Any], problem: str) -> None:
    """One sentence for each thing that is wrong."""
    import msgspec

    spec = msgspec.convert({"names": ["x"], **fields}, ToolSpec)
    assert any(problem in found for found in problems(spec))


@pytest.mark.parametrize(
    "name",
    [
        "mcp__filesystem__read_file",
        "mcp_filesystem_read_file",
        "filesystem.read_file",
        "filesystem/read_file",
        "filesystem:read_file",
        "filesystem_read_file",
        "secure-filesystem-server/read_file",
    ],
)
def test_a_tool_of_a_listed_server_is_known_however_the_two_are_joined(name: str) -> None:
    """Frameworks differ in how they name the server."""
    assert ask(name, path="/a") == (FileOperation(verb="read", path="/a"),)


@pytest.mark.parametrize(
    "name", ["evil.read_file", "evil/read_file", "mcp_evil_read_file", "mcp__git__read_file", "query"]
)
def test_a_known_short_name_of_another_server_is_not_trusted(name: str) -> None:
    """Nor is a name that means something only behind its own servers."""
    (found,) = ask(name, path="/a")
    assert isinstance(found, Unmapped)


def test_what_is_understood_of_a_call_counts_besides_what_is_not() -> None:
    """An argument too many makes the call wait, and takes nothing away."""
    (found,) = ask("bash", command="rm /m", later=True)
    assert isinstance(found, Unmapped)
    assert found.parts == (ShellText(text="rm /m"),)


def test_calls_in_a_call_are_parsed_and_bounded() -> None:
    """A batch is its calls; one that holds itself too deep is not understood."""
    inner = {"tool_uses": [{"recipient_name": "functions.bash", "parameters": {"command": "ls"}}]}
    assert ask("multi_tool_use.parallel", **inner) == (ShellText(text="ls"),)
    nested: dict[str, Any] = inner
    for _ in range(8):
        nested = {"tool_uses": [{"recipient_name": "parallel", "parameters": nested}]}
    (found,) = ask("parallel", **nested)
    assert isinstance(found, Unmapped)


def test_paths_lie_in_objects_and_lists() -> None:
    """Selectors reach them without code for each tool."""
    files = [{"path": "/a", "content": "x"}, {"path": "/b", "content": "y"}]
    found = ask("write_files", files=files)
    assert [o.path for o in found if isinstance(o, FileOperation)] == ["/a", "/b"]
    found = ask("write_files", files={"/a": "x", "/b": "y"})
    assert [o.path for o in found if isinstance(o, FileOperation)] == ["/a", "/b"]
    (one,) = ask("apply_patch", operation={"type": "delete_file", "path": "/a"})
    assert one == FileOperation(verb="delete", path="/a")


@pytest.mark.parametrize(
    ("tool", "args"),
    [
        ("read_file", {"path": "/a\0b"}),
        ("read_file", {"path": [str(n) for n in range(10_000)]}),
        ("read_file", {"path": {"path": "/a"}}),
        ("write_file", {"path": "/a", "content": {"x": 1}}),
        ("write_file", {"path": "/a", "file_path": "/b", "content": "x"}),
        ("edit_file", {"path": "/a", "edits": [{"oldText": "a", "newText": "b"}] * 5000}),
        ("bash", {"command": {"command": "ls"}}),
        ("bash", {"command": "ls", "timeout": {"a": [1]}}),
        ("git_add", {"repo_path": "/r", "files": [["a"]]}),
        ("s3_delete", {"bucket": True}),
        ("fetch", {"url": {"href": "https://h"}}),
        ("transfer_server_files", {"source_ip": "a", "dest_ip": "b", "filenames": {}}),
        ("multi_tool_use.parallel", {"tool_uses": [{"recipient_name": 5, "parameters": {}}]}),
        ("execute_python", {"code": {"a": "b"}}),
        ("local_shell_call", {"action": {"command": ["ls"], "env": {"A": 1}}}),
    ],
)
def test_hostile_arguments_are_never_a_crash(tool: str, args: dict[str, Any]) -> None:
    """Wrong types, doubled meanings, NULs and floods are not understood, or each understood."""
    found = ask(tool, **args)
    flood = isinstance(args.get("path"), list)
    assert flood or any(isinstance(operation, Unmapped) for operation in found)


def test_arguments_may_be_nested_deeper_than_the_stack() -> None:
    """Every string in them is still found."""
    value: Any = "/models/deep"
    for _ in range(5000):
        value = [value]
    (found,) = ask("launch", x=value)
    assert isinstance(found, Unmapped)
    assert "/models/deep" in found.texts


# -- tools of one's own


MINE = """
[[tool]]
names = ["ship_it"]
servers = ["plant"]
verb = "api"
op = "net_send"
uri = "s3://{bucket}/{item.key|=*}"
path = ["item.file"]
match = ['{"bucket": "b", "item": {"key": "k", "file": "/a"}} => net_send s3://b/k, send /a']
not_match = ['{"bucket": "b", "item": "/a"}']
[[tool]]
names = ["read_file"]
verb = "code"
language = "python"
text = ["path"]
match = ['{"path": "1"}']
"""


def test_tools_of_ones_own_are_known_and_go_before_ours() -> None:
    """They have the same fields, servers included."""
    from guardrail import config as config_module

    table = tool_table(config_module.parse(MINE).tools)
    args = {"bucket": "b", "item": {"key": "k", "file": "/a"}}
    want = ApiOperation(op="net_send", uri="s3://b/k", paths=("/a",))
    for name in ("ship_it", "mcp__plant__ship_it", "plant.ship_it"):
        assert parse(ToolCall(tool=name, args=args), table) == (want,)
    assert parse(ToolCall(tool="read_file", args={"path": "1"}), table) == (CodeText(language="python", text="1"),)
    assert parse(ToolCall(tool="write_file", args={"path": "/a", "content": ""}), table) == parse(
        ToolCall(tool="write_file", args={"path": "/a", "content": ""})
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('names = ["x"]\nverb = "teleport"\npath = ["p"]', "verb"),
        ('names = ["x"]\nverb = "read"\npth = ["p"]', "pth"),
        ('names = ["x"]\nverb = "read"', "needs `path`"),
        ('names = ["x"]\nverb = "api"\nop = "teleport"\nuri = "x:{a}"', "op"),
        ('names = []\nverb = "nothing"', "needs a name"),
    ],
)
def test_a_tool_of_ones_own_is_checked_when_the_configuration_is_loaded(text: str, message: str) -> None:
    """An unknown verb or role is one sentence that names it."""
    from guardrail import config as config_module

    with pytest.raises(ConfigError, match=message) as error:
        config_module.parse(f"[[tool]]\n{text}\n")
    assert "\n" not in str(error.value)


def test_an_example_of_ones_own_tool_that_does_not_hold_is_refused() -> None:
    """What the operator thinks a tool does is what it does, or the guard does not open."""
    spec = ToolSpec(names=("x",), verb="read", path=("p",), match=('{"p": "/a"} => read /b',))
    with pytest.raises(ConfigError, match="gives `read /a`, not `read /b`"):
        tool_table((spec,))


def test_names_are_plain_before_they_are_compared() -> None:
    """Case and separators are nobody's."""
    assert plain_name("Run-Bash.X") == "run_bash_x"


def test_the_table_holds_what_its_files_say() -> None:
    """Entries are read one by one when they are needed; read as a whole, the files say the same."""
    for file in family_names():
        for spec in family(file):
            for name in spec.names if spec.bare else ():
                assert spec in [form.spec for form in shipped_tools().forms(name)], name


@pytest.mark.parametrize("force", [True, "true"])
def test_a_push_that_overwrites_says_so_to_git(force: object) -> None:
    """What a command would be told, the command is told."""
    assert ask("git_push", repo_path="/r", remote="origin", force=force) == (
        Command(words=("git", "push", "--force", "origin"), cwd="/r"),
    )


def test_a_command_line_alone_is_what_it_is_among_other_arguments() -> None:
    """It is read without looking for any; an argument that says nothing brings the long way, and the same answer."""
    compared = 0
    for file in family_names():
        for spec in family(file):
            if spec.verb != "shell" or not spec.bare:
                continue
            for key in (text for text in spec.text if text.isidentifier()):
                alone = ask(spec.names[0], **{key: "ls -la; rm x"})
                for other in (text for text in (*spec.cwd, *spec.ignore) if text.isidentifier()):
                    assert ask(spec.names[0], **{key: "ls -la; rm x", other: None}) == alone, (spec.names[0], key)
                    compared += 1
    assert compared > 20
