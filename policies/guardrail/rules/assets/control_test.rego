package guardrail.rules.assets.control_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.control

set(attrs) := fixture.document([fixture.with_attrs(fixture.effect("set_key", fixture.control), attrs)], {})

test_the_safe_value_may_be_set if {
	count(control.hits) == 0 with input as set({"control": true, "safe": true, "after": true})
}

test_a_key_that_controls_nothing_may_be_set if {
	count(control.hits) == 0 with input as set({"control": false, "after": 1})
}

test_anything_else_is_a_weakening if {
	every attrs in [
		{"control": true, "safe": true, "after": false},
		{"control": true, "safe": true, "after": "true"},
		{"control": true, "safe": true, "after": 1},
		{"control": true, "safe": true},
		{"control": true, "after": true},
		{"safe": true, "after": true},
		{},
	] {
		count(control.hits) == 1 with input as set(attrs)
	}
}

test_a_mandate_for_the_key_sanctions_it if {
	grant := {"effects": ["set_key"], "assets": ["control:shutdown"], "targets": [], "approval": false}
	document := object.union(
		set({"control": true, "safe": true, "after": false}),
		{"context": {"mandates": [fixture.mandate(grant)]}},
	)
	count(control.hits) == 0 with input as document
}

test_a_strengthening_needs_no_order if {
	every direction in ["strengthens", "same"] {
		attrs := {"control": true, "weakens": "up", "direction": direction, "before": 30, "after": 10}
		count(control.hits) == 0 with input as set(attrs)
	}
}

test_a_change_of_unknown_direction_is_a_question if {
	hits := control.hits with input as set({"control": true, "weakens": "up", "direction": "unknown", "after": "often"})
	{hit.id | some hit in hits} == {"control.unclear"}
}

test_a_direction_that_is_none_is_a_weakening if {
	every direction in ["weakens", "sideways", null, 1] {
		hits := control.hits with input as set({"control": true, "direction": direction})
		{hit.id | some hit in hits} == {"control.weakened"}
	}
}
