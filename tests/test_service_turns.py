"""Whose turn it is: nobody waits without bound, nobody has more than their share, and no turn is lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from guardrail.config import ServiceConfig
from guardrail.service._http import Problem
from guardrail.service._turns import MAX_KNOWN, Limits, Turns


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def hold(turns: Turns, who: str, until: asyncio.Event) -> str:
    """Have a turn until something happens; what came of it."""
    try:
        async with turns.turn(who):
            await until.wait()
    except Problem as problem:
        return problem.kind
    return "had"


async def settled() -> None:
    """Let every task go on as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def turns(clock: Clock | None = None, **limits: Any) -> Turns:
    return Turns(Limits.of_judging(ServiceConfig(**limits)), clock or Clock())


async def test_what_is_over_the_limit_waits_in_line_and_what_is_over_that_is_shed() -> None:
    """Two are judged, two wait in order, the fifth is refused at once; a turn that is over is the first one's."""
    desk, ends = turns(concurrency=2, queue=2, queue_ms=60_000), [asyncio.Event() for _ in range(5)]
    tasks = [asyncio.create_task(hold(desk, f"a{number}", end)) for number, end in enumerate(ends)]
    await settled()
    assert (desk.active, desk.waiting, tasks[4].result()) == (2, 2, "overloaded")
    assert desk.shed == {"queue": 1}
    ends[1].set()
    await settled()
    assert (desk.active, desk.waiting, tasks[1].done()) == (2, 1, True)
    ends[2].set()
    await settled()
    assert tasks[2].result() == "had"
    for end in ends:
        end.set()
    assert [await task for task in tasks[:4]] == ["had"] * 4
    assert (desk.active, desk.waiting) == (0, 0)


async def test_nobody_waits_longer_than_they_may_and_their_place_is_free_again() -> None:
    """The one who waited too long is refused; so is nobody else, and no turn is lost to those who went away."""
    desk, end = turns(concurrency=1, queue_ms=20), asyncio.Event()
    first = asyncio.create_task(hold(desk, "a", end))
    await settled()
    late, gone = (asyncio.create_task(hold(desk, name, end)) for name in ("b", "c"))
    await settled()
    gone.cancel()
    assert await late == "overloaded"
    assert (desk.shed, desk.waiting) == ({"wait": 1}, 0)
    with contextlib.suppress(asyncio.CancelledError):
        await gone
    end.set()
    assert await first == "had"
    assert await hold(desk, "d", end) == "had"
    assert desk.active == 0


async def test_a_turn_that_comes_just_as_its_call_goes_away_is_passed_on() -> None:
    """Between having the turn and waking up there is a moment in which the client may leave."""
    desk, end, never = turns(concurrency=1, queue_ms=60_000), asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(hold(desk, "a", end))
    await settled()
    leaving = asyncio.create_task(hold(desk, "b", never))
    staying = asyncio.create_task(hold(desk, "c", end))
    await settled()
    end.set()
    await first
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    assert await asyncio.wait_for(staying, 10) == "had"
    assert desk.active == 0


async def test_one_caller_has_no_more_than_its_share_and_its_pace() -> None:
    """What one asks too much of is refused to that one alone, with the time after which it may ask again."""
    clock, end = Clock(), asyncio.Event()
    desk = turns(clock, each_concurrency=1, each_rate=0.5, each_burst=2)
    first = asyncio.create_task(hold(desk, "a", end))
    await settled()
    assert await hold(desk, "a", end) == "too-often"
    assert desk.shed == {"share": 1}
    end.set()
    assert [await first, await hold(desk, "a", end), await hold(desk, "a", end)] == ["had", "had", "too-often"]
    assert await hold(desk, "b", end) == "had"
    with pytest.raises(Problem) as refused:
        async with desk.turn("a"):
            pass
    assert dict(refused.value.answer({}).headers)[b"retry-after"] == b"2"
    clock.now += 2
    assert [await hold(desk, "a", end), await hold(desk, "a", end)] == ["had", "too-often"]


async def test_callers_that_are_remembered_are_bounded_and_whoever_is_busy_is_not_forgotten() -> None:
    """A client may invent as many names as it likes: memory stays, and it gets no second share for what is open."""
    desk, end = turns(each_concurrency=1), asyncio.Event()
    busy = asyncio.create_task(hold(desk, "busy", end))
    await settled()
    for number in range(MAX_KNOWN + 50):
        async with desk.turn(f"name {number}"):
            pass
    assert len(desk._paces) <= MAX_KNOWN + 1
    assert await hold(desk, "busy", end) == "too-often"
    end.set()
    assert await busy == "had"
