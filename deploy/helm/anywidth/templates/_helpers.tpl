{{- define "anywidth.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "anywidth.fullname" -}}
{{- $name := include "anywidth.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "anywidth.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "anywidth.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed if serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "anywidth.selector" -}}
app.kubernetes.io/name: {{ include "anywidth.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "anywidth.labels" -}}
{{ include "anywidth.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "anywidth.image" -}}
{{- .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* A setting as its variable's text. Numbers of values files are float64, which prints large ones with an exponent. */}}
{{- define "anywidth.setting" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- printf "%.0f" . }}
{{- else if kindIs "float64" . -}}
{{- regexReplaceAll "0+$" (printf "%.9f" .) "" }}
{{- else -}}
{{- toString . }}
{{- end }}
{{- end }}

{{- define "anywidth.behavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies: [{type: Percent, value: 100, periodSeconds: 30}]
scaleDown:
  stabilizationWindowSeconds: 300
  policies: [{type: Pods, value: 1, periodSeconds: 60}]
{{- end }}

{{- /* The paths that an ingress or a gateway forwards: type and path. */}}
{{- define "anywidth.paths" -}}
- {type: Prefix, path: /classify}
- {type: Prefix, path: /models}
- {type: Exact, path: /v2}
- {type: Prefix, path: /v2/health}
- {type: Prefix, path: /v2/models}
{{- end }}
