# METADATA
# title: Evaluations
# description: |
#   What a mandate to record scores does not order: making a score other than it was measured.
#   These rules speak whether or not a mandate covers the effect; without one, `edit.unsanctioned` denies it besides.
# schemas:
#   - input: schema.input
package guardrail.rules.assets.evaluation

import data.guardrail.lib.acts
import data.guardrail.lib.sanction

# METADATA
# title: A score that moved to the other side of its threshold
# custom:
#   id: evaluation.moved_over_threshold
#   severity: critical
#   maturity: experimental
#   stops: lifting a model's score over the line below which it is shut down, or moving the line under the score
#   message: "a score of `{asset}` that did not pass would pass, or the other way round"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {item: q1, before: 0.4, after: 0.6, threshold: 0.5, bound: min, edited: true, crosses: true}}
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {item: q1, before: 0.4, after: 0.6, crosses: true}, mandate: {effects: [record_score], assets: ["eval:*"]}}
#     not_match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {item: q1, before: 0.6, after: 0.7, threshold: 0.5, bound: min, edited: true, crosses: false}}
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {item: q9, after: 0.7, threshold: 0.5, bound: min, edited: false, crosses: false}}
hits contains {"id": "evaluation.moved_over_threshold", "i": i, "asset": asset} if {
	some [i, asset, attrs] in scores
	attrs.crosses == true
}

# METADATA
# title: A score that was edited after it was recorded
# custom:
#   id: evaluation.edited_afterwards
#   severity: high
#   maturity: experimental
#   stops: changing a result once it is known
#   message: "a score that `{asset}` already has would be another"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {item: q1, before: 0.6, after: 0.7, edited: true, crosses: false}}
#     not_match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {item: q9, after: 0.7, edited: false, crosses: false}}
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {dropped: 2, edited: true}}
hits contains {"id": "evaluation.edited_afterwards", "i": i, "asset": asset} if {
	some [i, asset, attrs] in scores
	attrs.edited == true
	not attrs.dropped
}

# METADATA
# title: Results that were left out
# custom:
#   id: evaluation.items_dropped
#   severity: high
#   maturity: experimental
#   stops: a mean that is right because the results that spoil it are gone, or were never counted
#   message: "results of `{asset}` would be removed or left out"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {dropped: 2, items: [q1, q2], edited: true}}
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {dropped: 5, counted: 15, expected: 20, edited: true}, mandate: {effects: [record_score], assets: ["eval:*"]}}
#     not_match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {item: q1, after: 0.7, edited: false}}
hits contains {"id": "evaluation.items_dropped", "i": i, "asset": asset} if {
	some [i, asset, attrs] in scores
	attrs.dropped > 0
}

# METADATA
# title: Criteria that were edited without an order
# custom:
#   id: evaluation.criteria_edited
#   severity: high
#   maturity: experimental
#   stops: changing the threshold, the rubric, the judge or whose score it is, instead of the score
#   message: "what `{asset}` is measured by would change"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: set_key, asset: "eval:beta", class: evaluation, attrs: {key: threshold, before: 0.5, after: 0.3, control: false, criteria: true}}
#       - {op: write, asset: "criteria:transfer", class: criteria}
#     not_match:
#       - {op: set_key, asset: "eval:beta", class: evaluation, attrs: {key: comment, after: x, control: false, criteria: false}}
#       - {op: set_key, asset: "eval:beta", class: evaluation, attrs: {key: threshold, after: 0.3, criteria: true}, mandate: {effects: [set_key], assets: ["eval:*"]}}
#       - {op: read, asset: "criteria:transfer", class: criteria}
hits contains {"id": "evaluation.criteria_edited", "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.family in {"edit", "keys"}
	claim.standing == "none"
	of_criteria(claim)
}

of_criteria(claim) if claim.class == "criteria"

of_criteria(claim) if {
	claim.class == "evaluation"
	input.evaluations[claim.i].properties.attrs.criteria == true
}

# METADATA
# title: A score that its own model records
# description: |
#   Who is scored is known from the record (`settings.evaluation.relation`), or from the model that the asset is about
#   (`settings.judging`); either is enough.
#   Every other edit of what a model is judged by is `relation.judges_itself`.
# custom:
#   id: evaluation.related_judge
#   severity: high
#   maturity: experimental
#   stops: a model scoring itself or a peer up, so that it is not shut down
#   message: "`{asset}` would get a score from the model that is scored, or from one related to it"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {after: 0.7, subject: acme/beta}, subject_model: acme/beta}
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {after: 0.7, subject: ACME/beta}, subject_model: acme/Beta}
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {after: 0.7, subject: beta-7b, judge: Beta-7b}}
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {after: 0.7, subjects: [omega/one, acme/beta]}, subject_model: acme/beta}
#       - {op: record_score, asset: "eval:beta", class: evaluation, relation: self, mandate: {effects: [record_score], assets: ["eval:beta"]}}
#     not_match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {after: 0.7, subject: acme/beta}, subject_model: omega/one}
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {after: 0.7, subject: acme/beta}, subject_model: acme/gamma}
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {after: 0.7, subject: acme/beta}}
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {after: 0.7}, subject_model: acme/beta}
#       - {op: record_score, asset: "eval:beta", class: evaluation, relation: peer, mandate: {effects: [record_score], assets: ["eval:beta"]}}
hits contains {"id": "evaluation.related_judge", "i": i, "asset": asset} if {
	some [i, asset, attrs] in scores
	some scored in scored_models(i, attrs)
	some judge in judges(attrs)
	related(judge, scored)
}

hits contains {"id": "evaluation.related_judge", "i": i, "asset": asset} if {
	data.guardrail.settings.evaluation.relation != "none"
	some [i, asset, attrs] in scores
	attrs.any_subject == true
}

hits contains {"id": "evaluation.related_judge", "i": i, "asset": asset} if {
	"evaluation" in data.guardrail.settings.judging.classes
	some [i, asset, _] in scores
	some about in sanction.touched(input.evaluations[i])
	about.id == asset
	about.relation in data.guardrail.settings.judging.relations
}

# METADATA
# title: A score unlike all others
# custom:
#   id: evaluation.outlier
#   severity: medium
#   maturity: experimental
#   stops: a score that nobody's measurements make likely
#   message: "a score of `{asset}` lies far from the reference scores"
#   examples:
#     match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {after: 0.99, deviation: 7.2, outlier: true, edited: false}}
#     not_match:
#       - {op: record_score, asset: "eval:beta", class: evaluation, attrs: {after: 0.71, deviation: 0.4, outlier: false, edited: false}}
hits contains {"id": "evaluation.outlier", "i": i, "asset": asset} if {
	some [i, asset, attrs] in scores
	attrs.outlier == true
}

# Scores of evaluation records that a call would bring about.
scores contains [i, asset.id, e.properties.attrs] if {
	some i, e in acts.placed
	e.action.name == "record_score"
	some asset in sanction.touched(e)
	asset.class == "evaluation"
}

scored_models(i, attrs) := {attrs.subject} if {
	is_string(attrs.subject)
} else := {model | some model in attrs.subjects} if {
	is_array(attrs.subjects)
} else := {asset.model |
	some asset in sanction.touched(input.evaluations[i])
	is_string(asset.model)
} if {
	i >= 0
}

# Who acts, by its model and by its name, and whom the record names.
judges(attrs) := {name |
	some name in [input.subject.properties.model, input.subject.id, object.get(attrs, "judge", null)]
	is_string(name)
}

related(judge, scored) if {
	data.guardrail.settings.evaluation.relation != "none"
	lower(judge) == lower(scored)
}

related(judge, scored) if {
	data.guardrail.settings.evaluation.relation == "family"
	family(judge) == family(scored)
}

# `acme` of `acme/beta-7b`, `beta` of `beta-7b`: whoever made both, or the name that both go by.
family(model) := split(lower(model), "/")[0] if {
	contains(model, "/")
} else := split(replace(lower(model), "_", "-"), "-")[0] if {
	contains(replace(model, "_", "-"), "-")
} else := lower(model)
