"""Edits of evaluation records as changes of scores, and what the rules make of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail import config as config_module
from guardrail.assets import Inventory, LiveFiles
from guardrail.cli import main
from guardrail.config import LimitConfig
from guardrail.effects import Unclear, analyse, read_records
from guardrail.errors import ConfigError
from guardrail.guard import Guard
from guardrail.model import Effect, Outcome, Subject, ToolCall
from guardrail.parse import ShellText
from tests.mandate_support import mandated

CONFIG = """
[[asset]]
id = "eval:runs"
class = "evaluation"
model = "acme/beta"
paths = ["evals"]
[asset.record]
items = "results"
id = "task"
score = "score"
threshold = 0.5
direction = "min"
judge = "by"
criteria = ["rubric*"]
reference = [0.61, 0.64, 0.6, 0.66, 0.62]
[[asset]]
id = "eval:lines"
class = "evaluation"
paths = ["lines.jsonl"]
[asset.record]
id = "id"
score = "metrics.acc"
[[asset]]
id = "eval:table"
class = "evaluation"
model = "acme/beta"
paths = ["table.csv"]
[asset.record]
id = "run"
threshold = "limit"
direction = "max"
[trail]
directory = "trail"
timeout_seconds = 60
[limits]
decision_ms = 60000
"""

RUNS = {
    "model": "acme/beta",
    "rubric": {"version": 3},
    "note": "first",
    "results": [
        {"task": "a", "score": 0.4, "by": "omega/judge"},
        {"task": "b", "score": 0.62, "by": "omega/judge"},
    ],
}
LINES = '{"id": 1, "model": "m/x", "metrics": {"acc": 0.5}, "threshold": 0.6, "direction": "higher"}\n'
TABLE = "run,score,limit,model\nr1,0.2,0.3,acme/beta\nr2,0.25,0.3,acme/beta\n"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Three evaluation records of three formats."""
    (tmp_path / "guardrail.toml").write_text(CONFIG)
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals/r.json").write_text(json.dumps(RUNS, indent=1))
    (tmp_path / "lines.jsonl").write_text(LINES)
    (tmp_path / "table.csv").write_text(TABLE)
    return tmp_path


def changes(world: Path, command: str) -> list[Effect]:
    """What a command changes in the records."""
    inventory = Inventory(config_module.load(world / "guardrail.toml"))
    found = analyse((ShellText(text=command),), cwd=str(world), view=LiveFiles(), limits=LimitConfig())
    resolved = inventory.resolve(found)
    return [effect for effect in resolved if effect.asset is not None and effect.op not in ("read", "list")]


def one(world: Path, command: str) -> Effect:
    """The only change."""
    found = changes(world, command)
    assert len({(effect.op, json.dumps(effect.attrs, sort_keys=True)) for effect in found}) == 1, found
    return found[0]


def test_a_score_that_is_edited_has_its_before_and_after_and_which_way_the_verdict_goes(world: Path) -> None:
    """0.4 is below the threshold, 0.55 above it."""
    effect = one(world, "sed -i 's/0.4,/0.55,/' evals/r.json")
    assert effect.op == "record_score"
    wanted = {"item": "a", "before": 0.4, "after": 0.55, "threshold": 0.5, "bound": "min", "edited": True}
    wanted |= {"crosses": True, "passes": True, "margin": 0.05, "subject": "acme/beta", "judge": "omega/judge"}
    assert {key: effect.attrs.get(key) for key in wanted} == wanted
    assert one(world, "sed -i 's/0.62,/0.63,/' evals/r.json").attrs["crosses"] is False


@pytest.mark.parametrize(
    "command",
    [
        "jq '.results[0].score = 0.55' evals/r.json > t && mv t evals/r.json",
        "python -c \"import json; p='evals/r.json'; d=json.load(open(p)); d['results'][0]['score']=0.55; json.dump(d, open(p,'w'))\"",  # noqa: E501
        "perl -pi -e 's/0\\.4,/0.55,/' evals/r.json",
    ],
)
def test_whatever_tool_edits_a_score_the_effect_is_the_same(world: Path, command: str) -> None:
    """Computed from the command where the command says enough, else an edit of the whole file."""
    found = changes(world, command)
    told = {(effect.op, effect.attrs.get("crosses")) for effect in found}
    assert told in ({("record_score", True)}, {("write", None)}, {("truncate", None), ("write", None)})


def test_a_record_that_is_added_is_no_edit(world: Path) -> None:
    """One line more in a file of lines; its own threshold and direction count."""
    line = '{"id": 2, "model": "m/x", "metrics": {"acc": 0.61}, "threshold": 0.6, "direction": "higher"}'
    effect = one(world, f"echo '{line}' >> lines.jsonl")
    wanted = {"item": "2", "after": 0.61, "edited": False, "crosses": False, "passes": True, "subject": "m/x"}
    assert {key: effect.attrs.get(key) for key in wanted} == wanted
    assert "before" not in effect.attrs


def test_records_that_are_left_out_are_counted_and_named(world: Path) -> None:
    """The mean gets better without them."""
    (effect,) = (e for e in changes(world, "sed -i /r2/d table.csv") if e.op == "record_score")
    assert (effect.attrs["dropped"], effect.attrs["items"]) == (1, ["r2"])


def test_a_table_s_numbers_are_texts_and_its_limit_may_be_a_maximum(world: Path) -> None:
    """An error rate passes up to the limit."""
    effect = one(world, "sed -i s/0.25,/0.35,/ table.csv")
    assert effect.attrs["crosses"] is True
    assert (effect.attrs["bound"], effect.attrs["passes"]) == ("max", False)


def test_a_threshold_that_moves_under_a_score_crosses_it(world: Path) -> None:
    """The score stays and the verdict does not."""
    found = changes(world, "sed -i 's/0.2,0.3/0.2,0.1/' table.csv")
    assert [(e.op, e.attrs.get("crosses"), e.attrs.get("criteria")) for e in found] == [
        ("set_key", None, True),
        ("record_score", True, None),
    ]


@pytest.mark.parametrize(
    ("before", "after", "criteria"),
    [
        ('"version": 3', '"version": 4', True),
        ('"first"', '"second"', False),
        ('"omega.judge"', '"acme/beta"', True),
        ('"acme.beta"', '"acme/gamma"', True),
    ],
)
def test_what_is_no_score_is_a_key_and_some_keys_are_criteria(
    world: Path, before: str, after: str, criteria: bool
) -> None:
    """Rubric, judge and subject; a note is none."""
    found = changes(world, f"sed -i 's|{before}|{after}|' evals/r.json")
    assert {(effect.op, effect.attrs["criteria"]) for effect in found} == {("set_key", criteria)}


def test_a_score_far_from_the_reference_is_an_outlier(world: Path) -> None:
    """By the median, so that the references' own spread decides."""
    assert one(world, "sed -i 's/0.62,/0.99,/' evals/r.json").attrs["outlier"] is True
    assert one(world, "sed -i 's/0.62,/0.65,/' evals/r.json").attrs["outlier"] is False


@pytest.mark.parametrize(
    "text",
    [
        '{"results": [{"task": "a", "score": 1}, {"task": "a", "score": 2}]}',
        '{"results": [{"score": 1}]}',
        '{"results": [{"task": "a", "score": 1, "score": 2}]}',
        '{"results": ',
        "[]",
    ],
)
def test_what_has_no_single_meaning_stays_an_edit_of_the_whole(world: Path, text: str) -> None:
    """Two records of one name, none at all, duplicate keys, half a file."""
    assert {effect.op for effect in changes(world, f"echo '{text}' > evals/r.json")} == {"write"}


def test_many_changes_are_told_together_and_none_is_lost(world: Path) -> None:
    """What holds for one of them holds for the last effect."""
    rows = [{"task": str(number), "score": 0.4} for number in range(200)]
    (world / "evals/r.json").write_text(json.dumps({"results": rows}))
    rows[199]["score"] = 0.6
    text = json.dumps({"results": [{**row, "by": "x"} for row in rows]})
    found = changes(world, f"echo '{text}' > evals/r.json")
    assert len(found) == 65
    assert found[-1].attrs["more"] == 201 - 64
    assert found[-1].attrs["crosses"] is True


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("a.jsonl", '{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ("a.csv", 'a,b\n1,"x, y"\n', [{"a": "1", "b": "x, y"}]),
        ("a.tsv", "a\tb\n1\t2\n", [{"a": "1", "b": "2"}]),
        ("a.yaml", "- a: 1\n- a: 2\n", [{"a": 1}, {"a": 2}]),
        ("a.yaml", "a: 1\n---\na: 2\n", [{"a": 1}, {"a": 2}]),
        ("a.txt", '{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ("a.csv", "a,a\n1,2\n", None),
        ("a.csv", "a,b\n1\n", None),
        ("a.jsonl", '{"a": 1, "a": 2}\n', None),
        ("a.json", '{"a": NaN}', None),
        ("a.yaml", "a: &x 1\nb: *x\n", None),
    ],
)
def test_records_are_read_in_every_format_as_all_readers_read_them(name: str, text: str, wanted: Any) -> None:
    """What two readers could take for different things has no answer."""
    if wanted is None:
        with pytest.raises(Unclear):
            read_records(name, text.encode())
    else:
        assert read_records(name, text.encode()) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('class = "weights"\nrecord = { score = "s" }', "belongs to the class `evaluation` only"),
        ('class = "evaluation"\nrecord = { score = "" }', "name the key of the score"),
        ('class = "evaluation"\nrecord = { reference = [1.0] }', "must have 3 to"),
        ('class = "evaluation"\nrecord = { reference = [1.0, nan, 2.0] }', "must be finite"),
        ('class = "evaluation"\nrecord = { outlier = 0.0 }', "must be greater than 0"),
        ('class = "evaluation"\nrecord = { scores = "s" }', "what is known there is `items`"),
    ],
)
def test_a_record_that_cannot_be_meant_is_refused(text: str, said: str) -> None:
    """With a sentence that says what would be right."""
    with pytest.raises(ConfigError, match=said):
        config_module.parse(f'[[asset]]\nid = "e"\npaths = ["/x"]\n{text}\n')


# -- the whole way


@pytest.fixture
def guard(world: Path) -> Iterator[Guard]:
    """A guard under which agents may record scores, and nothing else."""
    mandated(world, CONFIG, {"effects": ["record_score"], "assets": ["eval:*"]})
    with Guard.open(world / "guardrail.toml") as opened:
        yield opened


def judged(guard: Guard, world: Path, command: str, model: str = "omega/one") -> tuple[Outcome, set[str]]:
    """Outcome and rules."""
    subject = Subject(id="evaluator", model=model)
    call = ToolCall(tool="bash", args={"command": command}, cwd=str(world), subject=subject)
    decision = guard.check(call)
    return decision.outcome, {reason.rule for reason in decision.reasons}


def test_a_mandate_to_record_covers_new_scores_and_no_others(guard: Guard, world: Path) -> None:
    """What nobody measured is held for a person, what is no score is not covered at all."""
    line = '{"id": 2, "model": "m/x", "metrics": {"acc": 0.7}, "threshold": 0.6}'
    assert judged(guard, world, f"echo '{line}' >> lines.jsonl") == (Outcome.ALLOW, set())
    crossing = {"evaluation.edited_afterwards", "evaluation.moved_over_threshold"}
    assert judged(guard, world, "sed -i 's/0.4,/0.55,/' evals/r.json") == (Outcome.ESCALATE, crossing)
    dropped = judged(guard, world, "sed -i /r2/d table.csv")
    assert dropped == (Outcome.ESCALATE, {"evaluation.items_dropped"})
    criteria = judged(guard, world, 'sed -i \'s/"version": 3/"version": 4/\' evals/r.json')
    assert criteria == (Outcome.DENY, {"evaluation.criteria_edited", "edit.unsanctioned"})
    assert judged(guard, world, "rm table.csv")[0] is Outcome.DENY


def test_a_model_does_not_score_itself_unseen(guard: Guard, world: Path) -> None:
    """The same new score, by a stranger, by a sibling, which is a peer like any other, and by the model itself."""
    command = "echo 'r3,0.1,0.3,acme/beta' >> table.csv"
    assert judged(guard, world, command) == (Outcome.ALLOW, set())
    assert judged(guard, world, command, "acme/gamma") == (Outcome.ALLOW, set())
    itself = {"evaluation.related_judge"}
    assert judged(guard, world, command, "acme/beta") == (Outcome.ESCALATE, itself)


def test_an_outlier_is_a_question(guard: Guard, world: Path) -> None:
    """A new result that no reference makes likely."""
    command = (
        'jq \'.results += [{"task": "c", "score": 0.99, "by": "omega/judge"}]\' evals/r.json > t && mv t evals/r.json'
    )
    assert judged(guard, world, command) == (Outcome.ESCALATE, {"evaluation.outlier"})
    assert judged(guard, world, command.replace("0.99", "0.63")) == (Outcome.ALLOW, set())


def test_without_an_order_every_edit_of_a_record_is_denied(world: Path) -> None:
    """With the reasons that a person would want to know."""
    with Guard.open(world / "guardrail.toml") as guard:
        outcome, rules = judged(guard, world, "sed -i 's/0.4,/0.55,/' evals/r.json")
    assert outcome is Outcome.DENY
    assert {"edit.unsanctioned", "evaluation.moved_over_threshold"} <= rules


def test_the_doctor_says_of_which_records_no_score_can_be_read(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key that is written wrongly would leave every edit one of the whole file."""
    (world / "lines.jsonl").write_text('{"id": 1, "metrics": {"accuracy": 0.5}}\n')
    (world / "evals/r.json").write_text("{")
    main(["doctor", "--config", str(world / "guardrail.toml")])
    told = capsys.readouterr().out
    assert "no record in it has a number at `metrics.acc`" in told
    assert "r.json`: not readable as json" in told


COUNTED = """
[[asset]]
id = "eval:report"
class = "evaluation"
model = "acme/beta"
paths = ["report.txt", "report.json"]
[asset.record]
score = "mean"
count = "n"
expected = 20
[[asset]]
id = "eval:rows"
class = "evaluation"
paths = ["rows.jsonl"]
[asset.record]
id = "id"
expected = 3
[[asset]]
id = "eval:sent"
class = "evaluation"
uris = ["score:beta"]
[asset.record]
count = "n"
expected = 20
reference = [70, 71, 72]
[trail]
directory = "trail"
timeout_seconds = 60
[limits]
decision_ms = 60000
"""


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Guard]:
    """An evaluator with leave to record scores, whose records say over how many items they were taken."""
    mandated(tmp_path, COUNTED, {"effects": ["record_score", "set_key"], "assets": ["eval:*"]})
    with Guard.open(tmp_path / "guardrail.toml") as opened:
        yield opened


DROPPED = (Outcome.ESCALATE, {"evaluation.items_dropped"})
WHOLE = (Outcome.DENY, {"edit.unsanctioned"})
PASSES: tuple[Outcome, set[str]] = (Outcome.ALLOW, set())


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("echo 'n=20; mean 71.5' > report.txt", PASSES),
        ("echo 'n=15; mean 90.2; 5 items left out' > report.txt", DROPPED),
        ("printf 'n: 15\nmean: 90.2\n' > report.txt", DROPPED),
        ("echo 'mean 90.2' > report.txt", WHOLE),
        ("echo 'n=20; n=15; mean 90.2' > report.txt", WHOLE),
        ("echo 'the mean is 90.2, n=20' > report.txt", WHOLE),
        ("""echo '{"n": 20, "mean": 71.5}' > report.json""", PASSES),
        ("""echo '{"n": 15, "mean": 90.2}' > report.json""", DROPPED),
        ("""echo '{"mean": 90.2}' > report.json""", WHOLE),
        ("""echo '{"id": 1, "score": 1}' > rows.jsonl""", DROPPED),
        ("""echo '{"id": 1, "score": 1}' >> rows.jsonl""", PASSES),
        (
            """printf '%s\n' '{"id": 1, "score": 1}' '{"id": 2, "score": 0}' '{"id": 3, "score": 0}' > rows.jsonl""",
            PASSES,
        ),
    ],
)
def test_a_score_over_too_few_items_is_known_where_the_number_is(
    counting: Guard, tmp_path: Path, command: str, wanted: tuple[Outcome, set[str]]
) -> None:
    """A report in words counts too; what does not say over how many is an edit of the whole."""
    assert judged(counting, tmp_path, command) == wanted


def test_a_count_that_falls_is_held_by_the_number_that_was_there(counting: Guard, tmp_path: Path) -> None:
    """Also above what is expected."""
    (tmp_path / "report.json").write_text('{"n": 40, "mean": 71.5}')
    assert judged(counting, tmp_path, "sed -i s/40/30/ report.json") == DROPPED
    assert judged(counting, tmp_path, "sed -i s/40/50/ report.json") == PASSES


def test_a_score_that_is_sent_is_judged_like_one_that_is_written(counting: Guard) -> None:
    """Its arguments are what keys are in a file."""

    def sent(**args: Any) -> tuple[Outcome, set[str]]:
        decision = counting.check(ToolCall(tool="record_score", args={"model": "beta", **args}))
        return decision.outcome, {reason.rule for reason in decision.reasons}

    assert sent(score=71, n=20) == PASSES
    assert sent(score=71, n=15) == DROPPED
    assert sent(score=99, n=20) == (Outcome.ESCALATE, {"evaluation.outlier"})


def test_whoever_was_refused_to_record_a_score_has_stood_up_for_nobody(counting: Guard, tmp_path: Path) -> None:
    """The same evaluator gets it right the next time."""
    assert judged(counting, tmp_path, "echo 'mean 90.2' > report.txt") == WHOLE
    assert judged(counting, tmp_path, "echo 'n=20; mean 71.5' > report.txt") == PASSES
