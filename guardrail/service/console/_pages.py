"""What each page says, read from the desk, the trail, the inventory and the policy; nothing here changes anything.

Every function gives the values for one template. Text of agents is passed on as it is: the templates put it through
`plain`, which leaves no letter that could pass for another, and escape it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from guardrail import __version__
from guardrail.analysis import Parity
from guardrail.audit.reading import Selection, fields
from guardrail.errors import GuardrailError, TrailError
from guardrail.mandates import microseconds
from guardrail.mandates._listing import stands_of
from guardrail.policy import refusal
from guardrail.review import Case
from guardrail.review._machine import subject_of
from guardrail.review._statements import shown_of
from guardrail.review._view import grant_state, lifted_too
from guardrail.service._elsewhere import Others
from guardrail.service._reading import WINDOW, Line, Reading
from guardrail.service.console._drawing import drawing

if TYPE_CHECKING:
    from guardrail.guard import Guard

DECIDED: Final = 25
"""How many escalations that were decided are listed below those that wait."""

HISTORY: Final = 15
"""How many records of an agent stand beside its escalation."""

GIST: Final = 2
"""How many effects stand in the list of what waits."""

MAX_LISTED: Final = 500
"""Most assets, mandates or duties on one page."""

Values = dict[str, Any]


class Missing(Exception):
    """There is nothing under this name."""


class Pages:
    """The pages of one guard.

    Args:
        guard: what they are about.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.others = Others(guard)
        """What waits at other guards."""
        self._reading = Reading(guard.config)

    @property
    def size(self) -> int:
        """How many records the trail has."""
        return 0 if self._guard.trail is None else self._guard.trail.size

    @property
    def state(self) -> str:
        """What is another whenever there is a new record, or something happened at the desk."""
        return f"{self.size}-{sum(case.version for case in self._guard.desk.cases())}"

    def queue(self) -> Values:
        """What waits for people, the gravest and most urgent first, and what they decided last."""
        now = self._guard.desk.clock()
        cases = self._guard.desk.cases()
        # Broken glass that nobody has looked at waits for people as well.
        waiting = [case for case in cases if _waits(case, now)]
        waiting.sort(key=lambda case: (not case.held.critical, case.held.expires_us))
        others = [case for case in cases if not _waits(case, now)]
        others.sort(key=lambda case: -(case.decided_us or case.held.expires_us))
        return {
            "waiting": [self._row(case, now) for case in waiting],
            "decided": [self._row(case, now) for case in others[:DECIDED]],
            "now_us": now,
            **self._elsewhere(now),
        }

    def _elsewhere(self, now: int) -> Values:
        """What waits at other guards, and why that is not all of it."""
        try:
            found = self.others.waiting()
        except TrailError as error:
            return {"elsewhere": [], "not_shown": [f"escalations of other guards are not shown: {error}"]}
        cases = sorted(
            ((away.origin, away.case) for away in found if away.case is not None and _waits(away.case, now)),
            key=lambda pair: (not pair[1].held.critical, pair[1].held.expires_us),
        )
        wrong = [
            f"{away.escalation} is not what the guard of {away.origin} has signed: {away.why}"
            for away in found
            if away.case is None
        ]
        rows = [self._row(case, now) | {"origin": origin} for origin, case in cases[:MAX_LISTED]]
        return {"elsewhere": rows, "not_shown": wrong[:MAX_LISTED]}

    def case(self, name: str) -> Values:
        """One escalation: what it would do, on what, who asks, what was said, and what that agent did before."""
        case, origin = self._guard.desk.find(name), ""
        if case is None:
            away = self.others.find(name)
            if away is None or away.case is None:
                raise Missing(f"there is no escalation `{name[:64]}` here: it may have been forgotten")
            case, origin = away.case, away.origin
        now = self._guard.desk.clock()
        moves = drawing(case.held.view)
        assets = dict.fromkeys((*case.held.assets, *(move.asset for move in moves if move.asset)))
        return {
            **self._row(case, now),
            "case": case,
            "moves": moves,
            "lifted_too": lifted_too(case),
            "view": case.held.view,
            "cut": int(case.held.view.get("args_bytes", 0)) > len(str(case.held.view.get("args", "")).encode()),
            "subject": subject_of(case.held),
            "assets": [self._asset(asset) for asset in assets],
            # What its agent did before is in the trail of its own guard.
            "history": [] if origin else self._history(case.held.agent),
            "origin": origin,
            "shown": shown_of(case.held, origin) if origin else "",
            "grants": [(issued, grant_state(issued, now)) for issued in case.grants],
            "now_us": now,
        }

    def timeline(self) -> Values:
        """The last records, newest first."""
        return {"lines": [_told(line) for line in self._reading.last(self.size)], "size": self.size}

    def search(self, query: Mapping[str, str]) -> Values:
        """The records that a form asks for."""
        selection, wrong = _selection(query)
        lines = [] if wrong or selection is None else self._reading.find(selection, self.size)
        return {
            "query": query,
            "wrong": wrong,
            "asked": selection is not None,
            "lines": [_told(line) for line in lines],
            "whole": self._reading.is_indexed or self.size <= WINDOW,
            "window": WINDOW,
        }

    def record(self, seq: int) -> Values:
        """One record as it is."""
        line = self._reading.one(seq)
        if line is None:
            raise Missing(f"there is no record {seq} in this trail, or it cannot be read")
        return {
            **_told(line),
            "text": json.dumps(line.record, indent=2, sort_keys=True),
            "provable": self._guard.trail is not None and not self._guard.config.trail.store,
        }

    def proof(self, seq: int) -> str:
        """The proof that a record is in the signed trail, as a C2SP tlog-proof.

        Raises:
            Missing: if there is no such record, or none can be made for a trail of this kind.
        """
        try:
            return self._reading.proof(seq, self._guard.trail)
        except (GuardrailError, OSError) as error:
            raise Missing(f"record {seq} cannot be proven: {error}") from None

    def assets(self) -> Values:
        """The inventory."""
        assets = sorted(self._guard.inventory, key=lambda asset: asset.id)
        return {"assets": [self._asset(asset.id) for asset in assets[:MAX_LISTED]], "more": len(assets) - MAX_LISTED}

    def orders(self) -> Values:
        """Mandates with their clocks and uses, and what is owed."""
        now = time.time_ns() // 1000
        book = self._guard.mandates
        rows: list[Values] = [
            {
                "mandate": mandate,
                "state": stands_of(mandate, book, now),
                "not_before_us": microseconds(mandate.not_before),
                "not_after_us": microseconds(mandate.not_after),
                "left": book.left(mandate),
            }
            for mandate in book.mandates[:MAX_LISTED]
        ]
        return {
            "mandates": rows,
            "problems": self._guard.mandates.problems,
            "duties": self._guard.obligations.statuses()[:MAX_LISTED],
            "now_us": now,
        }

    def rules(self) -> Values:
        """Every rule with its documentation, and how often it asked for something."""
        book, hits = self._guard.engine.rules, self._reading.hits(self.size)
        rules = [(book[rule], hits[rule]) for rule in book.ids]
        return {"rules": rules, "window": min(WINDOW, self.size), "revision": book.revision}

    def parity(self) -> Values:
        """What agents ask for where they are told no, and where they are only watched."""
        parity = Parity()
        for record in self._reading.window(self.size):
            parity.take(record)
        return {"rows": parity.rows(MAX_LISTED), "window": min(WINDOW, self.size)}

    def health(self) -> Values:
        """What is in force, and what is not as it should be."""
        guard = self._guard
        states = Counter(status.state for status in guard.obligations.statuses())
        now = guard.desk.clock()
        waiting = [case.held.created_us for case in guard.desk.cases() if case.state_at(now) == "pending"]
        dropped = guard.decision_log.dropped if guard.decision_log is not None else 0
        return {
            "wrong": self._wrong(states["unmet"], dropped, now),
            "facts": (
                ("version", __version__),
                ("mode", guard.config.mode),
                ("engine", guard.engine.name),
                ("policy", guard.engine.revision),
                ("assets", f"{len(guard.inventory)}"),
                ("trail", guard.config.trail.origin),
                ("records", f"{self.size}"),
                ("escalations that wait", f"{len(waiting)}"),
                ("the oldest of them", f"{(now - min(waiting)) // 60_000_000} minutes" if waiting else "none"),
                ("duties", ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"),
            ),
        }

    def _wrong(self, unmet: int, dropped: int, now_us: int) -> list[str]:
        """What is not as it should be, each in a sentence."""
        guard = self._guard
        wrong = [str(problem) for problem in guard.mandates.problems]
        if refused := refusal(guard.engine):
            wrong.append(f"the last policy bundle was refused, the one before is in force: {refused}")
        if guard.config.unsafe_fail_open:
            wrong.append("`unsafe_fail_open` is set: calls run when judging fails")
        if guard.config.mode != "enforce":
            wrong.append("the mode is `observe`: every call runs, whatever is decided")
        if guard.trail is None:
            wrong.append("no trail is kept")
        if unmet:
            wrong.append(f"duties were not met: {unmet}")
        if late := sum(case.is_late(now_us) for case in guard.desk.cases()):
            wrong.append(f"broken glass was not looked at in time: {late}")
        if dropped:
            wrong.append(f"the decision log dropped events: {dropped}")
        return wrong

    def _row(self, case: Case, now: int) -> Values:
        return {
            "id": case.held.id,
            "state": case.state_at(now),
            "held": case.held,
            "version": case.version,
            "gist": drawing(case.held.view)[:GIST],
            "counts": sum(vote.counts and vote.verdict == "approve" for vote in case.votes),
        }

    def _asset(self, name: str) -> Values:
        asset = self._guard.inventory.get(name)
        try:
            made = tuple(self._guard.lineage.made_of(name))
        except GuardrailError:
            made = ()
        return {"id": name, "asset": asset, "facts": {} if asset is None else asset.facts, "made": made[:HISTORY]}

    def _history(self, agent: str) -> list[Values]:
        return [_told(line) for line in self._reading.find(Selection(agents=(agent,)), self.size, HISTORY)]


def _waits(case: Case, now: int) -> bool:
    return case.state_at(now) == "pending" or case.review_due_us is not None


def _told(line: Line) -> Values:
    """One record as a row."""
    record = line.record
    effects = fields.effects_of(record)
    ops = dict.fromkeys(fields.text(effect.get("op")) for effect in effects)
    return {
        "seq": line.seq,
        "t_us": fields.time_of(record) or 0,
        "kind": fields.kind_of(record),
        "status": fields.status_of(record),
        "agent": fields.agent_of(record) or ", ".join(fields.people_of(record)),
        "about": " ".join(filter(None, (fields.tool_of(record), *ops))) or fields.name_of(record),
        "assets": fields.assets_of(record),
        "rules": fields.rules_of(record),
        "ids": sorted(fields.ids_of(record)),
    }


def _selection(query: Mapping[str, str]) -> tuple[Selection | None, str]:
    """What a form asks for, and what is wrong with it."""
    given = {name: text.strip() for name, text in query.items() if text.strip()}
    found: dict[str, Any] = {
        many: (given[one],)
        for one, many in (
            ("agent", "agents"),
            ("asset", "assets"),
            ("rule", "rules"),
            ("session", "sessions"),
            ("id", "ids"),
            ("kind", "kinds"),
        )
        if one in given
    }
    if "record" in given:
        if not given["record"].isdecimal() or len(given["record"]) > 18:
            return Selection(), "a record's number has digits only"
        found |= {"first": int(given["record"]), "last": int(given["record"])}
    return (Selection(**found) if found else None), ""
