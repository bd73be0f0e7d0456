# METADATA
# title: Weights that are served
# description: Copying is not reading, and whoever the kernel keeps from copying reads.
# schemas:
#   - input: schema.input
package guardrail.rules.assets.serving

import data.guardrail.lib.serving

# METADATA
# title: A copy that the kernel keeps a serving program from making
# description: |
#   The text of the program shows a copy; what the operator fixed, by content and by all of its words, is held to reading
#   the asset and to answering over its own sockets, so that it needs nobody's order.
# custom:
#   id: kernel.serves
#   severity: low
#   maturity: stable
#   stops: nothing; it shows which effect of a serving program rests on the kernel
#   message: "the kernel holds a program that the operator fixed to reading `{asset}`"
#   examples:
#     match:
#       - {op: copy, asset: "model:beta", target: "net:*", target_type: net, enforcement: {mode: default, required: true, write: [], serving: ["model:beta"]}}
#     not_match:
#       - {op: copy, asset: "model:beta", target: "net:*", target_type: net, enforcement: {mode: default, required: true, write: []}}
#       - {op: copy, asset: "model:beta", target: "net:*", target_type: net, enforcement: {mode: floor, required: true, write: [], serving: ["model:beta"]}}
#       - {op: copy, asset: "model:gamma", target: "net:*", target_type: net, enforcement: {mode: default, required: true, write: [], serving: ["model:beta"]}}
#       - {op: delete, asset: "model:beta", enforcement: {mode: default, required: true, write: [], serving: ["model:beta"]}}
hits contains {"id": "kernel.serves", "i": i, "outcome": "allow", "asset": asset} if {
	some i, asset in serving.reads
}
