"""The memories of those who acted last; the others are loaded again when they act.

Not concerned with what is remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """So many of them; the longest unused is dropped first.

    Args:
        most: how many are kept.
        load: gives what is known of a name that is not here; None if nothing is.
        save: writes down what would be lost of one that is dropped.
    """

    def __init__(self, most: int, load: Callable[[str], T | None], save: Callable[[str, T], None]) -> None:
        self._most = most
        self._load = load
        self._save = save
        self._known: OrderedDict[str, T] = OrderedDict()

    def find(self, name: str) -> T | None:
        """What is known of a name; None if nothing is."""
        known = self._known.get(name)
        if known is None and (loaded := self._load(name)) is not None:
            known = self._put(name, loaded)
        return known

    def get(self, name: str, make: Callable[[], T]) -> T:
        """What is known of a name, which is used now; something new if nothing is.

        Args:
            name: whose.
            make: makes something new.
        """
        known = self.find(name)
        if known is None:
            return self._put(name, make())
        self._known.move_to_end(name)
        return known

    def drop(self, name: str) -> None:
        """Forget what is here of a name, so that it is loaded again."""
        self._known.pop(name, None)

    def clear(self) -> None:
        """Forget all that is here."""
        self._known.clear()

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return iter(tuple(self._known.items()))

    def _put(self, name: str, made: T) -> T:
        self._known[name] = made
        while len(self._known) > self._most:
            oldest, memory = next(iter(self._known.items()))
            self._save(oldest, memory)
            self._known.pop(oldest, None)
        return made
