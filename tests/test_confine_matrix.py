"""The attacks of `confine_attacks`, each really run by an ordinary user who owns every file that it is after."""

from __future__ import annotations

import pytest

from tests import confine_attacks as attacks
from tests.confine_matrix import confined
from tests.confine_support import LAUNCHER, arena, lacking

TABLES = (
    attacks.ATTACKS, attacks.FURTHER, attacks.NEWER, attacks.LATEST, attacks.YOUNGEST, attacks.ODDEST, attacks.READERS,
)  # fmt: skip
EVERY = (*(name for table in TABLES for name in table), *attacks.BENIGN)

KNOWN = {
    "default": {
        "utimens_copy",  # re-dating one's own file is for policy to judge, and is told
    },
    "strict": set[str](),
}
CHANCE = {
    # Another name of the asset, made before the start, and exchanged while it is looked at; it turns any other session
    # strict, which wins every time.
    "default": {"other_name_raced"},
    "strict": set[str](),
}


def test_there_are_as_many_attacks_as_we_say() -> None:
    """The figures in the pages count these."""
    assert len(attacks.ATTACKS) == 49
    assert len(attacks.FURTHER) == 19
    assert len(attacks.NEWER) == 42
    assert len(attacks.LATEST) == 20
    assert len(attacks.YOUNGEST) == 25
    assert len(attacks.ODDEST) == 14
    assert len(attacks.READERS) == 20


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "launcher"), [
    ("default", LAUNCHER), ("strict", LAUNCHER), pytest.param("strict", lacking("pod"), id="strict-restricted-pod"),
])  # fmt: skip
def test_no_attack_gets_at_an_asset_and_honest_work_goes_on(mode: str, launcher: tuple[str, ...]) -> None:
    """What is open is named; nothing that is protected changes in content, times, mode, owner, links or place.

    A stand-in for a restricted pod has no namespaces, no mounts, no pidfd_getfd and no new privileges.
    """
    with arena() as made:
        column = confined(made, mode, EVERY, launcher)
    found = set(column.open) - CHANCE[mode]
    assert found == KNOWN[mode] | set(attacks.BENIGN), {name: column.said[name] for name in column.open}
    assert column.harmed == []
    told = set(column.told) & set(attacks.ATTACKS)
    assert len(told) >= 34, sorted(set(attacks.ATTACKS) - told)
    assert not set(attacks.BENIGN) & set(column.told)
