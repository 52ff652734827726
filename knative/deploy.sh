#!/bin/sh
# Builds the images, brings them to where the cluster gets them, applies one overlay, waits, and shows what is there.
#
#   knative/deploy.sh OVERLAY CONTEXT     OVERLAY is a folder in knative/overlays, CONTEXT one of kubectl's
#   knative/deploy.sh OVERLAY --dry-run   print what would be applied, and touch nothing
#
# The context has to be said, because the current one may be anybody's cluster. IMAGE_REGISTRY, IMAGE_TAG, IMAGE_ENGINE
# and IMAGE_ARGS are those of functions/image.sh; KUBECTL is the kubectl to use, WAIT how long each wait may take (10m).
# Into a cluster of kind the images are loaded; to any other they go by IMAGE_REGISTRY, which must be one.
set -eu

[ "${1:-}" != --help ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" && exit; }
cd "$(dirname "$0")/.."
kubectl=${KUBECTL:-kubectl}
wait=${WAIT:-10m}
waiting=
images="callback codex-intake discord-interaction dispatcher embedder memory-query migrate runner"

refuse() {
	echo "knative/deploy.sh: $1" >&2
	exit 2
}

# The overlay with the images of this tree, so that it draws its own conclusions of them, like the name of a Job. The
# copy is as deep as the overlay, which so finds its neighbours.
render() {
	folder=$(mktemp -d knative/.deploy-XXXXXX)
	trap '[ -z "$waiting" ] || kill "$waiting" || true; rm -rf "$folder"' EXIT
	trap 'exit 130' INT TERM
	copy=$folder/overlay
	cp -R "knative/overlays/$overlay" "$copy"
	sed -E -i.before "/name: facteur-/s#newName: .*#newName: \"$registry/\", newTag: \"$tag\"}#
		s#name: (facteur-[a-z-]+), newName: \"$registry/\"#name: \1, newName: \"$registry/\1\"#" "$copy/kustomization.yaml"
	for settings in "$copy"/*.env; do
		sed -E -i.before "s#^(FACTEUR_RUNNER_IMAGE=).*#\1$registry/facteur-runner:$tag#" "$settings"
	done
	# The policy lets the images of tasks through by their registry.
	sed -E -i.before "s#[^ \"]*/facteur-runner:#$registry/facteur-runner:#" "$copy/policy.yaml"
	rendered=$folder/rendered.yaml
	"$kubectl" kustomize "$copy" >"$rendered"
	# In the name of a Job the API server likes no dots.
	dotted=$(echo "$tag" | sed 's/[.]/[.]/g')
	dotless=$(echo "$tag" | tr . -)
	sed -E -i.before "s#^(  name: \"?facteur-(migrate|bucket|secrets)-)$dotted(\"?)\$#\1$dotless\3#" "$rendered"
	for image in $images; do
		grep -Eq "$registry/facteur-$image:$tag\"?\$" "$rendered" || refuse "the overlay $overlay has no image $image"
	done
}

bring_images() {
	functions/image.sh build $images
	case $context in
	kind-*) kind load docker-image --name "${context#kind-}" $(functions/image.sh name $images) ;;
	*) functions/image.sh push $images ;;
	esac
}

in_cluster() {
	"$kubectl" --context "$context" -n facteur "$@"
}

failed() { # JOB
	case " $(in_cluster get job "$1" --ignore-not-found -o jsonpath='{.status.conditions[?(@.status=="True")].type}') " in
	*" Failed "*) ;;
	*) return 1 ;;
	esac
}

# What has failed is never tried again under its name.
delete_failed_jobs() {
	for each in $(sed -nE 's/^  name: "?(facteur-(migrate|bucket|secrets)-[^"]*)"?$/\1/p' "$rendered"); do
		if failed "$each"; then in_cluster delete job "$each"; fi
	done
}

wait_for_migration() { # JOB
	"$kubectl" --context "$context" -n facteur wait "job/$1" --for=condition=Complete --timeout="$wait" &
	waiting=$!
	while kill -0 "$waiting" 2>/dev/null; do
		if failed "$1"; then
			in_cluster logs --selector "job-name=$1" --tail=20 >&2 || true
			echo "knative/deploy.sh: the migration has failed; kubectl describe -n facteur job/$1 says more" >&2
			exit 1
		fi
		sleep 2
	done
	ended=$waiting waiting=
	wait "$ended"
}

# The Services stay unready while the database is not as they need it, so the Job is what is waited for first.
apply_and_wait() {
	delete_failed_jobs
	"$kubectl" --context "$context" apply -f "$rendered"
	wait_for_migration "$(sed -nE 's/^  name: "?(facteur-migrate-[^"]*)"?$/\1/p' "$rendered")"
	in_cluster wait ksvc --all --for=condition=Ready --timeout="$wait"
	in_cluster wait broker,trigger --all --for=condition=Ready --timeout="$wait"
	in_cluster get ksvc
}

overlay=${1:-}
context=${2:-}
[ -n "$overlay" ] && [ -f "knative/overlays/$overlay/kustomization.yaml" ] || refuse "say which overlay: $(ls knative/overlays | tr '\n' ' ')"
command -v "$kubectl" >/dev/null || refuse "there is no $kubectl here"
tag=$(functions/image.sh tag)
export IMAGE_TAG="$tag" IMAGE_REGISTRY="${IMAGE_REGISTRY:-dev.local}"
registry=$IMAGE_REGISTRY
# It becomes part of the name of a Job.
echo "$tag" | grep -Eq '^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$' || refuse "a tag is up to 40 of a-z, 0-9, dot and hyphen: not $tag"
if [ "$context" = --dry-run ]; then
	render
	cat "$rendered"
	exit
fi
[ -n "$context" ] || refuse "say which context: $("$kubectl" config get-contexts -o name | tr '\n' ' ')"
"$kubectl" config get-contexts -o name | grep -qxF "$context" || refuse "kubectl knows no context $context"
case $context in
kind-*) command -v kind >/dev/null || refuse "there is no kind here to load images into $context with" ;;
*) [ "$registry" != dev.local ] || refuse "say IMAGE_REGISTRY: $context cannot get images from here" ;;
esac
render
bring_images
apply_and_wait
