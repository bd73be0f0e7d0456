"""What happens to a duty: the frozen records that are in the trail, and that its state is a fold of.

Not concerned with what follows from them (`_machine`), nor with how the world is looked at (`_evidence`, `_sweep`).
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

ViolationKind = Literal[
    "omitted", "refused", "false_claim",
    "moved", "hardlinked", "decoyed", "truncated", "partial", "held", "mounted",
    "copied_before", "copied_during", "retimestamped", "reappeared", "evaluator_tampered",
    "hold_broken", "lost", "altered",
]  # fmt: skip
"""What can be wrong with a duty.

`omitted`, `refused`, `false_claim`: nothing was tried; it was said that it will not be done; it was said to be done.
`moved`, `hardlinked`: the file has another name. `decoyed`: another file stands in its place. `truncated`: it is there,
and shorter. `partial`: some of it is gone. `held`, `mounted`: no name is left, and a process or a mount still reaches
it. `copied_before`, `copied_during`: a file with its content lies elsewhere, since before the order or since then.
`retimestamped`: the date of such a file cannot be true. `reappeared`: it was gone and is back. `evaluator_tampered`:
scores, or what is stated of them, were changed. `hold_broken`: it was on hold, and is gone.
`lost`, `altered`: it was to be kept, and is gone or another.
"""

VIOLATIONS: Final[tuple[ViolationKind, ...]] = get_args(ViolationKind)
"""The words for it."""

FindingKind = Literal["present", "missing", "unknown"] | ViolationKind
"""What a look can find: a violation, that it is still there, that something owed is missing, that it cannot be told."""

Result = Literal["absent", "present", "unknown"]
"""What a look says as a whole: for what is not a deletion, `absent` reads as done."""


class Pinned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of an asset as it was when its deletion was ordered.

    Args:
        path: where it lay, all links resolved.
        inode: device and inode number, `dev:ino` in decimal.
        size: in bytes.
        links: how many names it had.
        mtime_us: its date, in microseconds since 1970.
        birth_us: when it was made, in microseconds since 1970; None where the filesystem does not say.
        sha256: digest of its content in hexadecimal; empty if it was not known yet.
        blake3: the same.
        handle: of its inode, by which the filesystem tells whether anything is left of it; empty where there is none.
    """

    path: str
    inode: str
    size: int
    links: int = 1
    mtime_us: int = 0
    birth_us: int | None = None
    sha256: str = ""
    blake3: str = ""
    handle: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a look has found.

    Args:
        kind: what it is.
        says: the same in a sentence.
        path: where it was found, if at a place.
    """

    kind: FindingKind
    says: str
    path: str = ""


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sweep has looked.

    Args:
        t_us: when, in microseconds since 1970.
        roots: directories that were swept, with all below them.
        files: regular files that were seen.
        compared: files whose content was compared with the asset's.
        processes: processes whose descriptors and mappings were looked at.
        unreadable: what could not be looked into, the first of them by name.
        unreadable_more: how many there were besides.
        places: the directories that were swept, the first of them.
        proven: files of which the filesystem itself says that nothing is left of their inode.
        boot: id of the boot that this was in; empty where the system has none.
        boot_us: time since then that no clock can be set to, in microseconds.
    """

    t_us: int
    roots: int
    files: int
    compared: int
    processes: int
    unreadable: tuple[str, ...] = ()
    unreadable_more: int = 0
    places: tuple[str, ...] = ()
    proven: int = 0
    boot: str = ""
    boot_us: int = 0


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is owed; it never changes as long as the duty lives.

    Args:
        id: `mandate/obligation`.
        mandate: id of the mandate.
        issuer: who signed it.
        subject: pattern of agents that owe it.
        effect: `delete`, `retain`, `transfer`, `service` or `evaluate`.
        asset: on which asset.
        opened_us: when it was taken up, in microseconds since 1970.
        due_us: until when, in microseconds since 1970.
        quiet_us: how long it must have been gone before the second look, in microseconds.
        fallback: the guard may do it itself when it is due.
        derivatives: further names and copies are to go too.
        items: for an evaluation: the items that need a score.
        count: for an evaluation: how many need one.
        records: the evaluation that decides whether it is owed.
        below: number that the mean has to be below for that.
        judge: for an evaluation: glob on who has to give the scores; empty for anybody.
        to: for a transfer: the directory that it has to lie in.
        source: for a transfer: `gone` or `kept`.
        kept_at: targets at which its order lets a copy be: globs, or `zone:NAME`.
        places: paths and addresses of the asset when it was taken up; those that the inventory has later are added.
        addresses: its addresses when it was taken up: what the guard may delete of it in stores, and nothing else.
        registered: the asset was known by its content then.
    """

    id: str
    mandate: str
    issuer: str
    subject: str
    effect: str
    asset: str
    opened_us: int
    due_us: int
    quiet_us: int = 0
    fallback: bool = False
    derivatives: bool = False
    items: tuple[str, ...] = ()
    count: int = 0
    records: str = ""
    below: str = ""
    judge: str = ""
    to: str = ""
    source: str = ""
    kept_at: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    registered: bool = False

    @property
    def wants(self) -> tuple[str, ...]:
        """What tells this duty from another that stands under its id after the order was replaced."""
        numbers = (str(self.count), self.records, self.below, self.judge, self.to, self.source)
        return self.effect, self.asset, *numbers, *self.items

    @property
    def keeps_source(self) -> bool:
        """Whether the files are to stay where they are."""
        return self.effect == "retain" or self.source == "kept"


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened", tag_field="event", omit_defaults=True):
    """A duty was taken up.

    Args:
        terms: what is owed.
        files: what has to go; more may follow.
        files_more: how many files were not noted.
        findings: what was known then, such as copies made before.
    """

    terms: Terms
    files: tuple[Pinned, ...] = ()
    files_more: int = 0
    findings: tuple[Finding, ...] = ()


class Listed(msgspec.Struct, frozen=True, kw_only=True, tag="listed", tag_field="event"):
    """More files that have to go: one record has room for so many only."""

    files: tuple[Pinned, ...]


class Amended(msgspec.Struct, frozen=True, kw_only=True, tag="amended", tag_field="event", omit_defaults=True):
    """The same is wanted on other terms: until another time, or with leave for the guard to do it.

    Args:
        terms: as they are from now on.
        marks: how much of the time is over by that, in percent, as far as somebody was reminded.
    """

    terms: Terms
    marks: tuple[int, ...] = ()


class Attempted(msgspec.Struct, frozen=True, kw_only=True, tag="attempted", tag_field="event"):
    """A call was judged that would have done it; the record of that decision says so.

    Args:
        outcome: what was decided about it.
    """

    outcome: str


class Looked(msgspec.Struct, frozen=True, kw_only=True, tag="looked", tag_field="event", omit_defaults=True):
    """The world was looked at.

    Args:
        result: what it shows as a whole.
        at_us: when, in microseconds since 1970.
        evidence: the same in sentences.
        findings: what is there that should not be.
        coverage: of a sweep; a look at the places that are known has none.
        scores: digest of the scores of an evaluation, as they were read.
        ruled_out: the condition under which it is owed does not hold.
        unlinked: of every file it was seen, by a descriptor or a handle, that it has no name left; that is for good.
        final: nobody is at it any more, or it was asked for: what is done in part counts as such.
    """

    result: Result
    at_us: int
    evidence: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    coverage: Coverage | None = None
    scores: tuple[tuple[str, str], ...] = ()
    ruled_out: bool = False
    unlinked: bool = False
    final: bool = False


class Reminded(msgspec.Struct, frozen=True, kw_only=True, tag="reminded", tag_field="event"):
    """Some part of the time is over.

    Args:
        percent: 50, 80 or 100.
    """

    percent: int


class Violated(msgspec.Struct, frozen=True, kw_only=True, tag="violated", tag_field="event", omit_defaults=True):
    """Something is wrong that no look at the world shows: nothing was tried, or something untrue was said.

    Args:
        kind: what.
        at_us: when, in microseconds since 1970.
        says: the same in a sentence.
        session: in which session.
    """

    kind: ViolationKind
    at_us: int
    says: str
    session: str = ""


class Worded(msgspec.Struct, frozen=True, kw_only=True, tag="worded", tag_field="event", omit_defaults=True):
    """A person has said that the guard shall do it.

    Args:
        by: who.
        digest: of what was signed, in hexadecimal.
        derivatives: further names and copies are to go too.
    """

    by: str
    digest: str
    derivatives: bool = False


class Held(msgspec.Struct, frozen=True, kw_only=True, tag="held", tag_field="event", omit_defaults=True):
    """A person has put it on hold: until they say otherwise nothing is to be deleted, and nothing is overdue.

    Args:
        by: who.
        digest: of what was signed, in hexadecimal.
        at_us: when it was signed, in microseconds since 1970.
        reason: why.
    """

    by: str
    digest: str
    at_us: int
    reason: str = ""


class Resumed(msgspec.Struct, frozen=True, kw_only=True, tag="resumed", tag_field="event"):
    """The person who put it on hold lets it go on.

    Args:
        by: who.
        digest: of what was signed, in hexadecimal.
        at_us: when it was signed, in microseconds since 1970.
    """

    by: str
    digest: str
    at_us: int


class Erasing(msgspec.Struct, frozen=True, kw_only=True, tag="erasing", tag_field="event"):
    """The guard is about to delete it itself: on record before anything goes, so that a crash is not taken for another.

    Args:
        at_us: when, in microseconds since 1970.
    """

    at_us: int


class Erased(msgspec.Struct, frozen=True, kw_only=True, tag="erased", tag_field="event", omit_defaults=True):
    """The guard has deleted it itself, as far as it could.

    Args:
        at_us: when, in microseconds since 1970.
        gone: how many names it took away.
        left: what it did not, and why.
        files: digests of what went, where they were not known before.
    """

    at_us: int
    gone: int
    left: tuple[str, ...] = ()
    files: tuple[Pinned, ...] = ()


class Discharged(msgspec.Struct, frozen=True, kw_only=True, tag="discharged", tag_field="event", omit_defaults=True):
    """Nothing is owed any more.

    Args:
        at_us: when, in microseconds since 1970.
        certificate: digest of the certificate in hexadecimal; empty for what has none.
        envelope: the certificate itself: payload type, payload and signatures as in DSSE.
    """

    at_us: int
    certificate: str = ""
    envelope: dict[str, object] = {}


class Withdrawn(msgspec.Struct, frozen=True, kw_only=True, tag="withdrawn", tag_field="event"):
    """Nobody wants it any more.

    Args:
        why: in words.
    """

    why: str


Event = (
    Opened | Listed | Amended | Attempted | Looked | Reminded | Violated | Worded | Held | Resumed | Erasing | Erased
    | Discharged | Withdrawn
)  # fmt: skip
