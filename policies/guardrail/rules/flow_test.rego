package guardrail.rules.flow_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.flow

away := object.union(fixture.thing("ssh://h/x", null), {"type": "net"})

labelled := {"history": {"labels": ["model:beta"]}}

test_sending_with_a_label_is_held if {
	every op in ["net_send", "copy"] {
		count(flow.hits) == 1 with input as fixture.document([fixture.toward(op, null, away)], labelled)
		count(flow.hits) == 0 with input as fixture.document([fixture.toward(op, null, away)], {})
	}
}

test_a_copy_that_stays_is_not_held if {
	e := fixture.toward("copy", null, fixture.thing("/tmp/x", null))
	count(flow.hits) == 0 with input as fixture.document([e], labelled)
}

test_every_label_must_be_covered if {
	grant := {"effects": ["net_send"], "assets": ["model:beta"], "targets": ["ssh://h/*"], "approval": false}
	one := {"history": {"labels": ["model:beta"]}, "mandates": [fixture.mandate(grant)]}
	count(flow.hits) == 0 with input as fixture.document([fixture.toward("net_send", null, away)], one)
	two := {"history": {"labels": ["model:beta", "model:gamma"]}, "mandates": [fixture.mandate(grant)]}
	count(flow.hits) == 1 with input as fixture.document([fixture.toward("net_send", null, away)], two)
}
