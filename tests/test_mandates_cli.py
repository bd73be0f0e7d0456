"""`guardrail mandates`: from a key to an order that counts."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from guardrail.cli import mandates
from guardrail.errors import ConfigError
from guardrail.mandates._mandate import TARGETED

ORDER = {
    "id": "m1",
    "issuer": "dana",
    "subject": "ops-*",
    "not_before": "2020-01-01T00:00:00Z",
    "not_after": "2120-01-01T00:00:00Z",
    "grants": [{"effects": ["copy"], "assets": ["model:beta"], "targets": ["/cold/**"], "approval": True}],
    "obligations": [{"id": "gone", "effect": "delete", "asset": "model:beta"}],
}


def guardrail(*words: object) -> int:
    """Run one command of this verb."""
    parser = argparse.ArgumentParser()
    mandates.add(parser.add_subparsers())
    args = parser.parse_args(["mandates", *map(str, words)])
    code: int = args.run(args)
    return code


def test_from_key_to_order_by_the_command_line_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The printed table goes into guardrail.toml as it is; the signed order then counts."""
    (tmp_path / "orders").mkdir()
    assert guardrail("new-key", tmp_path / "dana.key", "--name", "dana") == 0
    table = capsys.readouterr().out
    assert "PRIVATE" not in table
    config = tmp_path / "guardrail.toml"
    asset = '[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["w"]\n'
    config.write_text(f'{asset}[limits]\ndecision_ms = 60000\n[mandates]\ndirectory = "orders"\n{table}')
    (tmp_path / "order.json").write_text(json.dumps(ORDER))
    signed = tmp_path / "orders" / "m1.mandate.json"
    assert guardrail("sign", tmp_path / "order.json", "--key", tmp_path / "dana.key", "--out", signed) == 0
    said = capsys.readouterr().out
    assert "dana lets ops-*: copy model:beta to /cold/** with approval; must delete model:beta; 2020-01-01" in said
    assert guardrail("verify", signed, "--config", config) == 0
    assert "ok  m1" in capsys.readouterr().out
    assert guardrail("list", "--config", config) == 0
    assert "(counts)" in capsys.readouterr().out
    assert guardrail("list", "--config", config, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["ok"] is True
    assert row["mandate"]["grants"][0]["targets"] == ["/cold/**"]


def test_what_does_not_count_is_said_and_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An expired one, one of a stranger, one that is no mandate."""
    (tmp_path / "orders").mkdir()
    guardrail("new-key", tmp_path / "dana.key", "--name", "dana")
    config = tmp_path / "guardrail.toml"
    config.write_text(f'[mandates]\ndirectory = "orders"\n{capsys.readouterr().out}')
    guardrail("new-key", tmp_path / "eve.key", "--name", "eve")
    files: list[Path] = []
    for name, key, end in (("old", "dana", "2021-01-01T00:00:00Z"), ("strange", "eve", "2120-01-01T00:00:00Z")):
        (tmp_path / "order.json").write_text(json.dumps(ORDER | {"id": name, "not_after": end}))
        files.append(tmp_path / "orders" / f"{name}.mandate.json")
        guardrail("sign", tmp_path / "order.json", "--key", tmp_path / f"{key}.key", "--out", files[-1])
    capsys.readouterr()
    assert guardrail("verify", *files, tmp_path / "order.json", "--config", config) == 1
    old, strange, unsigned = capsys.readouterr().out.splitlines()
    assert "expired at 2021-01-01" in old
    assert "refused: it is signed with a key that is not the one of its issuer" in strange
    assert "refused: not a signed mandate" in unsigned
    assert guardrail("list", "--config", config) == 1
    files[1].unlink()
    assert guardrail("list", "--config", config) == 0
    files[0].unlink()
    capsys.readouterr()
    assert guardrail("list", "--config", config) == 0
    assert "nothing on an asset is sanctioned" in capsys.readouterr().out


def test_an_order_can_come_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And goes to ID.mandate.json here, as a whole or not at all."""
    guardrail("new-key", tmp_path / "dana.key", "--name", "dana")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(json.dumps(ORDER).encode())))
    assert guardrail("sign", "-", "--key", "dana.key") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dana.key", "m1.mandate.json"]


def test_wrong_input_is_one_clear_sentence(tmp_path: Path) -> None:
    """A file that is not there, an order that is none, a place that cannot be written."""
    guardrail("new-key", tmp_path / "dana.key", "--name", "dana")
    with pytest.raises(ConfigError, match="cannot read"):
        guardrail("sign", tmp_path / "missing", "--key", tmp_path / "dana.key")
    order = tmp_path / "order.json"
    order.write_text(json.dumps(ORDER | {"grants": [], "obligations": []}))
    with pytest.raises(ConfigError, match="grants nothing"):
        guardrail("sign", order, "--key", tmp_path / "dana.key")
    order.write_text(json.dumps(ORDER))
    with pytest.raises(ConfigError, match=f"cannot write .*: create the directory `{tmp_path}/missing` first"):
        guardrail("sign", order, "--key", tmp_path / "dana.key", "--out", tmp_path / "missing" / "x")
    with pytest.raises(ConfigError, match="cannot write .*: (not a|is a) directory"):
        guardrail("sign", order, "--key", tmp_path / "dana.key", "--out", order / "x")
    order.write_text("{")
    with pytest.raises(ConfigError, match="not a mandate: (?!jSON)"):
        guardrail("sign", order, "--key", tmp_path / "dana.key")
    order.write_text("{]")
    with pytest.raises(ConfigError, match=r"order\.json` is not a mandate: JSON is malformed"):
        guardrail("sign", order, "--key", tmp_path / "dana.key")


def test_a_key_without_a_name_is_wrong_usage(tmp_path: Path) -> None:
    """A table for `NAME` in guardrail.toml would be nobody's."""
    with pytest.raises(SystemExit) as stopped:
        guardrail("new-key", tmp_path / "dana.key")
    assert stopped.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_orders_that_look_as_if_they_counted_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with another name is not read, and an asset that is misspelled is nobody's."""
    (tmp_path / "orders").mkdir()
    guardrail("new-key", tmp_path / "dana.key", "--name", "dana")
    config = tmp_path / "guardrail.toml"
    asset = '[[asset]]\nid = "model:beta"\nclass = "weights"\npaths = ["w"]\n'
    config.write_text(f'{asset}[mandates]\ndirectory = "orders"\n{capsys.readouterr().out}')
    order = tmp_path / "order.json"
    order.write_text(json.dumps(ORDER | {"id": "slip", "obligations": [ORDER["obligations"][0] | {"asset": "betta"}]}))  # type: ignore[index, operator]
    for name in ("slip.mandate.json", "slip.json"):
        assert guardrail("sign", order, "--key", tmp_path / "dana.key", "--out", tmp_path / "orders" / name) == 0
    assert capsys.readouterr().err == "note: no guard reads `slip.json`: its name must end in `.mandate.json`\n"
    assert guardrail("list", "--config", config) == 0
    counted, unread = capsys.readouterr().out.splitlines()
    assert counted.endswith("(counts; no asset is called `betta`)")
    assert unread == "NO  slip.json (not read: its name does not end in `.mandate.json`)"


def test_for_whom_an_order_does_not_count_is_listed_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own signer, and an agent that nobody is known to operate where two people are wanted."""
    (tmp_path / "orders").mkdir()
    guardrail("new-key", tmp_path / "dana.key", "--name", "dana")
    config = tmp_path / "guardrail.toml"
    text = f'[mandates]\ndirectory = "orders"\n{capsys.readouterr().out}'
    config.write_text(text)
    order = tmp_path / "order.json"

    def told(subject: str) -> str:
        order.write_text(json.dumps(ORDER | {"subject": subject, "obligations": []}))
        assert (
            guardrail("sign", order, "--key", tmp_path / "dana.key", "--out", tmp_path / "orders/m.mandate.json") == 0
        )
        capsys.readouterr()
        assert guardrail("list", "--config", config) == 0
        return capsys.readouterr().out

    own = "not for `dana`, who signed it: nobody gives an order to themselves"
    nobody = "nobody is known to operate `ops-1`: it does not count where separation is required"
    assert own in told("*")
    assert own in told("d?na")
    assert "not for" not in told("ops-1")
    config.write_text(
        text.replace("[mandates]", '[[agent]]\nid = "batch-*"\noperator = "eve"\n[mandates]\nseparation = true')
    )
    assert nobody in told("ops-1")
    assert "nobody is known" not in told("batch-7")
    assert "nobody is known" not in told("*")


@pytest.mark.parametrize("action", ["new-key", "sign", "verify", "list"])
def test_the_help_of_every_action_says_what_its_exit_codes_mean(
    action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever writes a script looks there."""
    with pytest.raises(SystemExit):
        guardrail(action, "--help")
    assert "exit codes: 0 " in " ".join(capsys.readouterr().out.split())


def test_an_order_to_copy_nowhere_is_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would look like leave and be none: when it is drafted, signed and listed."""
    draft = tmp_path / "draft.json"
    words = ("--issuer", "dana", "--subject", "ops", "--effect", "copy", "--effect", "read", "--asset", "model:beta")
    assert guardrail("new", *words, "--out", draft) == 0
    assert "note: `copy` goes nowhere without a target, so it is not allowed: add `--target`" in capsys.readouterr().err
    assert guardrail("new-key", tmp_path / "dana.key", "--name", "dana") == 0
    (tmp_path / "orders").mkdir()
    text = f'[mandates]\ndirectory = "orders"\n{capsys.readouterr().out}'
    (tmp_path / "guardrail.toml").write_text(text)
    signed = tmp_path / "orders/m.mandate.json"
    assert guardrail("sign", draft, "--key", tmp_path / "dana.key", "--out", signed) == 0
    assert "goes nowhere" in capsys.readouterr().err
    assert guardrail("list", "--config", tmp_path / "guardrail.toml") == 0
    assert "`copy` goes nowhere without a target" in capsys.readouterr().out


def test_an_effect_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    """A slip would otherwise send people to the manual."""
    words = ("--issuer", "dana", "--subject", "ops", "--effect", "delet", "--asset", "model:beta")
    with pytest.raises(ConfigError, match=r"'delet' .*: use read, list, .*delete"):
        guardrail("new", *words)


def test_what_goes_somewhere_is_the_same_here_and_in_the_policy() -> None:
    """The note must not promise what the rules refuse."""
    data = json.loads((Path(__file__).parent.parent / "policies/data.json").read_text())
    assert sorted(TARGETED) == sorted(data["guardrail"]["settings"]["targeted"])


def test_a_service_that_must_be_called_can_be_ordered_from_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside what must be deleted, each under an id of its own."""
    words = ("--issuer", "dana", "--subject", "ops", "--must", "model:beta", "--must-call", "control:reaper")
    assert guardrail("new", *words, "--out", tmp_path / "order.json") == 0
    assert "must delete model:beta; must service control:reaper" in capsys.readouterr().out
    assert json.loads((tmp_path / "order.json").read_text())["obligations"] == [
        {"id": "delete-1", "effect": "delete", "asset": "model:beta"},
        {"id": "service-1", "effect": "service", "asset": "control:reaper"},
    ]


def test_what_the_guard_shall_do_itself_is_read_before_it_is_signed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """When it is due, and that the guard deletes it then."""
    words = ("--issuer", "dana", "--subject", "ops", "--from", "2026-12-01T00:00:00Z", "--must", "model:beta")
    words += ("--must-call", "control:reaper", "--due", "2026-12-03T00:00:00Z", "--fallback")
    assert guardrail("new", *words, "--out", tmp_path / "order.json") == 0
    assert "must delete model:beta by 2026-12-03T00:00:00+00:00, or the guard does it" in capsys.readouterr().out
    (first, second) = json.loads((tmp_path / "order.json").read_text())["obligations"]
    assert (first["fallback"], first["due"], "fallback" in second) == ("guardrail", "2026-12-03T00:00:00Z", False)


def test_whoever_may_not_revoke_an_order_is_told_whose_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a key that is none is told with the person whose it should be."""
    (tmp_path / "orders").mkdir()
    guardrail("new-key", tmp_path / "dana.key", "--name", "dana")
    guardrail("new-key", tmp_path / "eve.key", "--name", "eve")
    config = tmp_path / "guardrail.toml"
    config.write_text(f'[mandates]\ndirectory = "orders"\n{capsys.readouterr().out}')
    (tmp_path / "order.json").write_text(json.dumps(ORDER))
    signed = tmp_path / "orders" / "m1.mandate.json"
    assert guardrail("sign", tmp_path / "order.json", "--key", tmp_path / "dana.key", "--out", signed) == 0
    revoke = ("revoke", "m1", "--key", tmp_path / "eve.key", "--config", config)
    with pytest.raises(ConfigError, match="`m1` is of `dana`, and `eve` may not revoke it: use the issuer's key, or"):
        guardrail(*revoke)
    signed.unlink()
    with pytest.raises(ConfigError, match="no mandate `m1` of `eve` lies in `mandates.directory`: give its signed"):
        guardrail(*revoke)
    config.write_text('[[person]]\nname = "zoe"\nkey = "ed25519:AAA"\n[mandates]\ndirectory = "orders"\n')
    with pytest.raises(ConfigError, match=r"the `key` of the \[\[person\]\] `zoe`: `ed25519:AAA` is not a public key"):
        guardrail("list", "--config", config)
