package guardrail.lib.sanction_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.lib.sanction

copy(target) := fixture.toward("copy", fixture.weights, fixture.thing(target, null))

under(e, grant) := fixture.document([e], {"mandates": [fixture.mandate(grant)]})

to_dr := {"effects": ["copy"], "assets": ["model:*"], "targets": ["/dr/*"], "approval": false}

standings contains claim.standing if some claim in sanction.claims

test_a_grant_covers_what_it_names if {
	standings == {"free"} with input as under(copy("/dr/x"), to_dr)
}

test_one_star_does_not_cross_a_slash if {
	standings == {"none"} with input as under(copy("/dr/a/x"), to_dr)
}

test_a_path_that_climbs_is_outside if {
	grant := object.union(to_dr, {"targets": ["/dr/**"]})
	standings == {"free"} with input as under(copy("/dr/a/..b"), grant)
	standings == {"none"} with input as under(copy("/dr/../tmp/x"), grant)
	standings == {"none"} with input as under(copy("/dr/a/.."), grant)
}

test_a_grant_without_targets_covers_no_target if {
	standings == {"none"} with input as under(copy("/dr/x"), object.remove(to_dr, {"targets"}))
}

test_a_target_that_is_a_pattern_is_outside if {
	target := object.union(fixture.thing("/dr/*", null), {"properties": {"pattern": true}})
	standings == {"none"} with input as under(fixture.toward("copy", fixture.weights, target), to_dr)
}

pieces(target, properties) := fixture.toward("copy", fixture.weights, object.union(
	fixture.thing(target, null),
	{"properties": object.union({"pattern": true}, properties)},
))

test_pieces_are_inside_where_whatever_is_added_to_their_names_is if {
	every wanted in ["/dr/*", "/dr/p*", "/d*/p.*", "/dr/**"] {
		grant := object.union(to_dr, {"targets": [wanted]})
		standings == {"free"} with input as under(pieces("/dr", {"stem": "/dr/p."}), grant)
	}
	every wanted in ["/dr/p.a*", "/dr", "/dr/p.", "/dr/p.?", "/x/*", "/dr/*/*"] {
		grant := object.union(to_dr, {"targets": [wanted]})
		standings == {"none"} with input as under(pieces("/dr", {"stem": "/dr/p."}), grant)
	}
}

test_pieces_are_inside_a_zone_that_their_directory_lies_in if {
	grant := object.union(to_dr, {"targets": ["zone:dr"]})
	standings == {"free"} with input as under(pieces("/dr", {"stem": "/dr/p.", "zones": ["dr"]}), grant)
	standings == {"none"} with input as under(pieces("/dr", {"stem": "/dr/p.", "zones": ["dr-2"]}), grant)
	standings == {"none"} with input as under(pieces("/dr", {"zones": ["dr"]}), grant)
}

test_a_star_that_stands_for_itself_ends_no_name if {
	grant := object.union(to_dr, {"targets": ["/dr/\\*"]})
	standings == {"none"} with input as under(pieces("/dr", {"stem": "/dr/*"}), grant)
}

test_an_unknown_target_is_outside if {
	standings == {"none"} with input as under(fixture.effect("copy", fixture.weights), to_dr)
}

test_another_effect_is_not_covered if {
	standings == {"none"} with input as under(fixture.toward("link", fixture.weights, fixture.thing("/dr/x", null)), to_dr)
}

test_an_approval_left_out_is_an_approval_asked_for if {
	standings == {"approval"} with input as under(copy("/dr/x"), object.remove(to_dr, {"approval"}))
}

test_one_grant_without_approval_is_enough if {
	strict := object.union(to_dr, {"approval": true})
	document := fixture.document([copy("/dr/x")], {"mandates": [fixture.mandate(strict), fixture.mandate(to_dr)]})
	standings == {"free"} with input as document
}

test_both_sides_of_a_copy_count if {
	e := fixture.toward("copy", fixture.weights, fixture.thing("/srv/y", fixture.control))
	assets := {claim.asset | some claim in sanction.claims} with input as fixture.document([e], {})
	assets == {"model:beta", "control:shutdown"}
}
