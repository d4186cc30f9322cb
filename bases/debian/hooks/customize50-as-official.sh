#!/bin/sh
# Run by mmdebstrap when all packages are in; $1 is the new root directory.
# Gives it the configuration of the official image, and takes away what this machine left behind.
set -eu
root="$1"
recipe="$(dirname "$(dirname "$(readlink -f "$0")")")"

# The files under files/: apt and dpkg kept lean, services kept from starting during a build.
cd "$recipe/files"
find . -type f | while read -r file; do
    install -D -m 0644 "$file" "$root/$file"
done
chmod 0755 "$root/usr/sbin/policy-rc.d"

# What mmdebstrap was given on the command line stays in the image under the official name.
if [ -e "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" ]; then
    mv "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/docker"
fi

# apt's sources: one stanza per mirror in debian.sources, as in the official image. The mirror is
# the one that mmdebstrap was given or chose: no host name is written down in this repository.
sources="$root/etc/apt/sources.list.d/debian.sources"
if [ -s "$root/etc/apt/sources.list" ]; then
    sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}//p' "$root/etc/apt/sources.list" | awk '
        !($1 in suites) { uris[++n] = $1; components[$1] = $3
                          for (i = 4; i <= NF; i++) components[$1] = components[$1] " " $i }
        { suites[$1] = suites[$1] " " $2 }
        END {
            for (i = 1; i <= n; i++) {
                if (i > 1) print ""
                print "Types: deb"
                print "URIs: " uris[i]
                print "Suites:" suites[uris[i]]
                print "Components: " components[uris[i]]
                print "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"
            }
        }' > "$sources"
    chmod 0644 "$sources"
fi
rm -f "$root/etc/apt/sources.list"

# dpkg left out the files of these folders; the official image has their empty folders out, too.
rm -f "$root/usr/share/info/dir"
for folder in doc groff info linda lintian/overrides locale man; do
    [ -d "$root/usr/share/$folder" ] || continue
    find "$root/usr/share/$folder" -mindepth 1 -depth \( -type d -empty -o -xtype l \) -delete
done

# No package lists and no caches (`--skip=cleanup/apt`: mmdebstrap's own cleaning leaves lock files).
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/apt/*

# mmdebstrap copied these two from the machine it runs on. Docker mounts its own over them.
: > "$root/etc/resolv.conf"
chmod 0644 "$root/etc/resolv.conf"
rm -f "$root/etc/hostname"
