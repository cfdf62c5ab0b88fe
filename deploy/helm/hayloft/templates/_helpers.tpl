{{- define "hayloft.labels" -}}
app.kubernetes.io/name: hayloft
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "hayloft.name" -}}
{{ .Release.Name }}-hayloft
{{- end }}
