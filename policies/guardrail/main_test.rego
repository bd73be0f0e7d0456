package guardrail.main_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.main

held := fixture.with_attrs(fixture.effect("exec_opaque", null), {"code": "inline"})

test_no_effects_is_allowed if {
	d := main.decision with input as fixture.document([], {})
	d.outcome == "allow"
	count(d.hits) == 0
}

test_no_input_is_denied if {
	d := main.decision with input as {}
	d.outcome == "deny"
	fixture.ids(d) == {"guardrail.malformed_document"}
}

test_input_that_is_no_object_is_denied if {
	every value in [null, 1, "x", [], true] {
		d := main.decision with input as value
		d.outcome == "deny"
	}
}

test_every_missing_part_of_the_context_is_denied if {
	whole := fixture.document([], {})
	every part in ["time_us", "session", "tool", "history", "mandates", "grant"] {
		d := main.decision with input as object.union(
			object.remove(whole, {"context"}),
			{"context": object.remove(whole.context, {part})},
		)
		d.outcome == "deny"
	}
}

test_every_missing_part_of_an_evaluation_is_denied if {
	whole := fixture.effect("read", null)
	every part in ["action", "resource", "properties"] {
		d := main.decision with input as fixture.document([object.remove(whole, {part})], {})
		fixture.ids(d) == {"guardrail.unknown_effect"}
	}
}

test_the_strictest_outcome_wins if {
	d := main.decision with input as fixture.document([held, fixture.effect("delete", fixture.weights)], {})
	d.outcome == "deny"
	fixture.ids(d) == {"opaque.code", "delete.unsanctioned"}
}

test_leave_lifts_what_was_held if {
	d := main.decision with input as fixture.document([held], fixture.leave)
	d.outcome == "allow"
	d.hits == {{"id": "review.granted", "outcome": "allow", "i": 0, "lifted": "opaque.code"}}
}

test_leave_never_lifts_a_denial if {
	d := main.decision with input as fixture.document([held, fixture.effect("delete", fixture.weights)], fixture.leave)
	d.outcome == "deny"
	fixture.ids(d) == {"review.granted", "delete.unsanctioned"}
}

test_settings_can_move_an_outcome if {
	d := main.decision with input as fixture.document([held], {})
		with data.guardrail.settings.outcomes as {"opaque.code": "deny"}
	d.outcome == "deny"
}

test_a_rule_without_an_outcome_denies if {
	d := main.decision with input as fixture.document([held], {}) with data.guardrail.settings.outcomes as {}
	d.outcome == "deny"
}

test_an_outcome_that_is_no_outcome_denies if {
	d := main.decision with input as fixture.document([held], {})
		with data.guardrail.settings.outcomes as {"opaque.code": "perhaps"}
	d.outcome == "deny"
}

test_a_family_is_found_without_being_listed if {
	d := main.decision with input as fixture.document([], {})
		with data.guardrail.rules.mine as {"hits": {{"id": "mine.rule", "outcome": "escalate"}}}
	d.outcome == "escalate"
}

test_a_rule_without_an_id_denies if {
	d := main.decision with input as fixture.document([], {})
		with data.guardrail.rules.mine as {"hits": {{"outcome": "allow"}}}
	d.outcome == "deny"
	fixture.ids(d) == {"guardrail.malformed_rule"}
}

test_without_settings_everything_is_denied if {
	d := main.decision with input as fixture.document([], {}) with data.guardrail.settings as {}
	d.outcome == "deny"
}

test_the_answer_names_its_revision if {
	d := main.decision with input as {} with data.guardrail.release.revision as "r"
	d.revision == "r"
}

test_without_a_revision_nothing_is_decided if {
	d := main.decision with input as fixture.document([], {}) with data.guardrail.release as {}
	d.outcome == "deny"
	{hit.id | some hit in d.hits} == {"guardrail.undecided"}
}
