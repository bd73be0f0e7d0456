"""Tool calls become operations; what is not understood is never dropped and never guessed."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.model import Edit, ToolCall
from guardrail.parse import FileOperation, Operation, ShellText, Unmapped, parse


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
