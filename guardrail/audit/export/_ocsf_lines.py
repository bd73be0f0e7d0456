"""OCSF events, one JSON object a line."""

from __future__ import annotations

from typing import BinaryIO

import orjson

from guardrail.audit.export._ocsf import events
from guardrail.audit.export._schema import problems
from guardrail.audit.reading._search import Hit
from guardrail.errors import TrailError


class OcsfLines:
    """One line an event.

    Args:
        stream: where they go.
        check: hold every event against the schema first.
    """

    def __init__(self, stream: BinaryIO, *, check: bool) -> None:
        self._stream = stream
        self._check = check

    def take(self, hit: Hit) -> int:
        """Write the events of one record.

        Raises:
            TrailError: if one is not what the schema says.
        """
        count = 0
        for event in events(hit):
            found = problems(event) if self._check else []
            if found:
                raise TrailError(
                    f"record {hit[0].seq} does not become an OCSF event: {found[0]}: report this as a fault"
                )
            self._stream.write(orjson.dumps(event) + b"\n")
            count += 1
        return count

    def close(self) -> None:
        """Write what is left."""
        self._stream.flush()
