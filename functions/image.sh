#!/bin/sh
# Builds the images of the system with the container engine that is here.
#
#   functions/image.sh tag         the tag that images get
#   functions/image.sh name IMAGE  the whole name of an image, with registry and tag
#   functions/image.sh build IMAGE...  build them; docker, podman or nerdctl
#   functions/image.sh push IMAGE...   send them to their registry
#
# IMAGE is one of the six functions, or migrate (the `facteur` command), or runner (the container of a task).
# IMAGE_REGISTRY (dev.local), IMAGE_TAG (what git says of the tree) and IMAGE_ENGINE decide names and program;
# IMAGE_ARGS is given to every build as it is: --platform=linux/arm64, or --build-arg=PYTHON_IMAGE=...
set -eu

cd "$(dirname "$0")/.."

refuse() {
	echo "functions/image.sh: $1" >&2
	exit 2
}

# Of uncommitted work the tag tells the content too: under the same tag Knative and a node look for nothing new.
tag() {
	[ -z "${IMAGE_TAG:-}" ] || { echo "$IMAGE_TAG" && return; }
	revision=$(git describe --tags --always 2>/dev/null) || refuse "git cannot name this tree: say IMAGE_TAG=..."
	changed=$({ git diff HEAD && git ls-files -oz --exclude-standard -- functions shared migrations runner | xargs -0 cat; } |
		git hash-object --stdin)
	# The hash of nothing.
	[ "$changed" = e69de29bb2d1d6434b8b29ae775ad8c2e48c5391 ] || revision=$revision-$(echo "$changed" | cut -c1-8)
	echo "$revision" | tr 'A-Z_' 'a-z-'
}

engine() {
	for candidate in ${IMAGE_ENGINE:-docker podman nerdctl}; do
		command -v "$candidate" && return
	done
	refuse "there is no ${IMAGE_ENGINE:-docker, podman or nerdctl} here to build images with"
}

name() {
	echo "${IMAGE_REGISTRY:-dev.local}/facteur-$1:$tag"
}

# A runner has no FUNCTION: it is the same for all tasks.
build() {
	file=functions/Dockerfile
	[ "$1" = runner ] && file=runner/Dockerfile
	set -- "$1" --file "$file" --tag "$(name "$1")"
	[ "$file" = runner/Dockerfile ] || set -- "$@" --build-arg "FUNCTION=$1" --build-arg "VERSION=$tag" \
		--build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || true)"
	shift
	# The file beside the Dockerfile keeps secrets out of the build; not every builder looks for it by itself.
	[ "${engine##*/}" = podman ] && set -- --ignorefile "$file.dockerignore" "$@"
	# shellcheck disable=SC2086 # several words are several arguments
	DOCKER_BUILDKIT=1 "$engine" build "$@" ${IMAGE_ARGS:-} .
}

known() {
	case $1 in
	migrate | runner) ;;
	*) [ -f "functions/$(echo "$1" | tr - _)/main.py" ] || refuse "there is no image $1" ;;
	esac
}

step=${1:-}
tag=$(tag)
[ $# -eq 0 ] || shift
for image; do known "$image"; done
case $step in
tag) echo "$tag" ;;
name) for image; do name "$image"; done ;;
build | push)
	[ $# -gt 0 ] || refuse "say which image: $(echo functions/*/main.py | sed 's#functions/##g; s#/main.py##g' | tr _ -) migrate runner"
	engine=$(engine)
	for image; do
		if [ "$step" = push ]; then "$engine" push "$(name "$image")"; else build "$image"; fi
	done
	;;
*) refuse "say tag, name IMAGE, build IMAGE, or push IMAGE" ;;
esac
