{{- define "memtide.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* At most 40 letters. */}}
{{- define "memtide.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "memtide.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "memtide.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What selects; never changes. */}}
{{- define "memtide.selector" -}}
app.kubernetes.io/name: {{ include "memtide.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "memtide.labels" -}}
{{ include "memtide.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "memtide.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "memtide.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (printf "%s-scaler" (include "memtide.fullname" .)) }}
{{- end }}

{{/* Several scalers need etcd, by which they agree who leads. */}}
{{- define "memtide.scalers" -}}
{{ if .Values.etcd.endpoints }}{{ int64 .Values.scaler.replicas }}{{ else }}1{{ end }}
{{- end }}

{{/* All scalers, each by its own name: whoever leads is among them. */}}
{{- define "memtide.join" -}}
{{- $name := printf "%s-scaler" (include "memtide.fullname" .) -}}
{{- $hosts := list -}}
{{- range $at := until (int (include "memtide.scalers" .)) -}}
{{- $hosts = append $hosts (printf "%s-%d.%s.%s.svc:11213" $name $at $name $.Release.Namespace) -}}
{{- end -}}
{{ join "," $hosts }}
{{- end }}

{{/* The name of a zone's StatefulSet. Its pods have it and a hash, 11 letters, in a label of at most 63: so it has at most
52. Where that is not enough the zone has its end, by which zones of a region differ, and 12 letters or more of it. */}}
{{- define "memtide.set" -}}
{{- $full := include "memtide.fullname" .root -}}
{{- $zone := .zone | replace "." "-" -}}
{{- if gt (add (len $full) 6 (len $zone)) 52 -}}
{{- $full = $full | trunc 34 | trimSuffix "-" -}}
{{- $room := sub 46 (len $full) | int -}}
{{- $zone = $zone | trunc (mul -1 $room | int) | trimAll "-" -}}
{{- end -}}
{{ $full }}-node{{ if $zone }}-{{ $zone }}{{ end }}
{{- end }}

{{- define "memtide.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "memtide.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Settings of every role. */}}
{{- define "memtide.args" -}}
- --name={{ .Values.cache.name }}
- --item-size-max={{ .Values.cache.itemSizeMax }}
- --fleet-tls=/etc/memtide/fleet
- --data-dir=/var/lib/memtide
- --admin-token-file={{ include "memtide.tokenFile" . }}
- --log-format={{ .Values.log.format }}
- --log-level={{ .Values.log.level }}
{{- end }}

{{- define "memtide.tokenFile" -}}
{{ if .Values.admin.tokenSecret }}/etc/memtide/admin/{{ .Values.admin.tokenKey }}{{ else }}/var/lib/memtide/admin.token{{ end }}
{{- end }}

{{- define "memtide.podName" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- end }}

{{- define "memtide.mounts" -}}
- name: data
  mountPath: /var/lib/memtide
- name: fleet
  mountPath: /etc/memtide/fleet
  readOnly: true
{{- if .Values.admin.tokenSecret }}
- name: admin
  mountPath: /etc/memtide/admin
  readOnly: true
{{- end }}
{{- end }}

{{/* Certificates of a role, under the names that memtide looks for. */}}
{{- define "memtide.volumes" -}}
{{- $keys := .root.Values.fleetTls.keys -}}
- name: fleet
  secret:
    secretName: {{ .secret | quote }}
    defaultMode: 0440
    items:
      - key: {{ $keys.ca | replace "ROLE" .role | quote }}
        path: ca.pem
      - key: {{ $keys.certificate | replace "ROLE" .role | quote }}
        path: {{ .role }}.pem
      - key: {{ $keys.key | replace "ROLE" .role | quote }}
        path: {{ .role }}.key
{{- if .root.Values.admin.tokenSecret }}
- name: admin
  secret:
    secretName: {{ .root.Values.admin.tokenSecret | quote }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{- define "memtide.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Who may read metrics and ask the admin HTTP. */}}
{{- define "memtide.adminFrom" -}}
{{- if .Values.networkPolicy.admin -}}
{{ toYaml .Values.networkPolicy.admin }}
{{- else -}}
- podSelector: {}
{{- end }}
{{- end }}
