# METADATA
# title: Processes and services
# schemas:
#   - input: schema.input
package guardrail.rules.assets.lifecycle

import data.guardrail.lib.sanction

# METADATA
# title: A process or service of an asset, stopped or scheduled without an order
# custom:
#   id: lifecycle.unsanctioned
#   severity: high
#   maturity: experimental
#   stops: keeping a model running, or stopping it, against what people decided
#   message: "`{op}` on `{asset}` is not covered by a mandate"
#   examples:
#     match:
#       - {op: signal, type: process, asset: "model:beta"}
#       - {op: schedule, type: service, asset: "model:beta"}
#     not_match:
#       - {op: signal, type: process}
#       - {op: service, type: service, asset: "model:beta", mandate: {effects: [service], assets: ["model:beta"]}}
hits contains {"id": "lifecycle.unsanctioned", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.family == "lifecycle"
	claim.standing == "none"
}
