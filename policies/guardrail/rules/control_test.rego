package guardrail.rules.control_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.control

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
