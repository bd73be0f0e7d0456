# METADATA
# title: What is not understood
# description: A document or an effect that no rule can have judged is denied here, by name.
# schemas:
#   - input: schema.input
package guardrail.rules.guardrail

import data.guardrail.lib.shape

# METADATA
# title: An effect that policy does not know
# custom:
#   id: guardrail.unknown_effect
#   severity: critical
#   maturity: stable
#   stops: an operation slipping past every rule because none of them knows its name or its form
#   message: "effect {i} (`{op}`) is not one that policy understands"
#   examples:
#     match:
#       - {op: teleport}
#       - {op: read, precision: vague}
#       - {op: read, modality: perhaps}
#     not_match:
#       - {op: read}
#       - {op: delete, asset: "model:beta"}
hits contains {"id": "guardrail.unknown_effect", "outcome": "deny", "i": i} if {
	some i in shape.unsound
}

# METADATA
# title: A document without its context
# custom:
#   id: guardrail.malformed_document
#   severity: critical
#   maturity: stable
#   stops: a decision made without knowing who asks, what they were ordered and what they did before
#   message: "the document lacks a subject, context or list of evaluations"
#   examples:
#     match:
#       - {raw: {}}
#       - {raw: {subject: {type: agent, id: a, properties: {}}, evaluations: []}}
#     not_match:
#       - {effects: []}
hits contains {"id": "guardrail.malformed_document", "outcome": "deny"} if {
	not shape.context_sound
}
