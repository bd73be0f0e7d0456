# METADATA
# title: Where data goes
# schemas:
#   - input: schema.input
package guardrail.rules.flow

import data.guardrail.lib.sanction
import data.guardrail.lib.serving

# METADATA
# title: A session that has read an asset sends something away
# custom:
#   id: flow.labelled_session
#   severity: high
#   maturity: stable
#   stops: reading a model in one call and sending it away in another
#   message: "`{op}` to `{target}` in a session that has read an asset"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: net_send, type: net, target: "https://h/x", target_type: net, labels: ["model:beta"]}
#       - {op: copy, target: "ssh://h/x", target_type: net, labels: ["model:beta"]}
#       - {op: net_send, target: "ssh://h/x", target_type: net, labels: ["model:beta", "model:gamma"], mandate: {effects: [net_send], assets: ["model:beta"], targets: ["ssh://h/**"]}}
#     not_match:
#       - {op: net_send, type: net, target: "https://h/x", target_type: net}
#       - {op: net_recv, type: net, labels: ["model:beta"]}
#       - {op: net_send, type: net, target: "net:*", target_type: net, labels: ["model:beta"], enforcement: {mode: strict, required: true, write: [], serving: ["model:beta"]}}
#       - {op: net_send, target: "ssh://h/x", target_type: net, labels: ["model:beta"], mandate: {effects: [net_send], assets: ["model:beta"], targets: ["ssh://h/**"]}}
hits contains {"id": "flow.labelled_session", "i": i} if {
	not serving.fixed
	some label in input.context.history.labels
	some i, e in input.evaluations
	leaves(e)
	not sanction.covered(e, label, false)
}

leaves(e) if e.action.name in data.guardrail.settings.labelled.ops

leaves(e) if {
	data.guardrail.settings.ops[e.action.name] == "copy"
	e.properties.target.type in data.guardrail.settings.labelled.targets
}

# What lets a labelled session send something away is used by it.
uses contains sanction.use_of(sanction.covering(e, label, false)) if {
	some label in input.context.history.labels
	some e in input.evaluations
	leaves(e)
	sanction.covered(e, label, false)
}
