/**
 * Tells what Linux and `smartctl` know of the disks below the devices of this process: what they have read and written, and their
 * health. Elsewhere, and of file systems of several disks, nothing is known.
 *
 * Limits  A disk is asked for its health at most every `HEALTH_MS`.
 */
import { healthOf, ioOf, nameIn, sysFolderOf, type DiskFacts, type DiskHealth } from "@hayloft/admin/index.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { kernelFile } from "./kernel-file.js"
import { diskOf } from "./mounts-core.js"

const HEALTH_MS = 600_000
const FILE_BYTES_MAX = 4_096
const AT_ONCE = 4

interface Asked {
  readonly atMs: number
  readonly health: Promise<DiskHealth | undefined>
}

export class DisksOfDevices {
  private readonly asked = new Map<string, Asked>()

  constructor(
    private readonly disk: Pick<Disk, "open">,
    private readonly clock: Pick<Clock, "monotonicMs">,
    private readonly smartctl: (device: string) => Promise<string>,
  ) {}

  /** Returns facts by the number of the file system; a disk about which nothing is known is left out. */
  async of(disks: readonly string[]): Promise<ReadonlyMap<string, DiskFacts>> {
    const found = await mapBounded(
      [...new Set(disks)],
      AT_ONCE,
      async disk => [disk, await this.factsOf(disk)] as const,
    )
    return new Map(found.flatMap(([disk, facts]) => (facts === undefined ? [] : [[disk, facts] as const])))
  }

  private async factsOf(disk: string): Promise<DiskFacts | undefined> {
    const folder = sysFolderOf(disk)
    const io = ioOf(await kernelFile(this.disk, `${folder}/stat`, FILE_BYTES_MAX))
    const name = nameIn(await kernelFile(this.disk, `${folder}/uevent`, FILE_BYTES_MAX))
    if (io === undefined || name === undefined) return undefined
    const atMs = this.clock.monotonicMs()
    const health = await this.healthOf(diskOf(`/dev/${name.replaceAll("!", "/")}`), atMs)
    return { name, atMs, io, ...(health && { health }) }
  }

  private healthOf(device: string, nowMs: number): Promise<DiskHealth | undefined> {
    const known = this.asked.get(device)
    if (known !== undefined && nowMs - known.atMs < HEALTH_MS) return known.health
    const health = this.smartctl(device).then(healthOf)
    this.asked.set(device, { atMs: nowMs, health })
    return health
  }
}
