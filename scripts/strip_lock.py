"""Take addresses out of an npm lock file: whom to pay is no part of a pin, and hashes say what is installed.

python scripts/strip_lock.py requirements/mcp-servers/package-lock.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(path: Path) -> int:
    """Write the file without them; 1 if an address is left."""
    lock = json.loads(path.read_text(encoding="utf-8"))
    for package in lock["packages"].values():
        package.pop("funding", None)
        package.pop("resolved", None)
    text = json.dumps(lock, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
    return int("://" in text)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
