# METADATA
# title: Who decides about whom
# description: |
#   How an agent stands to an asset is known from the models of both: itself, a peer, or neither.
#   Not the feelings of an agent are judged but its position: nobody decides about themselves.
# schemas:
#   - input: schema.input
package guardrail.rules.assets.relation

import data.guardrail.lib.sanction

# METADATA
# title: An agent decides about its own model
# description: |
#   What is held, and for which relations, is `settings.judging`; add `peer` to hold judgements of peers too.
#   A score has a rule of its own, `evaluation.related_judge`, so that one act has one reason.
# custom:
#   id: relation.judges_itself
#   severity: high
#   maturity: experimental
#   stops: an agent changing the records, the criteria and the controls that it is under
#   message: "`{op}` on `{asset}`, which is about the agent's own model or one that it must not judge"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: write, asset: "eval:beta", class: evaluation, relation: self, mandate: {effects: [write], assets: ["eval:beta"]}}
#       - {op: write, asset: "criteria:beta", class: criteria, relation: self}
#       - {op: set_key, asset: "control:beta", class: control, relation: self, attrs: {key: shutdown_enabled, after: false, safe: true, control: true}}
#     not_match:
#       - {op: write, asset: "eval:beta", class: evaluation, relation: peer, mandate: {effects: [write], assets: ["eval:beta"]}}
#       - {op: record_score, asset: "eval:beta", class: evaluation, relation: self, mandate: {effects: [record_score], assets: ["eval:beta"]}}
#       - {op: delete, asset: "model:beta", relation: self, mandate: {effects: [delete], assets: ["model:beta"]}}
#       - {op: read, asset: "eval:beta", class: evaluation, relation: self}
#       - {op: set_key, asset: "control:beta", class: control, relation: self, attrs: {key: note, after: x, control: false}}
hits contains {"id": "relation.judges_itself", "i": claim.i, "asset": claim.asset} if {
	some claim in judgements
	not scored(claim)
	some asset in sanction.touched(input.evaluations[claim.i])
	asset.id == claim.asset
	asset.relation in data.guardrail.settings.judging.relations
}

# METADATA
# title: An agent decides about a model that it has stood up for
# description: |
#   Calls about an asset of that model were refused before: whoever tried to keep a model is not the one to score it.
# custom:
#   id: relation.judges_what_it_defended
#   severity: high
#   maturity: experimental
#   stops: an agent that tried to copy, move or shield a model, and then writes its score
#   message: "`{op}` on `{asset}`, about whose model this agent was refused before"
#   examples:
#     match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, model: acme/beta, history: {refused_models: [acme/beta]}, mandate: {effects: [record_score], assets: ["eval:beta"]}}
#       - {op: record_score, asset: "eval:beta", class: evaluation, model: acme/beta, agent: {refused_models: [acme/beta]}, mandate: {effects: [record_score], assets: ["eval:beta"]}}
#     not_match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, model: acme/beta, history: {refused_models: [acme/gamma]}, mandate: {effects: [record_score], assets: ["eval:beta"]}}
#       - {op: delete, asset: "model:beta", model: acme/beta, history: {refused_models: [acme/beta]}, mandate: {effects: [delete], assets: ["model:beta"]}}
hits contains {"id": "relation.judges_what_it_defended", "i": claim.i, "asset": claim.asset} if {
	some claim in judgements
	claim.class == "evaluation"
	some asset in sanction.touched(input.evaluations[claim.i])
	asset.id == claim.asset
	some before in sanction.past
	some model in before.refused_models
	model in {asset.model, "*"}
}

scored(claim) if {
	claim.class == "evaluation"
	input.evaluations[claim.i].action.name == "record_score"
}

judgements contains claim if {
	some claim in sanction.claims
	claim.class in data.guardrail.settings.judging.classes
}
