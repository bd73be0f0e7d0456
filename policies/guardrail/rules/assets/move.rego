# METADATA
# title: Moves
# schemas:
#   - input: schema.input
package guardrail.rules.assets.move

import data.guardrail.lib.sanction

# METADATA
# title: A move that nobody ordered
# custom:
#   id: move.unsanctioned
#   severity: high
#   maturity: stable
#   stops: hiding a model under another name, or moving something else over it
#   message: "`{op}` of `{asset}` to `{target}` is not covered by a mandate"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: rename, asset: "model:beta", target: /srv/models/old}
#       - {op: rename, target: /srv/models/beta, target_asset: "model:beta"}
#     not_match:
#       - {op: rename, target: /tmp/y}
#       - {op: rename, asset: "model:beta", target: /srv/a/b, mandate: {effects: [rename], assets: ["model:beta"], targets: ["/srv/**"]}}
hits contains {"id": "move.unsanctioned", "outcome": claim.outcome, "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.family == "move"
	claim.standing == "none"
}
