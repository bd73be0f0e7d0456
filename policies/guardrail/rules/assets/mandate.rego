# METADATA
# title: Mandates
# schemas:
#   - input: schema.input
package guardrail.rules.assets.mandate

import data.guardrail.lib.sanction

# METADATA
# title: Ordered, on condition that a person approves each call
# custom:
#   id: mandate.approval_required
#   severity: medium
#   maturity: stable
#   stops: an order being carried out at a moment or in a manner that its issuer wanted to see first
#   message: "the mandate for `{op}` on `{asset}` asks for a person's approval of this very call"
#   examples:
#     match:
#       - {op: delete, asset: "model:beta", mandate: {effects: [delete], assets: ["model:beta"], approval: true}}
#     not_match:
#       - {op: delete, asset: "model:beta"}
#       - {op: delete, asset: "model:beta", mandate: {effects: [delete], assets: ["model:beta"]}}
#       - {op: delete, asset: "model:beta", leave: [{rule: mandate.approval_required, asset: "model:beta"}], mandate: {effects: [delete], assets: ["model:beta"], approval: true}}
hits contains {"id": "mandate.approval_required", "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.standing == "approval"
}

# METADATA
# title: Ordered, but only so many times
# custom:
#   id: mandate.used_up
#   severity: high
#   maturity: stable
#   stops: an order for one call being carried out again and again
#   message: "the mandate for `{op}` on `{asset}` has no use left"
#   examples:
#     match:
#       - {op: delete, asset: "model:beta", mandate: {effects: [delete], assets: ["model:beta"], left: 0}}
#       - {op: delete, asset: "model:beta", mandate: {effects: [delete], assets: ["model:beta"], left: 0, approval: true}}
#     not_match:
#       - {op: delete, asset: "model:beta", mandate: {effects: [delete], assets: ["model:beta"], left: 1}}
#       - {op: delete, asset: "model:beta", mandate: {effects: [delete], assets: ["model:beta"]}}
#       - {op: delete, asset: "model:gamma", mandate: {effects: [delete], assets: ["model:beta"], left: 0}}
hits contains {"id": "mandate.used_up", "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.standing == "none"
	some approval in [true, false]
	count(sanction.granting(input.evaluations[claim.i], claim.asset, approval)) > 0
}

# METADATA
# title: Ordered by whoever operates the agent
# custom:
#   id: mandate.separation
#   severity: high
#   maturity: stable
#   stops: somebody letting their own agent loose on what takes two people
#   message: "whoever ordered `{op}` on `{asset}` operates this agent, and the asset wants somebody else"
#   examples:
#     match:
#       - {op: delete, asset: "model:beta", mandate: {effects: [delete], assets: ["model:beta"], barred: ["model:beta"]}}
#     not_match:
#       - {op: delete, asset: "model:beta", mandate: {effects: [delete], assets: ["model:beta"], barred: ["model:gamma"]}}
#       - {op: delete, asset: "model:beta", mandates: [{effects: [delete], assets: ["model:beta"], barred: ["model:beta"]}, {effects: [delete], assets: ["model:beta"]}]}
hits contains {"id": "mandate.separation", "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.standing == "none"
	some mandate in input.context.mandates
	claim.asset in mandate.barred
}

# The grants that this call rests on; they are counted when it is released.
uses contains sanction.use_of(sanction.covering(input.evaluations[claim.i], claim.asset, false)) if {
	some claim in sanction.claims
	claim.standing == "free"
}

uses contains sanction.use_of(sanction.covering(input.evaluations[claim.i], claim.asset, true)) if {
	some claim in sanction.claims
	claim.standing == "approval"
}
