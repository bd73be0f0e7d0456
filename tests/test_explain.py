"""`guardrail explain`: what the stages made of a call, and the catalogue about itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from guardrail.cli.explain import underlined
from guardrail.effects import describe, families
from guardrail.effects.catalogue._spec import ROLES, specs
from guardrail.mandates import Mandate, load_key, new_key, sign
from tests.effects_support import effects_of

ROOT = Path(__file__).resolve().parent.parent


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "guardrail", "explain", *words],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_catalogue_prints_a_spec_without_a_configuration() -> None:
    """What a command's words are, and examples with their effects."""
    answer = _run("--specs", "cp")
    assert answer.returncode == 0, answer.stderr
    assert "--target-directory -t  where files are put" in answer.stdout
    assert "e.g. cp /a /b\n         copy /a -> /b" in answer.stdout


def test_the_catalogue_prints_specs_as_json() -> None:
    """The same for machines, several at once, subcommands too."""
    answer = _run("--json", "--specs", "cp", "aws s3 cp")
    found = json.loads(answer.stdout)
    assert found["cp"]["options"]["--suffix -S"] == "text"
    assert found["aws s3 cp"]["operands"] == ["from", "to"]


def test_without_a_name_every_command_is_listed() -> None:
    """By family, each once."""
    answer = _run("--json", "--specs")
    listed = [name for names in json.loads(answer.stdout).values() for name in names]
    assert sorted(listed) == sorted(name for name in specs() if " " not in name)


def test_a_name_behind_another_option_is_a_name() -> None:
    """It would be taken for the command to judge, and every command be listed."""
    answer = _run("--specs", "--json", "cp")
    assert list(json.loads(answer.stdout)) == list(json.loads(_run("--json", "--specs", "cp").stdout))
    assert "nosuchcommand" in _run("--specs", "--json", "nosuchcommand").stderr


def test_an_order_without_words_is_told_by_what_it_grants(tmp_path: Path) -> None:
    """`text` is for people and may be empty."""
    (tmp_path / "orders").mkdir()
    key = new_key(str(tmp_path / "dana.pem"))
    order = {
        "id": "m1", "issuer": "dana", "subject": "*", "grants": [{"effects": ["delete"], "assets": ["model:beta"]}],
        "not_before": "2020-01-01T00:00:00Z", "not_after": "2120-01-01T00:00:00Z",
    }  # fmt: skip
    signed = sign(Mandate.from_json(json.dumps(order)), load_key(str(tmp_path / "dana.pem")))
    (tmp_path / "orders/m1.mandate.json").write_bytes(signed)
    (tmp_path / "guardrail.toml").write_text(
        f'[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["w"]\n[mandates]\ndirectory = "orders"\n'
        f'[[person]]\nname = "dana"\nkey = "{key}"\n[limits]\ndecision_ms = 60000\n[trail]\ntimeout_seconds = 60\n'
        f'directory = "trail"\n'
    )
    answer = _run("--config", str(tmp_path / "guardrail.toml"), "ls")
    assert "mandate m1 of dana: dana lets *: delete model:beta; 2020-01-01" in answer.stdout, answer.stderr


def test_an_unknown_command_is_said_to_be_opaque() -> None:
    """Exit code 2, and what near names there are."""
    answer = _run("--specs", "rsyncc")
    assert answer.returncode == 2
    assert "no `rsyncc`" in answer.stderr
    assert "`rsync`" in answer.stderr


def test_every_spec_can_be_printed() -> None:
    """No entry breaks the printer, and every role has words."""
    from guardrail.cli._specs import _ROLES, _grammar, _option_lines

    assert set(_ROLES) == ROLES
    for name in specs():
        entry = describe(name)
        assert entry is not None
        assert [*_grammar(entry), *_option_lines(entry)], name


def test_the_page_of_effects_is_what_the_catalogue_says() -> None:
    """docs/effects.md is written from the data, and is fresh."""
    answer = subprocess.run(
        [sys.executable, "scripts/effects_page.py", "--check"],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert families()


def test_each_effect_is_marked_under_the_words_it_comes_from() -> None:
    """Also after characters that take several bytes, and on the line they stand on."""
    text = "echo é; rm /a\ncp /b /c"
    lines = list(underlined(text, effects_of(text)))
    assert lines == ["echo é; rm /a", "        ^^^^^ 0", "cp /b /c", "^^^^^^^^ 1-2"]


def test_what_is_nested_in_a_word_is_marked_where_that_word_stands() -> None:
    """Offsets are those of the call's own text, not of a text inside it."""
    text = "true; bash -c 'cd /; rm /a' && cp /b /c"
    assert [(e.op, text[e.origin.start : e.origin.end]) for e in effects_of(text) if e.origin] == [
        ("delete", "bash -c 'cd /; rm /a'"),
        ("copy", "cp /b /c"),
        ("write", "cp /b /c"),
    ]
