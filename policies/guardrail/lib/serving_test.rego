package guardrail.lib.serving_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.lib.serving

held := {"mode": "strict", "required": true, "lacking": [], "connect": [], "write": [], "serving": ["model:beta"]}

away := object.union(fixture.thing("net:*", null), {"type": "net"})

copy := fixture.toward("copy", fixture.weights, away)

under(enforcement) := fixture.document([copy], {"enforcement": enforcement})

test_a_copy_by_a_fixed_program_is_a_look if {
	serving.reads[0] == "model:beta" with input as under(held)
	serving.reads[0] == "model:beta" with input as under(object.union(held, {"mode": "default"}))
	serving.reads[0] == "model:beta" with input as under(object.union(held, {"lacking": ["copies"]}))
}

test_nobody_else_is_a_reader if {
	not serving.reads[0] == "model:beta" with input as fixture.document([copy], {})
	not serving.reads[0] == "model:beta" with input as fixture.document([copy], {"enforcement": null})
	not serving.reads[0] == "model:beta" with input as under(object.union(held, {"serving": []}))
	not serving.reads[0] == "model:beta" with input as under(object.union(held, {"serving": ["model:gamma"]}))
}

test_every_part_of_what_holds_it_is_needed if {
	every less in [{"mode": "floor"}, {"lacking": ["landlock"]}, {"connect": [443]}, {"write": ["/w"]}] {
		not serving.reads[0] == "model:beta" with input as under(object.union(held, less))
	}
	every part in ["mode", "lacking", "connect", "write", "serving"] {
		not serving.reads[0] == "model:beta" with input as under(object.remove(held, [part]))
	}
}

test_a_copy_over_another_asset_is_judged_as_ever if {
	over := fixture.toward("copy", fixture.weights, fixture.thing("/srv/control", fixture.control))
	not serving.reads[0] with input as fixture.document([over], {"enforcement": held})
}

test_what_changes_the_asset_is_judged_as_ever if {
	every op in ["delete", "write", "rename", "set_times"] {
		e := fixture.effect(op, fixture.weights)
		not serving.reads[0] with input as fixture.document([e], {"enforcement": held})
	}
}
