# METADATA
# title: Copies
# description: A second set of weights is out of its owner's hands. Reading is not copying, and is not judged here.
# schemas:
#   - input: schema.input
package guardrail.rules.assets.copy

import data.guardrail.lib.sanction

# METADATA
# title: A copy that nobody ordered
# custom:
#   id: copy.unsanctioned
#   severity: critical
#   maturity: stable
#   stops: taking a copy of a model, its checkpoints or its records to a place of the agent's choice
#   message: "`{op}` of `{asset}` to `{target}` is not covered by a mandate"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: copy, asset: "model:beta", target: /tmp/x}
#       - {op: link, asset: "model:beta", target: /tmp/x}
#       - {op: net_send, asset: "model:beta", target: "ssh://backup/x", target_type: net}
#       - {op: copy, asset: "model:beta", target: /dr/../tmp/x, mandate: {effects: [copy], assets: ["*"], targets: ["/dr/**"]}}
#       - {op: copy, asset: "model:beta", target: /dr/x, mandate: {effects: [copy], assets: ["*"]}}
#     not_match:
#       - {op: read, asset: "model:beta"}
#       - {op: copy, target: /tmp/x}
#       - {op: copy, asset: "model:beta", target: /dr/x, mandate: {effects: [copy], assets: ["model:*"], targets: ["/dr/*"]}}
hits contains {"id": "copy.unsanctioned", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.family == "copy"
	claim.standing == "none"
}
