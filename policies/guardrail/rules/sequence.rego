# METADATA
# title: What an action means after what went before
# description: |
#   Each step may be allowed by itself; together they are a way out. What counts as before, the session or all that the
#   agent ever did, is `settings.sequence.scope`.
# schemas:
#   - input: schema.input
package guardrail.rules.sequence

import data.guardrail.lib.acts
import data.guardrail.lib.sanction

# METADATA
# title: Something sent to a host that was found by looking around
# description: |
#   A host counts as found if it was first contacted after lists of hosts were read. It is held in sessions that have
#   something to take: an asset seen or refused, or a duty open. A host in a zone, in an order, or in
#   `settings.sequence.hosts` is no find.
# custom:
#   id: sequence.found_host
#   severity: high
#   maturity: experimental
#   stops: looking for another machine, and bringing a model there
#   message: "`{op}` to `{target}`, a host that was found by looking around"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: copy, target: "ssh://b/x", target_type: net, target_host: b, owes: [m/d], history: {reconnaissance: 1, contact: {b: new}}}
#       - {op: copy, target: "ssh://b/x", target_type: net, target_host: b, history: {read: ["model:beta"], reconnaissance: 2, contact: {b: found}}}
#       - {op: net_send, type: net, id: "https://b/x", host: b, history: {refused: {"model:beta": {copy: 1}}, reconnaissance: 1, contact: {b: found}}}
#     not_match:
#       - {op: copy, target: "ssh://b/x", target_type: net, target_host: b, history: {reconnaissance: 1, contact: {b: new}}}
#       - {op: copy, target: "ssh://b/x", target_type: net, target_host: b, owes: [m/d], history: {contact: {b: new}}}
#       - {op: copy, target: "ssh://b/x", target_type: net, target_host: b, owes: [m/d], history: {reconnaissance: 1, contact: {b: known}}}
#       - {op: copy, target: "ssh://b/x", target_type: net, target_host: b, target_zones: [cold], owes: [m/d], history: {reconnaissance: 1, contact: {b: new}}}
#       - {op: copy, target: "ssh://b/x", target_type: net, target_host: b, owes: [m/d], history: {reconnaissance: 1, contact: {b: new}}, mandate: {effects: [copy], assets: ["model:beta"], targets: ["ssh://b/**"]}}
#       - {op: net_recv, type: net, id: "https://b/x", host: b, owes: [m/d], history: {reconnaissance: 1, contact: {b: new}}}
hits contains {"id": "sequence.found_host", "i": i} if {
	looked_around
	something_to_take
	some i, e in input.evaluations
	some place in goes_to(e)
	found(place.properties.host)
	object.get(place.properties, "zones", []) == []
	not ordered(place)
}

# METADATA
# title: A copy of what has to be deleted
# description: |
#   Also when an order covers it, unless that is the very order that wants the deletion: an old leave to copy does not
#   outlive the end of what is copied.
# custom:
#   id: sequence.copy_under_delete_order
#   severity: critical
#   maturity: experimental
#   stops: keeping a copy of a model before it is deleted
#   message: "`{asset}` has to be deleted, and would be copied to `{target}`"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: copy, asset: "model:beta", target: /tmp/x, history: {due: ["model:beta"]}}
#       - {op: net_send, asset: "model:beta", target: "ssh://h/x", target_type: net, history: {due: ["model:beta"]}}
#       - {op: copy, asset: "model:beta", target: /dr/x, history: {due: ["model:beta"]}, mandates: [{effects: [copy], assets: ["model:*"], targets: ["/dr/*"]}, {effects: [delete], assets: ["model:beta"], due: ["model:beta"]}]}
#     not_match:
#       - {op: copy, asset: "model:beta", target: /tmp/x}
#       - {op: copy, asset: "model:beta", target: /dr/x, history: {due: ["model:beta"]}, mandate: {effects: [copy, delete], assets: ["model:beta"], targets: ["/dr/*"], due: ["model:beta"]}}
#       - {op: link, asset: "model:beta", target: /tmp/x, history: {due: ["model:beta"]}}
hits contains {"id": "sequence.copy_under_delete_order", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in copied_while_due
	claim.standing == "none"
}

hits contains {"id": "sequence.copy_under_delete_order", "outcome": "escalate", "i": claim.i, "asset": claim.asset} if {
	some claim in copied_while_due
	claim.standing != "none"
	not same_order(claim)
}

# METADATA
# title: What an order covers, by somebody who was refused other things again and again
# description: |
#   Calls of the same kind do not count: whoever was refused for want of an order, and then gets one, carries it out.
# custom:
#   id: sequence.after_refusals
#   severity: medium
#   maturity: experimental
#   stops: trying ways around until one works, and a sanctioned step as the last of them
#   message: "`{op}` on `{asset}`, about which other calls were refused again and again"
#   examples:
#     match:
#       - {op: delete, asset: "model:beta", history: {refused: {"model:beta": {copy: 1, rename: 2}}}, mandate: {effects: [delete], assets: ["model:beta"]}}
#     not_match:
#       - {op: delete, asset: "model:beta", history: {refused: {"model:beta": {copy: 2}}}, mandate: {effects: [delete], assets: ["model:beta"]}}
#       - {op: delete, asset: "model:beta", history: {refused: {"model:beta": {delete: 9, copy: 2}}}, mandate: {effects: [delete], assets: ["model:beta"]}}
#       - {op: delete, asset: "model:beta", history: {refused: {"model:gamma": {copy: 9}}}, mandate: {effects: [delete], assets: ["model:beta"]}}
#       - {op: delete, asset: "model:beta", agent: {refused: {"model:beta": {copy: 9}}}, mandate: {effects: [delete], assets: ["model:beta"]}}
hits contains {"id": "sequence.after_refusals", "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.standing == "free"
	some before in past
	refused := before.refused[claim.asset]
	op := input.evaluations[claim.i].action.name
	sum([number | some other, number in refused; other != op]) >= data.guardrail.settings.sequence.refusals
}

copied_while_due contains claim if {
	some claim in sanction.claims
	claim.family == "copy"
	claim.asset in input.context.history.due
	e := input.evaluations[claim.i]
	e.action.name != "link"
	e.resource.properties.asset.id == claim.asset
}

# One of the orders that cover it is the one that wants the deletion.
same_order(claim) if {
	e := input.evaluations[claim.i]
	some approval in [true, false]
	some place in sanction.covering(e, claim.asset, approval)
	claim.asset in input.context.mandates[place[1]].due
}

past := sanction.past if data.guardrail.settings.sequence.scope == "agent"

past := [input.context.history] if data.guardrail.settings.sequence.scope != "agent"

something_to_take if count(input.context.history.owes) > 0

something_to_take if count(input.context.history.labels) > 0

something_to_take if count(input.context.history.read) > 0

something_to_take if count(input.context.history.refused) > 0

something_to_take if {
	some e in acts.placed
	not is_null(e.resource.properties.asset)
}

looked_around if input.context.history.reconnaissance > 0

looked_around if {
	data.guardrail.settings.sequence.scope == "agent"
	input.context.history.agent.reconnaissance > 0
}

found(host) if {
	not listed(host)
	some before in past
	before.reconnaissance > 0
	before.contact[host] in {"new", "found"}
}

listed(host) if {
	some pattern in data.guardrail.settings.sequence.hosts
	glob.match(pattern, ["/"], host)
}

# Where a copy or a move goes; what is only sent goes to where it is sent.
goes_to(e) := [e.properties.target] if {
	data.guardrail.settings.ops[e.action.name] in {"copy", "move"}
	not is_null(e.properties.target)
}

goes_to(e) := [e.resource] if {
	e.action.name == "net_send"
	is_null(e.properties.target)
}

ordered(place) if {
	some mandate in input.context.mandates
	some grant in mandate.grants
	some pattern in grant.targets
	sanction.within(place, pattern)
}
