"""Cut the facts that an export needs out of a published OCSF schema, and put them where the export reads them.

    python scripts/ocsf_facts.py SCHEMA.json [-o FILE] [--check]

SCHEMA.json is the compiled schema of one release, as the OCSF schema server exports it (`/export/schema`) and as the
package `ocsf-json-schema` carries it (`ocsf_json_schema/ocsf/1.8.0.json`); its sources are `ocsf/ocsf-schema`.
Taken are numbers and names of classes, their attributes with type, requirement and profile, the numbers of their
enumerations, constraints, and the base and bounds of types. No descriptions and no captions are taken.
With `--check` nothing is written; exit 1 says that the file is not what this schema gives.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "guardrail/audit/export/ocsf-facts.json"

SOURCE = "ocsf/ocsf-schema, release 1.8.0 of 2026-03-16, as exported by its schema server; the digest is of that export"
CHECKED = "2026-11-30"

CLASSES = (
    "base_event", "file_activity", "process_activity", "network_activity", "api_activity", "application_lifecycle",
    "entity_management", "detection_finding", "compliance_finding", "file_remediation_activity",
)  # fmt: skip
"""The classes that records become."""

OBJECTS = (
    "actor", "agent", "ai_model", "api", "application", "authorization", "compliance", "device", "enrichment", "file",
    "finding_info", "fingerprint", "group", "managed_entity", "metadata", "network_endpoint", "observable", "policy",
    "process", "process_entity", "product", "request", "response", "rule", "service", "session", "trace", "user",
)  # fmt: skip
"""The objects in them; an event that uses another one is refused, because nothing is known of it here."""


def facts(data: bytes) -> dict[str, Any]:
    """What is kept of a schema."""
    schema = json.loads(data)
    types = schema["dictionary"]["types"]["attributes"]
    return {
        "source": SOURCE,
        "checked": CHECKED,
        "sha256": hashlib.sha256(data).hexdigest(),
        "version": schema["version"],
        "types": {
            name: {key: value[key] for key in ("type", "max_len", "range") if key in value}
            for name, value in sorted(types.items())
        },
        "classes": {
            str(schema["classes"][name]["uid"]): {
                "name": name,
                "category": schema["classes"][name].get("category_uid", 0),
                "profiles": schema["classes"][name].get("profiles", []),
                **_members(schema["classes"][name]),
            }
            for name in CLASSES
        },
        "objects": {name: _members(schema["objects"][name]) for name in OBJECTS if name in schema["objects"]},
    }


def _members(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "attributes": {name: _attribute(item) for name, item in sorted(value["attributes"].items())}
    }
    if value.get("constraints"):
        found["constraints"] = value["constraints"]
    return found


def _attribute(item: dict[str, Any]) -> dict[str, Any]:
    found = {"type": item.get("object_type") or item["type"], "requirement": item.get("requirement", "optional")}
    if item.get("object_type"):
        found["object"] = True
    if item.get("is_array"):
        found["array"] = True
    if item.get("profiles"):
        found["profiles"] = sorted(item["profiles"])
    if item.get("enum"):
        found["enum"] = sorted(item["enum"], key=lambda key: (len(key), key))
    return found


def main() -> int:
    """Write the facts, or compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("schema", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    args = parser.parse_args()
    found = facts(args.schema.read_bytes())
    text = _lines(found)
    if args.check:
        same = args.output.read_text("utf-8") == text
        print("as published" if same else f"{args.output} is not what {args.schema} gives")
        return 0 if same else 1
    args.output.write_text(text, "utf-8")
    print(f"{args.output}: OCSF {found['version']}, {len(found['classes'])} classes, {len(found['objects'])} objects")
    return 0


def _lines(value: dict[str, Any]) -> str:
    """JSON with one line for each attribute, so that a difference can be read."""
    out = ["{"]
    for name, part in value.items():
        if name in ("classes", "objects"):
            out.append(f' "{name}": {{')
            for key, item in part.items():
                rest = {k: v for k, v in item.items() if k != "attributes"}
                head = json.dumps(rest, sort_keys=True)[1:-1]
                out.append(f'  "{key}": {{{head}{", " if head else ""}"attributes": {{')
                members = [f'   "{k}": {json.dumps(v, sort_keys=True)}' for k, v in item["attributes"].items()]
                out += [f"{member}," for member in members[:-1]] + [members[-1], "  }},"]
            out[-1] = "  }}"
            out.append(" }," if name == "classes" else " }")
        else:
            out.append(f' "{name}": {json.dumps(part, sort_keys=True)},')
    return "\n".join([*out, "}"]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
