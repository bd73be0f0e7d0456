package guardrail.lib.held_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.lib.held

confined := {"mode": "strict", "required": true, "lacking": [], "connect": []}

opaque := fixture.with_attrs(fixture.effect("exec_opaque", null), {"code": "inline"})

under(enforcement) := fixture.document([opaque], {"enforcement": enforcement})

test_what_is_held_whole_may_rest if {
	held.rests("opaque.code") with input as under(confined)
	held.rests("opaque.code") with input as under(object.union(confined, {"mode": "default"}))
	held.rests("opaque.code") with input as under(object.union(confined, {"required": false}))
}

test_nothing_rests_where_nobody_vouches_for_anything if {
	not held.rests("opaque.code") with input as fixture.document([opaque], {})
	not held.rests("opaque.code") with input as fixture.document([opaque], {"enforcement": null})
	not held.rests("opaque.code") with input as under({})
}

test_every_part_of_it_is_needed if {
	every less in [{"mode": "floor"}, {"mode": "off"}, {"mode": "novel"}, {"connect": [443]}] {
		not held.rests("opaque.code") with input as under(object.union(confined, less))
	}
	every part in ["mode", "connect"] {
		not held.rests("opaque.code") with input as under(object.remove(confined, [part]))
	}
	best_effort := object.union(confined, {"required": false, "lacking": ["landlock"]})
	not held.rests("opaque.code") with input as under(best_effort)
	not held.rests("opaque.code") with input as under(object.remove(best_effort, ["lacking"]))
}

test_only_the_rules_that_are_named_rest if {
	not held.rests("opaque.names_asset") with input as under(confined)
	not held.rests("delete.unsanctioned") with input as under(confined)
}

test_a_call_that_bears_on_an_asset_is_judged_as_ever if {
	e := fixture.effect("read", fixture.weights)
	not held.rests("opaque.code") with input as fixture.document([opaque, e], {"enforcement": confined})
}

test_an_agent_that_went_for_an_asset_unseen_is_asked_about if {
	history := {"unpredicted": ["model:beta"]}
	not held.rests("opaque.code") with input as fixture.document([opaque], {"enforcement": confined, "history": history})
}

test_a_port_that_the_settings_name_is_no_way_out if {
	open := under(object.union(confined, {"connect": [8443]}))
	held.rests("opaque.code") with input as open with data.guardrail.settings.confined.ports as [8443]
}
