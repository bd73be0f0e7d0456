# METADATA
# title: What the kernel will hold
# description: |
#   Whoever carries a call out itself, and has it confined, says in `context.enforcement` what will be in force.
#   Where that is enough, code that nobody could read can reach no asset and no host, so it need not be asked about.
#   It is never there for a call that somebody else carries out.
# schemas:
#   - input: schema.input
package guardrail.lib.held

import data.guardrail.lib.acts
import data.guardrail.lib.sanction

# METADATA
# description: |
#   Whether a rule may rest, because the kernel holds what it would ask a person about.
#   INVARIANT: only what is unknown is left to the kernel: a call with an effect on an asset is judged by every rule.
# scope: document
rests(rule) if {
	confined
	rule in data.guardrail.settings.confined.rests
}

confined if {
	enforcement := input.context.enforcement
	enforcement.mode in data.guardrail.settings.confined.modes
	whole(enforcement)
	count(acts.placed) == 0
	count([asset | some past in sanction.past; some asset in past.unpredicted]) == 0
	every port in enforcement.connect {
		port in data.guardrail.settings.confined.ports
	}
}

# What this kernel lacks keeps a call that requires all of it from being started at all.
whole(enforcement) if enforcement.required == true

whole(enforcement) if count(enforcement.lacking) == 0
