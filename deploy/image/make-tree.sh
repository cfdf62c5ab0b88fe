#!/bin/sh
# Makes the files of the image in a folder, on Debian and as root: the executable, the libraries that it needs, a shell with the usual
# small commands (bash, busybox), curl, setpriv and certificates, and nothing that installs or compiles.
#
#   sh make-tree.sh TREE EXECUTABLE
#
# Wants the packages bash, busybox-static, ca-certificates, curl, libstdc++6 and util-linux. Where scanners look for them,
# in var/lib/dpkg/status.d, the tree names the packages that its files are from.
set -eu

tree=$1 executable=$2
here=$(dirname "$0")
PROGRAMS='/usr/bin/bash /usr/bin/busybox /usr/bin/curl /usr/bin/setpriv'

mkdir -p "$tree/usr/bin" "$tree/usr/lib64" "$tree/usr/local/bin" "$tree/usr/share/doc/hayloft" "$tree/etc/ssl/certs" \
  "$tree/var/lib/dpkg/status.d" "$tree/dev" "$tree/proc" "$tree/run" "$tree/sys"
for name in bin lib lib64 sbin; do ln -s "usr/$name" "$tree/$name"; done
ln -s bin "$tree/usr/sbin"
install -d -m 1777 "$tree/tmp"
install -d -m 0700 "$tree/root"
install -d -o 1000 -g 1000 -m 0750 "$tree/data"

# shellcheck disable=SC2086
libraries=$(ldd $PROGRAMS "$executable" 2>/dev/null | awk '$3 ~ /^\// { print $3 } $1 ~ /^\// && NF == 2 && $1 !~ /:$/ { print $1 }' | sort -u)
for file in $PROGRAMS $libraries; do
  case $file in
    /usr/*) merged=$file ;;
    *) merged=/usr$file ;;
  esac
  mkdir -p "$tree$(dirname "$merged")"
  [ -e "$tree$merged" ] || cp -L "$file" "$tree$merged"
  package=$(dpkg -S "$(realpath "$file")" "${merged#/usr}" "$merged" 2>/dev/null | head -n 1 | cut -d : -f 1)
  [ -n "$package" ] || { echo "make-tree.sh: $file is of no package" >&2; exit 1; }
  dpkg -s "$package" >"$tree/var/lib/dpkg/status.d/$package"
  mkdir -p "$tree/usr/share/doc/$package"
  cp "/usr/share/doc/$package/copyright" "$tree/usr/share/doc/$package/"
done
for name in $(busybox --list); do [ -e "$tree/usr/bin/$name" ] || ln -s busybox "$tree/usr/bin/$name"; done

cp -L /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
dpkg -s ca-certificates >"$tree/var/lib/dpkg/status.d/ca-certificates"
cp -L /etc/os-release "$tree/etc/os-release"
printf 'root:x:0:0:root:/root:/bin/sh\nhayloft:x:1000:1000:hayloft:/data:/bin/sh\n' >"$tree/etc/passwd"
printf 'root:x:0:\nhayloft:x:1000:\n' >"$tree/etc/group"
echo 'hosts: files dns' >"$tree/etc/nsswitch.conf"

install -m 0755 "$executable" "$tree/usr/bin/hayloft"
install -m 0755 "$here/hayloft" "$tree/usr/local/bin/hayloft"
install -m 0755 "$here/mc" "$tree/usr/bin/mc"
# Entry points of compose files call `minio server`, at these paths of MinIO's image.
for name in minio docker-entrypoint.sh; do ln -s ../local/bin/hayloft "$tree/usr/bin/$name"; done
