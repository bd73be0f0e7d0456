package guardrail.lib.acts_test

import data.guardrail.lib.acts
import data.guardrail.lib.fixture_test as fixture

several := fixture.document(
	[
		fixture.effect("list", null),
		fixture.effect("write", fixture.weights),
		fixture.toward("copy", null, fixture.thing("/tmp/x", fixture.control)),
		fixture.effect("list", null),
	],
	{},
)

unknown := fixture.document([fixture.effect("teleport", null)], {})

test_every_effect_is_in_its_family_under_its_number if {
	object.keys(acts.of.inspect) == {0, 3} with input as several
	object.keys(acts.of.edit) == {1} with input as several
	object.keys(acts.of.copy) == {2} with input as several
	count(acts.of) == 3 with input as several
}

test_what_only_looks_does_not_act if {
	object.keys(acts.acting) == {1, 2} with input as several
}

test_an_asset_counts_on_either_side if {
	object.keys(acts.placed) == {1, 2} with input as several
}

test_an_operation_that_is_not_known_is_in_no_family if {
	count(acts.of) == 0 with input as unknown
	count(acts.acting) == 0 with input as unknown
}
