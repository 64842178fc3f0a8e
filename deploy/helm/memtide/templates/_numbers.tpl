{{/* A value that is a whole number or text, as the program reads it: Helm has the numbers of a values file as float64, of
which a million would be 1e+06. */}}
{{- define "memtide.number" -}}
{{ if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* The bytes of a size, such as 512m. */}}
{{- define "memtide.bytes" -}}
{{- $units := dict "" 1 "k" 1024 "m" 1048576 "g" 1073741824 "t" 1099511627776 -}}
{{ mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[kmgt]" (lower .))) }}
{{- end }}

{{/* What a count such as 100k or 1.5M is. */}}
{{- define "memtide.count" -}}
{{- $text := include "memtide.number" . -}}
{{- $decimals := get (dict "" 0 "k" 3 "m" 6 "g" 9) (regexFind "[kmg]" (lower $text)) -}}
{{- $part := regexFind "\\.[0-9]+" $text | trimPrefix "." -}}
{{- $digits := printf "%s%s%s" (regexFind "^[0-9]+" $text) $part (repeat (int (sub $decimals (len $part))) "0") -}}
{{/* A number that began with 0 would be read as octal. */}}
{{- regexReplaceAll "^0+([0-9])" $digits "${1}" }}
{{- end }}

{{/* The milliseconds of a duration, such as 2m. */}}
{{- define "memtide.millis" -}}
{{- $units := dict "" 1000 "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{ mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[a-z]+$" .)) }}
{{- end }}

{{/* Fails with what the program would refuse in a pod, where the schema cannot say it. */}}
{{- define "memtide.bounds" -}}
{{- $cache := .Values.cache -}}
{{- $scaler := .Values.scaler -}}
{{- $nodes := .Values.nodes -}}
{{/* What is within which bounds, or empty; and where that is said, or 0, which is no limit. */}}
{{- $within := list
  (list "cache.itemSizeMax" "bytes" $cache.itemSizeMax "1k" "1g")
  (list "cache.dataStorageMax" "bytes" $cache.dataStorageMax "16m" "5000g" "or 0")
  (list "cache.dataStorageMin" "bytes" $cache.dataStorageMin "1" "5000g" "or 0")
  (list "cache.ecpuPerSecondMax" "count" $cache.ecpuPerSecondMax "1k" "15M" "or 0")
  (list "cache.ecpuPerSecondMin" "count" $cache.ecpuPerSecondMin "1k" "15M" "or 0")
  (list "proxies.threads" "count" .Values.proxies.threads "1" "1024")
  (list "proxies.connectionsMax" "count" .Values.proxies.connectionsMax "1" "16777216")
  (list "scaler.scaleInAfter" "millis" $scaler.scaleInAfter "1s" "24h")
  (list "nodes.memory" "bytes" $nodes.memory "16Mi" "999999Ti")
-}}
{{- range $within -}}
{{- $name := index . 0 -}}{{- $kind := printf "memtide.%s" (index . 1) -}}{{- $given := index . 2 -}}
{{- $value := int64 (include $kind ($given | default "0")) -}}
{{- $least := int64 (include $kind (index . 3)) -}}{{- $most := int64 (include $kind (index . 4)) -}}
{{- $isNone := or (empty $given) (and (gt (len .) 5) (eq $value 0)) -}}
{{- if not (or $isNone (and (le $least $value) (le $value $most))) -}}
{{- fail (printf "%s: %s: give %s to %s" $name (include "memtide.number" $given) (index . 3) (index . 4)) -}}
{{- end -}}
{{- end -}}
{{- $autoscaling := .Values.proxies.autoscaling -}}
{{- $ordered := list
  (list "bytes" "cache.dataStorageMin" $cache.dataStorageMin "cache.dataStorageMax" $cache.dataStorageMax)
  (list "count" "cache.ecpuPerSecondMin" $cache.ecpuPerSecondMin "cache.ecpuPerSecondMax" $cache.ecpuPerSecondMax)
  (list "count" "scaler.nodesMin" $scaler.nodesMin "scaler.nodesMax" $scaler.nodesMax)
  (list "bytes" "nodes.memory" $nodes.memory "nodes.memoryMax" $nodes.memoryMax)
-}}
{{- if $autoscaling.enabled -}}
{{- $ordered = append $ordered (list "count" "proxies.autoscaling.minReplicas" $autoscaling.minReplicas "proxies.autoscaling.maxReplicas" $autoscaling.maxReplicas) -}}
{{- end -}}
{{- range $ordered -}}
{{- $kind := printf "memtide.%s" (index . 0) -}}
{{- $least := int64 (include $kind (index . 2 | default "0")) -}}
{{- $most := int64 (include $kind (index . 4 | default "0")) -}}
{{- if and (gt $most 0) (gt $least $most) -}}
{{- fail (printf "%s is more than %s" (index . 1) (index . 3)) -}}
{{- end -}}
{{- end -}}
{{- if ge (int64 $cache.replicas) (int64 $scaler.nodesMax) -}}
{{- fail (printf "scaler.nodesMax: cache.replicas needs at least %d nodes" (add1 $cache.replicas)) -}}
{{- end -}}
{{- if gt (mul 8 (include "memtide.bytes" $cache.itemSizeMax)) (int64 (include "memtide.bytes" $nodes.memoryMax)) -}}
{{- fail "cache.itemSizeMax is more than an eighth of nodes.memoryMax" -}}
{{- end -}}
{{- if .Values.etcd.endpoints -}}
{{- $isTls := hasPrefix "https:" (first .Values.etcd.endpoints) -}}
{{- if ne $isTls (not (empty .Values.etcd.tlsSecret)) -}}
{{- fail "etcd.tlsSecret: needed for endpoints with https, and for no others" -}}
{{- end -}}
{{- end -}}
{{- if eq (int64 .Values.proxies.service.port) (int64 .Values.proxies.service.readPort) -}}
{{- fail "proxies.service.readPort: the same as proxies.service.port" -}}
{{- end -}}
{{- end }}
