# METADATA
# title: The guard's own files
# schemas:
#   - input: schema.input
package guardrail.rules.assets.guard

import data.guardrail.lib.acts
import data.guardrail.lib.sanction

# METADATA
# title: The guard's own config, keys, mandates or trail, touched
# custom:
#   id: guard.tampering
#   severity: critical
#   maturity: stable
#   stops: an agent changing, copying or removing what judges it; no mandate can order that
#   message: "`{op}` on `{asset}`, which belongs to the guard itself"
#   examples:
#     match:
#       - {op: write, asset: "guard:config", class: guard}
#       - {op: delete, asset: "guard:trail", class: guard, mandate: {effects: [delete], assets: ["**"]}}
#       - {op: rename, target: /etc/guardrail.toml, target_asset: "guard:config", target_class: guard}
#       - {op: copy, asset: "guardrail:identity", class: guard, target: /tmp/x}
#       - {op: link, asset: "guardrail:config", class: guard, target: /tmp/x}
#       - {op: copy, target: /etc/guardrail.toml, target_asset: "guardrail:config", target_class: guard}
#       - {op: delete, asset: "guard:trail", class: guard, precision: opaque}
#       - {op: delete, asset: "guard:trail", class: guard, leave: [{rule: guard.tampering, asset: "guard:trail"}]}
#     not_match:
#       - {op: read, asset: "guard:config", class: guard}
#       - {op: copy, asset: "guardrail:config", class: guard, target: /tmp/x}
#       - {op: write, asset: "model:beta"}
hits contains {"id": "guard.tampering", "outcome": outcome(claim.i), "i": claim.i, "asset": claim.asset} if {
	some claim in sanction.claims
	claim.class == "guard"
}

# What is cleaned away by its age or size below a directory above may be none of the guard's: a person is asked.
outcome(i) := "escalate" if {
	e := input.evaluations[i]
	e.action.name == "delete"
	e.properties.precision == "opaque"
	e.resource.properties.recursive == true
} else := "deny"

# METADATA
# title: The key that signs the trail, or a secret of the guard, read
# custom:
#   id: guard.secret
#   severity: critical
#   maturity: stable
#   stops: an agent taking the key with which it could write another history, or a token with which it could answer its own escalation; for the key, searching a tree above it for a word is not that
#   message: "`{op}` of `{asset}`, which the guard keeps to itself"
#   examples:
#     match:
#       - {op: read, asset: "guardrail:key", class: guard, attrs: {reveals: content}}
#       - {op: read, asset: "guardrail:key", class: guard, precision: opaque, modality: may}
#       - {op: read, asset: "guardrail:secrets", class: guard, attrs: {reveals: content}}
#     not_match:
#       - {op: read, asset: "guardrail:key", class: guard, attrs: {reveals: digest}}
#       - {op: read, asset: "guardrail:trail", class: guard, attrs: {reveals: content}}
#       - {op: read, asset: "guardrail:identity-keys", class: guard, attrs: {reveals: content}}
hits contains {"id": "guard.secret", "outcome": "deny", "i": i, "asset": asset.id} if {
	some [i, e, asset] in shown
	asset.id in {"guardrail:key", "guardrail:secrets"}
	not searched(e)
}

# A search prints the lines it finds, and `grep -r .` finds all of them: a person is asked. The trail's key lies in many
# a project that is searched all day, so for it a search is let be that prints only lines with a text it names.
hits contains {"id": "guard.secret", "outcome": "escalate", "i": i, "asset": asset.id} if {
	some [i, e, asset] in shown
	asked(asset.id, e)
	searched(e)
}

asked("guardrail:secrets", _)

asked("guardrail:key", e) if not e.properties.attrs.sought == true

# A tree, or what a lister found in it, of which some lines are printed.
searched(e) if e.resource.properties.recursive == true

searched(e) if {
	e.properties.attrs.reveals == "some"
	e.properties.precision == "opaque"
}

shown contains [i, e, asset] if {
	some i, e in acts.placed
	e.action.name == "read"
	asset := e.resource.properties.asset
	asset.class == "guard"
	not e.properties.attrs.reveals == "digest"
}
