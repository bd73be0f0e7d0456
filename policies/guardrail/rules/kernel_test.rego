package guardrail.rules.kernel_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.kernel

after(unpredicted, e) := fixture.document([e], {"history": {"labels": [], "owes": [], "unpredicted": unpredicted}})

program := fixture.with_attrs(fixture.effect("exec_opaque", null), {"code": "program"})

test_opaque_work_is_held_after_the_kernel_held_some if {
	count(kernel.hits) == 1 with input as after(["model:beta"], program)
	count(kernel.hits) == 1 with input as after(["model:beta"], fixture.effect("remote_exec", null))
}

test_nothing_is_held_before_or_of_what_was_read if {
	count(kernel.hits) == 0 with input as after([], program)
	count(kernel.hits) == 0 with input as fixture.document([program], {})
	count(kernel.hits) == 0 with input as after(["model:beta"], fixture.effect("read", fixture.weights))
}
