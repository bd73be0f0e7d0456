package guardrail.rules.assets.mandate_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.mandate

test_approval_is_asked_for if {
	grant := {"effects": ["delete"], "assets": ["model:beta"], "targets": [], "approval": true}
	document := fixture.document([fixture.effect("delete", fixture.weights)], {"mandates": [fixture.mandate(grant)]})
	mandate.hits == {{"id": "mandate.approval_required", "i": 0, "asset": "model:beta"}} with input as document
}
