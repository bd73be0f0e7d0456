{{- /*
What is put into an agent's pod: the guard's containers, their volumes, and what the agent's containers get.
INVARIANT: the policy that injects it, the webhook and the policy that requires it are all made from this one text.
*/ -}}
{{- define "guardrail.sidecar" -}}
{{- $image := include "guardrail.image" .Values.image -}}
initContainers:
  {{- if .Values.opa.enabled }}
  # OPA serves exactly the policy that the guard was built with; the guard refuses to start on any other.
  - name: guardrail-policies
    image: {{ $image | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [cp, -RL, /opt/guardrail/policies/., /policies]
    securityContext:
      runAsUser: 10001
      runAsGroup: 10001
      {{- include "guardrail.restricted" . | nindent 6 }}
    resources:
      requests: {cpu: 10m, memory: 32Mi}
      limits: {memory: 64Mi}
    volumeMounts:
      - {name: guardrail-policies, mountPath: /policies}
  - name: guardrail-opa
    image: {{ include "guardrail.image" .Values.opa.image | quote }}
    imagePullPolicy: {{ .Values.opa.image.pullPolicy }}
    restartPolicy: Always
    args:
      - run
      - --server
      - --addr=unix:///run/opa/opa.sock
      # The guard's group may ask; the agent does not mount this directory.
      - --unix-socket-perm=770
      # Health and metrics only, for the kubelet.
      - --diagnostic-addr=0.0.0.0:8282
      - --bundle
      - /policies
      - --ignore=build,*_test.rego
      - --log-level=error
      - --log-format=json
      - --skip-version-check
      - --set=decision_logs.console=false
    securityContext:
      runAsUser: 10002
      runAsGroup: 10001
      {{- include "guardrail.restricted" . | nindent 6 }}
    ports:
      - {name: opa-health, containerPort: 8282, protocol: TCP}
    startupProbe:
      httpGet: {path: "/health?bundles=true", port: opa-health}
      periodSeconds: 1
      failureThreshold: 60
    livenessProbe:
      httpGet: {path: /health, port: opa-health}
      periodSeconds: 10
    resources:
      {{- toYaml .Values.agents.opaResources | nindent 6 }}
    volumeMounts:
      - {name: guardrail-policies, mountPath: /policies, readOnly: true}
      - {name: guardrail-opa, mountPath: /run/opa}
  {{- end }}
  - name: guardrail
    image: {{ $image | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    restartPolicy: Always
    args: [--config, /etc/guardrail/guardrail.toml]
    env:
      - {name: XDG_CACHE_HOME, value: /var/lib/guardrail/cache}
      {{- with .Values.agents.otlpEndpoint }}
      - {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
      - {name: OTEL_EXPORTER_OTLP_PROTOCOL, value: http/protobuf}
      - {name: OTEL_SERVICE_NAME, value: guardrail}
      {{- end }}
      {{- if or (eq .Values.agents.identity "serviceAccount") .Values.agents.central.secretName }}
      # With its version, which an API server would fill in: the requirement compares to the letter.
      - name: GUARDRAIL_NAMESPACE
        valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}
      {{- end }}
      {{- if eq .Values.agents.identity "serviceAccount" }}
      - name: GUARDRAIL_ACCOUNT
        valueFrom: {fieldRef: {apiVersion: v1, fieldPath: spec.serviceAccountName}}
      - {name: GUARDRAIL_AGENT, value: $(GUARDRAIL_NAMESPACE)/$(GUARDRAIL_ACCOUNT)}
      {{- end }}
      {{- with .Values.agents.central.secretName }}
      - name: GUARDRAIL_CENTRE
        valueFrom: {secretKeyRef: {name: {{ . }}, key: store}}
      - name: GUARDRAIL_POD
        valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}
      - {name: GUARDRAIL_ORIGIN, value: {{ $.Values.agents.trail.origin }}/$(GUARDRAIL_NAMESPACE)/$(GUARDRAIL_POD)}
      {{- end }}
      {{- with .Values.agents.trail.secretName }}
      - name: GUARDRAIL_STORE
        valueFrom: {secretKeyRef: {name: {{ . }}, key: store}}
      {{- end }}
    securityContext:
      runAsUser: 10001
      runAsGroup: 10001
      {{- include "guardrail.restricted" . | nindent 6 }}
    startupProbe:
      exec: {command: [guardrail, serve, --check]}
      periodSeconds: 2
      timeoutSeconds: 5
      failureThreshold: 60
    readinessProbe:
      exec: {command: [guardrail, serve, --check]}
      periodSeconds: 15
      timeoutSeconds: 5
      failureThreshold: 2
    livenessProbe:
      exec: {command: [guardrail, serve, --check]}
      periodSeconds: 30
      timeoutSeconds: 5
      failureThreshold: 4
    resources:
      {{- toYaml .Values.agents.resources | nindent 6 }}
    volumeMounts:
      - {name: guardrail-config, mountPath: /etc/guardrail, readOnly: true}
      - {name: guardrail-mandates, mountPath: /etc/guardrail-mandates, readOnly: true}
      - {name: guardrail-state, mountPath: /var/lib/guardrail}
      - {name: guardrail-socket, mountPath: /run/guardrail}
      {{- if .Values.agents.bundle.image }}
      - {name: guardrail-bundle, mountPath: /etc/guardrail-bundle, readOnly: true}
      {{- end }}
      {{- if .Values.agents.trail.secretName }}
      - {name: guardrail-trail, mountPath: /etc/guardrail-trail, readOnly: true}
      {{- end }}
      {{- if .Values.opa.enabled }}
      - {name: guardrail-opa, mountPath: /run/opa, readOnly: true}
      {{- end }}
volumes:
  - name: guardrail-config
    configMap: {name: {{ .Release.Name }}-sidecar}
  - name: guardrail-mandates
    configMap: {name: {{ .Release.Name }}-mandates}
  - name: guardrail-state
    emptyDir: {sizeLimit: 1Gi}
  - name: guardrail-socket
    emptyDir: {medium: Memory, sizeLimit: 1Mi}
  {{- with .Values.agents.bundle.image }}
  - name: guardrail-bundle
    image: {reference: {{ . | quote }}, pullPolicy: IfNotPresent}
  {{- end }}
  {{- with .Values.agents.trail.secretName }}
  - name: guardrail-trail
    secret: {secretName: {{ . }}, defaultMode: 288}
  {{- end }}
  {{- if .Values.opa.enabled }}
  - name: guardrail-policies
    emptyDir: {medium: Memory, sizeLimit: 8Mi}
  - name: guardrail-opa
    emptyDir: {medium: Memory, sizeLimit: 1Mi}
  {{- end }}
# What each container of the agent gets: enough to connect, not enough to put another socket in its place.
agent:
  volumeMounts:
    - {name: guardrail-socket, mountPath: /run/guardrail, readOnly: true}
  env:
    - {name: GUARDRAIL_SOCKET, value: /run/guardrail/agent/decide.sock}
# The group that owns the volumes, for pods that name none.
fsGroup: 10001
{{- end }}
