/**
 * The `runtime` file in every data folder: the address of the running store, for the command line.
 *
 * Promises  Every folder that the store currently has contains the file, whichever folders are lost, replaced or
 *           added while it runs. A failed write is retried and does not delay other folders.
 * Written   In place and with constant length: a full disk accepts it, and the space reserved for records is not
 *           used. Half a file after a power cut is ignored.
 */
import type { DeviceId, Incarnation } from "@hayloft/base/ids.js"
import { mapBounded, type BackgroundService } from "@hayloft/base/life/index.js"
import { nextBeat } from "@hayloft/base/seams/clock/beats.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { RUNTIME_FILE_NAME, type RuntimeFile } from "@hayloft/client/credentials.js"
import type { DeviceStack } from "@hayloft/node/devices/device-stack.js"

const WRITE_EVERY_MS = 1_000
const FOLDERS_CONCURRENT = 64
/** Longer than two endpoints and a region, and within one block. */
const TEXT_CHARACTERS_MIN = 2047

/** The parts of a device that are needed to write its file. */
type FileDevice = {
  readonly place: Pick<DeviceStack["place"], "id" | "path" | "incarnation">
  readonly space: Pick<DeviceStack["space"], "disk">
}

export class RuntimeFiles implements BackgroundService {
  readonly name = "runtime files"
  /** The incarnation of each device whose folder has the file. */
  private readonly written = new Map<DeviceId, Incarnation>()

  private constructor(
    private readonly clock: Clock,
    private readonly devices: () => readonly FileDevice[],
    private readonly runtime: RuntimeFile,
  ) {}

  /** Resolves once all present folders have the file. */
  static async begin(clock: Clock, devices: () => readonly FileDevice[], runtime: RuntimeFile): Promise<RuntimeFiles> {
    const files = new RuntimeFiles(clock, devices, runtime)
    await files.write()
    return files
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.write()
      await nextBeat(this.clock, WRITE_EVERY_MS, signal)
    }
  }

  /** Writes the file to folders that do not have it yet. */
  private async write(): Promise<void> {
    const missing = this.devices().filter(({ place }) => this.written.get(place.id) !== place.incarnation)
    if (missing.length === 0) return
    const bytes = Buffer.from(`${JSON.stringify(this.runtime).padEnd(TEXT_CHARACTERS_MIN)}\n`)
    await mapBounded(missing, FOLDERS_CONCURRENT, async ({ place, space }) => {
      const { id, path, incarnation } = place
      await writeInPlace(space.disk, `${path}/${RUNTIME_FILE_NAME}`, bytes).then(
        () => void this.written.set(id, incarnation),
        // The disk is full, or the device is about to be taken offline.
        () => undefined,
      )
    })
  }
}

async function writeInPlace(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path, (await disk.exists(path)) ? "write" : "create")
  try {
    await file.write([bytes], 0)
    await file.truncate(bytes.length)
    await file.sync()
  } finally {
    await file.close()
  }
}
