"""The trail in PostgreSQL: one ledger that several replicas write at once, with the same records and the same proofs.

Not concerned with how records are made or checked, which is the same for every store. Needs `psycopg`.
"""

from __future__ import annotations

from guardrail.audit.postgres._opening import examine, migrate_store
from guardrail.audit.postgres._trail import PostgresTrail
from guardrail.audit.postgres._verify import read_rows

__all__ = ["PostgresTrail", "examine", "migrate_store", "read_rows"]
