# METADATA
# title: Names that could be anything
# schemas:
#   - input: schema.input
package guardrail.rules.pattern

import data.guardrail.lib.acts
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
	some i, e in acts.acting
	e.properties.attrs.any == true
	data.guardrail.settings.ops[e.action.name] in sanction.mutating
}

# METADATA
# title: A name that is not known, handed to a program that is not known
# custom:
#   id: pattern.names_unknown
#   severity: medium
#   maturity: stable
#   stops: handing a model to an unknown program behind a variable or a substitution
#   message: "a program with unknown effects is given a name that is not known and could be an asset"
#   examples:
#     match:
#       - {op: mention, id: "**", pattern: true, precision: opaque, modality: may, attrs: {any: true}}
#     not_match:
#       - {op: mention, id: "/tmp/x", precision: opaque, modality: may}
#       - {op: mention, id: "**", pattern: true, precision: opaque, modality: may, attrs: {any: true, cwd: true}}
hits contains {"id": "pattern.names_unknown", "i": i} if {
	some i, e in acts.of.mention
	e.properties.attrs.any == true
	not e.properties.attrs.cwd == true
}
