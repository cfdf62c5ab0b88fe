#!/bin/sh
# Mounts the given disks as /srv/hayloft/disk1, disk2, ...; formats those that have no file system yet. Waits for disks that are
# attached after the start of the machine.
set -eu
WAIT_SECONDS=600

number=0
for disk in "$@"; do
  number=$((number + 1))
  folder=/srv/hayloft/disk$number
  waited=0
  until [ -b "$disk" ]; do
    waited=$((waited + 1))
    if [ $waited -gt $WAIT_SECONDS ]; then
      echo "$disk is not there" >&2
      exit 1
    fi
    sleep 1
  done
  blkid "$disk" > /dev/null || mkfs.xfs -L "hayloft$number" "$disk"
  mkdir -p "$folder"
  # By label: names of devices change between starts.
  grep -q "^LABEL=hayloft$number " /etc/fstab ||
    echo "LABEL=hayloft$number $folder xfs noatime,nofail 0 2" >> /etc/fstab
done
systemctl daemon-reload
mount -a
for folder in /srv/hayloft/disk*; do
  mountpoint -q "$folder" || exit 1
  chown hayloft:hayloft "$folder"
done
