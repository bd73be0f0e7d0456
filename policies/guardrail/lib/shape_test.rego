package guardrail.lib.shape_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.lib.shape

test_every_operation_of_the_settings_is_understood if {
	every op, _ in data.guardrail.settings.ops {
		shape.sound with input as fixture.document([fixture.effect(op, fixture.weights)], {})
	}
}

test_an_operation_moved_to_an_unknown_family_is_not_understood if {
	not shape.sound with input as fixture.document([fixture.effect("read", null)], {})
		with data.guardrail.settings.ops.read as "novel"
}

test_a_target_is_looked_at_like_a_resource if {
	good := fixture.thing("/tmp/x", null)
	shape.sound with input as fixture.document([fixture.toward("copy", null, good)], {})
	every part in ["type", "id", "properties"] {
		bad := json.remove(fixture.toward("copy", null, good), [concat("/", ["properties", "target", part])])
		not shape.sound with input as fixture.document([bad], {})
	}
}

test_an_asset_without_its_class_is_not_understood if {
	not shape.sound with input as fixture.document([fixture.effect("read", {"id": "model:beta"})], {})
}
