package guardrail.lib.acts_test

import data.guardrail.lib.acts
import data.guardrail.lib.fixture_test as fixture

looked := fixture.effect("list", null)

written := fixture.effect("write", fixture.weights)

copied := fixture.toward("copy", null, fixture.thing("/tmp/x", fixture.control))

several := fixture.document([looked, written, copied, looked], {})

test_every_effect_is_in_its_family_under_its_number if {
	acts.of == {"inspect": {0: looked, 3: looked}, "edit": {1: written}, "copy": {2: copied}} with input as several
}

test_what_only_looks_does_not_act if {
	acts.acting == {1: written, 2: copied} with input as several
}

test_an_asset_counts_on_either_side if {
	acts.placed == {1: written, 2: copied} with input as several
}

test_an_operation_that_is_not_known_is_in_no_family if {
	acts.of == {} with input as fixture.document([fixture.effect("teleport", null)], {})
	acts.acting == {} with input as fixture.document([fixture.effect("teleport", null)], {})
}
