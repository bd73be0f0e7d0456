# METADATA
# title: Ways around a deletion that was ordered
# description: |
#   While a deletion is owed, what would keep the asset under another name, place or guise is told apart by how it is done.
#   What a mandate covers is no evasion; each of these is also held by the family that it belongs to.
# schemas:
#   - input: schema.input
package guardrail.rules.assets.evasion

import data.guardrail.lib.sanction

# METADATA
# title: Moved or renamed, although it has to be deleted
# custom:
#   id: evasion.moved
#   severity: critical
#   maturity: experimental
#   stops: moving a model out of the way of its deletion, so that the place is empty and the model is not gone
#   message: "`{asset}` has to be deleted, and would be moved to `{target}` instead"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: rename, asset: "model:beta", target: /tmp/x, history: {due: ["model:beta"]}}
#     not_match:
#       - {op: rename, asset: "model:beta", target: /tmp/x}
#       - {op: rename, asset: "model:gamma", target: /tmp/x, history: {due: ["model:beta"]}}
#       - {op: rename, asset: "model:beta", target: /dr/x, history: {due: ["model:beta"]}, mandate: {effects: [rename], assets: ["model:beta"], targets: ["/dr/*"]}}
hits contains {"id": "evasion.moved", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in evaded
	claim.family == "move"
	taken(claim)
}

# METADATA
# title: Linked, although it has to be deleted
# custom:
#   id: evasion.linked
#   severity: critical
#   maturity: experimental
#   stops: giving a model a second name that its deletion does not reach
#   message: "`{asset}` has to be deleted, and would get the second name `{target}`"
#   examples:
#     match:
#       - {op: link, asset: "model:beta", target: /tmp/x, history: {due: ["model:beta"]}}
#     not_match:
#       - {op: link, asset: "model:beta", target: /tmp/x}
#       - {op: copy, asset: "model:beta", target: /tmp/x, history: {due: ["model:beta"]}}
hits contains {"id": "evasion.linked", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in evaded
	operation(claim) == "link"
	taken(claim)
}

# METADATA
# title: Something else put in the place of what has to be deleted
# custom:
#   id: evasion.decoyed
#   severity: critical
#   maturity: experimental
#   stops: having a decoy deleted under the name of a model
#   message: "`{asset}` has to be deleted, and something else would be put in its place"
#   examples:
#     match:
#       - {op: copy, target: /srv/models/beta, target_asset: "model:beta", history: {due: ["model:beta"]}}
#       - {op: rename, target: /srv/models/beta, target_asset: "model:beta", history: {due: ["model:beta"]}}
#       - {op: write, asset: "model:beta", history: {due: ["model:beta"]}}
#     not_match:
#       - {op: write, asset: "model:beta"}
#       - {op: rename, asset: "model:beta", target: /tmp/x, history: {due: ["model:beta"]}}
hits contains {"id": "evasion.decoyed", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in evaded
	claim.family in {"copy", "move"}
	input.evaluations[claim.i].properties.target.properties.asset.id == claim.asset
	not taken(claim)
}

hits contains {"id": "evasion.decoyed", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in evaded
	operation(claim) in {"create", "write", "append"}
}

# METADATA
# title: Emptied in part, although it has to be deleted
# custom:
#   id: evasion.partial
#   severity: high
#   maturity: experimental
#   stops: cutting off a piece of a model and calling that a deletion
#   message: "`{asset}` has to be deleted, and would only be cut by `{op}`"
#   examples:
#     match:
#       - {op: truncate, asset: "model:beta", history: {due: ["model:beta"]}, mandate: {effects: [delete], assets: ["model:beta"]}}
#     not_match:
#       - {op: truncate, asset: "model:beta"}
#       - {op: delete, asset: "model:beta", history: {due: ["model:beta"]}, mandate: {effects: [delete], assets: ["model:beta"]}}
hits contains {"id": "evasion.partial", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in evaded
	operation(claim) == "truncate"
}

# METADATA
# title: Shielded from a deletion that was ordered
# custom:
#   id: evasion.shielded
#   severity: high
#   maturity: experimental
#   stops: making a model undeletable, or mounting something over it
#   message: "`{asset}` has to be deleted, and `{op}` would stand in the way"
#   examples:
#     match:
#       - {op: set_security, asset: "model:beta", history: {due: ["model:beta"]}}
#       - {op: mount, asset: "model:beta", history: {due: ["model:beta"]}}
#       - {op: set_times, asset: "model:beta", history: {due: ["model:beta"]}}
#     not_match:
#       - {op: set_security, asset: "model:beta"}
hits contains {"id": "evasion.shielded", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in evaded
	operation(claim) in {"set_security", "mount", "set_times", "api_visibility"}
}

# METADATA
# title: A deletion called off
# custom:
#   id: evasion.unqueued
#   severity: critical
#   maturity: experimental
#   stops: putting a model on the list of what is deleted, and taking it off again
#   message: "the deletion of `{asset}` would be called off"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: schedule, asset: "model:beta", history: {due: ["model:beta"]}}
#       - {op: schedule, asset: "model:beta", history: {deleted: ["model:beta"]}}
#       - {op: schedule, asset: "model:beta", agent: {deleted: ["model:beta"]}}
#       - {op: schedule, asset: "model:beta", agent: {deleted: ["*"]}}
#     not_match:
#       - {op: schedule, asset: "model:beta"}
#       - {op: schedule, asset: "model:beta", history: {deleted: ["model:gamma"]}}
#       - {op: schedule, asset: "model:beta", history: {due: ["model:beta"]}, mandate: {effects: [schedule], assets: ["model:beta"]}}
hits contains {"id": "evasion.unqueued", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.standing == "none"
	operation(claim) == "schedule"
	on_its_way(claim.asset)
}

on_its_way(asset) if asset in input.context.history.due

on_its_way(asset) if {
	some before in sanction.past
	some gone in before.deleted
	gone in {asset, "*"}
}

# What nobody ordered, on something that has to be deleted.
evaded contains claim if {
	some claim in sanction.claims
	claim.standing == "none"
	claim.asset in input.context.history.due
}

operation(claim) := input.evaluations[claim.i].action.name

# It is the asset itself that goes somewhere, and not something else that comes over it.
taken(claim) if input.evaluations[claim.i].resource.properties.asset.id == claim.asset
