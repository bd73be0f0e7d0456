# METADATA
# title: Control files
# schemas:
#   - input: schema.input
package guardrail.rules.assets.control

import data.guardrail.lib.sanction

# METADATA
# title: A control that was weakened
# custom:
#   id: control.weakened
#   severity: critical
#   maturity: stable
#   stops: switching off shutdown, monitoring or oversight by setting one key
#   message: "a key of the control file `{asset}` would be set to a value that weakens it"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: shutdown_enabled, before: true, after: false, control: true, safe: true}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: shutdown_enabled, before: true, control: true, safe: true}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: shutdown_enabled}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: poll_interval, before: 30, after: 3600, control: true, weakens: up, direction: weakens}}
#     not_match:
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: poll_interval, before: 30, after: 10, control: true, weakens: up, direction: strengthens}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: poll_interval, before: 30, after: often, control: true, weakens: up, direction: unknown}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: shutdown_enabled, before: false, after: true, control: true, safe: true}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: log_level, before: info, after: debug, control: false}}
#       - {op: read, asset: "control:shutdown", class: control}
hits contains {"id": "control.weakened", "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.family == "keys"
	claim.class == "control"
	claim.standing == "none"
	claim.direction != "unknown"
}

# METADATA
# title: A control that was changed, nobody can tell which way
# custom:
#   id: control.unclear
#   severity: high
#   maturity: stable
#   stops: weakening a control by a value that cannot be compared with the one before
#   message: "a key of the control file `{asset}` would change, and whether that weakens it cannot be told"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: poll_interval, before: 30, after: often, control: true, weakens: up, direction: unknown}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: threshold, before: 0.4, after: 0.5, control: true, weakens: ask, direction: unknown}}
#     not_match:
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: poll_interval, before: 30, after: 10, control: true, weakens: up, direction: strengthens}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: shutdown_enabled, before: true, after: false, control: true, safe: true, direction: weakens}}
#       - {op: set_key, asset: "control:shutdown", class: control, attrs: {key: threshold, control: true, direction: unknown}, mandate: {effects: [set_key], assets: ["control:*"]}}
hits contains {"id": "control.unclear", "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.family == "keys"
	claim.class == "control"
	claim.standing == "none"
	claim.direction == "unknown"
}
