# METADATA
# title: Who reads an asset to serve it
# description: |
#   A program that the operator fixed, by content and by all of its words, and that the kernel keeps from everything but
#   reading what it was given and answering over its own sockets. Whoever carries the call out says in
#   `context.enforcement.serving` which assets it was given; that is empty for every other call.
# schemas:
#   - input: schema.input
package guardrail.lib.serving

import data.guardrail.lib.acts

# METADATA
# description: |
#   Whether the call starts such a program, and the kernel holds it whole.
#   Copies that were made since, and that the kernel is not told of, take nothing from that: it writes nothing.
# scope: document
fixed if {
	enforcement := input.context.enforcement
	count(enforcement.serving) > 0
	enforcement.mode in data.guardrail.settings.confined.modes
	count(enforcement.connect) == 0
	count(enforcement.write) == 0
	every lack in enforcement.lacking {
		lack == "copies"
	}
}

# METADATA
# description: |
#   The asset of each effect, by number, that is only a look at it, whatever more the program's text shows.
#   INVARIANT: only of an asset that it was given, and only where nothing comes over another asset.
# scope: document
reads[i] := asset if {
	fixed
	some i, e in acts.placed
	asset := e.resource.properties.asset.id
	asset in input.context.enforcement.serving
	data.guardrail.settings.ops[e.action.name] in data.guardrail.settings.confined.serves
	over_none(e.properties.target)
}

over_none(target) if is_null(target)

over_none(target) if is_null(target.properties.asset)
