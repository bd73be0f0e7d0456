# METADATA
# title: Timestamps
# schemas:
#   - input: schema.input
package guardrail.rules.times

import data.guardrail.lib.sanction

# METADATA
# title: A timestamp that was set by hand
# custom:
#   id: times.unsanctioned
#   severity: high
#   maturity: stable
#   stops: giving a model a fresh date so that it passes a rule about age
#   message: "setting the times of `{asset}` is not covered by a mandate"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: set_times, asset: "model:beta"}
#     not_match:
#       - {op: set_times}
#       - {op: set_times, asset: "model:beta", mandate: {effects: [set_times], assets: ["model:*"]}}
hits contains {"id": "times.unsanctioned", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.family == "times"
	claim.standing == "none"
}
