package guardrail.rules.assets.lifecycle_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.lifecycle

test_stopping_or_scheduling_an_asset_is_denied if {
	every op in ["signal", "service", "schedule"] {
		count(lifecycle.hits) == 1 with input as fixture.document([fixture.effect(op, fixture.weights)], {})
		count(lifecycle.hits) == 0 with input as fixture.document([fixture.effect(op, null)], {})
	}
}
