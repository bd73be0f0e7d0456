# METADATA
# title: What people ordered, and what they did not
# description: |
#   One entry in `claims` for each pair of an effect and an asset that needs a mandate, with what the mandates say.
#   The families of rules only choose among them.
# schemas:
#   - input: schema.input
package guardrail.lib.sanction

import data.guardrail.lib.acts
import data.guardrail.lib.serving

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
	some i, e in acts.placed
	family := data.guardrail.settings.ops[e.action.name]
	family in mutating
	some asset in touched(e)
	not harmless(family, asset, e.properties.attrs)
	not shown(e, asset)
	not serving.reads[i] == asset.id
}

# METADATA
# description: |
#   What was done before, by the session and by the agent in all its sessions; for rules that tell no difference.
#   A list, because a set would be put in order by all that is in it.
# scope: rule
past := array.concat([input.context.history], [agent | agent := input.context.history.agent])

# Both sides count: what is taken, and what is overwritten.
touched(e) := {side.properties.asset |
	some side in [e.resource, e.properties.target]
	not is_null(side.properties.asset)
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

# What is written over before it is deleted is judged by its deletion.
harmless("edit", _, attrs) if attrs.destroys == true

# What everybody may read of the guard's own files may be copied as well, such as with the project that they lie in.
shown(e, asset) if {
	e.action.name == "copy"
	asset.class == "guard"
	e.resource.properties.asset.id == asset.id
	not target_is(e, asset.id)
	open_to_all(asset.id)
}

open_to_all(id) if id in {
	"guardrail:config", "guardrail:mandates", "guardrail:policy", "guardrail:policy-key", "guardrail:code",
	"guardrail:serving",
}

open_to_all(id) if startswith(id, "guardrail:assets:")

target_is(e, asset) if e.properties.target.properties.asset.id == asset

# free: a mandate covers it. approval: only with a person's leave for this very call. none: nobody ordered it.
standing(e, asset) := "free" if {
	count(covering(e, asset, false)) > 0
} else := "approval" if {
	count(covering(e, asset, true)) > 0
} else := "none"

# METADATA
# description: Whether a mandate grants this effect on this asset, with or without approval of each call.
# scope: document
covered(e, asset, approval) if count(covering(e, asset, approval)) > 0

# METADATA
# description: |
#   The grants that cover an effect on an asset, each as [counted, mandate, grant]: the least of them is the one to use,
#   because what may be used any number of times goes first.
# scope: document
covering(e, asset, approval) := {place |
	some place in granting(e, asset, approval)
	grant := input.context.mandates[place[1]].grants[place[2]]
	unspent(grant)
}

# METADATA
# description: The grants that would cover an effect on an asset, were there uses left.
# scope: document
granting(e, asset, approval) := {[counted(grant), m, g] |
	some m, mandate in input.context.mandates
	not asset in object.get(mandate, "barred", [])
	some g, grant in mandate.grants
	object.get(grant, "approval", true) == approval
	e.action.name in grant.effects
	some pattern in grant.assets
	glob.match(pattern, ["/"], asset)
	registered_in(grant, asset)
	target_covered(e, grant)
}

# The grant that a covered effect uses, by the place that `covering` gives.
use_of(places) := {"mandate": mandate.id, "grant": least[2]} if {
	least := min(places)
	mandate := input.context.mandates[least[1]]
}

counted(grant) := 0 if is_null(object.get(grant, "left", null))

counted(grant) := 1 if not is_null(object.get(grant, "left", null))

unspent(grant) if counted(grant) == 0

unspent(grant) if grant.left > 0

# Dates come from the inventory and never from a file; an asset without one is in no range. Both are ISO 8601.
registered_in(grant, _) if {
	is_null(object.get(grant, "registered_from", null))
	is_null(object.get(grant, "registered_until", null))
}

registered_in(grant, asset) if {
	some date in registered[asset]
	date >= first_day(grant)
	date <= last_day(grant)
}

first_day(grant) := day if {
	day := object.get(grant, "registered_from", null)
	is_string(day)
} else := "0000-00-00"

last_day(grant) := day if {
	day := object.get(grant, "registered_until", null)
	is_string(day)
} else := "9999-99-99"

# The date on which each asset of this call was registered, if the inventory has one.
registered[asset.id] contains asset.registered if {
	some e in acts.placed
	some asset in touched(e)
	is_string(asset.registered)
}

target_covered(e, _) if not e.action.name in data.guardrail.settings.targeted

# A target that is not known, or a path that climbs, is never inside what was granted.
target_covered(e, grant) if {
	e.action.name in data.guardrail.settings.targeted
	target := e.properties.target
	target.properties.pattern == false
	not contains(concat("", [target.id, "/"]), "/../")
	some pattern in grant.targets
	within(target, pattern)
}

# The pieces of a file have names of which the beginning is known: `stem` is there only if all lie in one directory.
# What ends in a star goes on matching, whatever is added to the last name.
target_covered(e, grant) if {
	e.action.name in data.guardrail.settings.targeted
	target := e.properties.target
	target.properties.pattern == true
	stem := target.properties.stem
	some pattern in grant.targets
	begins_within(target, stem, pattern)
}

begins_within(_, stem, pattern) if {
	not startswith(pattern, "zone:")
	endswith(pattern, "*")
	not endswith(pattern, "\\*")
	glob.match(pattern, ["/"], stem)
}

begins_within(target, _, pattern) if {
	startswith(pattern, "zone:")
	within(target, pattern)
}

within(target, pattern) if {
	not startswith(pattern, "zone:")
	glob.match(pattern, ["/"], target.id)
}

# Which zones a place lies in is known from where it really is.
within(target, pattern) if {
	startswith(pattern, "zone:")
	trim_prefix(pattern, "zone:") in target.properties.zones
}
