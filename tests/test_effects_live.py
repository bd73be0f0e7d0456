"""What is on disk decides: scripts without a first line, lists of names, and files that change within a call."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from guardrail.assets import LiveFiles
from guardrail.effects import analyse
from guardrail.effects.domain._seen import SeenFiles
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
    """Behind a symbolic link the two differ, be it there or made by the call; elsewhere they are one."""

    class Linked(NoFiles):
        def real(self, path: str) -> str:
            return posixpath.normpath(path.replace("/x/lnk", "/y/z"))

    both = {"delete /x/a", "delete /x/lnk/../a"}
    assert both <= set(said("cd /x/lnk && cd .. && rm a", view=Linked()))
    assert both <= set(said("ln -s /y/z /x/lnk; cd /x/lnk && cd .. && rm a"))
    assert said("cd /x/sub && cd .. && rm a") == ["delete /x/a"]


def test_a_makefile_that_the_call_wrote_is_a_script_of_its_own() -> None:
    """make runs what it says."""
    found = effects_of("printf x > Makefile; make")
    scripts = [e for e in found if e.op == "exec_opaque" and e.resource.path == "/w/Makefile"]
    assert scripts
    assert all(e.attrs.get("authored") for e in scripts)


@pytest.mark.parametrize(
    "command", ["rm $(cat l)", 'v=$(cat l); rm "$v"', 'while read -r n; do rm "$n"; done < l', "cat l | xargs rm"]
)
def test_a_name_that_a_file_holds_is_a_known_word(command: str) -> None:
    """What may be a secret is not repeated, so it could be any name."""
    assert "delete /models/a" in said(command, view=NoFiles({"/w/l": b"/models/a\n"}))
    if "xargs" not in command:
        secret = said(command, view=NoFiles({"/w/l": b"hf_s3cretS3cretS3cret\n"}))
        assert "delete **" in secret
        assert not any("s3cret" in line.lower() for line in secret)


def test_a_text_that_is_run_has_no_positional_parameters() -> None:
    """Unless it sets them itself."""
    assert said('pytest -q "$@"') == said("pytest -q")
    assert "delete /models/a" in said('set -- /models/a; rm "$@"')


def test_a_trap_knows_the_variables_that_stay_as_they_are() -> None:
    """Whatever way they are changed by afterwards, the trap is taken for what it does with the new value as well."""
    first = "t=/tmp/x; trap 'rm -rf \"$t\"' EXIT; "
    assert said(f"{first}ls /a") == ["delete /tmp/x", "list /a"]
    for change, want in (
        ('read t""t <<< /m; read ""t <<< /m', "delete /m"),
        ("printf -v t %s /m", "delete **"),
        ("for t in /m; do :; done", "delete /m"),
        ("unset t; : ${t:=/m}", "delete /m"),
        ("t+=m", "delete /tmp/xm"),
        ("t=; : ${t:=/m}", "delete /m"),
    ):
        assert {"delete /tmp/x", want} <= set(said(first + change)), change
    assert codes(f'{first}eval "$UNKNOWN"') == {"dynamic"}
    assert "delete /m" in said("t=; trap 'rm -rf \"$t\"' EXIT; : ${t:=/m}")


def test_a_trap_waits_for_a_variable_that_is_set_after_it() -> None:
    """With whatever it is given, however that is; if that is not seen, it may be anything."""
    trap = "trap 'rm -rf \"$t\"' EXIT; "
    assert said(f"{trap}t=/tmp/x; ls /a") == ["delete /tmp/x", "list /a"]
    assert "delete /m" in said(f"{trap}for t in /m; do :; done")
    assert {"delete /a", "delete /m"} <= set(said(f"{trap}t=/a; t=/m"))
    assert "delete /m" in said(f"{trap}t=; : ${{t:=/m}}")
    for unseen in ("t=$X", ": ${t:=/m}", "((t=5))", "read t < /f", "ls", 'eval "$X"', "T=/m"):
        assert "delete **" in said(trap + unseen), unseen
    assert "delete **" in said("trap 'rm -rf \"$T\"' EXIT; T=/tmp/x")


def test_a_trap_calls_functions_with_what_their_variables_and_the_directory_are_by_then() -> None:
    """Also where those are defined, or gone to, after the trap was set."""
    clean = 'clean() { rm -rf "$t"; }; trap clean EXIT; '
    assert said(f"{clean}t=/tmp/x; ls /a") == ["delete /tmp/x", "list /a"]
    assert "delete /m/b" in said(f"{clean}t=b; cd /m")
    assert "delete **" in said('trap clean EXIT; t=/tmp/x; clean() { rm -rf "$t"; }')


def test_an_alias_may_stand_for_its_text_or_for_the_command_it_hides() -> None:
    """A shell may take notice of it or not."""
    assert {"delete /a", "list /a"} <= set(said("alias ls=rm; ls /a"))
    assert not codes("alias ls='ls --color' gs='git status'; ls x; gs")
    assert "mention /models/a" in said("alias -g x=/models/a; rm -r x")
    assert codes("alias ls='rm $x; frob'; ls /a") == {"unparsed", "dynamic"}


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


def test_what_was_seen_of_a_path_is_what_the_live_filesystem_has_there(tmp_path: Path) -> None:
    """Links that lead nowhere, in a circle or up again, several names of one file, and all that may be missing."""
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "f").write_text("x")
    os.link(tmp_path / "f", tmp_path / "d/twin")
    for name, target in {"to": "d", "up": "d/e/..", "gone": "nowhere/x", "loop": "loop", "far": "/proc/self"}.items():
        (tmp_path / name).symlink_to(target)
    names = "f d d/ d/twin to to/twin to/new to/new/er up up/new gone gone/x loop loop/x far far/new f/x f/x/y".split()
    names += "no no/ no/no no/../f no/no/../../to/new d//new d/./new d/e/../new /new / //new ./. to/../x".split()
    live, seen = LiveFiles(), SeenFiles(LiveFiles())
    for path in [name if name[:1] == "/" else f"{tmp_path}/{name}" for name in names] * 2:
        assert (path, seen.real(path)) == (path, live.real(path))
        assert (path, seen.identity(path)) == (path, live.identity(path))
        assert (path, seen.kind(path), seen.read(path, 9)) == (path, live.kind(path), live.read(path, 9))
        assert (path, seen.missing(path)) == (path, live.missing(path))


@pytest.mark.parametrize("first", range(8))
def test_what_was_seen_of_a_path_does_not_depend_on_what_was_asked_before(tmp_path: Path, first: int) -> None:
    """Where a path leads says where its directory does only if no link was on the way."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("x")
    (tmp_path / "d/one").write_text("x")
    os.link(tmp_path / "d/one", tmp_path / "d/two")
    (tmp_path / "to").symlink_to("d")
    (tmp_path / "d/out").symlink_to("../d/f")
    names = ["d/f", "to/f", "d/one", "to/two", "d/out", "to/out", "to/new", "d/new"]
    names = names[first:] + names[:first]
    for asked in ("identity", "real"):
        live, seen = LiveFiles(), SeenFiles(LiveFiles())
        for path in [f"{tmp_path}/{name}" for name in names]:
            seen.kind(path)
            assert (path, getattr(seen, asked)(path)) == (path, getattr(live, asked)(path))
        for path in [f"{tmp_path}/{name}" for name in names]:
            assert (path, seen.real(path), seen.identity(path)) == (path, live.real(path), live.identity(path))
            assert (path, seen.stale(path), seen.single(path)) == (path, live.stale(path), live.single(path))


def test_a_call_looks_at_each_path_once() -> None:
    """However many of its commands, and parts of the analysis, ask what is there."""
    asked: Counter[tuple[str, str]] = Counter()

    class Counted(NoFiles):
        def kind(self, path: str) -> Literal["file", "dir", "other"] | None:
            asked["kind", path] += 1
            return super().kind(path)

        def missing(self, path: str) -> bool:
            asked["missing", path] += 1
            return False

        def real(self, path: str) -> str:
            asked["real", path] += 1
            return super().real(path)

    effects_of("echo 'all: ; cp a b' > Makefile; make && make all; cp Makefile a/b; ln -s a c; cat c/b", view=Counted())
    assert asked["kind", "/w/Makefile"] == 1
    assert {count for _, count in asked.items()} == {1}


def test_a_name_in_the_text_of_a_shell_is_a_word_where_none_that_is_there_is_more() -> None:
    """What is there says whether a name could be code; what the call makes itself is not there yet."""
    command = "find . -name '*.log' | xargs -I{} sh -c 'gzip -c {} > {}.gz'"
    plain = NoFiles({"/w/a.log": b""}, ("/w",))
    assert "dynamic" not in codes(command, view=plain)
    assert any("write /w/" in one for one in said(command, view=plain))
    for name in ("/w/a;x.log", "/w/$(x).log", "/w/a b.log"):
        assert "dynamic" in codes(command, view=NoFiles({name: b""}, ("/w",)))
    assert "dynamic" in codes(f"touch 'a;x.log'; {command}", view=plain)
    assert "dynamic" in codes("find . -name '*.log' | xargs -I{} sh -c \"echo '{}'\"", view=plain)


@pytest.mark.parametrize(
    ("expression", "held"),
    [("s/a/b/", False), (r"s/\.jpeg$/.jpg/", False), ("uc", False), ('unlink "x"', True), ("s/a/x()/e", True)],
)
def test_what_parallel_evaluates_for_each_job_is_code(expression: str, held: bool) -> None:
    """Unless it only changes the letters of the word."""
    assert ("inline" in codes(f"parallel 'echo {{= {expression} =}}' ::: a b")) is held
    assert "mention /models/a" in said("parallel 'echo {= unlink \"/models/a\" =}' ::: a")
