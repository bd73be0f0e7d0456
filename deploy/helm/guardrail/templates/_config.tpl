{{- /* guardrail.toml of the guard beside an agent; every path is one inside its container. */ -}}
{{- define "guardrail.sidecarConfig" -}}
[service]
# Its directory is made by the guard: the group of the pod may enter, nobody else.
socket = "/run/guardrail/agent/decide.sock"
{{- if eq .Values.agents.identity "serviceAccount" }}
# Nobody but this pod's agent can connect, so the agent is whom the pod runs as, whatever it says.
agent = "${GUARDRAIL_AGENT}"
{{- end }}
shutdown_seconds = 10.0

{{- if .Values.agents.central.secretName }}
[central]
store = "${GUARDRAIL_CENTRE}"
{{- if .Values.agents.central.escalations }}
escalations = true
{{- end }}
{{- with .Values.agents.central.inventoryBy }}
inventory_by = {{ toJson . }}
{{- end }}
{{- with .Values.agents.central.bundleBy }}
bundle_by = {{ toJson . }}
{{- end }}
{{ end }}
{{ include "guardrail.sharedConfig" (list . .Values.agents.trail.secretName .Values.agents.central.secretName "") }}
{{- end }}

{{- /* guardrail.toml of the control plane. */ -}}
{{- define "guardrail.controlConfig" -}}
[service]
host = "0.0.0.0"
port = {{ .Values.controlPlane.service.port }}
token = "${GUARDRAIL_TOKEN}"
reviewer_token = "${GUARDRAIL_REVIEWER_TOKEN}"
metrics_token = "${GUARDRAIL_METRICS_TOKEN}"
{{- if .Values.controlPlane.tlsSecretName }}
tls = {certificate = "/etc/guardrail-tls/tls.crt", key = "/etc/guardrail-tls/tls.key"}
{{- end }}

{{- if .Values.controlPlane.centralSecretName }}
[central]
store = "${GUARDRAIL_CENTRE}"
# People see here what the guards in the pods ask, and answer it.
escalations = true
{{ end }}
{{ include "guardrail.sharedConfig" (list . .Values.controlPlane.trailSecretName "" .Values.controlPlane.centralSecretName) }}

{{ .Values.controlPlane.config }}
{{- end }}

{{- /* Takes a list: the root, and the names of the secrets of the trail, of the centre for a trail in the pod, and of the
centre for the control plane. */ -}}
{{- define "guardrail.sharedConfig" -}}
{{- $root := index . 0 -}}
[trail]
directory = "/var/lib/guardrail/trail"
{{- if index . 2 }}
# Each pod's trail has a name of its own at the centre.
origin = "${GUARDRAIL_ORIGIN}"
{{- else }}
origin = {{ $root.Values.agents.trail.origin | quote }}
{{- end }}
{{- if index . 1 }}
store = "${GUARDRAIL_STORE}"
key = "/etc/guardrail-trail/trail.key"
{{- end }}

[review]
store = "/var/lib/guardrail/review.db"

[mandates]
{{- if or (index . 2) (index . 3) }}
# Where the guard keeps what it has seen at the centre.
directory = "/var/lib/guardrail/mandates"
{{- else }}
directory = "/etc/guardrail-mandates"
{{- end }}

[policy]
{{- if $root.Values.opa.enabled }}
engine = "opa"
# A Unix socket, and never a port on localhost: localhost belongs to the whole pod, so the agent could replace the
# policy through OPA's own API.
url = "unix:///run/opa/opa.sock"
{{- end }}
{{- with $root.Values.agents.bundle }}
{{- if or .url .image }}
bundle = {{ .url | default "/etc/guardrail-bundle/guardrail.tar.gz" | quote }}
key_id = {{ .keyId | quote }}

[[policy.key]]
id = {{ .keyId | quote }}
algorithm = {{ .algorithm | quote }}
key = "/etc/guardrail/bundle.pem"
{{- end }}
{{- end }}

{{ $root.Values.agents.config }}
{{- end }}
