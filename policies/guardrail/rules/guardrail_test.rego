package guardrail.rules.guardrail_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.guardrail

test_an_unknown_operation_is_named_by_its_position if {
	effects := [fixture.effect("read", null), fixture.effect("teleport", null)]
	guardrail.hits == {{"id": "guardrail.unknown_effect", "outcome": "deny", "i": 1}} with input as fixture.document(effects, {})
}

test_a_whole_document_is_not_hit if {
	count(guardrail.hits) == 0 with input as fixture.document([fixture.effect("read", null)], {})
}
