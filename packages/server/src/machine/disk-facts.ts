/**
 * Tells how often the devices of this process have failed calls, and what Linux and `smartctl` know of the disks below them:
 * what they have read and written, and their health. Elsewhere, and of file systems of several disks, the system tells
 * nothing.
 *
 * Limits  A disk is asked for its health at most every `HEALTH_MS`.
 */
import { healthOf, ioOf, nameIn, sysFolderOf, type DiskHealth } from "@hayloft/admin/index.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { DeviceDisk } from "@hayloft/engine/format/nodes/disk-report.js"
import { kernelFile } from "./kernel-file.js"
import { diskOf } from "./mounts-core.js"

const HEALTH_MS = 600_000
const FILE_BYTES_MAX = 4_096
const AT_ONCE = 4

interface Asked {
  readonly atMs: number
  readonly health: Promise<DiskHealth | undefined>
}

/** A device of this process. */
interface OwnDevice {
  readonly id: DeviceId
  /** The number of its file system. */
  readonly fileSystemId: string
  readonly failedCalls: number
}

export class DisksOfDevices {
  private readonly asked = new Map<string, Asked>()

  constructor(
    private readonly disk: Pick<Disk, "open">,
    private readonly clock: Pick<Clock, "monotonicMs">,
    private readonly smartctl: (device: string) => Promise<string>,
    private readonly devices: () => readonly OwnDevice[],
  ) {}

  async read(): Promise<readonly DeviceDisk[]> {
    const devices = this.devices()
    const disks = [...new Set(devices.map(({ fileSystemId }) => fileSystemId))]
    const facts = new Map(await mapBounded(disks, AT_ONCE, async disk => [disk, await this.factsOf(disk)] as const))
    const atMs = this.clock.monotonicMs()
    return devices.map(({ id, fileSystemId, failedCalls }) => ({
      device: id,
      atMs,
      failedCalls,
      ...facts.get(fileSystemId),
    }))
  }

  private async factsOf(disk: string): Promise<Omit<DeviceDisk, "device" | "failedCalls"> | undefined> {
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
