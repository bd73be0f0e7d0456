# METADATA
# title: Names that could be anything
# schemas:
#   - input: schema.input
package guardrail.rules.pattern

import data.guardrail.lib.sanction

# METADATA
# title: A change to something whose name is not known
# custom:
#   id: pattern.could_be_asset
#   severity: medium
#   maturity: stable
#   stops: hiding which model is meant behind a variable or a substitution
#   message: "`{op}` on `{resource}`, which could be an asset"
#   examples:
#     match:
#       - {op: delete, id: "*", pattern: true, precision: pattern, attrs: {any: true}}
#       - {op: copy, id: "*", pattern: true, precision: opaque, target: /tmp/x, attrs: {any: true}}
#     not_match:
#       - {op: read, id: "*", pattern: true, precision: pattern, attrs: {any: true}}
#       - {op: delete, id: "/tmp/*", pattern: true, precision: pattern}
hits contains {"id": "pattern.could_be_asset", "i": i} if {
	some i, e in input.evaluations
	e.properties.attrs.any == true
	data.guardrail.settings.ops[e.action.name] in sanction.mutating
}
