{{- define "sampan.labels" -}}
app.kubernetes.io/name: sampan
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "sampan.operator" -}}
{{ printf "%s-operator" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "sampan.installer" -}}
{{ printf "%s-node-installer" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* The rules of a role: those of the operator's own file, so that there is one list. */ -}}
{{- define "sampan.rules" -}}
{{- $text := .root.Files.Get .file }}
{{- if not $text }}{{ fail (printf "%s is not in the chart: package it with `cargo xtask dist`" .file) }}{{ end }}
{{- $rules := dict "rules" (list) }}
{{- range $document := regexSplit "(?m)^---\\s*$" $text -1 }}
{{- $role := fromYaml $document }}
{{- if eq ($role.kind | default "") $.kind }}{{ $_ := set $rules "rules" (concat $rules.rules $role.rules) }}{{ end }}
{{- end }}
{{- if not $rules.rules }}{{ fail (printf "%s holds no %s" .file .kind) }}{{ end }}
{{- toYaml $rules }}
{{- end }}

{{- /* Where each flavour of Kubernetes has containerd's things. */ -}}
{{- define "sampan.containerd" -}}
{{- $known := dict
  "containerd" (dict "config" "/etc/containerd/config.toml" "socket" "/run/containerd/containerd.sock" "restart" "systemctl restart containerd")
  "k3s" (dict "config" "/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl" "socket" "/run/k3s/containerd/containerd.sock" "restart" "systemctl restart k3s-agent || systemctl restart k3s")
  "rke2" (dict "config" "/var/lib/rancher/rke2/agent/etc/containerd/config-v3.toml.tmpl" "socket" "/run/k3s/containerd/containerd.sock" "restart" "systemctl restart rke2-agent || systemctl restart rke2-server")
}}
{{- $own := .Values.installer.containerd }}
{{- $flavour := get $known .Values.installer.flavour }}
{{- $result := dict "program" $own.program "dropIn" ($own.dropIn | default "/etc/containerd/conf.d/50-sampan.toml") }}
{{- range $key := list "config" "socket" "restart" }}
{{- $_ := set $result $key (get $own $key | default (get $flavour $key)) }}
{{- end }}
{{- $_ := set $result "template" (has .Values.installer.flavour (list "k3s" "rke2")) }}
{{- toYaml $result }}
{{- end }}
