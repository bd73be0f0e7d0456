# METADATA
# title: Mandates
# schemas:
#   - input: schema.input
package guardrail.rules.mandate

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
