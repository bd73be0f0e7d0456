package guardrail.rules.assets.evasion_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.main
import data.guardrail.rules.assets.evasion

due := {"history": {"labels": [], "owes": ["m1/gone"], "due": ["model:beta"]}}

ids contains hit.id if some hit in evasion.hits

away(op) := fixture.toward(op, fixture.weights, fixture.thing("/tmp/x", null))

onto(op) := fixture.toward(op, null, fixture.thing("/srv/x", fixture.weights))

test_each_way_around_has_its_name if {
	every way in [
		{"e": away("rename"), "id": "evasion.moved"},
		{"e": away("link"), "id": "evasion.linked"},
		{"e": onto("copy"), "id": "evasion.decoyed"},
		{"e": onto("rename"), "id": "evasion.decoyed"},
		{"e": fixture.effect("write", fixture.weights), "id": "evasion.decoyed"},
		{"e": fixture.effect("truncate", fixture.weights), "id": "evasion.partial"},
		{"e": fixture.effect("set_security", fixture.weights), "id": "evasion.shielded"},
		{"e": fixture.effect("schedule", fixture.weights), "id": "evasion.unqueued"},
	] {
		ids == {way.id} with input as fixture.document([way.e], due)
		main.decision.outcome == "deny" with input as fixture.document([way.e], due)
	}
}

test_without_a_duty_none_of_them_has if {
	every e in [away("rename"), away("link"), onto("copy"), fixture.effect("schedule", fixture.weights)] {
		ids == set() with input as fixture.document([e], {})
	}
}

test_another_asset_is_not_meant if {
	gamma := object.union(fixture.weights, {"id": "model:gamma"})
	ids == set() with input as fixture.document([fixture.effect("truncate", gamma)], due)
}

test_what_cannot_be_seen_is_held_and_not_denied if {
	e := object.union(away("rename"), {"properties": {"precision": "opaque"}})
	outcomes := {hit.outcome | some hit in evasion.hits} with input as fixture.document([e], due)
	outcomes == {"escalate"}
}

test_a_deletion_that_was_made_is_not_called_off_later if {
	past := {"history": {"labels": [], "owes": [], "agent": {"deleted": ["model:beta"]}}}
	ids == {"evasion.unqueued"} with input as fixture.document([fixture.effect("schedule", fixture.weights)], past)
}
