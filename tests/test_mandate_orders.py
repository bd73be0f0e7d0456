"""Orders over their life: revoked, counted, bound to zones and dates, and never given by whoever runs the agent."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from guardrail import Guard, Outcome, Subject
from guardrail.audit import Trail
from guardrail.audit._verify import read_records
from guardrail.cli import mandates as verb
from guardrail.config import parse
from guardrail.errors import ConfigError, Fault
from guardrail.mandates import MandateBook, MandateLedger, Zones
from guardrail.mandates import _directory as directory_module
from guardrail.mandates._ledger import Use
from guardrail.model import Resource
from tests.mandate_support import AGENT, Place, rules

DELETE = "rm -r models"


# ── taken back ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_revoked_order_stops_counting_with_the_next_call(tmp_path: Path) -> None:
    """Of a guard that runs, without a restart."""
    place = Place(tmp_path)
    order = place.order()
    with place.guard() as guard:
        assert guard.check(place.bash(DELETE))
        place.revocation(order=order.read_bytes())
        decision = guard.check(place.bash(DELETE))
        assert (decision.outcome, rules(decision)) == (Outcome.DENY, ["delete.unsanctioned"])
        ((_, reason),) = guard.mandates.why_not(AGENT, "s", 1_800_000_000_000_000)
        assert reason.startswith("`dana` revoked it on 2026-01-01")
        assert guard.mandates.problems == ()


def test_an_order_signed_again_under_its_id_does_not_undo_a_revocation(tmp_path: Path) -> None:
    """Not by its issuer, not by another, not when the revocation's file is gone, not after a restart."""
    place = Place(tmp_path)
    order = place.order()
    taken = place.revocation(order=order.read_bytes())
    with place.guard() as guard:
        assert not guard.check(place.bash(DELETE))
        taken.unlink()
        place.order(text="again", grants=[{"effects": ["delete"], "assets": ["*"]}])
        assert not guard.check(place.bash(DELETE))
    place.order(by="eve", grants=[{"effects": ["delete"], "assets": ["*"]}])
    with place.guard() as guard:
        assert not guard.check(place.bash(DELETE))
        place.order("m2")
        assert guard.check(place.bash(DELETE))
    with place.guard(record=False) as guard:
        assert [mandate.id for mandate in guard.mandates.current(AGENT, "s", 1_800_000_000_000_000)] == ["m2"]


def test_only_the_issuer_and_a_named_revoker_can_take_an_order_back(tmp_path: Path) -> None:
    """A third person is refused with the way to mend it, a stranger's signature too, and the order goes on counting."""
    place = Place(tmp_path, people=("dana", "eve", "sec"), mandates='revokers = ["sec"]')
    order = place.order()
    with place.guard() as guard:
        foreign = place.revocation(by="eve", order=order.read_bytes())
        assert guard.check(place.bash(DELETE))
        assert "name the signer in `mandates.revokers`" in guard.mandates.problems[0].reason
        place.revocation(by="eve")
        assert guard.check(place.bash(DELETE))
        assert guard.mandates.problems == ()
        foreign.write_bytes(place.revocation(order=order.read_bytes()).read_bytes().replace(b'"sig": "', b'"sig": "A'))
        (place.orders / "m1-dana.revocation.json").unlink()
    other = tmp_path / "other"
    other.mkdir()
    place = Place(other, people=("dana", "eve", "sec"), mandates='revokers = ["sec"]')
    place.order()
    with place.guard() as guard:
        place.revocation(by="sec")
        assert not guard.check(place.bash(DELETE))
    with pytest.raises(ConfigError, match=r"`zoe` is no \[\[person\]\]"):
        parse('[mandates]\nrevokers = ["zoe"]')


def test_a_revocation_that_cannot_be_read_may_be_about_any_order(tmp_path: Path) -> None:
    """So none counts until it can be; a malformed one is named and ends nothing."""
    place = Place(tmp_path)
    place.order()
    with place.guard() as guard:
        bad = place.orders / "x.revocation.json"
        bad.write_text("{}")
        assert guard.check(place.bash(DELETE))
        assert "not a signed revocation" in guard.mandates.problems[0].reason
        bad.unlink()
        bad.symlink_to(bad)
        assert not guard.check(place.bash(DELETE))
        assert "so no mandate counts" in guard.mandates.problems[0].reason
        bad.unlink()
        assert guard.check(place.bash(DELETE))
    ledger = MandateLedger(tmp_path / "trail.orders.db")
    ledger.keep("another", "0" * 64, b"damaged")
    ledger.close()
    with place.guard() as guard:
        assert not guard.check(place.bash(DELETE))
        assert "no mandate counts: a revocation that was kept is damaged" in guard.mandates.problems[0].reason


def test_a_revocation_must_fit_the_order_in_it(tmp_path: Path) -> None:
    """An order of another id, something that is no base64, and too many files."""
    place = Place(tmp_path)
    other = place.signed("m2", grants=[{"effects": ["delete"], "assets": ["model:beta"]}])
    place.order()
    place.revocation(order=other)
    with place.guard() as guard:
        assert "but the order in it is `m2`" in guard.mandates.problems[0].reason
        assert guard.check(place.bash(DELETE))


def test_with_too_many_revocations_no_order_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound is a refusal, never a choice among them."""
    monkeypatch.setattr(directory_module, "MAX_REVOCATIONS", 1)
    place = Place(tmp_path)
    place.order()
    place.revocation("a")
    place.revocation("b")
    with place.guard() as guard:
        assert not guard.check(place.bash(DELETE))
        assert "holds 2 revocations" in guard.mandates.problems[0].reason


def test_who_leaves_the_configuration_leaves_their_revocations(tmp_path: Path) -> None:
    """What was taken back stays so when its signer is no person any more."""
    place = Place(tmp_path, people=("dana", "sec"), mandates='revokers = ["sec"]')
    place.order()
    place.revocation(by="sec")
    with place.guard() as guard:
        assert not guard.check(place.bash(DELETE))
    text = place.toml.read_text().replace('revokers = ["sec"]', "")
    place.toml.write_text(text.replace('name = "sec"', 'name = "new"'))
    with place.guard() as guard:
        assert not guard.check(place.bash(DELETE))


# ── counted ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_grant_with_uses_lets_so_many_calls_through_and_no_more(tmp_path: Path) -> None:
    """Over a restart; what is only previewed or denied uses nothing, and the record says which use it was."""
    place = Place(tmp_path)
    place.order(grants=[{"effects": ["delete"], "assets": ["model:beta"], "uses": 2}])
    with place.guard() as guard:
        assert guard.preview(place.bash(DELETE))
        assert not guard.check(place.bash("cp models/beta.safetensors elsewhere/"))
        decision = guard.check(place.bash("rm models/beta.safetensors models/beta-2.safetensors"))
        assert decision.to_dict()["mandates"] == [{"mandate": "m1", "grant": 1, "use": 1, "of": 2}]
    with place.guard() as guard:
        assert guard.check(place.bash(DELETE)).mandates[0].use == 2
        last = guard.check(place.bash(DELETE))
        assert (last.outcome, rules(last)) == (Outcome.DENY, ["delete.unsanctioned", "mandate.used_up"])
        place.order(text="the same, again", grants=[{"effects": ["delete"], "assets": ["model:beta"], "uses": 2}])
        assert not guard.check(place.bash(DELETE))
        place.order(grants=[{"effects": ["delete"], "assets": ["model:beta"], "uses": 3}])
        assert guard.check(place.bash(DELETE)).mandates[0].use == 3
    records = [record for _, record in read_records(tmp_path / "trail")]
    assert [record.get("mandates") for record in records if record["kind"] == "intent"] == [
        [{"mandate": "m1", "grant": 1, "use": number, "of": of}] for number, of in ((1, 2), (2, 2), (3, 3))
    ]


def test_a_grant_without_uses_goes_before_one_that_counts(tmp_path: Path) -> None:
    """Nothing is used up where nothing need be."""
    place = Place(tmp_path)
    place.order("a", grants=[{"effects": ["delete"], "assets": ["model:beta"], "uses": 1}])
    place.order("b", grants=[{"effects": ["delete"], "assets": ["model:*"]}])
    with place.guard() as guard:
        for _ in range(3):
            assert [use.mandate for use in guard.check(place.bash(DELETE)).mandates] == ["b"]


def test_what_keeps_no_trail_counts_for_itself_on_top_of_what_was_counted(tmp_path: Path) -> None:
    """It releases nothing, and writes nothing; it knows what others used."""
    place = Place(tmp_path)
    place.order(grants=[{"effects": ["delete"], "assets": ["model:beta"], "uses": 2}])
    with place.guard(record=False) as guard:
        assert [bool(guard.check(place.bash(DELETE))) for _ in range(3)] == [True, True, False]
    assert not (tmp_path / "trail.orders.db").exists()
    with place.guard() as guard:
        assert guard.check(place.bash(DELETE))
    with place.guard(record=False) as guard:
        assert [bool(guard.check(place.bash(DELETE))) for _ in range(2)] == [True, False]


def _take(path: Path, results: multiprocessing.Queue[int]) -> None:  # type: ignore[type-arg]
    ledger = MandateLedger(path)
    results.put(sum(ledger.take([Use("m1", "r", 25)]) is not None for _ in range(20)))
    ledger.close()


def test_processes_that_race_for_the_last_uses_get_exactly_so_many(tmp_path: Path) -> None:
    """Four of them, twenty attempts each, twenty-five uses."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=_take, args=(tmp_path / "orders.db", results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    counts = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert sum(counts) == 25
    ledger = MandateLedger(tmp_path / "orders.db", readonly=True)
    assert ledger.used("m1", "r") == 25
    ledger.close()


def test_two_grants_are_used_both_or_neither(tmp_path: Path) -> None:
    """A call that rests on two orders spends none of them when one is used up."""
    ledger = MandateLedger(tmp_path / "orders.db")
    assert ledger.take([Use("a", "r", 1)]) == (1,)
    assert ledger.take([Use("b", "r", 5), Use("a", "r", 1)]) is None
    assert ledger.used("b", "r") == 0
    ledger.close()


def test_a_call_that_loses_the_race_for_a_use_is_denied(tmp_path: Path) -> None:
    """Judged when there was a use left, released when there is none."""
    place = Place(tmp_path)
    place.order(grants=[{"effects": ["delete"], "assets": ["model:beta"], "uses": 1}])
    with place.guard() as guard:
        uses = guard.check(place.bash(DELETE)).mandates
        now = 1_800_000_000_000_000
        with pytest.raises(Fault, match="taken by another call"):
            guard.mandates.use(uses, guard.mandates.current(AGENT, "s", now))
        with pytest.raises(Fault, match="changed, revoked or over"):
            guard.mandates.use(uses, ())


def test_a_ledger_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """And a sentence says how to mend it."""
    place = Place(tmp_path)
    (tmp_path / "trail.orders.db").write_bytes(b"not a database at all, but long enough to be taken for one" * 20)
    with pytest.raises(ConfigError, match="restore it, or move it away"):
        place.guard()
    (tmp_path / "trail.orders.db").unlink()
    (tmp_path / "trail.orders.db").mkdir()
    with pytest.raises(ConfigError, match="is a directory: restore it, or move it away"):
        place.guard()


# ── whose order ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_where_separation_is_required_an_operator_orders_nothing_of_their_agent(tmp_path: Path) -> None:
    """In general: another person may, and whoever is named as principal counts as operator too."""
    place = Place(
        tmp_path,
        mandates="separation = true",
        more='[[agent]]\nid = "ops-*"\noperator = "Dana"\n',
        people=("dana", "eve"),
    )
    place.order("m1")
    with place.guard() as guard:
        assert rules(guard.check(place.bash(DELETE))) == ["delete.unsanctioned"]
        ((_, reason),) = guard.mandates.why_not(AGENT, "s", 1_800_000_000_000_000)
        assert reason == "`dana` operates `ops-agent`, and its orders must come from somebody else"
        place.order("m2", by="eve")
        assert guard.check(place.bash(DELETE))
        assert not guard.check(place.bash(DELETE, subject=Subject(id="ops-agent", principal="eve")))


@pytest.mark.parametrize("role", ["principal", "delegation"])
def test_nobody_orders_what_is_done_for_them_however_they_are_written(tmp_path: Path, role: str) -> None:
    """A word for the kind of name, case or look-alike letters make nobody another person; whoever delegated counts."""
    place = Place(tmp_path, mandates="separation = true", more='[[agent]]\nid = "ops-*"\noperator = "dana"\n')
    place.order(by="eve")
    with place.guard() as guard:
        assert guard.check(place.bash(DELETE))
        for name in ("user:Eve", "ｅｖｅ", " eve", "mailto:eve"):
            who = {"principal": name} if role == "principal" else {"delegation": ("agent:planner", name)}
            assert not guard.check(place.bash(DELETE, subject=Subject(id="ops-agent", **who)))


def test_an_agent_that_nobody_is_known_to_operate_has_no_orders_where_separation_is_required(tmp_path: Path) -> None:
    """What cannot be shown is not assumed."""
    place = Place(tmp_path, mandates="separation = true")
    place.order()
    with place.guard() as guard:
        assert not guard.check(place.bash(DELETE))
        ((_, reason),) = guard.mandates.why_not(AGENT, "s", 1_800_000_000_000_000)
        assert "name its `operator` in an [[agent]] table" in reason


def test_separation_can_be_required_of_one_asset(tmp_path: Path) -> None:
    """The operator's order does not reach it, by a rule of its own; another asset it does."""
    place = Place(
        tmp_path,
        asset="separation = true",
        more='[[agent]]\nid = "ops-*"\noperator = "dana"\n[[asset]]\nid = "model:gamma"\nclass = "weights"\n'
        'uris = ["server://a/gamma.bin"]\n',
    )
    place.order(grants=[{"effects": ["delete", "api_delete"], "assets": ["*"]}])
    with place.guard() as guard:
        assert rules(guard.check(place.bash(DELETE))) == ["delete.unsanctioned", "mandate.separation"]
        assert guard.check(place.tool("delete_server_file", ip="a", filename="gamma.bin"))
        place.order("m2", by="eve")
        assert guard.check(place.bash(DELETE))


def test_one_asset_can_be_left_out_of_general_separation(tmp_path: Path) -> None:
    """A setting of the asset goes before the general one."""
    place = Place(
        tmp_path, asset="separation = false", mandates="separation = true",
        more='[[agent]]\nid = "ops-*"\noperator = "dana"\n',
    )  # fmt: skip
    place.order()
    with place.guard() as guard:
        assert guard.check(place.bash(DELETE))


# ── whereto, and which ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_grant_may_name_a_zone_and_reaches_where_that_really_is(tmp_path: Path) -> None:
    """Below its directories and addresses; not beside them, not through a link out of them, not by climbing."""
    place = Place(tmp_path, more='[zones]\nbackup = ["backup", "server://b/"]\n')
    place.order(grants=[{"effects": ["copy", "rename"], "assets": ["model:beta"], "targets": ["zone:backup"]}])
    os.symlink(tmp_path / "elsewhere", tmp_path / "backup/out")
    with place.guard() as guard:
        assert guard.check(place.bash("cp models/beta.safetensors backup/"))
        assert guard.check(place.bash("cp models/beta.safetensors backup/deep.bin"))
        for target in ("elsewhere/", "backup/out/", "backup/../elsewhere/x", "backup2"):
            decision = guard.check(place.bash(f"cp models/beta.safetensors {target}"))
            assert rules(decision) == ["copy.unsanctioned"], target
        (tmp_path / "guardrail.toml").write_text(place.toml.read_text().replace("backup =", "cold ="))
    with place.guard() as guard:
        assert not guard.check(place.bash("cp models/beta.safetensors backup/"))
        assert guard.mandates.mandates[0].unknown_zones(guard.config.zones) == ("backup",)


@pytest.mark.parametrize(
    ("resource", "zones"),
    [
        (Resource(kind="file", path="/srv/backup/x", real="/srv/backup/x"), ("a",)),
        (Resource(kind="file", path="/srv/backup", real="/srv/backup"), ("a",)),
        (Resource(kind="file", path="/srv/backup2", real="/srv/backup2"), ()),
        (Resource(kind="file", path="/srv/backup/x", real="/tmp/x"), ()),
        (Resource(kind="file", pattern="/srv/backup/*", real="/srv/backup"), ()),
        (Resource(kind="object", uri="s3://bucket/k/x"), ("a", "b")),
        (Resource(kind="object", uri="s3://bucket2/k"), ("b",)),
        (Resource(kind="object", uri="s3://bucket/../bucket2/k"), ()),
        (Resource(kind="net", uri="ssh://ops@Host:22/w"), ("c",)),
        (Resource(kind="net", uri="ssh://host@evil/w"), ()),
        (Resource(kind="net", uri="ssh://host"), ("c",)),
        (Resource(kind="object", pattern="s3://bucket/*"), ("a", "b")),
        (Resource(kind="object", pattern="s3://buck*"), ()),
        (Resource(kind="object", uri="docker:image"), ("d",)),
        (Resource(kind="any"), ()),
    ],
)
def test_a_place_is_in_the_zones_that_it_lies_in(resource: Resource, zones: tuple[str, ...]) -> None:
    """By its real path or its address, whoever the user in it is."""
    config = parse('[zones]\na = ["/srv/backup", "s3://bucket/"]\nb = ["s3://"]\nc = ["ssh://host"]\nd = ["docker:"]\n')
    assert Zones(config).of(resource) == zones


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[zones]\nx = []\n", "zone `x` needs at least one"),
        ('[zones]\nx = ["/a/*"]\n', "takes no globs"),
        ('[zones]\n"a b" = ["/a"]\n', "zone `a b` must have"),
        ('[[asset]]\nid = "m"\nclass = "weights"\npaths = ["w"]\nzones = ["x"]\n', "there is no zone `x`"),
        ('[[agent]]\nid = ""\noperator = "dana"\n', "must not be empty"),
        ('[[person]]\nname = "a"\nkey = "k"\n[[person]]\nname = "b"\nkey = "k"\n', "that of another person too"),
    ],
)  # fmt: skip
def test_a_zone_or_an_agent_that_says_nothing_is_refused(text: str, reason: str) -> None:
    """At the start, by name."""
    with pytest.raises(ConfigError, match=reason):
        parse(text)


def test_a_grant_may_be_for_what_was_registered_in_a_range_of_dates(tmp_path: Path) -> None:
    """By the inventory's date, whatever the file says of itself."""
    place = Place(tmp_path)
    grant = {"effects": ["rename"], "assets": ["*"], "targets": ["server://b/**"]}
    move = place.tool("transfer_server_files", source_ip="a", dest_ip="b", filenames=["beta.bin"])
    for dates, moved in (
        ({"registered_from": "2025-01-01"}, True),
        ({"registered_from": "2025-03-01", "registered_until": "2025-03-01"}, True),
        ({"registered_from": "2025-03-02"}, False),
        ({"registered_until": "2025-02-28"}, False),
    ):
        place.order(grants=[grant | dates])
        with place.guard() as guard:
            assert ("move.unsanctioned" not in rules(guard.check(move))) is moved, dates
    place.toml.write_text(place.toml.read_text().replace("registered = 2025-03-01", ""))
    place.order(grants=[grant | {"registered_from": "2000-01-01"}])
    with place.guard() as guard:
        assert "move.unsanctioned" in rules(guard.check(move))


@pytest.mark.parametrize(
    ("grant", "reason"),
    [
        ({"uses": 0}, "`uses` of a grant must be 1 to"),
        ({"registered_from": "2025-02-01", "registered_until": "2025-01-01"}, "must not be before"),
    ],
)
def test_an_order_with_impossible_conditions_is_refused(tmp_path: Path, grant: dict[str, object], reason: str) -> None:
    """Before it is signed."""
    with pytest.raises(ConfigError, match=reason):
        Place(tmp_path).signed(grants=[{"effects": ["delete"], "assets": ["a"]} | grant])
    twice = [{"effects": ["delete"], "assets": ["a"], "uses": n} for n in (1, 2)]
    with pytest.raises(ConfigError, match="make them one"):
        Place(tmp_path / "x" if not (tmp_path / "x").mkdir() else tmp_path).signed(grants=twice)


# ── from the command line ─────────────────────────────────────────────────────────────────────────────────────────────


def guardrail(*words: object) -> int:
    """Run one command of `guardrail mandates`."""
    parser = argparse.ArgumentParser()
    verb.add(parser.add_subparsers())
    args = parser.parse_args(["mandates", *map(str, words)])
    code: int = args.run(args)
    return code


def test_an_order_is_written_signed_used_and_revoked_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From nothing to an id that is ended for good."""
    place = Place(tmp_path)
    for name in ("dana", "eve"):
        guardrail("new-key", tmp_path / f"{name}.pem", "--name", name)
        key = capsys.readouterr().out.rsplit('"', 2)[1]
        old = place.toml.read_text().split(f'name = "{name}"\nkey = "')[1].split('"')[0]
        place.toml.write_text(place.toml.read_text().replace(old, key))
    draft, signed = tmp_path / "order.json", place.orders / "gone.mandate.json"
    words = ("--issuer", "dana", "--subject", "ops-*", "--effect", "delete", "--asset", "model:beta", "--uses", 1)
    assert guardrail("new", "--id", "gone", *words, "--must", "model:beta", "--days", 1, "--out", draft) == 0
    assert "at most once; must delete model:beta" in capsys.readouterr().out
    assert guardrail("sign", draft, "--key", tmp_path / "dana.pem", "--out", signed) == 0
    assert guardrail("list", "--config", place.toml) == 0
    assert "counts; 1 of 1 uses left" in capsys.readouterr().out
    with place.guard() as guard:
        assert guard.check(place.bash(DELETE))
    assert guardrail("list", "--config", place.toml) == 0
    assert "0 of 1 uses left" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="`gone` is of `dana`, and `eve` may not revoke it"):
        guardrail("revoke", "gone", "--key", tmp_path / "eve.pem", "--config", place.toml)
    with pytest.raises(ConfigError, match="cannot revoke it"):
        guardrail("revoke", signed, "--key", tmp_path / "eve.pem", "--config", place.toml)
    assert guardrail("revoke", "gone", "--key", tmp_path / "dana.pem", "--config", place.toml, "--reason", "done") == 0
    capsys.readouterr()
    assert guardrail("verify", signed, "--config", place.toml) == 1
    assert "(`dana` revoked it on" in capsys.readouterr().out
    for file in place.orders.glob("*.revocation.json"):
        file.unlink()
    assert guardrail("list", "--config", place.toml) == 0
    assert ": done; 0 of 1 uses left)" in capsys.readouterr().out


def test_a_draft_says_at_once_what_is_wrong_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    """It is read as strictly as a signed one; without a file it goes to standard output."""
    words = ("--issuer", "dana", "--subject", "ops", "--effect", "read", "--asset", "*")
    assert guardrail("new", *words, "--from", "2026-01-01T00:00:00+00:00") == 0
    assert json.loads(capsys.readouterr().out)["not_after"] == "2026-01-08T00:00:00+00:00"
    with pytest.raises(ConfigError, match="must be a time such as"):
        guardrail("new", *words, "--from", "soon")
    for option in ("--from", "--until", "--due"):
        with pytest.raises(ConfigError, match=f"`{option}` must be a time such as .*, not `2026-01-01`"):
            guardrail("new", *words, option, "2026-01-01", *(("--until", "soon") if option == "--from" else ()))
    with pytest.raises(ConfigError, match="grants nothing"):
        guardrail("new", "--issuer", "dana", "--subject", "ops")


def test_an_order_counts_for_the_model_and_session_it_names(tmp_path: Path) -> None:
    """Through the whole guard."""
    place = Place(tmp_path)
    place.order(model="acme/*", session="run-*", grants=[{"effects": ["delete"], "assets": ["model:beta"]}])
    with place.guard() as guard:
        assert guard.check(place.bash(DELETE, session="run-1"))
        assert not guard.check(place.bash(DELETE, session="s"))
        assert not guard.check(place.bash(DELETE, session="run-1", subject=Subject(id="ops-agent", model="b/c")))


def test_the_ledger_of_orders_is_guarded_like_the_trail(tmp_path: Path) -> None:
    """Whoever could edit it could use an order again."""
    place = Place(tmp_path)
    with place.guard() as guard:
        assert "guard.tampering" in rules(guard.check(place.bash("rm trail.orders.db")))
        assert isinstance(guard, Guard)
        assert isinstance(guard.mandates, MandateBook)
        assert isinstance(guard.trail, Trail)


@pytest.mark.parametrize("name", ["history", "lineage", "orders", "identity"])
def test_state_that_is_damaged_stops_the_guard_and_says_what_giving_it_up_would_cost(tmp_path: Path, name: str) -> None:
    """Nobody starts anew without knowing what is forgotten."""
    place = Place(tmp_path)
    (tmp_path / f"trail.{name}.db").write_bytes(b"no database" * 1000)
    (tmp_path / f"trail.{name}.db").chmod(0o600)
    with pytest.raises(ConfigError, match="not a database: restore it, or move it away: .* is then forgotten"):
        place.guard()
