// Pins the modules whose manifests hold the CRDs; apart from the programs, as they want other Kubernetes libraries.
// No Go file imports them, so `go mod tidy` would drop them: `go mod download` after a change of version writes go.sum.
module facteur/tests/cluster/crds

go 1.26.0

require (
	github.com/OT-CONTAINER-KIT/redis-operator v0.16.0
	github.com/argoproj/argo-workflows/v4 v4.0.5
	github.com/cloudnative-pg/cloudnative-pg v1.28.0
	knative.dev/eventing v0.50.0
	knative.dev/eventing-kafka-broker v0.50.1
	knative.dev/eventing-rabbitmq v0.48.0
	knative.dev/serving v0.50.0
	sigs.k8s.io/gateway-api v1.4.0
)
