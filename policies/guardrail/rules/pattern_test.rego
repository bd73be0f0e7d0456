package guardrail.rules.pattern_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.pattern

test_only_changes_to_anything_are_held if {
	every op in ["delete", "copy", "write", "set_times"] {
		e := fixture.with_attrs(fixture.effect(op, null), {"any": true})
		count(pattern.hits) == 1 with input as fixture.document([e], {})
	}
	every op in ["read", "list", "exec"] {
		e := fixture.with_attrs(fixture.effect(op, null), {"any": true})
		count(pattern.hits) == 0 with input as fixture.document([e], {})
	}
}
