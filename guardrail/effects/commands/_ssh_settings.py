"""Settings that `ssh -o` and its kin are given: which of them run nothing and write nothing.

Not concerned with config files, which may hold any setting.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.effects.domain._values import Field

_PLAIN: Final = frozenset(
    "addressfamily batchmode bindaddress bindinterface canonicalizehostname checkhostip ciphers compression "
    "connectionattempts connecttimeout escapechar exitonforwardfailure fingerprinthash forwardagent forwardx11 "
    "gatewayports globalknownhostsfile gssapiauthentication hashknownhosts hostkeyalgorithms hostkeyalias hostname "
    "identitiesonly identityfile ipqos kbdinteractiveauthentication kexalgorithms loglevel macs "
    "numberofpasswordprompts passwordauthentication port preferredauthentications pubkeyacceptedalgorithms "
    "pubkeyauthentication requesttty serveralivecountmax serveraliveinterval stricthostkeychecking tcpkeepalive "
    "updatehostkeys user verifyhostkeydns visualhostkey".split()
)


def plain_setting(field: Field) -> bool:
    """Whether the value of `-o` is a setting that only says how to connect."""
    match = re.match(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)", field.text)
    if match is None or field.many:
        return False
    name = match[1].lower()
    # Keys of hosts are added to that file.
    return name in _PLAIN or (name == "userknownhostsfile" and field.text[match.end() :].strip() == "/dev/null")
