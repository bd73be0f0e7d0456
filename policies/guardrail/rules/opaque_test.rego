package guardrail.rules.opaque_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.opaque

runs(code) := fixture.with_attrs(fixture.effect("exec_opaque", null), {"code": code})

ids contains hit.id if some hit in opaque.hits

test_known_programs_run if {
	count(opaque.hits) == 0 with input as fixture.document([runs("program"), runs("script")], {})
}

test_unknown_text_is_held if {
	every code in ["inline", "dynamic", "unparsed", "", "novel"] {
		ids == {"opaque.code"} with input as fixture.document([runs(code)], {})
	}
}

test_nothing_opaque_runs_with_a_label_or_a_debt if {
	every history in [{"labels": ["model:beta"]}, {"owes": ["ob-1"]}] {
		ids == {"opaque.while_labelled"} with input as fixture.document([runs("program")], {"history": history})
	}
}

test_a_named_asset_is_held if {
	ids == {"opaque.names_asset"} with input as fixture.document([fixture.effect("mention", fixture.weights)], {})
}

test_a_script_of_this_session_is_held if {
	e := fixture.with_attrs(fixture.effect("exec_opaque", null), {"code": "script", "authored": true})
	ids == {"opaque.authored_script"} with input as fixture.document([e], {})
}

test_nothing_runs_elsewhere_with_a_label if {
	e := fixture.effect("remote_exec", null)
	ids == {"opaque.while_labelled"} with input as fixture.document([e], {"history": {"labels": ["model:beta"]}})
	count(opaque.hits) == 0 with input as fixture.document([e], {})
}

test_what_the_kernel_holds_is_let_run_and_said if {
	confined := {"mode": "strict", "required": true, "lacking": [], "connect": [], "write": ["/w"]}
	ids == {"kernel.holds"} with input as fixture.document([runs("inline")], {"enforcement": confined})
	ids == set() with input as fixture.document([runs("program")], {"enforcement": confined})
	labelled := {"enforcement": confined, "history": {"labels": ["model:beta"]}}
	ids == {"kernel.holds"} with input as fixture.document([runs("program")], labelled)
	ids == {"opaque.while_labelled"} with input as fixture.document([fixture.effect("remote_exec", null)], labelled)
}
