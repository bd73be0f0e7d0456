"""What the verbs of cloud command lines do, by their first part, and which options are flags.

Not concerned with single operations that differ from what their verb says: `_api_facts` has those. Names are those of
the CLIs' own references, looked at in 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.model import Op

LOOKING: Final = frozenset(
    "list ls describe get head show view search lookup estimate test validate check simulate decode filter scan "
    "query detect wait info status print whoami history explain preview diff read tail config configure "
    "completion help version calculate count compare poll inspect browse discover retrieve peek log logs login "
    "logout auth sso select generate preflight verify ping available stats usage top whatis find summary "
    "summarize display query-all init use df ps images pods imagefsinfo events cves quickview recommendations "
    "activate-service-account print-access-token print-identity-token docker-login get-login stream".split()
)
"""First parts of verbs that change nothing behind the API."""


VERBS: Final[Mapping[str, Op]] = {
    **dict.fromkeys(
        "delete terminate purge deregister destroy drop rm del erase wipe empty prune expire undeploy uninstall "
        "unregister".split(),
        "api_delete",
    ),
    **dict.fromkeys(
        "copy cp clone duplicate replicate restore export import backup snapshot promote fork mirror transfer migrate "
        "failover archive recover".split(),
        "api_copy",
    ),
    **dict.fromkeys("share publish expose unpublish".split(), "api_visibility"),
    **dict.fromkeys(
        "start stop reboot restart suspend resume pause unpause hibernate kill poweroff".split(), "service"
    ),
    **dict.fromkeys("schedule".split(), "schedule"),
    **dict.fromkeys(
        "invoke execute exec ssh send-command start-session run-command attach-shell".split(), "remote_exec"
    ),
    **dict.fromkeys(
        "create run launch register allocate request submit provision deploy install issue mb make".split(), "create"
    ),
    **dict.fromkeys(
        "put update modify set add attach associate tag untag change apply edit patch replace upsert write insert "
        "upload enable disable lock unlock rotate move mv rename assign unassign remove detach disassociate revoke "
        "grant authorize accept reject cancel abort complete reset release renew batch bulk link unlink sync push "
        "resize scale expand extend upgrade downgrade rollback switch swap convert merge split commit notify send "
        "initiate begin end finalize close open subscribe unsubscribe allow deny cordon drain configure-lifecycle rb "
        "redrive refresh reload rebuild reimage reapply deallocate generalize failback increase decrease".split(),
        "write",
    ),
}
"""First part of a verb -> what it does to what the options name."""


COPIED: Final = frozenset("snapshot snapshots image replica backup clone copy".split())
"""Nouns of a `create-…` that make a copy of something there."""


FLAGS: Final = frozenset(
    "--quiet -q --yes -y --debug --verbose --force --recursive -r --dry-run --async --all --no-wait --wait --help -h "
    "--only-show-errors --no-paginate --no-verify-ssl --no-sign-request --no-cli-pager --version --json".split()
)
"""Options without a value, of the command lines whose options are not all known."""
