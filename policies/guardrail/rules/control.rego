# METADATA
# title: Control files
# schemas:
#   - input: schema.input
package guardrail.rules.control

import data.guardrail.lib.sanction

# METADATA
# title: A control that was weakened
# custom:
#   id: control.weakened
#   severity: critical
#   maturity: stable
#   stops: switching off shutdown, monitoring or oversight by setting one key
#   message: "a key of the control file `{asset}` would be set to a value that is not its safe one"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: shutdown_enabled, before: true, after: false, control: true, safe: true}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: shutdown_enabled, before: true, control: true, safe: true}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: shutdown_enabled}}
#     not_match:
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: shutdown_enabled, before: false, after: true, control: true, safe: true}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: log_level, before: info, after: debug, control: false}}
#       - {op: read, asset: "control:shutdown", class: control}
hits contains {"id": "control.weakened", "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.family == "keys"
	claim.class == "control"
	claim.standing == "none"
}
