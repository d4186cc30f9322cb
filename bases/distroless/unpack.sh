#!/bin/sh -e
# unpack.sh PACKAGE...: Debian packages as files under /rootfs. Unpacked, not installed: no
# maintainer script runs. One file per package under status.d tells a scanner what is here, in place
# of dpkg's database.
status=/rootfs/var/lib/dpkg/status.d
mkdir -p "$status"
apt-get download "$@"
for package; do
    dpkg-deb --extract "$package"_*.deb /rootfs
    dpkg-deb --field "$package"_*.deb > "$status/$package"
    dpkg-deb --info "$package"_*.deb md5sums > "$status/$package.md5sums"
done
