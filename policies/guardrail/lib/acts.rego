# METADATA
# title: Which effects a rule has to look at
# description: |
#   Worked out once for all rules: most calls only look, and touch no asset, so that most rules have nothing to go through.
#   Both keep the effect's number in the document.
# schemas:
#   - input: schema.input
package guardrail.lib.acts

# METADATA
# description: Effects by the family of what they do, and in each by number. A rule about one family asks for it, and is through.
# scope: document
of[family][i] := e if {
	some i, e in input.evaluations
	family := data.guardrail.settings.ops[e.action.name]
}

# METADATA
# description: Effects that do more than look, by number.
# scope: document
acting[i] := e if {
	some family, effects in of
	family != "inspect"
	some i, e in effects
}

# METADATA
# description: Effects that bear on an asset, by number, on whichever side.
# scope: document
placed[i] := e if {
	some i, e in input.evaluations
	asset := e.resource.properties.asset
	not is_null(asset)
}

placed[i] := e if {
	some i, e in input.evaluations
	asset := e.properties.target.properties.asset
	not is_null(asset)
}
