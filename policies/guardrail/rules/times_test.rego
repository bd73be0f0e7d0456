package guardrail.rules.times_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.times

test_a_forged_time_is_denied if {
	count(times.hits) == 1 with input as fixture.document([fixture.effect("set_times", fixture.weights)], {})
}

test_other_times_may_be_set if {
	count(times.hits) == 0 with input as fixture.document([fixture.effect("set_times", null)], {})
}
