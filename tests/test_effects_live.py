"""What is on disk decides: scripts without a first line, lists of names, and files that change within a call."""

from __future__ import annotations

import pytest

from guardrail.effects import analyse
from guardrail.model import Effect
from guardrail.parse import FileOperation
from tests.effects_support import LIMITS, NoFiles, codes, effects_of, said, text

COPY = b"cp /models/a /tmp/x\n"


@pytest.mark.parametrize("first", [b"", b"#!/bin/sh\n", b"#!/usr/bin/env bash\n", b"#!/usr/bin/env -S bash -e\n"])
@pytest.mark.parametrize(
    "command", ["./run.sh", "/w/run.sh a b", "exec ./run.sh", "env ./run.sh", "find . -exec ./run.sh {} +"]
)
def test_a_script_run_by_its_path_is_analysed(command: str, first: bytes) -> None:
    """With any way to name a shell, and with none, which a shell runs itself."""
    assert "copy /models/a -> /tmp/x" in said(command, view=NoFiles({"/w/run.sh": first + COPY}))


def test_a_binary_run_by_its_path_is_an_opaque_program() -> None:
    """A NUL makes it no text."""
    assert codes("./run", view=NoFiles({"/w/run": b"\x7fELF\0"})) == {"program"}


def test_names_come_from_a_list_that_can_be_read() -> None:
    """A list of other files is no reason to hold a call; a list of models is."""
    view = NoFiles({"/w/l": b"src\ndoc\n", "/w/m": b"/models/a\n", "/w/z": b"/models/a\0"})
    assert "copy /w/src -> /w/x.tar" in said("tar cf x.tar -T l", view=view)
    assert "copy /models/a -> /w/x.tar" in said("tar cf x.tar -T m", view=view)
    assert "copy /models/a -> /w/x" in said("sort --files0-from=z > x", view=view)


def test_a_list_that_the_call_itself_wrote_could_name_anything() -> None:
    """What is on disk now is not what will be read."""
    found = said("hostname > l; tar cf x.tar -T l", view=NoFiles({"/w/l": b"src\n"}))
    assert "copy ** -> /w/x.tar" in found


def test_a_script_under_another_name_is_left_to_the_history_after_a_change() -> None:
    """`b.sh` may be a link to the `a.sh` that was just written: real paths tell."""
    view = NoFiles({"/w/b.sh": b"true\n"})
    assert "exec_opaque /w/b.sh" in said("echo x > a.sh; bash b.sh", view=view)
    assert "exec_opaque /w/b.sh" not in said("bash b.sh", view=view)


def test_the_parent_directory_is_taken_as_the_shell_and_as_the_kernel_take_it() -> None:
    """Behind a symbolic link the two differ."""
    found = said("cd /x/lnk && cd .. && rm a")
    assert {"delete /x/a", "delete /x/lnk/../a"} <= set(found)


def test_a_makefile_that_the_call_wrote_is_a_script_of_its_own() -> None:
    """make runs what it says."""
    found = effects_of("printf x > Makefile; make")
    scripts = [e for e in found if e.op == "exec_opaque" and e.resource.path == "/w/Makefile"]
    assert scripts
    assert all(e.attrs.get("authored") for e in scripts)


def _tool(operation: FileOperation) -> list[str]:
    found: tuple[Effect, ...] = analyse((operation,), cwd="/w", view=NoFiles(), limits=LIMITS)
    return [text(effect) for effect in found]


@pytest.mark.parametrize(
    "path",
    ["file:///models/a", "FILE://localhost/models/a", "file:///%6dodels/a", " /models/a ", "/x/l/../../models/a"],
)
def test_a_file_tool_may_read_its_path_in_more_than_one_way(path: str) -> None:
    """As a URL, trimmed, or with `..` folded as text: each reading is judged."""
    assert "copy /models/a -> /tmp/x" in _tool(FileOperation(verb="copy", path=path, target="/tmp/x"))


def test_many_slow_globs_end_in_a_bound() -> None:
    """The clock is one for the whole call."""

    class Slow(NoFiles):
        def glob(self, pattern: str) -> tuple[str, ...] | None:
            """Takes a while."""
            total = sum(range(400_000))
            return () if total else None

    found = effects_of("ls " + " ".join(f"/usr/*/{i}*" for i in range(200)), view=Slow())
    assert any(e.attrs.get("bound") for e in found if e.op == "exec_opaque")
