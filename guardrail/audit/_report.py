"""What the verifier found."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is not as it was written.

    Args:
        what: what is wrong.
        file: name of the file, or empty when it is about the trail as a whole.
        offset: where in that file it begins, in bytes.
        seq: the record it is about.
    """

    what: str
    file: str = ""
    offset: int | None = None
    seq: int | None = None

    def __str__(self) -> str:
        where = [f"record {self.seq}"] if self.seq is not None else []
        where += [self.file] if self.file else []
        where += [f"byte {self.offset}"] if self.offset is not None else []
        return f"{', '.join(where) or 'trail'}: {self.what}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of verifying one trail.

    Args:
        directory: the trail.
        origin: name of the ledger, as its key says.
        deep: every leaf was parsed and checked for canonical form, and intents were paired with results.
        live: a process had the trail open for writing.
        records: number of whole records found.
        signed: number of records under the last good checkpoint; those after it are not proven.
        root: Merkle root over the records, in hexadecimal, if all of them could be read.
        checkpoints: number of good signed checkpoints.
        segments: number of segment files.
        size: total size of the segment files, in bytes.
        seconds: how long it took, in seconds.
        key: the verifier key that was used.
        key_source: where it came from; a key from the trail itself proves only that the trail agrees with itself.
        keys: the keys that were trusted, that one first, in the order in which they followed each other.
        witnessed: number of records under the last checkpoint that enough of the given witnesses have cosigned.
        witnesses: for each of them the records it has seen, and when, in seconds since the epoch.
        pruned: what was pruned: `minimum`, the first record that is left, `record`, its order, and `by`, who signed it.
        holds: names of the legal holds in force.
        redactions: number of disclosures that were redacted.
        disclosures: number of disclosures that can be opened and fit their records; 0 if not deep.
        disclosures_missing: number of those that are gone without a redaction.
        unfinished: number of intents without a result: released to a caller that reports none, or cut off.
        signatures: number of signatures of people, on votes and the like, that were verified; 0 if not deep.
        signatures_unchecked: number of those that no key was given for.
        signed_in: number of votes by ID token, of which the trail keeps the claims and not the proof.
        unsigned_votes: number of votes that nobody signed.
        problems: what was found, at most `limit` of them, in the order of the trail.
        more: how many further problems are not listed.
    """

    directory: str
    origin: str
    deep: bool
    live: bool
    records: int
    signed: int
    root: str
    checkpoints: int
    segments: int
    size: int
    seconds: float
    key: str
    key_source: Literal["given", "trail", "none"]
    keys: tuple[str, ...]
    witnessed: int
    witnesses: tuple[tuple[str, int, int], ...]
    pruned: dict[str, Any] | None
    holds: tuple[str, ...]
    redactions: int
    disclosures: int
    disclosures_missing: int
    unfinished: int
    signatures: int
    signatures_unchecked: int
    signed_in: int
    unsigned_votes: int
    problems: tuple[Problem, ...]
    more: int

    @property
    def unsigned(self) -> int:
        """Number of records after the last good checkpoint, which are not proven; those that were pruned come first."""
        pruned: int = self.pruned["minimum"] if self.pruned else 0
        return max(0, pruned + self.records - self.signed)

    @property
    def ok(self) -> bool:
        """Whether everything that could be checked holds."""
        return not self.problems

    def __bool__(self) -> bool:
        # INVARIANT: a report is true only if nothing at all was found.
        return self.ok

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {"ok": self.ok, **dataclasses.asdict(self)}
