{{- define "hayloft.labels" -}}
app.kubernetes.io/name: hayloft
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "hayloft.tlsSecret" -}}
{{- if .Values.tls.certManager.enabled }}{{ .Values.tls.secret | default (printf "%s-tls" (include "hayloft.name" .)) }}{{ else }}{{ .Values.tls.secret }}{{ end }}
{{- end }}
{{- define "hayloft.name" -}}
{{ .Release.Name }}-hayloft
{{- end }}
