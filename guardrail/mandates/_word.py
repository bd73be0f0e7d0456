"""A person's word on what an order obliges to: that the guard itself shall delete it, that it waits, or goes on.

It is signed like a mandate, and about one obligation on one asset: it can add nothing to what was ordered, except that
further names and copies of the same thing go too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, get_args

import msgspec

from guardrail.canonical import canonical
from guardrail.errors import ConfigError
from guardrail.mandates._mandate import MANDATE_ID, Moment
from guardrail.mandates._signing import seal, unseal
from guardrail.model import MAX_NAME_CHARS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

WORD_TYPE: Final = "application/vnd.guardrail.discharge.v1+json"

Says = Literal["discharge", "hold", "resume"]
"""What a word can say."""

ENDINGS: Final[Mapping[Says, str]] = {says: f".{says}.json" for says in get_args(Says)}
"""How the name of a file with such a word ends, beside the mandates."""

WORDS: Final = tuple(ENDINGS.values())
"""All of them."""

MAX_REASON_CHARS: Final = 1024
"""Longest reason, in characters."""

MAX_WORD_BYTES: Final = 16 * 1024
"""Largest word, in bytes."""


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a person says.

    Args:
        obligation: `mandate/obligation`.
        asset: id of the asset that is to go; if the obligation is about another one, the word does not count.
        by: name of the `[[person]]` who signs this.
        at: when it was signed.
        v: version of this format.
        derivatives: further names and copies are to go too.
        says: `discharge`: the guard shall delete it; `hold`: nothing is to be deleted until the same person says
            `resume`.
        reason: why, for people.
    """

    obligation: str
    asset: str
    by: str
    at: Moment
    v: Literal[1] = 1
    derivatives: bool = False
    says: Says = "discharge"
    reason: str = ""

    def to_json(self) -> bytes:
        """Canonical JSON: what is signed."""
        return canonical(msgspec.to_builtins(self))


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A word whose signature holds.

    Args:
        word: what was signed.
        digest: SHA-256 of the file, in hexadecimal.
    """

    word: Word
    digest: str


def give_word(word: Word, private_key: Ed25519PrivateKey) -> bytes:
    """Put a word into a signed envelope.

    Args:
        word: what is said.
        private_key: the own Ed25519 key of whom it names in `by`.

    Returns:
        The content of a file beside the mandates; `ENDINGS` says how its name ends.

    Raises:
        ConfigError: if it is impossible.
    """
    _check(word)
    return seal(WORD_TYPE, word.to_json(), private_key)


def open_word(data: bytes, people: Mapping[str, bytes]) -> Given:
    """The word in an envelope, after its signature was checked.

    Args:
        data: content of the file.
        people: public keys by the name of who owns them.

    Raises:
        ConfigError: if it is malformed, or not signed by the person it names.
    """
    sealed = unseal(data, WORD_TYPE, most=MAX_WORD_BYTES, what="word")
    word = sealed.read(_decoder, "word")
    _check(word)
    sealed.check(word.by, "signer", people)
    return Given(word=word, digest=hashlib.sha256(data).hexdigest())


def _check(word: Word) -> None:
    mandate, _, duty = word.obligation.partition("/")
    if not MANDATE_ID.fullmatch(mandate) or not MANDATE_ID.fullmatch(duty):
        raise ConfigError("not a word: `obligation` must be `mandate/obligation`")
    if not word.asset or not 0 < len(word.by) <= MAX_NAME_CHARS:
        raise ConfigError("not a word: it needs an `asset` and who says it")
    if len(word.reason) > MAX_REASON_CHARS:
        raise ConfigError(f"not a word: `reason` may have at most {MAX_REASON_CHARS} characters")
    if word.derivatives and word.says != "discharge":
        raise ConfigError("not a word: `derivatives` belongs to `discharge`")


_decoder: Final = msgspec.json.Decoder(Word)
