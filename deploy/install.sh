#!/bin/sh
# Installs one executable of Hayloft for this machine: downloads it, checks it, and puts it into a folder of your own.
#
#   sh install.sh [--to FOLDER] [--version X.Y.Z] [--from URL] [--unsigned]
#
#   --to        where `hayloft` is put; default: /usr/local/bin for root, ~/.local/bin for others
#   --version   the release; default: the one that this script came with
#   --from      the address of the release's files; default: that of the project
#   --unsigned  accept files whose checksums nobody has signed
#
# It never calls sudo, changes no settings, starts nothing, and writes one file. It needs curl or wget, and openssl.
set -eu

# `npm run release` writes both: the version, and the public key of the releaser.
VERSION='@VERSION@'
PUBLIC_KEY='@PUBLIC_KEY@'

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

to='' from='' unsigned=no
while [ $# -gt 0 ]; do
  case $1 in
    --unsigned) unsigned=yes; shift; continue ;;
    --to | --version | --from) [ $# -gt 1 ] || fail "$1 needs a value" ;;
    *) fail "unknown option $1; the first lines of this script name all" ;;
  esac
  case $1 in
    --to) to=$2 ;;
    --version) VERSION=$2 ;;
    --from) from=$2 ;;
  esac
  shift 2
done
case $VERSION in
  *@*) fail "this script is not of a release: name one with --version X.Y.Z" ;;
esac
from=${from:-https://github.com/hayloft/hayloft/releases/download/v$VERSION}
if [ -z "$to" ]; then
  if [ "$(id -u)" = 0 ]; then to=/usr/local/bin; else to=$HOME/.local/bin; fi
fi

case $(uname -s) in
  Linux) system=linux ;;
  Darwin) system=macos ;;
  *) fail "there is no executable for $(uname -s): npm install --global hayloft works where Node does" ;;
esac
case $(uname -m) in
  x86_64 | amd64) processor=x64 ;;
  aarch64 | arm64) processor=arm64 ;;
  *) fail "there is no executable for the processor $(uname -m): npm install --global hayloft works where Node does" ;;
esac
if [ "$system" = linux ] && ! getconf GNU_LIBC_VERSION >/dev/null 2>&1; then
  fail "this system has no glibc, which the executable needs: npm install --global hayloft works where Node does"
fi
name=hayloft-$system-$processor
[ ! -d "$to/hayloft" ] || fail "$to/hayloft is a folder, and would be the program: name another folder with --to"

mkdir -p "$to" 2>/dev/null || true
[ -w "$to/" ] || fail "cannot write to $to: name a folder of yours with --to, or run this as a user who can"

# In the same folder, so that the last step is a rename, and a program that runs is not written to.
work=$(mktemp -d "$to/.hayloft-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

download() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --output "$work/$1" "$from/$1" || fail "cannot download $from/$1"
  elif command -v wget >/dev/null; then
    wget -q -O "$work/$1" "$from/$1" || fail "cannot download $from/$1"
  else
    fail "neither curl nor wget is installed"
  fi
}

download SHA256SUMS
if [ "$unsigned" = yes ]; then
  echo "install.sh: nobody's signature is checked (--unsigned)" >&2
else
  case $PUBLIC_KEY in
    *BEGIN*) ;;
    *) fail "this release is not signed: with --unsigned only checksums are compared, which come from the same place as the file" ;;
  esac
  command -v openssl >/dev/null || fail "openssl is not installed, which checks the signature"
  download SHA256SUMS.sig
  printf '%s\n' "$PUBLIC_KEY" >"$work/key.pem"
  openssl dgst -sha256 -verify "$work/key.pem" -signature "$work/SHA256SUMS.sig" "$work/SHA256SUMS" >/dev/null 2>&1 ||
    fail "the signature of $from/SHA256SUMS is wrong: nothing was installed"
fi
# A signature of another release is no signature of this one.
grep -q "  hayloft-$VERSION.tgz\$" "$work/SHA256SUMS" || fail "$from/SHA256SUMS is not of version $VERSION: nothing was installed"

download "$name"
expected=$(awk -v name="$name" '$2 == name { print $1 }' "$work/SHA256SUMS")
[ -n "$expected" ] || fail "$from/SHA256SUMS does not name $name"
if command -v sha256sum >/dev/null; then
  actual=$(sha256sum "$work/$name")
else
  actual=$(shasum -a 256 "$work/$name")
fi
[ "${actual%% *}" = "$expected" ] || fail "the checksum of $from/$name is wrong: nothing was installed"

chmod 755 "$work/$name"
"$work/$name" --version >/dev/null || fail "$name does not run on this system; see docs/guide/install.md"
mv -f "$work/$name" "$to/hayloft"
echo "$to/hayloft is $("$to/hayloft" --version)"
case :$PATH: in
  *:"$to":*) echo "start a store in this folder: hayloft serve" ;;
  *) echo "start a store in this folder: $to/hayloft serve" ;;
esac
