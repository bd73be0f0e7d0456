# METADATA
# title: The decision
# description: |
#   Collects the hits of every rule family, gives each its outcome and combines them: the strictest wins.
#   A family is any package `guardrail.rules.<family>` with a set `hits` of {"id", "i", "asset"} objects.
#   One that only speaks of effects on assets is `guardrail.rules.assets.<family>`: most calls touch none, and pass it by.
#   No `entrypoint: true` here: on a package it would make every rule an entrypoint.
# schemas:
#   - input: schema.input
package guardrail.main

import data.guardrail.lib.acts
import data.guardrail.lib.shape

# METADATA
# title: No decision could be made
# description: |
#   INVARIANT: the entrypoint is defined for every input, also for none at all, and what is not understood is denied.
# scope: rule
# custom:
#   id: guardrail.undecided
#   severity: critical
#   maturity: stable
#   stops: an answer that no rule has given
#   message: "policy could not come to a decision"
default decision := {
	"outcome": "deny",
	"hits": [{"id": "guardrail.undecided", "outcome": "deny"}],
	"uses": [],
	"revision": "unknown",
}

decision := {"outcome": outcome, "hits": hits, "uses": uses, "revision": data.guardrail.release.revision}

# The grants that the call rests on, in the words of the families that looked for one.
uses contains use if {
	count(input.context.mandates) > 0
	some family

	# Only the sets of this name are wanted of a family, and nothing else of it is worked out.
	# regal ignore:mixed-iteration
	some use in data.guardrail.rules[family].uses
}

uses contains use if {
	count(input.context.mandates) > 0
	count(acts.placed) > 0
	some family

	# regal ignore:mixed-iteration
	some use in data.guardrail.rules.assets[family].uses
}

default outcome := "deny"

# The strictest first, which is the default too.
# regal ignore:rule-assigns-default
outcome := "deny" if {
	some hit in hits
	hit.outcome == "deny"
} else := "escalate" if {
	some hit in hits
	hit.outcome == "escalate"
} else := "allow" if {
	shape.sound
}

# METADATA
# title: A person gave leave for this call
# description: |
#   A person's leave lifts what the person was shown, rule by rule and asset by asset, and never what is denied.
#   What came up only afterwards, for instance because a link was moved, stays held.
# custom:
#   id: review.granted
#   severity: low
#   maturity: stable
#   stops: nothing; it shows which rule a person overruled
#   message: "a person gave leave for this call, which lifts `{lifted}`"
#   examples:
#     match:
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: inline}, leave: [{rule: opaque.code}]}
#       - {op: mention, asset: "model:beta", precision: opaque, modality: may, leave: [{rule: opaque.names_asset, asset: "model:beta"}]}
#     not_match:
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: inline}}
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: inline}, leave: []}
#       - {op: mention, asset: "model:beta", precision: opaque, modality: may, leave: [{rule: opaque.code}]}
#       - {op: mention, asset: "model:beta", precision: opaque, modality: may, leave: [{rule: opaque.names_asset, asset: "model:gamma"}]}
#       - {op: delete, asset: "model:beta", leave: [{rule: delete.unsanctioned, asset: "model:beta"}]}
#       - {op: read, leave: [{rule: opaque.code}]}
hits := (judged - lifted) | {object.union(
	object.remove(hit, ["asked"]),
	{"id": "review.granted", "outcome": "allow", "lifted": hit.id},
) |
	some hit in lifted
}

# INVARIANT: leave lifts only what its giver has seen.
lifted contains hit if {
	some hit in judged
	hit.outcome == "escalate"
	[hit.id, object.get(hit, "asset", null)] in shown
	may_lift(hit.id)
}

# Nobody approves what they asked for, and a rule may have approvers of its own.
may_lift(rule) if {
	input.context.grant.approver != input.subject.id
	not data.guardrail.settings.approvers[rule]
}

may_lift(rule) if {
	input.context.grant.approver != input.subject.id
	input.context.grant.approver in data.guardrail.settings.approvers[rule]
}

# Empty without a grant.
shown contains [reason.rule, reason.asset] if some reason in input.context.grant.shown

judged contains object.union(hit, rolled_out(hit.id, outcome_of(hit))) if {
	some hit in raw
	named(hit)
}

# METADATA
# title: A rule that gives no id
# scope: rule
# custom:
#   id: guardrail.malformed_rule
#   severity: critical
#   maturity: stable
#   stops: a rule written wrongly, which would otherwise be passed over
#   message: "a rule of the bundle answered something that is not a hit"
judged contains {"id": "guardrail.malformed_rule", "outcome": "deny"} if {
	some hit in raw
	not named(hit)
}

# A function of its own: `not is_string(hit.id)` would be undefined, and not true, for a hit without an id, because OPA
# takes the reference out of the negation.
named(hit) if is_string(hit.id)

raw contains hit if {
	some family

	# regal ignore:mixed-iteration
	some hit in data.guardrail.rules[family].hits
}

raw contains hit if {
	count(acts.placed) > 0
	some family

	# regal ignore:mixed-iteration
	some hit in data.guardrail.rules.assets[family].hits
}

# What a rule says itself goes first, then the settings; anything that is not an outcome is a denial.
outcome_of(hit) := outcome if {
	outcome := object.get(hit, "outcome", object.get(data.guardrail.settings.outcomes, hit.id, "deny"))
	outcome in {"allow", "escalate", "deny"}
} else := "deny"

# A rule that is being rolled out asks for no more than its maturity lets it, and says what it would have asked for.
rolled_out(id, asked) := {"outcome": asked} if {
	not rolling
} else := {"outcome": "allow", "asked": asked} if {
	asked != "allow"
	maturity(id) == "observe"
} else := {"outcome": "escalate", "asked": asked} if {
	asked == "deny"
	maturity(id) == "escalate"
} else := {"outcome": asked}

# Usually nothing is being rolled out, and nothing has to be looked up.
rolling if count(input.context.maturity) > 0

rolling if count(data.guardrail.settings.maturity) > 0

# INVARIANT: what protects the guard itself, and what is not understood, holds whatever anybody configured.
maturity(id) := "deny" if {
	some family in ["guard.", "guardrail.", "review."]
	startswith(id, family)
} else := word if {
	word := chosen(input.context.maturity, id)
} else := word if {
	word := chosen(data.guardrail.settings.maturity, id)
} else := "deny"

chosen(table, id) := table[id]

chosen(table, id) := table["*"] if not table[id]
