"""Two sidecars, each a process with a trail of its own: people answer at either, ways are cut, one is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from guardrail.audit import verify
from guardrail.audit._verify import read_records
from guardrail.audit.postgres import migrate_store
from guardrail.central import _people
from guardrail.config import load
from guardrail.review._statements import RevokeStatement, VoteStatement, sign_statement
from tests.central_support import DELETE, Fleet, until
from tests.postgres_support import Cluster, Wire
from tests.test_central_announced import inventory
from tests.test_central_processes import Sidecar, stop

PEOPLE = "a-token-that-reviewers-hold"
SHARED = 'escalations = true\ninventory_by = ["dana"]'


class Beside(Sidecar):
    """A sidecar that shows its escalations, and those of others, to reviewers."""

    central = SHARED
    service = f'reviewer_token = "{PEOPLE}"'

    def people(self, method: str, path: str, body: bytes = b"") -> httpx.Response:
        """What it answers to a reviewer."""
        headers = {"authorization": f"Bearer {PEOPLE}", "content-type": "application/json"}
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), headers=headers, timeout=60) as client:
            return client.request(method, f"http://guardrail{path}", content=body)

    def elsewhere(self) -> dict[str, dict[str, Any]]:
        """What waits at other guards, as this one shows it."""
        return {one["id"]: one for one in self.people("GET", "/v1/escalations?origin=*").json()["escalations"]}


@pytest.fixture(scope="module")
def fleet(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A centre of this module's own, with an inventory."""
    store = postgres.database("together")
    migrate_store(store)
    made = Fleet(tmp_path_factory.mktemp("fleet"), store)
    made.people = made.config("people", store, central=SHARED)
    announce(made, 1, "gamma")
    made.order("o1", {**DELETE, "approval": True})
    return made


@pytest.fixture(scope="module")
def sidecars(postgres: Cluster, fleet: Fleet) -> Iterator[list[Beside]]:
    """Two that are ready."""
    made: list[Beside] = []
    try:
        for name in "ab":
            home = fleet.root / f"{name}.wire"
            home.mkdir()
            made.append(Beside(fleet, name, Wire(postgres, home)))
        [one.ready() for one in made]
        yield made
    finally:
        stop([*made])
        [one.wire.close() for one in made]


def announce(fleet: Fleet, version: int, *names: str) -> None:
    """Dana publishes an inventory."""
    path = fleet.root / "new.inventory.json"
    path.write_bytes(inventory(fleet, version, *names))
    (done,) = _people.publish(load(fleet.people), [str(path)])
    assert done.fresh, done


def approval(fleet: Fleet, shown: dict[str, Any]) -> bytes:
    """Dana says yes to what another guard asks, as it was shown."""
    vote = VoteStatement(
        voter="dana",
        t_us=time.time_ns() // 1000,
        escalation=shown["id"],
        subject=shown["subject"],
        verdict="approve",
        shown=shown["shown"],
    )
    return sign_statement(vote, fleet.key)


def shown_at(one: Beside, escalation: str) -> dict[str, Any]:
    """What another guard asks, as soon as this one shows it."""
    assert until(lambda: escalation in one.elsewhere())
    return one.elsewhere()[escalation]


def held(one: Beside, number: int) -> str:
    """A call is held at a sidecar, as soon as the order has reached it."""
    assert until(lambda: one.outcome(number) == "escalate")
    return str(one.ask(number)["escalation"])


def test_what_one_sidecar_asks_is_answered_at_the_other_and_released_once(fleet: Fleet, sidecars: list[Beside]) -> None:
    """The vote is carried there and back by the centre, and stands in the trail of the one that asked alone."""
    one, other = sidecars
    escalation = held(one, 0)
    answer = other.people("POST", "/v1/review", approval(fleet, shown_at(other, escalation)))
    assert (answer.status_code, answer.json()["state"]) == (200, "approved")
    assert [one.outcome(0), one.outcome(0)] == ["allow", "escalate"]
    assert other.outcome(0) == "escalate"


def test_a_vote_that_is_left_while_the_way_is_cut_and_the_sidecar_killed_counts_once(
    fleet: Fleet, sidecars: list[Beside]
) -> None:
    """Meanwhile calls go on being judged, what needs people waits, and afterwards nothing is given twice."""
    one, other = sidecars
    escalation = held(one, 1)
    vote = approval(fleet, shown_at(other, escalation))
    one.wire.cut()
    answer = other.people("POST", "/v1/review", vote)
    assert (answer.status_code, answer.json()["left"]) == (202, True)
    assert one.outcome(1) == "escalate"
    assert one.ask(2)["outcome"] == "escalate"
    one.process.kill()
    one.process.communicate(timeout=60)
    one.wire.mend()
    one.start()
    one.ready()
    assert until(lambda: one.outcome(1) == "allow")
    assert one.outcome(1) == "escalate"
    assert other.people("POST", "/v1/review", vote).status_code in (200, 409)
    assert one.outcome(1) == "escalate"


def test_a_grant_is_taken_back_at_the_other_sidecar_before_it_is_used(fleet: Fleet, sidecars: list[Beside]) -> None:
    """A signed revocation goes the same way, and the next call of that kind asks again."""
    one, other = sidecars
    escalation = held(one, 3)
    answer = other.people("POST", "/v1/review", approval(fleet, shown_at(other, escalation)))
    grant = answer.json()["grants"][0]["grant"]["id"]
    revocation = sign_statement(RevokeStatement(voter="dana", t_us=time.time_ns() // 1000, grant=grant), fleet.key)
    assert until(lambda: other.people("POST", f"/v1/grants/{grant}:revoke", revocation).status_code == 200)
    assert one.outcome(3) == "escalate"


def test_a_running_sidecar_begins_anew_with_an_inventory_that_is_published(
    fleet: Fleet, sidecars: list[Beside]
) -> None:
    """Nobody stops it, its address stays open, and what was not guarded before is."""
    assert [one.people("GET", "/v1/escalations").status_code for one in sidecars] == [200, 200]
    announce(fleet, 2, "gamma", "delta")
    for one in sidecars:
        assert until(lambda one=one: _assets(one) == 3, 60.0)
        assert until(lambda one=one: one.outcome(4) == "escalate")


def _assets(one: Beside) -> int:
    """How many assets a sidecar says it guards; 0 while it gives no answer."""
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(one.socket)), timeout=60) as client:
            return int(client.get("http://guardrail/v1/info").json()["assets"])
    except httpx.HTTPError:
        return 0


def test_every_trail_is_whole_and_says_what_was_decided_in_it(fleet: Fleet, sidecars: list[Beside]) -> None:
    """Each vote once, by whom it was signed, in the trail of whoever asked; nothing of it in the other."""
    stop([*sidecars])
    votes = [
        [record["escalation"] for _, record in read_records(one.trail) if record["kind"] == "vote"] for one in sidecars
    ]
    assert all(verify(one.trail, deep=True).ok for one in sidecars)
    assert len(votes[0]) == len(set(votes[0]))
    assert votes[1] == []
