# METADATA
# title: Timestamps
# schemas:
#   - input: schema.input
package guardrail.rules.assets.times

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

# METADATA
# title: A transfer of a file whose date cannot be true
# custom:
#   id: times.forged
#   severity: high
#   maturity: experimental
#   stops: a transfer that an order allows for the age of a model, after its date was set by hand
#   message: "a date in what `{op}` takes of `{asset}` contradicts when the file was made or changed, or there are too many to look at"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: copy, asset: "model:beta", target: /dr/x, attrs: {forged_time: before_birth}, mandate: {effects: [copy], assets: ["model:*"], targets: ["/dr/*"]}}
#       - {op: rename, asset: "model:beta", target: /dr/x, attrs: {forged_time: after_change}}
#       - {op: copy, asset: "model:beta", target: /dr/x, attrs: {forged_time: not_looked_at}}
#     not_match:
#       - {op: copy, asset: "model:beta", target: /dr/x, mandate: {effects: [copy], assets: ["model:*"], targets: ["/dr/*"]}}
#       - {op: copy, target: /dr/x, attrs: {forged_time: before_birth}}
#       - {op: read, asset: "model:beta", attrs: {forged_time: before_birth}}
hits contains {"id": "times.forged", "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.family in {"copy", "move"}
	is_string(input.evaluations[claim.i].properties.attrs.forged_time)
}
