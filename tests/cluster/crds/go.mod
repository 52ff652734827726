// Pins the modules whose manifests hold the CRDs; apart from the programs, as they want other Kubernetes libraries.
// No Go file imports them, so `go mod tidy` would drop them: `go mod download` after a change of version writes go.sum.
module facteur/tests/cluster/crds

go 1.26.0

require (
	github.com/argoproj/argo-workflows/v4 v4.0.5
	knative.dev/eventing v0.50.0
)
