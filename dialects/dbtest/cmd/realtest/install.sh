# Installs packages without letting them start or set up system-wide servers,
# and takes back what it changed for that. Runs as root: install.sh PACKAGE...
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH DEBIAN_FRONTEND=noninteractive LC_ALL=C

policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.conf
ours_policy= ours_clusters=

restore() {
	[ -z "$ours_policy" ] || rm -f "$policy"
	if [ -n "$ours_clusters" ]; then
		rm -f "$clusters"
		# the package's own file, which ours kept out
		[ ! -e "$clusters.ucf-dist" ] || mv "$clusters.ucf-dist" "$clusters"
		rmdir "${clusters%/*}" 2>/dev/null || true
	fi
}
trap restore EXIT
trap 'exit 130' HUP INT TERM

if [ ! -e "$policy" ]; then
	ours_policy=1
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
if [ ! -e "$clusters" ]; then
	ours_clusters=1
	mkdir -p "${clusters%/*}"
	echo 'create_main_cluster = false' >"$clusters"
fi

apt-get -o DPkg::Lock::Timeout=600 -q update
apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold \
	install -y -q --no-install-recommends "$@"
