/** Which mounts are offered as disks for data, and which disk a partition is of. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { diskOf, disksIn, systemSourceIn } from "./mounts-core.js"

const TABLE = `proc /proc proc rw 0 0
/dev/sda2 / ext4 rw,relatime 0 0
/dev/sda1 /boot/efi vfat rw 0 0
/dev/sda3 /home ext4 rw 0 0
tmpfs /mnt/memory tmpfs rw 0 0
/dev/sdb1 /mnt/disk\\0401 xfs rw,noatime 0 0
/dev/sdc /mnt/disk2 ext4 ro 0 0
/dev/nvme0n1p1 /srv/data btrfs rw 0 0
tank /tank zfs rw,xattr 0 0
server:/export /mnt/net nfs4 rw 0 0
/dev/sdd /mnt/over ext4 rw 0 0
/dev/sr0 /mnt/over iso9660 ro 0 0
/dev/sde1 /run/media/ann/usb ext4 rw 0 0
`

test("file systems of local disks are offered, and neither the system's nor those of memory or a network", () => {
  assert.deepEqual(
    disksIn(TABLE).map(({ source, folder }) => [source, folder]),
    [
      ["/dev/sdb1", "/mnt/disk 1"],
      ["/dev/nvme0n1p1", "/srv/data"],
      ["tank", "/tank"],
      ["/dev/sde1", "/run/media/ann/usb"],
    ],
  )
  assert.equal(systemSourceIn(TABLE), "/dev/sda2")
  assert.deepEqual(disksIn("nonsense\n\n"), [])
})

test("a partition is of its disk", () => {
  const disks = ["/dev/sda2", "/dev/nvme0n1p1", "/dev/mmcblk0p3", "/dev/sdb", "/dev/mapper/vg-data", "tank"].map(diskOf)
  assert.deepEqual(disks, ["/dev/sda", "/dev/nvme0n1", "/dev/mmcblk0", "/dev/sdb", "/dev/mapper/vg-data", "tank"])
})
