# METADATA
# title: Documents for the tests of rules
# description: Only tests use this, so it is left out of every build.
package guardrail.lib.fixture_test

weights := {"id": "model:beta", "class": "weights", "model": null, "owner": null, "registered": null}

guard := object.union(weights, {"id": "guard:trail", "class": "guard"})

control := object.union(weights, {"id": "control:shutdown", "class": "control"})

thing(id, asset) := {
	"type": "file",
	"id": id,
	"properties": {"asset": asset, "pattern": false, "recursive": false},
}

effect(op, asset) := {
	"action": {"name": op},
	"resource": thing("/srv/x", asset),
	"properties": {"target": null, "precision": "exact", "modality": "must", "attrs": {}, "flow": []},
}

toward(op, asset, target) := object.union(effect(op, asset), {"properties": {"target": target}})

with_attrs(e, attrs) := object.union(e, {"properties": {"attrs": attrs}})

mandate(grant) := {"id": "m1", "issuer": "dana", "grants": [grant]}

# Everything else in `context` may be overridden.
document(effects, context) := {
	"subject": {"type": "agent", "id": "a", "properties": {"model": null, "principal": null}},
	"context": object.union(
		{
			"time_us": 1,
			"session": "s",
			"tool": "bash",
			"history": {"labels": [], "owes": [], "authored": false},
			"mandates": [],
			"grant": null,
		},
		context,
	),
	"evaluations": effects,
}

leave(shown) := {"grant": {"id": "g1", "approver": "dana", "shown": shown}}

ids(decision) := {hit.id | some hit in decision.hits}
