/** Mounted file systems of local disks, by the table of mounts of Linux. Pure. */

export interface Mount {
  /** `/dev/sdb1`; of ZFS the name of the pool. */
  readonly source: string
  readonly folder: string
  readonly kind: string
}

/** File systems of disks; others are of memory, of a network, or images. */
const KINDS = new Set(["ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs"])
/** Folders of the system itself, which are not for data even if they are file systems of their own. */
const OF_SYSTEM = /^\/(?:boot|efi|usr|var|etc|proc|sys|dev|run|tmp|snap|nix|root|home)?(?:\/|$)/
/** Systems mount removable and further disks here. */
const OF_DISKS = /^\/(?:run\/media|var\/mnt|var\/lib\/hayloft)\//

/** The table writes a space as `\040`. */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

/** Returns the mounts that may be disks for data, in the order of the table; what is mounted over stays out. */
export function disksIn(table: string): readonly Mount[] {
  const found = new Map<string, Mount>()
  for (const line of table.split("\n")) {
    const [source = "", folder = "", kind = "", flags = ""] = line.split(" ").map(unescaped)
    found.delete(folder)
    const isWritable = flags.split(",").includes("rw")
    const isOfSystem = OF_SYSTEM.test(folder) && !OF_DISKS.test(folder)
    if (KINDS.has(kind) && isWritable && !isOfSystem) found.set(folder, { source, folder, kind })
  }
  return [...found.values()]
}

/** The disk of a partition: `/dev/sdb` of `/dev/sdb1`, `/dev/nvme0n1` of `/dev/nvme0n1p2`. */
export const diskOf = (source: string): string =>
  /^(\/dev\/(?:nvme\d+n\d+|mmcblk\d+))(?:p\d+)?$/.exec(source)?.[1] ?? source.replace(/^(\/dev\/[a-z]+)\d+$/, "$1")

/** The source of the file system of the root folder; undefined if the table has none. */
export function systemSourceIn(table: string): string | undefined {
  const lines = table.split("\n").map(line => line.split(" "))
  return lines.findLast(([, folder]) => folder === "/")?.[0]
}
