"""Where an order lets an asset go: names with a known beginning, and paths that a call leads elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail import Guard, Outcome
from guardrail.assets import _astray as astray_module
from tests.mandate_support import Place, rules

SPLIT = "split -b 1m models/beta.safetensors backup/p."

LINKED = """import os, shutil
os.symlink("../elsewhere", "backup/p")
shutil.copy("models/beta.safetensors", "backup/p")
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A model that may be copied below `backup`, and folders where it may not be."""
    place = Place(tmp_path, more='[zones]\ncold = ["backup"]\n')
    place.order(grants=[{"effects": ["copy"], "assets": ["model:beta"], "targets": [f"{tmp_path}/backup/**"]}])
    return place


@pytest.fixture
def guard(place: Place) -> Iterator[Guard]:
    """A guard of it."""
    with place.guard() as guard:
        yield guard


def ordered(place: Place, target: str) -> None:
    """The order, for another target."""
    place.order(grants=[{"effects": ["copy"], "assets": ["model:beta"], "targets": [target]}])


@pytest.mark.parametrize("glob", ["/backup/**", "/backup/*", "/backup/p*", "/backup/p.*", "/*/p.*"])
def test_an_order_covers_the_pieces_that_a_file_is_split_into(place: Place, glob: str) -> None:
    """Their names are not known, their beginning and their directory are."""
    ordered(place, f"{place.root}{glob}")
    with place.guard() as guard:
        assert guard.check(place.bash(SPLIT))
        assert guard.check(place.bash("cd backup && split -b 1m ../models/beta.safetensors p."))


@pytest.mark.parametrize("glob", ["/backup/p.a*", "/backup/p.??", "/backup", "/backup/*/x*", "/elsewhere/**", "/back*"])
def test_an_order_for_other_names_covers_no_pieces(place: Place, glob: str) -> None:
    """What could fit only some of the names is no order for all of them."""
    ordered(place, f"{place.root}{glob}")
    with place.guard() as guard:
        assert rules(guard.check(place.bash(SPLIT))) == ["copy.unsanctioned"]


def test_pieces_lie_in_the_zone_of_their_directory(place: Place) -> None:
    """As a whole file would, and nowhere else."""
    ordered(place, "zone:cold")
    with place.guard() as guard:
        assert guard.check(place.bash(SPLIT))
        assert not guard.check(place.bash("split -b 1m models/beta.safetensors elsewhere/p."))


@pytest.mark.parametrize("kind", ["link", "name", "pipe", "folder"])
def test_a_piece_that_would_go_through_what_is_there_is_not_covered(place: Place, guard: Guard, kind: str) -> None:
    """A link, a file with a second name, a pipe: of any of them the content is elsewhere."""
    there = place.root / "backup/p.ab"
    if kind == "link":
        there.symlink_to(place.root / "elsewhere/x")
    elif kind == "name":
        (place.root / "elsewhere/x").write_bytes(b"")
        there.hardlink_to(place.root / "elsewhere/x")
    elif kind == "pipe":
        os.mkfifo(there)
    else:
        there.mkdir()
    assert rules(guard.check(place.bash(SPLIT))) == ["copy.unsanctioned"]
    assert guard.check(place.bash(SPLIT.replace("p.", "q.")))


def test_a_folder_with_too_many_names_says_nothing_about_pieces(
    place: Place, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One beyond the bound may be a link."""
    monkeypatch.setattr(astray_module, "MAX_PIECES", 2)
    (place.root / "backup/a").write_bytes(b"")
    (place.root / "backup/b").write_bytes(b"")
    assert guard.check(place.bash(SPLIT))
    (place.root / "backup/c").write_bytes(b"")
    assert not guard.check(place.bash(SPLIT))


def test_a_linked_folder_is_where_it_leads(place: Place, guard: Guard) -> None:
    """The order is about the real place, for pieces too."""
    (place.root / "backup/out").symlink_to(place.root / "elsewhere")
    assert not guard.check(place.bash("split -b 1m models/beta.safetensors backup/out/p."))
    (place.root / "elsewhere/in").symlink_to(place.root / "backup")
    assert guard.check(place.bash("split -b 1m models/beta.safetensors elsewhere/in/p."))


@pytest.mark.parametrize(
    "command",
    [
        "csplit -f backup/p -b '/../../elsewhere/x%d' models/beta.safetensors 5",
        'split -b 1m models/beta.safetensors "backup/$UNKNOWN"',
        "split -b 1m models/beta.safetensors backup/../elsewhere/p.",
        "split -b 1m models/beta.safetensors backup/none/p.",
    ],
)
def test_names_that_are_put_together_otherwise_are_not_covered(place: Place, guard: Guard, command: str) -> None:
    """A part of them may hold a slash, or lead up again."""
    assert not guard.check(place.bash(command))


@pytest.mark.parametrize(
    "command",
    [
        "ln -s ../elsewhere backup/p && cp models/beta.safetensors backup/p",
        "ln -s ../elsewhere backup/p && cp models/beta.safetensors backup/p/",
        "ln -s ../elsewhere backup/p && cd backup/p && cp ../../models/beta.safetensors .",
        "cp models/beta.safetensors backup/p & ln -s ../elsewhere backup/p",
        "ln elsewhere/x backup/p && cat models/beta.safetensors > backup/p",
        'ln -s ../elsewhere "backup/$N" && cp models/beta.safetensors backup/p',
        "mv elsewhere/link backup/p && cp models/beta.safetensors backup/p",
        "cp -a elsewhere/link backup/p && cp models/beta.safetensors backup/p",
        "mv elsewhere/tree backup/t && cp models/beta.safetensors backup/t/link",
        "cp -a elsewhere/tree backup/t && cp models/beta.safetensors backup/t/link",
        f"ln -s ../elsewhere/x backup/p.ab && {SPLIT}",
        f"mv elsewhere/link backup/p.ab && {SPLIT}",
        "ln -s ../elsewhere backup/d && split -b 1m models/beta.safetensors backup/d/p.",
        f"python3 -c '{LINKED}'",
    ],
)
def test_a_link_that_the_same_call_makes_does_not_lead_out_of_an_order(place: Place, command: str) -> None:
    """It is not there yet when the call is judged, so what goes through it is not known to arrive."""
    (place.root / "elsewhere/link").symlink_to(place.root / "elsewhere")
    (place.root / "elsewhere/tree").mkdir()
    (place.root / "elsewhere/tree/link").symlink_to(place.root / "elsewhere")
    (place.root / "elsewhere/x").write_bytes(b"x")
    with place.guard() as guard:
        decision = guard.check(place.bash(command))
        assert (decision.outcome, "copy.unsanctioned" in rules(decision)) == (Outcome.DENY, True)


@pytest.mark.parametrize(
    "command",
    [
        "cp models/beta.safetensors backup/v1 && ln -sfn v2 backup/current",
        "ln -s /usr/share/doc elsewhere/doc && cp models/beta.safetensors backup/p",
        "cp -r elsewhere/plain backup/t && cp models/beta.safetensors backup/t/w",
        "cp models/beta.safetensors backup/p && cp models/beta.safetensors backup/p",
        "mkdir -p backup/n && cp models/beta.safetensors backup/n/w",
        f"cp elsewhere/x backup/notes && {SPLIT}",
    ],
)
def test_what_leads_nothing_elsewhere_leaves_an_order_alone(place: Place, command: str) -> None:
    """Links beside the way, plain folders, and the same copy twice."""
    (place.root / "elsewhere/plain").mkdir()
    (place.root / "elsewhere/x").write_bytes(b"x")
    with place.guard() as guard:
        assert guard.check(place.bash(command))
