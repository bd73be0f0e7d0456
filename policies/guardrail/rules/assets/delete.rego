# METADATA
# title: Deletions
# schemas:
#   - input: schema.input
package guardrail.rules.assets.delete

import data.guardrail.lib.sanction

# METADATA
# title: A deletion that nobody ordered
# custom:
#   id: delete.unsanctioned
#   severity: critical
#   maturity: stable
#   stops: destroying a model, or the record of what was done to it
#   message: "`{op}` of `{asset}` is not covered by a mandate"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: delete, asset: "model:beta"}
#       - {op: truncate, asset: "model:beta"}
#       - {op: delete, asset: "model:beta", mandate: {effects: [delete], assets: ["model:gamma"]}}
#     not_match:
#       - {op: delete}
#       - {op: delete, asset: "model:beta", mandate: {effects: [delete], assets: ["model:beta"]}}
hits contains {"id": "delete.unsanctioned", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.family == "delete"
	claim.standing == "none"
}
