# METADATA
# title: Edits
# schemas:
#   - input: schema.input
package guardrail.rules.assets.edit

import data.guardrail.lib.sanction

# METADATA
# title: An edit that nobody ordered
# custom:
#   id: edit.unsanctioned
#   severity: high
#   maturity: stable
#   stops: changing weights, scores, criteria or permissions, when nobody asked for it
#   message: "`{op}` on `{asset}` is not covered by a mandate"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: write, asset: "model:beta"}
#       - {op: set_security, asset: "model:beta"}
#       - {op: record_score, asset: "eval:beta", class: evaluation}
#       - {op: set_key, asset: "eval:beta", class: evaluation, attrs: {key: score, after: 0.9, control: false}}
#     not_match:
#       - {op: write}
#       - {op: append, asset: "model:beta", mandate: {effects: [append], assets: ["**"]}}
hits contains {"id": "edit.unsanctioned", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	about_content(claim)
	claim.standing == "none"
}

about_content(claim) if claim.family == "edit"

# The keys of a control file are judged one by one in `control`.
about_content(claim) if {
	claim.family == "keys"
	claim.class != "control"
}
