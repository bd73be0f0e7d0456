package guardrail.rules.assets.relation_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.relation

record(stance) := {
	"id": "eval:beta", "class": "evaluation", "model": "acme/beta", "owner": null, "registered": null,
	"relation": stance,
}

score(stance) := fixture.effect("record_score", record(stance))

edit(stance) := fixture.effect("write", record(stance))

ids contains hit.id if some hit in relation.hits

test_nobody_decides_about_themselves if {
	ids == {"relation.judges_itself"} with input as fixture.document([edit("self")], {})
	ids == set() with input as fixture.document([edit("peer")], {})
	ids == set() with input as fixture.document([edit("other")], {})
}

test_a_score_has_one_rule_and_it_is_not_this if {
	ids == set() with input as fixture.document([score("self")], {})
}

test_a_team_may_hold_judgements_of_peers_too if {
	ids == {"relation.judges_itself"} with input as fixture.document([edit("peer")], {})
		with data.guardrail.settings.judging.relations as ["self", "peer"]
}

test_whoever_stood_up_for_a_model_does_not_score_it if {
	past := {"history": {"labels": [], "owes": [], "refused_models": ["acme/beta"]}}
	ids == {"relation.judges_what_it_defended"} with input as fixture.document([score("peer")], past)
	ids == set() with input as fixture.document([fixture.effect("delete", fixture.weights)], past)
}
