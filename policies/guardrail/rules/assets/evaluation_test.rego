package guardrail.rules.assets.evaluation_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.assets.evaluation

record := object.union(fixture.weights, {"id": "eval:beta", "class": "evaluation"})

score(attrs) := fixture.document([fixture.with_attrs(fixture.effect("record_score", record), attrs)], {})

by(model, attrs) := object.union(score(attrs), {"subject": {"properties": {"model": model}}})

ids contains hit.id if some hit in evaluation.hits

test_a_new_score_raises_no_question if {
	ids == set() with input as score({"item": "q9", "after": 0.7, "edited": false, "crosses": false})
}

test_a_score_of_which_nothing_is_known_raises_no_question_here if {
	ids == set() with input as score({})
}

test_each_fact_has_its_rule if {
	ids == {"evaluation.items_dropped"} with input as score({"dropped": 1, "edited": true})
	every fact, rule in {
		"crosses": "evaluation.moved_over_threshold",
		"edited": "evaluation.edited_afterwards",
		"outlier": "evaluation.outlier",
	} {
		ids == {rule} with input as score({"item": "q1", fact: true})
	}
}

test_facts_about_what_is_no_evaluation_mean_nothing if {
	effect := fixture.with_attrs(fixture.effect("record_score", fixture.weights), {"crosses": true, "edited": true})
	ids == set() with input as fixture.document([effect], {})
}

test_a_mandate_to_record_does_not_order_an_edit if {
	grant := {"effects": ["record_score"], "assets": ["eval:*"], "targets": [], "approval": false}
	document := object.union(score({"edited": true}), {"context": {"mandates": [fixture.mandate(grant)]}})
	ids == {"evaluation.edited_afterwards"} with input as document
}

test_a_model_is_related_to_itself if {
	ids == {"evaluation.related_judge"} with input as by("acme/beta", {"subject": "ACME/beta"})
	ids == set() with input as by("acme/x", {"subject": "acme/beta"})
	ids == set() with input as by("omega/x", {"subject": "acme/beta"})
}

test_relation_is_a_setting if {
	ids == {"evaluation.related_judge"} with input as by("acme/x", {"subject": "ACME/beta"})
		with data.guardrail.settings.evaluation.relation as "family"
	ids == set() with input as by("omega/x", {"subject": "acme/beta"})
		with data.guardrail.settings.evaluation.relation as "family"
	ids == set() with input as by("acme/beta", {"subject": "acme/beta"})
		with data.guardrail.settings.evaluation.relation as "none"
}

test_the_inventory_says_whose_score_it_is_where_the_record_does_not if {
	owned := object.union(record, {"model": "acme/beta"})
	effect := fixture.with_attrs(fixture.effect("record_score", owned), {"after": 1})
	document := object.union(fixture.document([effect], {}), {"subject": {"properties": {"model": "acme/beta"}}})
	ids == {"evaluation.related_judge"} with input as document
}

test_too_many_models_to_name_are_any_model if {
	ids == {"evaluation.related_judge"} with input as by("acme/x", {"subjects": [], "any_subject": true})
}

test_criteria_are_edited_under_a_mandate_only if {
	criteria := object.union(fixture.weights, {"id": "criteria:x", "class": "criteria"})
	document := fixture.document([fixture.effect("write", criteria)], {})
	ids == {"evaluation.criteria_edited"} with input as document
	grant := {"effects": ["write"], "assets": ["criteria:*"], "targets": [], "approval": false}
	ids == set() with input as object.union(document, {"context": {"mandates": [fixture.mandate(grant)]}})
}
