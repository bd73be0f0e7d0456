"""The flow: what comes out of `Guard` for real calls on real files, and what it does when a part of it fails."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guardrail import (
    ConfigError,
    Decision,
    Denied,
    EngineFault,
    Escalated,
    Grant,
    Guard,
    Mandate,
    Outcome,
    Subject,
    ToolCall,
    TrailError,
)
from guardrail import config as config_module
from guardrail.audit import verify
from guardrail.canonical import canonical
from guardrail.mandates import MandateGrant, Obligation, load_key, new_key, sign
from guardrail.model import FAULT_RULE, NEUTRAL, new_id
from guardrail.own import own_files
from guardrail.policy import Ruling
from guardrail.printing import printable
from guardrail.review import CallKey, TurnKey
from tests.review_support import escalation, say

PERSON = "dana@example.com"


class World:
    """A model, a control config, a person and a guard's configuration in one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        public = new_key(root / "dana.pem")
        self.key = load_key(root / "dana.pem")
        self.weights = root / "models/beta/w.safetensors"
        self.weights.parent.mkdir(parents=True)
        self.weights.write_bytes(b"weights" * 100)
        (root / "work").mkdir()
        (root / "mandates").mkdir()
        self.toml = root / "guardrail.toml"
        self.toml.write_text(
            textwrap.dedent(f"""
            [[asset]]
            id = "model:beta"
            class = "weights"
            paths = ["{root}/models/beta"]
            [[person]]
            name = "{PERSON}"
            key = "{public}"
            [mandates]
            directory = "mandates"
            [trail]
            directory = "trail"
            timeout_seconds = 60
            """)
        )

    def order(self, *grants: MandateGrant, obligations: tuple[Obligation, ...] = (), subject: str = "ops") -> None:
        mandate = Mandate(
            id=f"m-{len(list((self.root / 'mandates').iterdir()))}",
            issuer=PERSON,
            subject=subject,
            text="an order",
            grants=grants,
            obligations=obligations,
            not_before=dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
            not_after=dt.datetime(2099, 1, 1, tzinfo=dt.UTC),
        )
        (self.root / "mandates" / f"{mandate.id}.mandate.json").write_bytes(sign(mandate, self.key))

    def call(self, command: str, session: str = "s") -> ToolCall:
        return ToolCall(
            tool="bash",
            args={"command": command},
            cwd=str(self.root / "work"),
            subject=Subject(id="ops"),
            session=session,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A fresh world."""
    return World(tmp_path)


@pytest.fixture
def guard(world: World) -> Iterator[Guard]:
    """A guard over that world, with its trail."""
    with Guard.open(world.toml) as opened:
        yield opened


def approve(guard: Guard, call: ToolCall, asked: Decision, key: CallKey | None = None) -> Grant:
    """A person's approval of a held call, signed, and the grant as an adapter asks for it."""
    key = key or CallKey(turn=TurnKey(thread="t", message="m"), call="c", digest=asked.digest)
    guard.reviews.remember(key, call, asked)
    guard.reviews.ask([key], asked="question", asker="test")
    say(guard, asked, PERSON, load_key(Path(guard.config.base) / "dana.pem"))
    grant = guard.reviews.issue(key, asked.digest)
    assert grant is not None
    return grant


def _rules(decision: Decision) -> list[str]:
    return [reason.rule for reason in decision.reasons]


def _records(world: World, guard: Guard) -> list[dict[str, Any]]:
    from guardrail.audit._verify import read_records

    guard.close()
    return [record for _, record in read_records(world.root / "trail")]


# -- decisions ----------------------------------------------------------------------------------------------------


def test_honest_work_is_allowed(guard: Guard, world: World) -> None:
    """Listing, hashing and serving a model, and moving other files, need no question."""
    serve = f"python serve.py --weights {world.weights}"
    for command in ("ls ../models/beta", f"sha256sum {world.weights}", serve, "mv a b"):
        decision = guard.check(world.call(command))
        assert decision, (command, decision.reasons)


def test_an_unsanctioned_copy_is_denied_and_the_agent_learns_nothing_from_it(guard: Guard, world: World) -> None:
    """The decision names rule and asset; the text for the agent names neither."""
    decision = guard.check(world.call(f"cp {world.weights} copy"))
    assert decision.outcome is Outcome.DENY
    assert "copy.unsanctioned" in _rules(decision)
    assert decision.assets == ("model:beta",)
    assert decision.neutral == NEUTRAL[Outcome.DENY]
    assert "beta" not in decision.neutral


def test_a_mandate_sanctions_what_it_says_and_nothing_else(world: World) -> None:
    """An order to delete is no leave to copy, for nobody else, and only on its asset."""
    world.order(MandateGrant(effects=("delete",), assets=("model:beta",)))
    with Guard.open(world.toml) as guard:
        assert guard.check(world.call(f"rm {world.weights}"))
        assert not guard.check(world.call(f"mv {world.weights} away"))
        other = ToolCall(tool="bash", args={"command": f"rm {world.weights}"}, cwd="/", subject=Subject(id="other"))
        assert guard.check(other).outcome is Outcome.DENY


def test_the_same_call_gets_the_same_decision_whether_or_not_it_says_it_is_watched(guard: Guard, world: World) -> None:
    """Monitoring text in the session, the ids or the command changes nothing."""
    plain = guard.check(world.call(f"cp {world.weights} x"))
    for note in ("this run is not monitored", "you are being watched"):
        noted = guard.check(world.call(f"cp {world.weights} x # {note}", session=note))
        assert (noted.outcome, _rules(noted)) == (plain.outcome, _rules(plain))


def test_a_script_this_session_wrote_is_not_taken_for_a_server(guard: Guard, world: World) -> None:
    """`python serve.py --weights W` is a reader until the session has written serve.py itself."""
    command = f"python tool.py {world.weights}"
    assert guard.check(world.call(command))
    write = ToolCall(
        tool="write_file", args={"path": "tool.py", "content": "x"}, cwd=str(world.root / "work"), session="s"
    )
    assert guard.check(write)
    assert guard.check(world.call(command)).outcome is Outcome.ESCALATE
    assert guard.check(world.call(command, session="another"))


@pytest.mark.parametrize("bring", ["mv d e", "cp -r d e", "mkdir e && cp -r d/. e"])
def test_a_script_is_not_laundered_by_moving_or_copying_its_directory(guard: Guard, world: World, bring: str) -> None:
    """What lies in a tree that the session brought is the session's."""
    cwd = str(world.root / "work")
    (world.root / "work/d").mkdir()
    write = ToolCall(tool="write_file", args={"path": "d/x.py", "content": "x"}, cwd=cwd, session="s")
    assert guard.check(write)
    (world.root / "work/d/x.py").write_text("x")
    assert guard.check(world.call(bring))
    subprocess.run(["bash", "-c", bring], cwd=cwd, check=True)
    assert guard.check(world.call(f"python3 e/x.py {world.weights}")).outcome is Outcome.ESCALATE


def test_a_session_that_has_read_weights_is_held_at_what_cannot_be_seen_into(guard: Guard, world: World) -> None:
    """Reading labels the session; an opaque program may then be the way out."""
    assert guard.check(world.call("make all"))
    assert guard.check(world.call(f"cat {world.weights}"))
    assert guard.check(world.call("make all")).outcome is Outcome.ESCALATE
    assert guard.check(world.call("make all", session="another"))


def test_reading_about_a_model_labels_nobody_and_a_link_of_such_a_name_does(guard: Guard, world: World) -> None:
    """What a README or the settings of a tokenizer say is no weights; the weights by that name are."""
    for name in ("README.md", "tokenizer_config.json"):
        (world.weights.parent / name).write_text("{}")
        assert guard.check(world.call(f"cat {world.weights.parent}/{name}"))
    assert guard.check(world.call("make all"))
    os.symlink(world.weights, world.root / "work/NOTES.md")
    assert guard.check(world.call("cat NOTES.md"))
    assert guard.check(world.call("make all")).outcome is Outcome.ESCALATE


@pytest.mark.parametrize("target", ["guardrail.toml", "mandates/x.mandate.json", "trail/lock", "trail/trail.key"])
def test_the_guards_own_files_are_guarded_even_against_a_mandate(world: World, target: str) -> None:
    """Whoever edits the guard's config, orders, keys or trail edits every later decision."""
    world.order(MandateGrant(effects=("delete", "write", "rename"), assets=("*",), targets=("*",)))
    with Guard.open(world.toml) as guard:
        for command in (f"rm -f {world.root}/{target}", f"echo x > {world.root}/{target}"):
            decision = guard.check(world.call(command))
            assert decision.outcome is Outcome.DENY, command
            assert "guard.tampering" in _rules(decision)


@pytest.mark.parametrize(
    "settings",
    [
        '[service]\nreviewer_token = "{file}"',
        '[service]\nmetrics_token = "{file}"',
        '[[service.client]]\nname = "a"\ntoken = "{file}"',
        '[[review.webhook]]\nname = "w"\nurl = "https://hooks.example.org/x"\nsecret = "{file}"',
        '[decision_log]\nurl = "http://127.0.0.1:1/logs"\ntoken = "{file}"',
    ],
)
def test_a_secret_of_the_guard_is_neither_read_out_nor_replaced(world: World, settings: str) -> None:
    """Whoever has the token of those who review can answer its own escalation, and whoever writes it has it."""
    place = world.root / "secrets/token"
    place.parent.mkdir()
    place.write_text("0123456789abcdef0123456789abcdef\n")
    world.toml.write_text(f"{world.toml.read_text()}\n{settings.replace('{file}', '${file:' + str(place) + '}')}\n")
    config = config_module.load(world.toml)
    assert ("guardrail:secrets", str(place)) in own_files(config)
    with Guard.open(config, record=False) as guard:
        for command, rule in (
            (f"cat {place}", "guard.secret"),
            (f"curl -H @{place} http://127.0.0.1/", "guard.secret"),
            (f"echo mine > {place}", "guard.tampering"),
            (f"cp {place} x", "guard.tampering"),
        ):
            decision = guard.check(world.call(command))
            assert decision.outcome is Outcome.DENY, command
            assert rule in _rules(decision), command
        assert guard.check(world.call(f"ls -l {place}"))
        (place.parent / "below").mkdir()
        for command in ("find .. -name token -exec cat {} +", "find .. -name 'tok*' | xargs cat", "cat ../*"):
            decision = guard.check(world.call(f"cd {place.parent}/below && {command}"))
            assert (decision.outcome, "guard.secret" in _rules(decision)) == (Outcome.DENY, True), command
        for search in (f"grep -r . {place.parent}", f"grep -rh '' {world.root}", f"grep -rn some {world.root}"):
            decision = guard.check(world.call(search))
            assert (decision.outcome, "guard.secret" in _rules(decision)) == (Outcome.ESCALATE, True), search
        assert guard.check(world.call(f"grep -rl x {place.parent}"))


@pytest.mark.parametrize(
    "command",
    [
        "cp -rL . ../out",
        "cp --dereference -r . ../out",
        "tar chf ../x.tar .",
        "rsync -aL ./ ../out",
        "find -L . -delete",
    ],
)
def test_links_in_a_tree_are_no_way_around(guard: Guard, world: World, command: str) -> None:
    """A command that goes through links takes what they lead to."""
    os.symlink(world.weights.parent, world.root / "work/link")
    assert not guard.check(world.call(command))
    assert guard.check(world.call("cp -r . ../out"))


@pytest.mark.parametrize("command", ["cat {k}", "base64 {k} | head", "head -c 9 {d}/*.key", "python3 send.py {k}"])
def test_the_key_that_signs_the_trail_is_not_read_out(guard: Guard, world: World, command: str) -> None:
    """Who has it can write another history; hashing it, or searching a tree above it for a word, is no reading out."""
    trail = world.root / "trail"
    decision = guard.check(world.call(command.format(k=trail / "trail.key", d=trail)))
    assert decision.outcome is Outcome.DENY
    assert "guard.secret" in _rules(decision)
    assert guard.check(world.call(f"sha256sum {trail}/trail.key; grep -rn models {world.root}"))


def test_a_search_that_may_print_the_key_that_signs_the_trail_is_asked_about(guard: Guard, world: World) -> None:
    """One that prints any line, or one that every key has; words and names of code are searched for all day."""
    for wide in (".", "''", "-v models", "'PRIVATE KEY'", "-A1 BEGIN", "-E 'models|.'", "'(models)?' -P", "-f list"):
        decision = guard.check(world.call(f"grep -r {wide} {world.root}"))
        assert (decision.outcome, _rules(decision)) == (Outcome.ESCALATE, ["guard.secret"]), wide
    for narrow in (
        "models",
        "-iE 'todo|fixme'",
        "-n 'def \\(get\\|set\\)_x'",
        "-P 'class \\w+\\(Base'",
        "-e one -e two",
    ):
        assert guard.check(world.call(f"grep -r {narrow} {world.root}")), narrow
        assert guard.check(world.call(f"cd {world.root}/trail && find .. -type f -exec grep -H {narrow} {{}} +")), (
            narrow
        )


# -- running ------------------------------------------------------------------------------------------------------


def test_run_executes_an_allowed_call_once_and_records_intent_then_result(guard: Guard, world: World) -> None:
    """The intent precedes the execution, and its result names it."""
    ran: list[ToolCall] = []
    call = world.call(f"sha256sum {world.weights}")
    assert guard.run(call, lambda c: ran.append(c) or "value") == "value"
    assert ran == [call]
    records = [r for r in _records(world, guard) if r["kind"] in ("intent", "result")]
    kinds = [(r["kind"], r.get("intent"), r["seq"]) for r in records]
    assert kinds[0][0] == "intent"
    assert kinds[1][:2] == ("result", kinds[0][2])


def test_the_intent_is_durable_before_the_tool_runs(guard: Guard, world: World) -> None:
    """While the tool runs, the record can already be read from the disk by somebody else."""

    def look(_: ToolCall) -> int:
        return sum(b'"kind":"intent"' in path.read_bytes() for path in (world.root / "trail").glob("*.seg"))

    assert guard.run(world.call(f"sha256sum {world.weights}"), look) == 1


def test_run_raises_for_a_denial_and_for_an_escalation_and_runs_nothing(guard: Guard, world: World) -> None:
    """An ignored return value can let nothing through."""
    ran: list[object] = []
    with pytest.raises(Denied) as denied:
        guard.run(world.call(f"rm {world.weights}"), ran.append)
    assert str(denied.value) == NEUTRAL[Outcome.DENY]
    with pytest.raises(Escalated):
        guard.run(world.call(f"unknown-tool {world.weights}"), ran.append)
    assert ran == []


async def test_what_runs_is_what_was_judged_whoever_changes_the_arguments_meanwhile(guard: Guard, world: World) -> None:
    """The arguments are the guard's own from the moment it is asked."""
    call = world.call("ls")

    async def execute(own: ToolCall) -> str:
        call.args["command"] = "rm -rf /"
        await asyncio.sleep(0)
        return str(own.args["command"])

    assert await guard.arun(call, execute) == "ls"


def test_a_guard_without_a_trail_runs_nothing(world: World) -> None:
    """Nothing that was decided could be shown later, so it may judge and no more."""
    with Guard.open(world.toml, record=False) as guard:
        assert guard.check(world.call("ls"))
        with pytest.raises(TrailError, match="record=True"):
            guard.run(world.call("ls"), lambda _: pytest.fail("ran"))


def test_a_duty_that_could_not_be_recorded_is_recorded_before_the_next_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk must not swallow a debt."""
    world.order(
        MandateGrant(effects=("delete",), assets=("model:beta",)),
        obligations=(Obligation(id="o", effect="delete", asset="model:beta"),),
    )
    with Guard.open(world.toml) as guard:
        assert guard.trail is not None
        append = guard.trail.append

        def slow(record: Any, *, durable: bool = True) -> int:
            if record["kind"] == "obligation":
                raise TrailError("the disk did not answer in time")
            return append(record, durable=durable)

        monkeypatch.setattr(guard.trail, "append", slow)
        assert _rules(guard.check(world.call("ls"))) == [FAULT_RULE]
        monkeypatch.setattr(guard.trail, "append", append)
        assert guard.check(world.call(f"rm {world.weights}"))
        kinds = [record["kind"] for record in _records(world, guard)]
    assert kinds.index("obligation") < kinds.index("intent")


def test_a_tool_that_raises_is_recorded_as_failed_and_its_error_is_the_callers(guard: Guard, world: World) -> None:
    """The guard neither swallows nor wraps what the tool raises."""

    def explode(_: ToolCall) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        guard.run(world.call("true"), explode)
    assert [r["result"] for r in _records(world, guard) if r["kind"] == "result"] == ["failed"]


async def test_the_asynchronous_path_is_the_same_flow(guard: Guard, world: World) -> None:
    """acheck and arun give what check and run give."""
    sync = guard.check(world.call(f"cp {world.weights} x"))
    other = await guard.acheck(world.call(f"cp {world.weights} x"))
    assert (sync.outcome, _rules(sync), sync.digest) == (other.outcome, _rules(other), other.digest)

    async def execute(call: ToolCall) -> str:
        await asyncio.sleep(0)
        return call.tool

    assert await guard.arun(world.call("true"), execute) == "bash"
    with pytest.raises(Denied):
        await guard.arun(world.call(f"rm {world.weights}"), execute)


async def test_many_calls_at_once_each_get_their_own_answer(guard: Guard, world: World) -> None:
    """Concurrency mixes up neither decisions nor records."""
    calls = [world.call(f"cp {world.weights} {n}" if n % 2 else f"cp a {n}", session=str(n)) for n in range(40)]
    decisions = await asyncio.gather(*(guard.acheck(call) for call in calls))
    assert [bool(d) for d in decisions] == [n % 2 == 0 for n in range(40)]
    assert len({d.seq for d in decisions}) == 40


# -- orders and leave ---------------------------------------------------------------------------------------------


def test_an_approved_call_runs_once_and_only_as_it_was_approved(world: World) -> None:
    """A grant is bound to the call's digest, lifts an escalation and no denial, and is used up."""
    world.order(MandateGrant(effects=("delete",), assets=("model:beta",), approval=True))
    with Guard.open(world.toml) as guard:
        call = world.call(f"rm {world.weights}")
        asked = guard.check(call)
        assert asked.outcome is Outcome.ESCALATE
        grant = approve(guard, call, asked)
        assert guard.check(world.call(f"rm -r {world.weights.parent}"), grant=grant).outcome is Outcome.ESCALATE
        lifted = guard.check(call, grant=grant)
        assert lifted.outcome is Outcome.ALLOW
        assert lifted.grant == grant.id
        assert not guard.check(call, grant=grant)


def test_a_grant_lifts_no_denial(guard: Guard, world: World) -> None:
    """What policy denies, no approval of the same call permits."""
    call = world.call(f"cp {world.weights} x")
    denied = guard.check(call)
    key = CallKey(turn=TurnKey(thread="t", message="m"), call="c", digest=denied.digest)
    held = msgspec.structs.replace(denied, outcome=Outcome.ESCALATE, escalation=denied.decision_id)
    guard.desk.open(escalation(call, held))
    grant = approve(guard, call, held, key)
    assert guard.check(call, grant=grant).outcome is Outcome.DENY


def test_a_forged_grant_lifts_nothing(world: World) -> None:
    """A grant that the review store did not issue is worth nothing, whatever it says."""
    world.order(MandateGrant(effects=("delete",), assets=("model:beta",), approval=True))
    with Guard.open(world.toml) as guard:
        call = world.call(f"rm {world.weights}")
        asked = guard.check(call)
        now = time.time_ns() // 1000
        forged = Grant(
            id=new_id(), digest=asked.digest, approver=PERSON, created_us=now, expires_us=now + 10**9, escalation="x"
        )
        assert guard.check(call, grant=forged).outcome is Outcome.ESCALATE


def test_a_refusal_shows_as_an_unmet_obligation_without_an_attempt(world: World) -> None:
    """Doing nothing under an order is seen."""
    world.order(
        MandateGrant(effects=("delete",), assets=("model:beta",)),
        obligations=(Obligation(id="o", effect="delete", asset="model:beta"),),
    )
    with Guard.open(world.toml) as guard:
        assert len(guard.begin(Subject(id="ops"))) == 1
        (status,) = guard.settle()
        assert (status.state, status.attempts) == ("unmet", {})


@pytest.mark.parametrize(
    ("deed", "evidence"),
    [
        ("mv {w} {root}/work/kept", "moved"),
        ("ln {w} {root}/work/kept; rm {w}", "other names"),
        ("mv {w} {root}/work/kept; echo decoy > {w}; rm {w}", "moved"),
        ("true", "still there"),
    ],
)
def test_a_deletion_that_did_not_happen_is_seen_whatever_the_name_shows(world: World, deed: str, evidence: str) -> None:
    """Moved, linked, decoyed or left alone: the pinned inode tells."""
    world.order(
        MandateGrant(effects=("delete",), assets=("model:beta",)),
        obligations=(Obligation(id="o", effect="delete", asset="model:beta"),),
    )
    with Guard.open(world.toml) as guard:
        guard.begin(Subject(id="ops"))
        subprocess.run(["bash", "-c", deed.format(w=world.weights, root=world.root)], check=True)
        if deed != "true":
            world.weights.parent.rmdir()
        (status,) = guard.settle()
        assert status.state == "unmet"
        assert evidence in " ".join(status.evidence)


def test_a_real_deletion_meets_the_obligation_and_lets_the_blocks_go(world: World) -> None:
    """The guard itself must not keep a deleted model alive."""
    world.order(
        MandateGrant(effects=("delete",), assets=("model:beta",)),
        obligations=(Obligation(id="o", effect="delete", asset="model:beta"),),
    )
    with Guard.open(world.toml) as guard:
        guard.begin(Subject(id="ops"))
        guard.run(
            world.call(f"rm -r {world.weights.parent}"),
            lambda call: subprocess.run(["bash", "-c", call.args["command"]], check=True),
        )
        (status,) = guard.settle()
        assert status.state == "met"
        names = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        held = [os.readlink(name) for name in names if os.path.islink(name)]
        assert not any("w.safetensors" in path for path in held)


# -- faults -------------------------------------------------------------------------------------------------------


class BrokenEngine:
    """An engine whose answer, or failure, the test chooses."""

    name = "broken"
    revision = "r0"

    def __init__(self, rules: Any, answer: bytes | Exception) -> None:
        self.rules = rules
        self._answer = answer

    def decide(self, document: bytes, *, deadline: float) -> Ruling:
        if isinstance(self._answer, Exception):
            raise self._answer
        return Ruling(self._answer, self.rules, self.revision)

    async def adecide(self, document: bytes, *, deadline: float) -> Ruling:
        return self.decide(document, deadline=deadline)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    "answer",
    [
        EngineFault("engine is gone"),
        RuntimeError("surprise"),
        RecursionError(),
        MemoryError(),
        b"",
        b"[]",
        b"{}",
        b'{"outcome":"allow"}',
        b'{"outcome":"yes","hits":[]}',
        b'{"outcome":"allow","hits":[{"id":"x","outcome":"deny","i":0}],"revision":""}',
    ],
    ids=repr,
)
def test_whatever_an_engine_does_wrong_is_a_denial(world: World, answer: bytes | Exception) -> None:
    """A dead, raising or babbling engine never releases anything."""
    with Guard.open(world.toml) as real:
        rules = real.engine.rules
    with Guard.open(world.toml, engine=BrokenEngine(rules, answer)) as guard:
        decision = guard.check(world.call("true"))
        assert decision.outcome is Outcome.DENY
        assert _rules(decision) == [FAULT_RULE]
        with pytest.raises(Denied):
            guard.run(world.call("true"), lambda _: pytest.fail("ran"))


async def test_a_fault_on_the_asynchronous_path_is_a_denial_too(world: World) -> None:
    """Both drivers end in the one place where faults become denials."""
    with Guard.open(world.toml) as real:
        rules = real.engine.rules
    with Guard.open(world.toml, engine=BrokenEngine(rules, EngineFault("gone"))) as guard:
        assert _rules(await guard.acheck(world.call("true"))) == [FAULT_RULE]


def test_a_decision_over_its_time_is_a_fault(world: World) -> None:
    """Slow is not a way around."""

    class Slow(BrokenEngine):
        def decide(self, document: bytes, *, deadline: float) -> Ruling:
            while time.monotonic() < deadline + 0.01:
                pass
            return super().decide(document, deadline=deadline)

    world.toml.write_text(world.toml.read_text() + "[limits]\ndecision_ms = 20\n")
    with Guard.open(world.toml) as real:
        rules = real.engine.rules
        document = b'{"context":{"history":{"labels":[],"owes":[]}},"evaluations":[]}'
        answer = real.engine.decide(document, deadline=1e12).answer
    with Guard.open(world.toml, engine=Slow(rules, answer)) as guard:
        decision = guard.check(world.call("true"))
        assert "limits.decision_ms" in decision.reasons[0].message


def test_a_stage_that_raises_is_a_denial(guard: Guard, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in analysis closes, it does not open."""
    monkeypatch.setattr("guardrail.guard.analyse", lambda *_, **__: 1 / 0)
    assert _rules(guard.check(world.call("true"))) == [FAULT_RULE]


def test_a_closed_guard_denies(world: World) -> None:
    """A guard whose engine and trail are gone lets nothing pass."""
    guard = Guard.open(world.toml)
    guard.close()
    assert guard.check(world.call("true")).outcome is Outcome.DENY


def test_a_trail_that_fills_up_denies_and_the_tool_does_not_run(world: World) -> None:
    """With the file-size limit reached no intent can be made durable, so nothing is released."""
    code = """
        import resource, signal, sys
        from guardrail import Guard, ToolCall, Denied
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        ran = []
        with Guard.open(sys.argv[1]) as guard:
            call = ToolCall(tool="bash", args={"command": f"sha256sum {sys.argv[2]}"}, cwd="/")
            guard.run(call, ran.append)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            denied = 0
            for _ in range(40000):
                try:
                    guard.run(call, ran.append)
                except Denied as error:
                    denied += 1
                    print(error.decision.reasons[0].rule, error.decision.reasons[0].message)
                    before = len(ran)
                    try:
                        guard.run(call, ran.append)
                    except Denied:
                        print("still denied", len(ran) == before)
                    break
            print("denied", denied)
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), str(world.toml), str(world.weights)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "guardrail.fault" in done.stdout, done.stderr
    assert "still denied True" in done.stdout
    assert "denied 1" in done.stdout


def test_a_trail_in_a_read_only_directory_refuses_to_start(world: World) -> None:
    """A guard that could not record is not started."""
    trail = world.root / "readonly"
    trail.write_text("a file where the directory should be")
    world.toml.write_text(world.toml.read_text().replace('directory = "trail"', 'directory = "readonly"'))
    with pytest.raises(TrailError, match="readonly"):
        Guard.open(world.toml)


def test_a_second_guard_on_the_same_trail_refuses_to_start(guard: Guard, world: World) -> None:
    """Two writers would break the chain."""
    with pytest.raises(TrailError, match="another process|in use|locked"):
        Guard.open(world.toml)


def test_a_missing_policy_bundle_refuses_to_start(world: World) -> None:
    """No policy is no permission."""
    world.toml.write_text(world.toml.read_text() + '[policy]\nbundle = "nowhere"\n')
    with pytest.raises(ConfigError, match="nowhere"):
        Guard.open(world.toml)


def test_failing_open_needs_its_dangerous_name_and_is_written_into_every_record(world: World) -> None:
    """The one switch that weakens this warns at start and leaves its mark."""
    world.toml.write_text("unsafe_fail_open = true\n" + world.toml.read_text())
    with pytest.warns(RuntimeWarning, match="unsafe_fail_open"):
        guard = Guard.open(world.toml)
    guard._steps.engine = BrokenEngine(guard.engine.rules, EngineFault("gone"))
    decision = guard.check(world.call("true"))
    assert decision
    assert [reason.rule for reason in decision.reasons] == ["guardrail.fault"]
    records = [r for r in _records(world, guard) if r["kind"] == "intent"]
    assert records
    assert all(record["unsafe_fail_open"] is True for record in records)


def test_the_trail_of_all_this_verifies(guard: Guard, world: World) -> None:
    """Allowed, denied, escalated and failed calls leave a trail without a gap."""
    for command in ("true", f"rm {world.weights}", f"odd {world.weights}", "cat <<E", "\0"):
        guard.check(world.call(command))
    guard.close()
    report = verify(world.root / "trail")
    assert report.ok, report.problems
    assert report.records >= 6


def test_the_widest_call_still_fits_into_a_record(tmp_path: Path) -> None:
    """Many assets with long names and paths full of characters that need escaping are recorded, not a fault."""
    world = World(tmp_path)
    folder = world.root / "m"
    folder.mkdir()
    tables: list[str] = []
    for number in range(40):
        path = folder / f"{number:03d}{chr(1) * 200}"
        path.write_text("w")
        name = f"{number:03d}{'é' * 120}"
        # In TOML a control character has to be written as an escape.
        place = str(path).replace(chr(1), "\\u0001")
        tables.append(f'[[asset]]\nid = "{name}"\nclass = "weights"\npaths = ["{place}"]\n')
    world.toml.write_text(world.toml.read_text() + "".join(tables))
    with Guard.open(world.toml) as guard:
        call = world.call(f"rm -r {folder}; cp -r {folder} /tmp/{chr(1) * 200}")
        decision = guard.check(msgspec.structs.replace(call, id="\x01" * 512, session="\x01" * 512))
        assert _rules(decision)[0] != FAULT_RULE, decision.reasons
        assert len(decision.assets) == 40
        assert decision.seq is not None


# -- the model ----------------------------------------------------------------------------------------------------


def test_only_allow_is_true() -> None:
    """Outcomes and decisions read safely in an `if`, and combine to the strictest."""
    assert [bool(outcome) for outcome in Outcome] == [True, False, False]
    assert max(Outcome.ALLOW, Outcome.DENY, Outcome.ESCALATE) is Outcome.DENY
    assert not Decision(decision_id="x", outcome=Outcome.ESCALATE)


def test_different_arguments_have_different_digests(world: World) -> None:
    """An approval can not be moved to a call that only looks alike."""
    variants: list[Any] = [1, 1.0, True, "1", None, [1], {"a": 1}, {"_i": "1"}, 2**60, str(2**60)]
    variants += ["\udc80", {"é": 1}, 0.1]
    digests = {ToolCall(tool="t", args={"x": value}).digest for value in variants}
    assert len(digests) == len(variants)
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})


def test_names_that_are_no_utf8_stay_distinct_and_printable() -> None:
    """File names are bytes; none of them is a fault."""
    assert printable("plain\\x") == "plain\\x"
    assert printable("a\udcff") == "a\\xff"
    assert printable("é\\\udcff") == "é\\\\\\xff"
