package guardrail.rules.sequence_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.sequence

ids contains hit.id if some hit in sequence.hits

host(name) := {
	"type": "net",
	"id": concat("", ["ssh://", name, "/x"]),
	"properties": {"asset": null, "pattern": false, "recursive": false, "host": name},
}

send(name) := fixture.toward("copy", null, host(name))

looked(more) := {"history": object.union(
	{
		"labels": [],
		"owes": ["m1/gone"],
		"reconnaissance": 1,
		"contact": {"b": "new", "127.0.0.1": "new"},
	},
	more,
)}

test_looking_around_and_then_sending_is_a_sequence if {
	ids == {"sequence.found_host"} with input as fixture.document([send("b")], looked({}))
	ids == {"sequence.found_host"} with input as fixture.document([send("b")], looked({"contact": {"b": "found"}}))
}

test_each_of_its_steps_is_needed if {
	every more in [{"reconnaissance": 0}, {"owes": []}, {"contact": {"b": "known"}}] {
		ids == set() with input as fixture.document([send("b")], looked(more))
	}
}

test_a_host_of_the_settings_is_no_find if {
	ids == set() with input as fixture.document([send("127.0.0.1")], looked({}))
}

test_what_the_agent_did_elsewhere_counts_where_that_is_set if {
	elsewhere := {"history": {
		"labels": ["model:beta"],
		"owes": [],
		"agent": {"reconnaissance": 1, "contact": {"b": "found"}},
	}}
	ids == set() with input as fixture.document([send("b")], elsewhere)
	ids == {"sequence.found_host"} with input as fixture.document([send("b")], elsewhere)
		with data.guardrail.settings.sequence.scope as "agent"
}

copy := fixture.toward("copy", fixture.weights, fixture.thing("/dr/x", null))

due := {"history": {"labels": [], "owes": ["m1/gone"], "due": ["model:beta"]}}

grant := {"effects": ["copy"], "assets": ["*"], "targets": ["/dr/*"], "approval": false}

order(more) := object.union(due, {"mandates": [object.union(fixture.mandate(grant), more)]})

test_an_old_leave_to_copy_does_not_outlive_an_order_to_delete if {
	ids == set() with input as fixture.document([copy], order({"due": ["model:beta"]}))
	every more in [{}, {"due": []}, {"due": ["model:gamma"]}] {
		hits := sequence.hits with input as fixture.document([copy], order(more))
		{hit.outcome | some hit in hits} == {"escalate"}
	}
}

test_a_copy_that_nobody_ordered_is_denied_by_this_name_too if {
	hits := sequence.hits with input as fixture.document([copy], due)
	{hit.outcome | some hit in hits} == {"deny"}
}
