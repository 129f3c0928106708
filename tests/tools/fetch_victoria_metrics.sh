#!/bin/sh
# Unpacks Debian's victoria-metrics package into a folder, without installing it and without touching the system's apt:
#     tests/tools/fetch_victoria_metrics.sh FOLDER [SUITE]     prints the path of the binary
# The package entered Debian after bookworm, so the suite (default trixie) is usually newer than the machine's; its
# static Go binary runs there all the same. Sources, keys and proxies are those of the machine's own apt.
set -eu

folder=${1:?usage: fetch_victoria_metrics.sh FOLDER [SUITE]}
suite=${2:-trixie}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
binary="$folder/root/usr/bin/victoria-metrics"
if [ -x "$binary" ]; then
    echo "$binary"
    exit 0
fi
command -v apt-get >/dev/null 2>&1 || { echo "apt-get is missing: this needs a Debian system" >&2; exit 1; }

# The first archive among apt's own that carries Debian itself (not its updates, security fixes or backports).
mirror=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT) $(RELEASE) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
    awk '$2 == "main" && $3 !~ /[-\/]/ && ($4 == "Debian" || $1 ~ /\/debian\/?$/) { print $1; exit }')
[ -n "$mirror" ] || { echo "apt knows no Debian archive; add one to its sources first" >&2; exit 1; }
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || { echo "$keyring is missing; install debian-archive-keyring" >&2; exit 1; }

scratch="$folder/apt"
mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial" "$folder/root"
echo "deb [signed-by=$keyring] $mirror $suite main" >"$scratch/sources.list"
set -- -o "Dir::Etc::sourcelist=$scratch/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o "Dir::State::lists=$scratch/lists" -o "Dir::Cache=$scratch/cache" -o "APT::Sandbox::User=$(id -un)"
apt-get "$@" update -qq >&2
(cd "$scratch" && apt-get "$@" download -qq "victoria-metrics/$suite" >&2)
dpkg -x "$scratch"/victoria-metrics_*.deb "$folder/root"
rm -rf "$scratch"
echo "$binary"
