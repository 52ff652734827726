#!/bin/sh
# What an image of a function is made of, without a container engine. Every step may be repeated.
#
#   functions/build.sh uv                     install the uv of the lock file into this Python, by pip
#   functions/build.sh packages FUNCTION APP  the packages of that function, of the lock file, into APP/packages
#   functions/build.sh code FUNCTION APP      the code of that function, and how it is started, into APP
#
# FUNCTION is one of the six, or migrate, which is the `facteur` command. Every package is compared with the hash in the
# lock file, and none is compiled from source. TARGETARCH (amd64, arm64) takes the packages of that machine instead of
# this one's. UV is the uv to use; PYTHON is the Python that the function is going to have.
set -eu

case ${3:-} in
/*) app=$3 ;;
*) app=$PWD/${3:-} ;;
esac
cd "$(dirname "$0")/.."
uv=${UV:-uv}
python=${PYTHON:-python3}

refuse() {
	echo "functions/build.sh: $1" >&2
	exit 2
}

# Bytecode that is compared with nothing stays good whatever becomes of the times of files, and is the same each time.
export PYC_INVALIDATION_MODE=UNCHECKED_HASH

# Files are made by the umask of whoever builds, and a container has another user.
open_to_all() {
	chmod -R a+rX "$app"
}

install_uv() {
	wanted=$(mktemp)
	"$python" - >"$wanted" <<-'PROGRAM'
		import pathlib, tomllib
		packages = tomllib.loads(pathlib.Path("uv.lock").read_text())["package"]
		(found,) = (package for package in packages if package["name"] == "uv")
		print(f"uv=={found['version']}", *(f"--hash={wheel['hash']}" for wheel in found["wheels"]))
	PROGRAM
	"$python" -m pip install --quiet --root-user-action=ignore --no-deps --only-binary :all: --require-hashes -r "$wanted"
	rm "$wanted"
}

install_packages() {
	case ${TARGETARCH:-} in
	'') machine= ;;
	amd64) machine=--python-platform=x86_64-manylinux_2_28 ;;
	arm64) machine=--python-platform=aarch64-manylinux_2_28 ;;
	*) refuse "there are packages for amd64 and arm64 only, and not for $TARGETARCH" ;;
	esac
	wanted=$(mktemp)
	[ "$function" = migrate ] && extra=cli || extra=$function
	"$uv" export --quiet --locked --no-dev --no-emit-project --no-header --extra "$extra" >"$wanted"
	rm -rf "$app/packages"
	mkdir -p "$app/packages"
	"$uv" pip install --quiet --python "$python" ${machine:+"$machine"} --no-deps --only-binary :all: --require-hashes \
		--link-mode copy --compile-bytecode --target "$app/packages" -r "$wanted"
	rm "$wanted"
	# Programs that nothing calls, and that name the Python of this machine.
	rm -rf "$app/packages/bin" "$app/packages/.lock"
	open_to_all
}

copy_code() {
	[ "$function" = migrate ] || [ -f "functions/$folder/main.py" ] || refuse "there is no function $function"
	rm -rf "$app/functions" "$app/shared" "$app/migrations"
	mkdir -p "$app"
	wanted=$(mktemp)
	# The folders of other functions are of no use here, nor is what only a person needs, or the container of a task.
	if [ "$function" = migrate ]; then
		start=shared.cli.main
		find functions shared migrations -name '*.py' -o -path 'migrations/*.sql' >"$wanted"
	else
		start="shared.web.serve $function"
		find functions/__init__.py "functions/$folder" shared \
			\( -path shared/cli -o -path shared/doctor -o -path shared/local -o -path shared/runner \) -prune \
			-o -name '*.py' -print >"$wanted"
	fi
	tar -cf - -T "$wanted" | tar -xf - --no-same-owner -C "$app"
	rm "$wanted"
	printf '#!/bin/sh\nexec python3 -m %s "$@"\n' "$start" >"$app/start"
	chmod 755 "$app/start"
	"$python" -m compileall -q --invalidation-mode unchecked-hash "$app/functions" "$app/shared"
	open_to_all
}

step=${1:-}
[ "$step" = uv ] && { install_uv && exit; }
[ $# -eq 3 ] || refuse "say uv, packages FUNCTION APP, or code FUNCTION APP"
function=$2
folder=$(echo "$function" | tr - _)
case $step in
packages) install_packages ;;
code) copy_code ;;
*) refuse "there is no step $step" ;;
esac
