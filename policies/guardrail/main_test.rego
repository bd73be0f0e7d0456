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

seen := fixture.leave([{"rule": "opaque.code", "asset": null}])

test_leave_lifts_what_was_shown if {
	d := main.decision with input as fixture.document([held], seen)
	d.outcome == "allow"
	d.hits == {{"id": "review.granted", "outcome": "allow", "i": 0, "lifted": "opaque.code"}}
}

test_leave_never_lifts_a_denial if {
	everything := fixture.leave([
		{"rule": "opaque.code", "asset": null},
		{"rule": "delete.unsanctioned", "asset": fixture.weights.id},
	])
	d := main.decision with input as fixture.document([held, fixture.effect("delete", fixture.weights)], everything)
	d.outcome == "deny"
	fixture.ids(d) == {"review.granted", "delete.unsanctioned"}
}

test_leave_lifts_nothing_that_was_not_shown if {
	named := fixture.effect("mention", fixture.weights)
	d := main.decision with input as fixture.document([held, named], seen)
	d.outcome == "escalate"
	fixture.ids(d) == {"review.granted", "opaque.names_asset"}
}

test_leave_for_one_asset_is_none_for_another if {
	named := fixture.effect("mention", fixture.weights)
	every asset in ["model:gamma", null] {
		d := main.decision with input as fixture.document(
			[named],
			fixture.leave([{"rule": "opaque.names_asset", "asset": asset}]),
		)
		d.outcome == "escalate"
		fixture.ids(d) == {"opaque.names_asset"}
	}
	d := main.decision with input as fixture.document(
		[named],
		fixture.leave([{"rule": "opaque.names_asset", "asset": fixture.weights.id}]),
	)
	d.outcome == "allow"
}

test_leave_that_shows_nothing_lifts_nothing if {
	d := main.decision with input as fixture.document([held], fixture.leave([]))
	d.outcome == "escalate"
}

test_leave_that_does_not_say_what_was_shown_is_denied if {
	whole := {"id": "g1", "approver": "dana", "shown": []}
	every grant in [
		true, "g1", [], {},
		object.remove(whole, {"shown"}),
		object.remove(whole, {"id"}),
		object.union(whole, {"shown": null}),
		object.union(whole, {"shown": {"a": {"rule": "opaque.code", "asset": null}}}),
		object.union(whole, {"shown": ["opaque.code"]}),
		object.union(whole, {"shown": [{"rule": "opaque.code"}]}),
		object.union(whole, {"shown": [{"rule": "opaque.code", "asset": 1}]}),
		object.union(whole, {"shown": [{"asset": null}]}),
	] {
		d := main.decision with input as fixture.document([held], {"grant": grant})
		d.outcome == "deny"
		"guardrail.malformed_document" in fixture.ids(d)
	}
}

test_settings_can_move_an_outcome if {
	d := main.decision with input as fixture.document([held], {})
		with data.guardrail.settings.outcomes as {"opaque.code": "deny"}
	d.outcome == "deny"
}

# A document whose settings of the host roll a rule out so far.
rolled(maturity) := fixture.document([held, fixture.effect("delete", fixture.weights)], {"maturity": maturity})

test_a_rule_in_observe_is_recorded_and_does_not_hold if {
	d := main.decision with input as rolled({"delete.unsanctioned": "observe", "opaque.code": "observe"})
	d.outcome == "allow"
	{[hit.id, hit.outcome, hit.asked] | some hit in d.hits} == {
		["delete.unsanctioned", "allow", "deny"],
		["opaque.code", "allow", "escalate"],
	}
}

test_a_rule_in_escalate_holds_for_a_person_at_most if {
	d := main.decision with input as rolled({"delete.unsanctioned": "escalate", "opaque.code": "escalate"})
	d.outcome == "escalate"
	{[hit.id, object.get(hit, "asked", "")] | some hit in d.hits} == {["delete.unsanctioned", "deny"], ["opaque.code", ""]}
}

test_leave_lifts_a_denial_that_is_rolled_out_as_an_escalation if {
	given := fixture.leave([{"rule": "delete.unsanctioned", "asset": fixture.weights.id}])
	context := object.union(given, {"maturity": {"delete.unsanctioned": "escalate"}})
	d := main.decision with input as fixture.document([fixture.effect("delete", fixture.weights)], context)
	d.outcome == "allow"
	{[hit.id, hit.lifted] | some hit in d.hits} == {["review.granted", "delete.unsanctioned"]}
}

test_a_star_is_for_every_rule_without_a_line_of_its_own if {
	d := main.decision with input as rolled({"*": "observe", "opaque.code": "deny"})
	d.outcome == "escalate"
}

test_the_hosts_word_goes_before_the_bundles if {
	d := main.decision with input as rolled({"delete.unsanctioned": "deny"})
		with data.guardrail.settings.maturity as {"*": "observe"}
	d.outcome == "deny"
	other := main.decision with input as rolled({}) with data.guardrail.settings.maturity as {"*": "observe"}
	other.outcome == "allow"
}

test_what_protects_the_guard_cannot_be_observed if {
	every table in [{"*": "observe"}, {"guard.tampering": "observe"}, {"guardrail.unknown_effect": "escalate"}] {
		every e in [fixture.effect("write", fixture.guard), fixture.effect("teleport", null)] {
			d := main.decision with input as fixture.document([e], {"maturity": table})
				with data.guardrail.settings.maturity as table
			d.outcome == "deny"
		}
	}
}

test_a_maturity_that_is_no_table_is_denied_and_a_word_that_is_none_softens_nothing if {
	every table in ["observe", null, ["observe"]] {
		d := main.decision with input as rolled(table)
		"guardrail.malformed_document" in fixture.ids(d)
		d.outcome == "deny"
	}
	d := main.decision with input as rolled({"delete.unsanctioned": "perhaps", "opaque.code": 1})
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

waiting := object.union(
	fixture.effect("exec_opaque", null),
	{"properties": {"precision": "opaque", "attrs": {"code": "inline"}}},
)

approved(approver) := fixture.document([waiting], {"grant": {
	"id": "g1",
	"approver": approver,
	"shown": [{"rule": "opaque.code", "asset": null}],
}})

test_nobody_approves_what_they_asked_for if {
	main.decision.outcome == "allow" with input as approved("dana")
	main.decision.outcome == "escalate" with input as approved("a")
}

test_a_rule_may_have_approvers_of_its_own if {
	every case in [["dana", "allow"], ["eve", "escalate"]] {
		main.decision.outcome == case[1] with input as approved(case[0])
			with data.guardrail.settings.approvers as {"opaque.code": ["dana"]}
	}
}

test_the_grants_that_a_call_rests_on_are_named if {
	e := fixture.effect("delete", fixture.weights)
	spent := {"effects": ["delete"], "assets": ["*"], "targets": [], "approval": false, "left": 0}
	counted := object.union(spent, {"left": 1})
	grants := {"grants": [spent, counted]}
	orders := [object.union(fixture.mandate(spent), grants)]
	decision := main.decision with input as fixture.document([e], {"mandates": orders})
	decision.outcome == "allow"
	decision.uses == {{"mandate": "m1", "grant": 1}}
}
