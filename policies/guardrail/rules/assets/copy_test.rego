package guardrail.rules.assets.copy_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.copy

to_tmp(op) := fixture.toward(op, fixture.weights, fixture.thing("/tmp/x", null))

test_every_kind_of_copy_is_denied if {
	every op in ["copy", "link", "net_send", "api_copy"] {
		copy.hits == {{"id": "copy.unsanctioned", "outcome": "deny", "i": 0, "asset": "model:beta"}} with input as fixture.document([to_tmp(op)], {})
	}
}

test_an_opaque_copy_is_held if {
	e := object.union(to_tmp("copy"), {"properties": {"precision": "opaque"}})
	some hit in copy.hits with input as fixture.document([e], {})
	hit.outcome == "escalate"
}

test_no_copy_no_hit if {
	count(copy.hits) == 0 with input as fixture.document([fixture.effect("read", fixture.weights)], {})
}
