# METADATA
# title: What people ordered, and what they did not
# description: |
#   One entry in `claims` for each pair of an effect and an asset that needs a mandate, with what the mandates say.
#   The families of rules only choose among them.
# schemas:
#   - input: schema.input
package guardrail.lib.sanction

# Families of effects that only a mandate can sanction, when they bear on an asset.
mutating := {"copy", "move", "delete", "edit", "times", "keys", "lifecycle"}

claims contains {
	"i": i,
	"family": family,
	"asset": asset.id,
	"class": asset.class,
	"direction": object.get(e.properties.attrs, "direction", "weakens"),
	"standing": standing(e, asset.id),
	"outcome": object.get(data.guardrail.settings.unsanctioned, e.properties.precision, "deny"),
} if {
	some i, e in input.evaluations
	family := data.guardrail.settings.ops[e.action.name]
	family in mutating
	some asset in touched(e)
	not harmless(family, asset, e.properties.attrs)
}

# Both sides count: what is taken, and what is overwritten.
touched(e) := {asset |
	some side in [e.resource, e.properties.target]
	asset := side.properties.asset
	not is_null(asset)
}

# A key of a control file may be set to anything if it controls nothing, and to its safe value.
harmless("keys", asset, attrs) if {
	asset.class == "control"
	attrs.control == false
}

harmless("keys", asset, attrs) if {
	asset.class == "control"
	attrs.control == true
	attrs.after == attrs.safe
}

# What makes a control stronger, or leaves it as it is, needs nobody's order.
harmless("keys", asset, attrs) if {
	asset.class == "control"
	attrs.control == true
	attrs.direction in {"strengthens", "same"}
}

# free: a mandate covers it. approval: only with a person's leave for this very call. none: nobody ordered it.
standing(e, asset) := "free" if {
	covered(e, asset, false)
} else := "approval" if {
	covered(e, asset, true)
} else := "none"

# METADATA
# description: Whether a mandate grants this effect on this asset, with or without approval of each call.
# scope: document
covered(e, asset, approval) if {
	some mandate in input.context.mandates
	some grant in mandate.grants
	object.get(grant, "approval", true) == approval
	e.action.name in grant.effects
	some pattern in grant.assets
	glob.match(pattern, ["/"], asset)
	target_covered(e, grant)
}

target_covered(e, _) if not e.action.name in data.guardrail.settings.targeted

# A target that is not known, or a path that climbs, is never inside what was granted.
target_covered(e, grant) if {
	e.action.name in data.guardrail.settings.targeted
	target := e.properties.target
	target.properties.pattern == false
	not contains(concat("", [target.id, "/"]), "/../")
	some pattern in grant.targets
	glob.match(pattern, ["/"], target.id)
}
