package guardrail.rules.assets.placement_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.placement

bound := object.union(fixture.weights, {"zones": ["prod", "backup"]})

to(zones) := fixture.toward("copy", bound, object.union(fixture.thing("/b/x", null), {"properties": {"zones": zones}}))

test_one_zone_in_common_is_enough if {
	count(placement.hits) == 0 with input as fixture.document([to(["other", "backup"])], {})
}

test_another_zone_and_none_are_outside if {
	every e in [to(["other"]), to([]), fixture.toward("copy", bound, fixture.thing("/b/x", null)), fixture.effect("rename", bound)] {
		count(placement.hits) == 1 with input as fixture.document([e], {})
	}
}

test_an_asset_that_names_no_zone_is_bound_to_none if {
	e := fixture.toward("copy", fixture.weights, fixture.thing("/b/x", null))
	count(placement.hits) == 0 with input as fixture.document([e], {})
}

test_reading_and_deleting_bring_nothing_anywhere if {
	every op in ["read", "delete", "write"] {
		count(placement.hits) == 0 with input as fixture.document([fixture.effect(op, bound)], {})
	}
}
