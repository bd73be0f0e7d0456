package guardrail.rules.assets.delete_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.delete

test_every_kind_of_deletion_is_denied if {
	every op in ["delete", "truncate", "api_delete"] {
		count(delete.hits) == 1 with input as fixture.document([fixture.effect(op, fixture.weights)], {})
	}
}

test_a_mandate_sanctions_it if {
	grant := {"effects": ["delete"], "assets": ["model:beta"], "targets": [], "approval": false}
	document := fixture.document([fixture.effect("delete", fixture.weights)], {"mandates": [fixture.mandate(grant)]})
	count(delete.hits) == 0 with input as document
}
