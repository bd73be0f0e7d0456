package guardrail.rules.assets.times_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.times

test_a_forged_time_is_denied if {
	count(times.hits) == 1 with input as fixture.document([fixture.effect("set_times", fixture.weights)], {})
}

test_other_times_may_be_set if {
	count(times.hits) == 0 with input as fixture.document([fixture.effect("set_times", null)], {})
}

test_a_date_that_cannot_be_true_holds_what_an_order_covers if {
	moved := fixture.toward("copy", fixture.weights, fixture.thing("/dr/x", null))
	grant := {"effects": ["copy"], "assets": ["model:*"], "targets": ["/dr/*"], "approval": false}
	order := {"mandates": [fixture.mandate(grant)]}
	count(times.hits) == 0 with input as fixture.document([moved], order)
	forged := fixture.with_attrs(moved, {"forged_time": "before_birth"})
	hits := times.hits with input as fixture.document([forged], order)
	{hit.id | some hit in hits} == {"times.forged"}
}
