package guardrail.rules.assets.move_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.move

test_an_asset_that_is_moved_or_moved_over_is_hit if {
	every e in [
		fixture.toward("rename", fixture.weights, fixture.thing("/tmp/x", null)),
		fixture.toward("rename", null, fixture.thing("/srv/x", fixture.weights)),
	] {
		count(move.hits) == 1 with input as fixture.document([e], {})
	}
}

test_other_names_may_change if {
	e := fixture.toward("rename", null, fixture.thing("/tmp/x", null))
	count(move.hits) == 0 with input as fixture.document([e], {})
}
