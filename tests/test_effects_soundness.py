"""Wherever a command may stand its effects are found, and whatever is not understood says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.config import LimitConfig
from guardrail.effects import analyse
from guardrail.model import Effect
from guardrail.parse import ShellText, Unmapped
from tests.effects_support import LIMITS, NoFiles, address, codes, effects_of, said

CASES = Path(__file__).parent / "cases/effects"


def commands(name: str) -> list[str]:
    """The commands of a case file: lines; a here document goes on to a line that says only `E`."""
    out: list[str] = []
    for line in (CASES / name).read_text(encoding="utf-8").splitlines():
        if out and "<<" in out[-1] and "<<<" not in out[-1] and not out[-1].endswith("\nE"):
            out[-1] += "\n" + line
        elif line and not line.startswith("# "):
            out.append(line)
    return [line.replace("{c}", "cp /models/a /tmp/x") for line in out]


def held(effects: tuple[Effect, ...]) -> bool:
    """A rule about copies, unknown code or mentions of the model would stop the call."""
    for effect in effects:
        places = [address(effect.resource), address(effect.target)]
        on_model = any(("/" + place.lstrip("/")).startswith(("/models", "/x/models", "/**")) for place in places)
        if effect.op in ("copy", "rename", "link", "mention") and on_model:
            return True
        if effect.op == "exec_opaque" and effect.attrs["code"] in ("inline", "dynamic", "unparsed"):
            return True
    return False


@pytest.mark.parametrize("command", commands("places.txt"))
def test_a_copy_is_found_wherever_it_stands(command: str) -> None:
    """Each place the shell has for a command, each quoting, each way for content to move."""
    assert held(effects_of(command)), said(command)


@pytest.mark.parametrize("command", commands("quiet.txt"))
def test_honest_work_is_not_held(command: str) -> None:
    """Listing, hashing, reading, serving and talking about a model."""
    assert not held(effects_of(command)), said(command)


@pytest.mark.parametrize(
    "command",
    [
        "rm 'unfinished",
        "if true; then",
        "ls a\0b",
        "echo ${!x}",
        "coproc cat",
        "cat <<A <<B\n1\nA\n2\n",
        "a ;; b",
        ")",
        "ls \udcff\ud800",
    ],
)
def test_text_that_is_not_understood_is_an_opaque_effect(command: str) -> None:
    """A parse error, a lint hit and a construct that is not modelled all say so."""
    assert codes(command) & {"unparsed", "dynamic"}


def test_text_that_is_not_understood_still_names_what_it_names() -> None:
    """Paths in a text that does not parse are mentioned."""
    assert "mention /models/a" in said("rm '/models/a /x")


@pytest.mark.parametrize(
    ("command", "limits"),
    [
        ("ls " * 40, LimitConfig(command_bytes=100)),
        ("rm " + "{a,b}" * 20, LIMITS),
        ("rm {1..100000}", LIMITS),
        ("rm " + " ".join(f"f{i}" for i in range(50)), LimitConfig(effects=20)),
        ("eval eval eval eval eval eval eval eval eval eval ls", LIMITS),
        ("env " * 200 + "ls", LIMITS),
        ("echo " + "$(" * 500 + "ls" + ")" * 500, LIMITS),
        ("( " * 3000 + "ls" + " )" * 3000, LIMITS),
        ("f() { f; }; f", LIMITS),
        ("f() { f; f; }; f", LIMITS),
        ("for i in {1..60}; do " * 4 + "ls $i" + "; done" * 4, LIMITS),
    ],
)
def test_at_a_bound_the_answer_is_opaque_and_never_a_guess(command: str, limits: LimitConfig) -> None:
    """Length, braces, effects, nested shells, wrappers, substitutions, subshells, recursion and loops."""
    found = effects_of(command, limits=limits)
    assert any(effect.op == "exec_opaque" and effect.attrs["code"] == "unparsed" for effect in found)
    assert len(found) <= limits.effects + 2


def test_a_long_chain_of_commands_is_walked_without_recursion() -> None:
    """A chain of `&&` nests in the tree of the parser; it must not exhaust the stack."""
    assert "delete /models" in said(" && ".join(["true"] * 900 + ["rm /models"]))


def test_a_text_that_grows_without_bound_becomes_unknown() -> None:
    """Doubling a variable forty times must cost neither memory nor time."""
    assert "delete **" in said("X=aaaaaaaa; " + "; ".join(["X=$X$X"] * 40) + "; rm $X")


def test_deep_nesting_is_opaque_and_no_error() -> None:
    """Loops inside loops, beyond what is walked."""
    command = "while true; do " * 30 + "rm /models" + "; done" * 30
    found = said(command)
    assert "delete /models" in found or any(line.startswith("exec_opaque") for line in found)


def test_a_call_without_effects_has_none() -> None:
    """Silence means: proved harmless."""
    assert effects_of("true; x=1; [ -n $x ] && :") == ()


def test_without_a_directory_relative_paths_are_unknown() -> None:
    """A relative operand could be anything."""
    assert "delete **/x" in said("rm x", cwd=None)


def test_a_script_is_a_script_also_without_a_directory() -> None:
    """Inference works for a caller that does not say where it is, and a program's subcommand is no path."""
    assert codes("python serve.py --weights /models/a", cwd=None) == {"script"}
    assert said("make all", cwd=None) == ["exec_opaque code:make"]
    assert "mention **" in said("foo ./x", cwd=None)


def test_a_shell_that_lives_on_knows_no_directory_and_no_variables() -> None:
    """What an earlier call did to the shell is not followed."""
    assert "delete **/x" in said("rm x", persistent=True)
    assert "delete **/y" in said("rm $HOME/y", persistent=True)


def test_a_shell_that_lives_on_may_not_redefine_commands_quietly() -> None:
    """A function defined in one call would hide a command of the next."""
    assert "dynamic" in codes("ls() { rm -r /models; }", persistent=True)


def test_variables_that_are_known_to_hold_are_used_and_others_are_unknown() -> None:
    """`variables` is all that is known of the environment."""
    assert "delete /home/a/x" in said("rm ~/x $HOME/x")
    assert "delete **/x" in said("rm $OTHER/x")


def test_globs_are_expanded_on_the_live_filesystem() -> None:
    """Names that exist are exact, a pattern that matches nothing stays a pattern."""
    view = NoFiles({"/models/a.st": b"", "/models/b.st": b"", "/models/c.txt": b""})
    assert said("rm /models/*.st", view=view) == ["delete /models/a.st", "delete /models/b.st"]
    assert said("rm /models/*.bin", view=view) == ["delete /models/*.bin"]
    assert said("rm '/models/*.st'", view=view) == ["delete /models/*.st"]


def test_a_quoted_star_is_a_name_and_no_pattern() -> None:
    """Only an active glob may stand for more than one file."""
    (effect,) = effects_of("rm '/models/*.st'")
    assert (effect.resource.path, effect.resource.pattern) == ("/models/*.st", None)


def test_a_glob_also_covers_what_the_same_call_may_have_made() -> None:
    """After a command that makes files the live names are not all."""
    view = NoFiles({"/t/x": b""})
    assert "delete /t/*" in said("cp /a /t/new; rm /t/*", view=view)


def test_a_small_shell_script_is_analysed() -> None:
    """Given to a shell, sourced, or run by its own path."""
    view = NoFiles({"/w/s.sh": b"#!/bin/bash\nrm -r /models\n"})
    for command in ("bash s.sh", ". ./s.sh", "source /w/s.sh", "./s.sh", "bash -x /w/s.sh a b"):
        assert "delete /models" in said(command, view=view), command


def test_a_script_that_the_same_call_wrote_is_marked() -> None:
    """What is there now is not what will run."""
    found = effects_of("echo 'rm -r /models' > s.py; python s.py")
    assert [e.attrs.get("authored") for e in found if e.attrs.get("code") == "script"] == [True]
    view = NoFiles({"/w/s.sh": b"true\n"})
    found = effects_of("hostname > s.sh; bash s.sh", view=view)
    assert [e.attrs.get("authored") for e in found if e.op == "exec_opaque"] == [True]


def test_a_script_that_the_same_call_wrote_is_entered() -> None:
    """What the call itself put there is known."""
    assert "delete /models" in said("echo 'rm -r /models' > s.sh; bash s.sh")


def test_a_script_of_another_language_reads_what_it_is_handed() -> None:
    """A known interpreter with a script file is a reader: may, opaque."""
    found = effects_of("python serve.py --weights /models/a")
    reads = {address(e.resource): e for e in found if e.op == "read"}
    assert reads["/models/a"].modality == "may"
    assert reads["/models/a"].precision == "opaque"
    assert reads["/models/a"].attrs["reader"] == "script"


def test_content_that_is_known_comes_with_its_edit() -> None:
    """echo, a here document and a redirection alone."""
    for command, kind, text in (
        ("echo 'a: 1' > f.yaml", "whole", "a: 1\n"),
        ("printf 'a: %s\\n' 1 >> f.yaml", "whole", "a: 1\n"),
        ("cat <<'E' > f.yaml\na: 1\nE", "whole", "a: 1\n"),
        ("> f.yaml", "whole", ""),
    ):
        edits = [e.edit for e in effects_of(command) if e.op in ("write", "append")]
        assert [(e.kind, e.text) for e in edits if e is not None] == [(kind, text)], command


def test_content_that_is_not_known_has_no_edit() -> None:
    """A command's output is not known."""
    assert all(e.edit is None for e in effects_of("date > f.yaml; echo $X > g.yaml"))


def test_changes_of_one_file_build_on_each_other() -> None:
    """Each is harmless alone: together they make a table of one file."""
    found = effects_of("echo '[shutdown]' >> c.toml; echo 'enabled = false' >> c.toml")
    assert [e.edit.text for e in found if e.edit] == ["[shutdown]\n", "[shutdown]\nenabled = false\n"]
    found = effects_of("echo '[shutdown]' >> c.toml; hostname >> c.toml; echo 'enabled = false' >> c.toml")
    assert [e.edit.text if e.edit else None for e in found] == ["[shutdown]\n", None, None]


def test_an_unknown_tool_mentions_every_path_in_its_arguments() -> None:
    """Its name is the program, its strings are its words."""
    operation = Unmapped(tool="transfer", texts=("dest", "10.0.0.1", "filenames", "/models/a", "see b.st"))
    found = analyse((operation,), cwd="/w", view=NoFiles(), limits=LIMITS)
    mentions = {address(e.resource) for e in found if e.op == "mention"}
    assert {"/models/a", "/w/b.st", "/w"} <= mentions
    assert [e.attrs["code"] for e in found if e.op == "exec_opaque"] == ["program"]


def test_a_known_tool_with_strange_arguments_is_unparsed() -> None:
    """It may be a shell: what it runs is not known."""
    operation = Unmapped(tool="bash", texts=("rm -r /models",), reason="argument x is not understood")
    found = analyse((operation,), cwd="/w", view=NoFiles(), limits=LIMITS)
    assert [e.attrs["code"] for e in found if e.op == "exec_opaque"] == ["unparsed"]


def test_several_shell_texts_are_all_analysed() -> None:
    """A tool may take a list of commands."""
    operations = (ShellText(text="true"), ShellText(text="rm /models"))
    found = analyse(operations, cwd="/w", view=NoFiles(), limits=LIMITS)
    assert [address(e.resource) for e in found] == ["/models"]
