# METADATA
# title: What a document must look like
# description: |
#   Rules read the input without looking whether a field is there: in Rego a missing field makes a condition undefined,
#   and an undefined condition in a rule that denies is an allow. So the shape is checked here, once, for all of them.
# schemas:
#   - input: schema.input
package guardrail.lib.shape

# INVARIANT: every rule relies on `sound`; `guardrail.main` allows nothing without it.
sound if {
	context_sound
	count(unsound) == 0
}

context_sound if {
	is_string(input.subject.id)
	context := input.context
	is_number(context.time_us)
	is_string(context.session)
	is_string(context.tool)
	is_array(context.history.labels)
	is_array(context.history.owes)
	is_array(context.mandates)
	grant_sound(context.grant)
	maturity_sound(object.get(context, "maturity", {}))
	enforcement_sound(object.get(context, "enforcement", null))
	is_array(input.evaluations)
	is_object(data.guardrail.settings.outcomes)
}

maturity_sound(maturity) if is_object(maturity)

enforcement_sound(enforcement) if is_null(enforcement)

enforcement_sound(enforcement) if {
	is_string(enforcement.mode)
	is_boolean(enforcement.required)
	is_array(enforcement.lacking)
	is_array(enforcement.connect)
	is_array(enforcement.write)
	is_array(object.get(enforcement, "serving", []))
}

grant_sound(grant) if is_null(grant)

grant_sound(grant) if {
	is_string(grant.id)
	is_array(grant.shown)
	count([reason | some reason in grant.shown; not shown_sound(reason)]) == 0
}

shown_sound(reason) if {
	is_string(reason.rule)
	type_name(reason.asset) in {"null", "string"}
}

# Positions of the evaluations that are not understood.
unsound contains i if {
	some i, e in input.evaluations
	not evaluation_sound(e)
}

evaluation_sound(e) if {
	family(data.guardrail.settings.ops[e.action.name])
	resource_sound(e.resource)
	properties := e.properties
	target_sound(properties.target)
	precision(properties.precision)
	modality(properties.modality)
	is_object(properties.attrs)
	is_array(properties.flow)
}

# Words are compared one by one, and not looked for in a set: every effect of every call is asked, and this costs half.
family("inspect")

family("copy")

family("move")

family("delete")

family("edit")

family("times")

family("keys")

family("lifecycle")

family("opaque")

family("remote")

family("mention")

precision("exact")

precision("pattern")

precision("opaque")

modality("must")

modality("may")

target_sound(target) if is_null(target)

target_sound(target) if resource_sound(target)

resource_sound(resource) if {
	is_string(resource.type)
	is_string(resource.id)
	is_boolean(resource.properties.pattern)
	asset_sound(resource.properties.asset)
}

asset_sound(asset) if is_null(asset)

asset_sound(asset) if {
	is_string(asset.id)
	is_string(asset.class)
}
