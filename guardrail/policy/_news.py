"""What happens to a policy while it is in use."""

from __future__ import annotations

from typing import Literal

import msgspec


class PolicyNews(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to the policy in force.

    Args:
        event: `policy` for a new bundle in force, `policy_refused` for one that is not taken up.
        revision: the revision in force now.
        source: where the bundle came from.
        why: what is wrong with the one refused.
    """

    event: Literal["policy", "policy_refused"]
    revision: str
    source: str
    why: str = ""
