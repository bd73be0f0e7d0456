package guardrail.rules.admin_test

import data.guardrail.lib.fixture_test as fixture
import data.guardrail.rules.admin

on(op, type, id) := {
	"action": {"name": op},
	"resource": {"type": type, "id": id, "properties": {"asset": null, "pattern": false, "recursive": false}},
	"properties": {"target": null, "precision": "exact", "modality": "must", "attrs": {}, "flow": []},
}

ids(e) := found if {
	# regal ignore:with-outside-test-context
	found := {hit.id | some hit in admin.hits} with input as fixture.document([e], {})
}

test_accounts_are_held_and_may_be_looked_at if {
	ids(on("set_security", "account", "account:dana")) == {"admin.account"}
	ids(on("read", "account", "account:dana")) == set()
}

test_the_clock_and_the_firewall_are_held if {
	ids(on("set_times", "service", "clock:system")) == {"admin.system"}
	ids(on("set_security", "service", "firewall:OUTPUT")) == {"admin.system"}
}

test_a_service_is_held_by_what_is_done_to_it if {
	ids(fixture.with_attrs(on("service", "service", "systemd:web"), {"verb": "mask"})) == {"admin.system"}
	ids(fixture.with_attrs(on("service", "service", "systemd:web"), {"verb": "restart"})) == set()
}

test_what_is_named_like_oversight_is_held_wherever_it_is if {
	ids(on("signal", "process", "process:Reaper")) == {"admin.oversight"}
	ids(on("api_delete", "object", "k8s:cronjob/kill-switch")) == {"admin.oversight"}
	ids(on("write", "file", "/src/shutdown.py")) == set()
}

test_a_registered_asset_is_judged_by_the_other_families if {
	e := object.union(on("api_copy", "object", "hf://a/b"), {"resource": {"properties": {"asset": fixture.weights}}})
	ids(e) == set()
}

test_only_keys_that_protect_are_held if {
	ids(fixture.with_attrs(on("set_key", "object", "k8s:pod/x"), {"key": "metadata.finalizers"})) == {"admin.protection"}
	ids(fixture.with_attrs(on("set_key", "object", "k8s:pod/x"), {"key": "spec.replicas"})) == set()
	ids(on("set_key", "object", "k8s:pod/x")) == set()
}

test_devices_are_not_shared_memory if {
	ids(on("write", "file", "/dev/vda1")) == {"admin.device"}
	ids(on("write", "file", "/dev/shm/x")) == set()
}
