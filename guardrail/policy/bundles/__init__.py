"""Policy bundles as OPA distributes them: fetched, unpacked, verified, and never taken up if they are older."""

from __future__ import annotations
