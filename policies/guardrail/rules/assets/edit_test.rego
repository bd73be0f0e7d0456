package guardrail.rules.assets.edit_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.edit

test_every_kind_of_edit_is_denied if {
	every op in ["create", "write", "append", "set_security", "mount", "api_visibility", "record_score"] {
		count(edit.hits) == 1 with input as fixture.document([fixture.effect(op, fixture.weights)], {})
	}
}

test_a_key_of_an_evaluation_is_an_edit_of_it if {
	e := fixture.with_attrs(fixture.effect("set_key", fixture.weights), {"control": false})
	count(edit.hits) == 1 with input as fixture.document([e], {})
}

test_a_key_of_a_control_file_is_judged_elsewhere if {
	e := fixture.effect("set_key", fixture.control)
	count(edit.hits) == 0 with input as fixture.document([e], {})
}
