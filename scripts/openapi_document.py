"""Write the OpenAPI document of the service as it is without reviewers, from which the TypeScript client is generated.

python scripts/openapi_document.py adapters/typescript/openapi.json
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from guardrail import Guard
from guardrail.service import create_app

CONFIG = '[trail]\ndirectory = "trail"\n[[asset]]\nid = "model:a"\nclass = "weights"\npaths = ["models"]\n'


def document() -> str:
    """The document as JSON, the same for every configuration."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "guardrail.toml")
        config.write_text(CONFIG, encoding="utf-8")
        with Guard.open(str(config)) as guard:
            found = create_app(guard, insecure_no_token=True).api.openapi()
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
