{{- define "guardrail.labels" -}}
app.kubernetes.io/name: guardrail
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* The labels that select one part's pods. Takes a list: the root, and the part's name. */ -}}
{{- define "guardrail.selector" -}}
app.kubernetes.io/name: guardrail
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "guardrail.image" -}}
{{ .repository }}:{{ .tag }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* What every container of ours is held to, besides its user. */ -}}
{{- define "guardrail.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* `policy`, `webhook` or `none`. */ -}}
{{- define "guardrail.injection" -}}
{{- if ne .Values.injection.mode "auto" -}}
{{ .Values.injection.mode }}
{{- else if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
policy
{{- else -}}
webhook
{{- end -}}
{{- end }}

{{- /* A value as CEL. Kubernetes' CEL takes no literals of mixed types, so each member is a dyn. */ -}}
{{- define "guardrail.cel" -}}
{{- if kindIs "map" . -}}
{{- $of := . -}}
{ {{- range $at, $key := keys . | sortAlpha }}{{ if $at }}, {{ end }}{{ $key | quote }}: dyn({{ include "guardrail.cel" (get $of $key) }}){{ end -}} }
{{- else if kindIs "slice" . -}}
[ {{- range $at, $one := . }}{{ if $at }}, {{ end }}dyn({{ include "guardrail.cel" $one }}){{ end -}} ]
{{- else if kindIs "string" . -}}
{{ quote . }}
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end }}

{{- /* What cannot go together, said before anything is rendered. */ -}}
{{- define "guardrail.check" -}}
{{- if and (not .Values.agents.trail.secretName) (not .Values.agents.trail.ephemeral) -}}
{{- fail "the trail needs a place that outlives a pod: name a Secret in agents.trail.secretName, or accept its loss with agents.trail.ephemeral=true" -}}
{{- end -}}
{{- if and .Values.agents.central.secretName .Values.agents.trail.secretName -}}
{{- fail "agents.central is for guards with trails of their own: with the ledger of agents.trail.secretName leave it out, and set agents.trail.ephemeral=true without" -}}
{{- end -}}
{{- if has .Release.Namespace .Values.agents.namespaces -}}
{{- fail (printf "`%s` is a namespace of agents: install the chart into another, whose pods are not agents" .Release.Namespace) -}}
{{- end -}}
{{- $bundle := .Values.agents.bundle -}}
{{- if and $bundle.url $bundle.image -}}
{{- fail "the policy comes from one place: give agents.bundle.url or agents.bundle.image, not both" -}}
{{- end -}}
{{- if and (or $bundle.url $bundle.image) (not $bundle.key) -}}
{{- fail "a bundle from an address or an image must be signed: give its public key in agents.bundle.key" -}}
{{- end -}}
{{- if and (or $bundle.url $bundle.image) .Values.opa.enabled -}}
{{- fail "the OPA beside each guard serves the policy in the image and no bundle: set opa.enabled=false, or no agents.bundle.url and .image" -}}
{{- end -}}
{{- if and .Values.injection.webhook.tlsSecretName (not .Values.injection.webhook.caBundle) -}}
{{- fail "the API server has to know who signed the webhook's certificate: give injection.webhook.caBundle" -}}
{{- end -}}
{{- if .Values.controlPlane.enabled -}}
{{- if not (and .Values.controlPlane.secretName .Values.controlPlane.trailSecretName) -}}
{{- fail "the control plane needs controlPlane.secretName, for its tokens, and controlPlane.trailSecretName, for its ledger" -}}
{{- end -}}
{{- end -}}
{{- end }}
