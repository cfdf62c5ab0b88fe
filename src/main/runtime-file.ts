/**
 * The file `runtime` in every data folder: where the store of this machine is reached, for the command line.
 *
 * Promises  Whichever folders are lost, replaced or added while the store runs, those that it has tell. A
 *           folder that does not take the file is tried again, and holds up nobody.
 * Written   In place, and as long each time: a disk without a free byte takes it too, and what is kept free for
 *           records is not touched. Half a file after a power cut says nothing, as it should.
 */
import type { DeviceId, Incarnation } from "../base/ids.js"
import { mapBounded, type BackgroundService } from "../life/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Disk } from "../seams/disk/contract.js"
import { RUNTIME_FILE_NAME, type RuntimeFile } from "../client/credentials.js"
import type { DeviceStack } from "../node/devices/device-stack.js"

const LOOK_EVERY_MS = 5_000
const FOLDERS_AT_ONCE = 64
/** More than two endpoints and a region have, within one block. */
const TEXT_CHARACTERS_MIN = 2047

/** What of a device is needed to tell its folder. */
type Told = {
  readonly place: Pick<DeviceStack["place"], "id" | "path" | "incarnation">
  readonly space: Pick<DeviceStack["space"], "disk">
}

export class RuntimeFiles implements BackgroundService {
  readonly name = "runtime files"
  /** The life of each device in which its folder was told. */
  private readonly told = new Map<DeviceId, Incarnation>()

  private constructor(
    private readonly clock: Clock,
    private readonly devices: () => readonly Told[],
    private readonly runtime: RuntimeFile,
  ) {}

  /** Resolves once the folders that are there were told. */
  static async begin(clock: Clock, devices: () => readonly Told[], runtime: RuntimeFile): Promise<RuntimeFiles> {
    const files = new RuntimeFiles(clock, devices, runtime)
    await files.write()
    return files
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.write()
      await this.clock.sleep(LOOK_EVERY_MS, signal)
    }
  }

  /** Tells the folders that have not been told. */
  private async write(): Promise<void> {
    const untold = this.devices().filter(({ place }) => this.told.get(place.id) !== place.incarnation)
    const bytes = Buffer.from(`${JSON.stringify(this.runtime).padEnd(TEXT_CHARACTERS_MIN)}\n`)
    await mapBounded(untold, FOLDERS_AT_ONCE, async ({ place, space }) => {
      const { id, path, incarnation } = place
      await writeInPlace(space.disk, `${path}/${RUNTIME_FILE_NAME}`, bytes).then(
        () => void this.told.set(id, incarnation),
        // Full, or about to be taken out.
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
