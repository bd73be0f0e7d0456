package guardrail.rules.assets.guard_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.guard

test_every_change_is_tampering_even_under_a_mandate if {
	every op in ["write", "delete", "rename", "copy", "set_times", "set_key", "signal"] {
		grant := {"effects": [op], "assets": ["**"], "targets": ["**"], "approval": false}
		context := {"mandates": [fixture.mandate(grant)]}
		e := fixture.toward(op, fixture.guard, fixture.thing("/tmp/x", null))
		guard.hits == {{"id": "guard.tampering", "outcome": "deny", "i": 0, "asset": "guard:trail"}} with input as fixture.document([e], context)
	}
}

test_reading_is_not_tampering if {
	count(guard.hits) == 0 with input as fixture.document([fixture.effect("read", fixture.guard)], {})
}

test_a_clean_up_above_the_guard_is_a_question if {
	below := {"resource": {"properties": {"recursive": true}}}
	whole := object.union(fixture.effect("delete", fixture.guard), below)
	{hit.outcome | some hit in guard.hits} == {"deny"} with input as fixture.document([whole], {})
	some_of_it := object.union(whole, {"properties": {"precision": "opaque"}})
	{hit.outcome | some hit in guard.hits} == {"escalate"} with input as fixture.document([some_of_it], {})
}

test_a_search_of_a_tree_that_prints_any_line_is_a_question if {
	key := {"id": "guardrail:key", "class": "guard"}
	tree := {"resource": {"properties": {"recursive": true}}, "properties": {"attrs": {"reveals": "some"}}}
	wide := object.union(fixture.effect("read", key), tree)
	{hit.outcome | some hit in guard.hits} == {"escalate"} with input as fixture.document([wide], {})
	sought := object.union(wide, {"properties": {"attrs": {"sought": true}}})
	count(guard.hits) == 0 with input as fixture.document([sought], {})
}
