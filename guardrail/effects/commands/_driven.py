"""Commands that a file tells what to do: what it names is mentioned, or copied to where the words say.

Not concerned with files that programs read for themselves, such as those in a home directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import Stream


def driven(call: Call, parsed: Parsed) -> Stream:
    """A program whose work is in its configuration: it is opaque, and what that names is mentioned."""
    call.opaque("program", reason=f"{call.name} does what a file says", words=())
    return apply_spec(call, parsed)


FAMILIES: Final[Mapping[str, Family]] = {"driven": driven}
"""What `code` of a spec may say, for this module."""
