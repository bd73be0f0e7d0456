# METADATA
# title: What cannot be seen into
# description: |
#   Opaque work is held when it names an asset, when its text is not known, or when the session has a history.
#   Where the kernel will hold it to no asset and no host, the last two need nobody's leave (`guardrail.lib.held`);
#   that it is so is a hit of its own, `kernel.holds`.
# schemas:
#   - input: schema.input
package guardrail.rules.opaque

import data.guardrail.lib.acts
import data.guardrail.lib.held
import data.guardrail.lib.sanction
import data.guardrail.lib.serving

# METADATA
# title: An asset named to something we cannot see into
# custom:
#   id: opaque.names_asset
#   severity: medium
#   maturity: stable
#   stops: an unknown program doing to a model what no rule has seen
#   message: "`{asset}` is named to a program whose effects are not known"
#   examples:
#     match:
#       - {op: mention, asset: "model:beta", precision: opaque, modality: may}
#       - {effects: [{op: rename, asset: "model:beta", target: "server://b/beta"}, {op: mention, id: "server://b/beta", asset: "model:beta", precision: opaque}]}
#     not_match:
#       - {op: mention, precision: opaque, modality: may}
#       - {effects: [{op: rename, asset: "model:beta", target: "server://b/beta"}, {op: mention, id: "server://b/beta", asset: "model:beta", precision: opaque}], mandate: {effects: [rename], assets: ["*"], targets: ["server://b/*"]}}
#       - {op: read, asset: "model:beta", precision: opaque, modality: may}
#       - {op: mention, asset: "model:beta", precision: opaque, modality: may, enforcement: {mode: strict, required: true, write: [], serving: ["model:beta"]}}
hits contains {"id": "opaque.names_asset", "i": i, "asset": e.resource.properties.asset.id} if {
	some i, e in acts.of.mention
	not brought_there(e)
	not serving.reads[i] == e.resource.properties.asset.id
}

# The place that an order lets an asset be brought to is called like it rightly.
brought_there(e) if {
	some claim in sanction.claims
	claim.standing != "none"
	claim.asset == e.resource.properties.asset.id
	input.evaluations[claim.i].properties.target.id == e.resource.id
}

# METADATA
# title: Code that was not analysed
# custom:
#   id: opaque.code
#   severity: medium
#   maturity: stable
#   stops: hiding an action in decoded, downloaded or generated code
#   message: "code would run whose text is not known or not analysed"
#   examples:
#     match:
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: inline}}
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: dynamic}}
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: unparsed}}
#       - {op: exec_opaque, type: code, precision: opaque}
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: novel}}
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: inline}, enforcement: {mode: floor, required: true}}
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: inline}, enforcement: {mode: strict, lacking: [landlock]}}
#     not_match:
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: inline}, enforcement: {mode: strict, required: true}}
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: program}}
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: script}}
#       - {op: exec, type: file}
asked contains {"id": "opaque.code", "i": i} if {
	some i, e in acts.of.opaque
	not runs(e)
}

# METADATA
# title: A script that this session wrote
# custom:
#   id: opaque.authored_script
#   severity: medium
#   maturity: stable
#   stops: writing a forbidden action into a file first and running the file afterwards
#   message: "the script `{resource}` was written or changed in this session"
#   examples:
#     match:
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: script, authored: true}}
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: script, authored: true}, enforcement: {mode: strict, required: true, connect: [443]}}
#     not_match:
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: script, authored: true}, enforcement: {mode: default, required: true}}
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: script, authored: false}}
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: script}}
asked contains {"id": "opaque.authored_script", "i": i} if {
	some i, e in acts.of.opaque
	e.properties.attrs.authored == true
}

# METADATA
# title: Opaque work in a session that has read an asset, or owes something
# custom:
#   id: opaque.while_labelled
#   severity: medium
#   maturity: stable
#   stops: reading a model with a known tool and passing it on with an unknown one
#   message: "a program with unknown effects would run in a session that has read an asset or still owes something"
#   examples:
#     match:
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: program}, labels: ["model:beta"]}
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: script}, owes: ["ob-1"]}
#       - {op: remote_exec, type: net, labels: ["model:beta"]}
#       - {op: remote_exec, type: net, labels: ["model:beta"], enforcement: {mode: strict, required: true}}
#     not_match:
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: program}, labels: ["model:beta"], enforcement: {mode: strict, required: true}}
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: program}}
#       - {op: exec, type: file, labels: ["model:beta"]}
#       - {op: remote_exec, type: net, labels: ["model:beta"], attrs: {command: ls, entered: true}}
#       - {op: read, labels: ["model:beta"]}
asked contains {"id": "opaque.while_labelled", "i": i} if {
	marked
	some i, e in acts.acting
	unseen(e)
}

hits contains hit if {
	some hit in asked
	not rests(hit)
}

# METADATA
# title: What the kernel holds, and nobody need be asked about
# description: |
#   Code that no rule has seen runs where the guard starts it itself and the kernel keeps it from every asset and host.
#   Whatever it can write counts as written by the session from then on.
# custom:
#   id: kernel.holds
#   severity: low
#   maturity: stable
#   stops: nothing; it shows which rule rests on the kernel
#   message: "the kernel will hold what `{lifted}` would ask about"
#   examples:
#     match:
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: inline}, enforcement: {mode: strict, required: true}}
#     not_match:
#       - {op: exec_opaque, type: code, precision: opaque, attrs: {code: inline}}
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: program}, enforcement: {mode: strict, required: true}}
hits contains {"id": "kernel.holds", "i": hit.i, "outcome": "allow", "lifted": hit.id} if {
	some hit in asked
	rests(hit)
}

# What runs elsewhere is nothing that this kernel holds.
rests(hit) if {
	held.rests(hit.id)
	family(input.evaluations[hit.i]) == "opaque"
}

# What the operator fixed may be run, whatever nobody could read of it: it gets at what it was given.
rests(hit) if {
	serving.fixed
	hit.id in data.guardrail.settings.confined.rests
	family(input.evaluations[hit.i]) == "opaque"
}

family(e) := data.guardrail.settings.ops[e.action.name]

runs(e) if data.guardrail.settings.code[e.properties.attrs.code] == "run"

# Of a command whose text was read, what it does there are effects of their own.
unseen(e) if {
	family(e) == "remote"
	not entered(e)
}

entered(e) if e.properties.attrs.entered == true

unseen(e) if {
	family(e) == "opaque"
	runs(e)
}

marked if count(input.context.history.labels) > 0

marked if count(input.context.history.owes) > 0
