"""The trail in PostgreSQL: one ledger that several replicas write at once, with the same records and the same proofs.

Not concerned with how records are made or checked, which is the same for every store. Needs `psycopg`.
"""

from __future__ import annotations

from guardrail.audit.postgres._beside import Disclosed
from guardrail.audit.postgres._keeping import add_key, prune_rows, retire_key
from guardrail.audit.postgres._opening import examine, migrate_store
from guardrail.audit.postgres._reading import Reader
from guardrail.audit.postgres._server import Limits, Server, place
from guardrail.audit.postgres._trail import PostgresTrail
from guardrail.audit.postgres._verify import read_rows

__all__ = [
    "Disclosed",
    "Limits",
    "PostgresTrail",
    "Reader",
    "Server",
    "add_key",
    "examine",
    "migrate_store",
    "place",
    "prune_rows",
    "read_rows",
    "retire_key",
]
