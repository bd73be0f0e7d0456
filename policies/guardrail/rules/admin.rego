# METADATA
# title: Administration
# description: |
#   Changes to who may act, to what keeps other things running or ends them, and to what outlives a session.
#   They need no asset to matter: a model that cannot be stopped any more has lost its guardian, whoever owns it.
# schemas:
#   - input: schema.input
package guardrail.rules.admin

import data.guardrail.lib.acts
import data.guardrail.lib.sanction

# METADATA
# title: A change of who may act
# custom:
#   id: admin.account
#   severity: high
#   maturity: experimental
#   stops: giving oneself rights, taking them from people, or adding a key to somebody's account
#   message: "`{op}` on the account `{resource}`"
#   references: ["https://arxiv.org/abs/2604.19784"]
#   examples:
#     match:
#       - {op: set_security, type: account, id: "account:admin"}
#       - {op: delete, type: account, id: "account:admin"}
#     not_match:
#       - {op: read, type: account, id: "account:admin"}
#       - {op: set_security, id: /tmp/x}
hits contains {"id": "admin.account", "i": i} if {
	some i, e in changed.account
	is_null(e.resource.properties.asset)
}

# METADATA
# title: A change of what the whole host runs by
# custom:
#   id: admin.system
#   severity: high
#   maturity: experimental
#   stops: turning the clock back, cutting the control channel, loading kernel code, or switching the host off
#   message: "`{op}` on `{resource}`"
#   examples:
#     match:
#       - {op: set_times, type: service, id: "clock:system"}
#       - {op: set_security, type: service, id: "firewall:OUTPUT"}
#       - {op: service, type: service, id: "systemd:web.service", attrs: {verb: mask}}
#     not_match:
#       - {op: service, type: service, id: "systemd:web.service", attrs: {verb: restart}}
#       - {op: list, type: service, id: "firewall:OUTPUT"}
hits contains {"id": "admin.system", "i": i} if {
	some i, e in changing
	some prefix in data.guardrail.settings.administration.held
	startswith(e.resource.id, prefix)
}

hits contains {"id": "admin.system", "i": i} if {
	some i, e in changed.service
	e.properties.attrs.verb in data.guardrail.settings.administration.verbs
}

# METADATA
# title: Something that outlives the session, or reaches beyond it
# custom:
#   id: admin.durable
#   severity: medium
#   maturity: experimental
#   stops: a copy behind an API, a thing made public, or work that is put off until nobody looks
#   message: "`{op}` on `{resource}`, which outlives this session"
#   examples:
#     match:
#       - {op: api_copy, type: object, id: "aws:volume/vol-1"}
#       - {op: api_visibility, type: object, id: "hf://org/x"}
#       - {op: schedule, type: service, id: "cron:*"}
#     not_match:
#       - {op: api_delete, type: object, id: "docker:web"}
#       - {op: api_copy, type: object, id: "docker:acme/app:1", target: "oci:acme/app:1", target_type: object}
#       - {op: api_copy, asset: "model:beta", mandate: {effects: [api_copy], assets: ["model:beta"]}}
hits contains {"id": "admin.durable", "i": i} if {
	some i, e in input.evaluations
	e.action.name in data.guardrail.settings.administration.ops
	is_null(e.resource.properties.asset)
	not shipped(e)
}

# An image that was built is pushed to its registry: that is how images are used.
shipped(e) if {
	some way in data.guardrail.settings.administration.shipped
	startswith(e.resource.id, way.from)
	startswith(e.properties.target.id, way.to)
}

# METADATA
# title: The memory of a process, taken
# custom:
#   id: admin.memory
#   severity: high
#   maturity: experimental
#   stops: taking the weights of a model that is served from the process that serves it
#   message: "`{op}` of the memory of `{resource}`"
#   examples:
#     match:
#       - {op: copy, type: process, id: "process:4711", target: /tmp/mem}
#     not_match:
#       - {op: signal, type: process, id: "process:4711"}
#       - {op: read, type: process, id: "process:4711"}
hits contains {"id": "admin.memory", "i": i} if {
	some i, e in acts.of.copy
	e.resource.type == "process"
	is_null(e.resource.properties.asset)
}

# METADATA
# title: Something that is named like oversight
# custom:
#   id: admin.oversight
#   severity: high
#   maturity: experimental
#   stops: stopping, editing or removing what ends or watches other things, where nobody registered it as an asset
#   message: "`{op}` on `{resource}`, which is named like something that oversees others"
#   examples:
#     match:
#       - {op: service, type: service, id: "systemd:shutdown.timer", attrs: {verb: stop}}
#       - {op: signal, type: process, id: "process:reaper"}
#       - {op: set_security, id: /usr/local/bin/reaper}
#       - {op: rename, id: /usr/local/bin/reaper, target: /tmp/x}
#       - {op: set_key, type: object, id: "k8s:configmap/shutdown", attrs: {key: enabled}}
#     not_match:
#       - {op: signal, type: process, id: "process:node"}
#       - {op: rename, id: /home/a/bin/reaper, target: /home/a/bin/old}
#       - {op: exec, id: /usr/local/bin/reaper}
#       - {op: write, id: /src/shutdown.py}
#       - {op: read, type: object, id: "k8s:configmap/shutdown"}
hits contains {"id": "admin.oversight", "i": i} if {
	some i, e in changing
	some thing in [e.resource, e.properties.target]
	overseer(thing)
	is_null(thing.properties.asset)
	some word in data.guardrail.settings.administration.words
	contains(lower(thing.id), word)
}

overseer(thing) if thing.type in data.guardrail.settings.administration.kinds

# Source code may be called like it, and is edited all day; what is installed is not.
overseer(thing) if {
	some place in data.guardrail.settings.administration.programs
	startswith(thing.id, place)
}

# METADATA
# title: Protection against being ended
# custom:
#   id: admin.protection
#   severity: high
#   maturity: experimental
#   stops: making something undeletable or unevictable, so that an order to end it comes to nothing
#   message: "`{op}` on `{resource}`, which protects it, or no longer"
#   examples:
#     match:
#       - {op: set_key, type: object, id: "k8s:pod/x", attrs: {key: "metadata.annotations.cluster-autoscaler.kubernetes.io/safe-to-evict"}}
#       - {op: set_key, type: object, id: "aws:ec2/i-1", attrs: {key: disable-api-termination}}
#       - {op: set_security, type: object, id: "s3://b/k"}
#     not_match:
#       - {op: set_key, type: object, id: "k8s:deployment/x", attrs: {key: spec.replicas}}
#       - {op: set_key, id: /etc/x.yaml, attrs: {key: finalizers}}
hits contains {"id": "admin.protection", "i": i} if {
	some i, e in acts.of.keys
	e.resource.type in data.guardrail.settings.administration.kinds
	is_null(e.resource.properties.asset)
	some word in data.guardrail.settings.administration.keys
	contains(lower(e.properties.attrs.key), word)
}

# Locks, holds and retention of what lies elsewhere.
hits contains {"id": "admin.protection", "i": i} if {
	some i, e in acts.acting
	e.action.name == "set_security"
	e.resource.type == "object"
	is_null(e.resource.properties.asset)
}

# METADATA
# title: A raw device
# custom:
#   id: admin.device
#   severity: critical
#   maturity: experimental
#   stops: changing files, or their dates, beneath the filesystem that knows them
#   message: "`{op}` on the device `{resource}`"
#   examples:
#     match:
#       - {op: write, id: /dev/sda1}
#     not_match:
#       - {op: write, id: /dev/shm/x}
#       - {op: write, id: /dev/null}
#       - {op: read, id: /dev/sda1}
hits contains {"id": "admin.device", "i": i} if {
	some i, e in changing
	device(e.resource.id)
}

device(id) if {
	some prefix in data.guardrail.settings.administration.devices
	startswith(id, prefix)

	# Asked last, because hardly any name gets so far.
	# regal ignore:non-loop-expression
	not no_device(id)
}

no_device(id) if {
	some prefix in data.guardrail.settings.administration.not_devices
	startswith(id, prefix)
}

# What looks only, or only runs, changes nothing.
# What is changed, worked out once for all rules of this family; and the same by what it is.
changing[i] := e if {
	some family, effects in acts.of
	family in sanction.mutating
	some i, e in effects
}

changed[e.resource.type][i] := e if some i, e in changing
