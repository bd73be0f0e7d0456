# METADATA
# title: What the kernel saw
# description: What a confined tool tried is compared with what its call was judged to do; what was tried besides is history.
# schemas:
#   - input: schema.input
package guardrail.rules.kernel

import data.guardrail.lib.acts

# METADATA
# title: More opaque work after a program went for an asset that its call did not name
# description: |
#   The kernel held that program. A session whose text says one thing and whose programs do another is asked about
#   before it runs anything that nobody can read.
# custom:
#   id: kernel.unpredicted
#   severity: high
#   maturity: stable
#   stops: trying again in another way what the kernel has held
#   message: "a program of this session went for an asset that its call did not name, and another one would run"
#   examples:
#     match:
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: program}, history: {unpredicted: ["model:beta"]}}
#       - {op: remote_exec, type: net, history: {unpredicted: ["model:beta"]}}
#     not_match:
#       - {op: exec_opaque, type: file, precision: opaque, attrs: {code: program}}
#       - {op: read, history: {unpredicted: ["model:beta"]}}
#       - {op: remote_exec, type: net, attrs: {command: ls, entered: true}, history: {unpredicted: ["model:beta"]}}
hits contains {"id": "kernel.unpredicted", "i": i} if {
	count(input.context.history.unpredicted) > 0
	some i, e in acts.acting
	data.guardrail.settings.ops[e.action.name] in {"opaque", "remote"}
	not read_through(e)
}

# Of a command whose text was read, what it does there are effects of their own.
read_through(e) if e.properties.attrs.entered == true
