/**
 * Database marks on the devices of this node: what it has seen of the store's database. A start compares them with the
 * database, so that one that was restored to an earlier moment while no node ran is noticed, and no incarnation is
 * numbered like one that has begun already.
 *
 * Promises  A new incarnation is in the marks before the node writes anything else. Later ones follow within seconds; the
 *           last one at a stop in order. A device that cannot be written is tried again.
 * Limits    A database that lost only what no process had time to mark is not noticed after all of them have crashed.
 */
import { readRecordFile, replaceRecordFile, withBallast } from "../../device/index.js"
import { isFailure } from "../../base/failures.js"
import type { DeviceId } from "../../base/ids.js"
import { DEVICES_MAX } from "../../base/limits.js"
import { decodeDatabaseMark, encodeDatabaseMark, type DatabaseMark } from "../../format/database-mark.js"
import { mapBounded, type BackgroundService } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Disk } from "../../seams/disk/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import type { KeptFolder } from "../control/record-manager.js"

const WRITE_EVERY_MS = 1_000

const fileOf = (folder: string): string => `${folder}/database-mark`

/** Undefined: the folder has none, or one that is damaged. */
export async function readDatabaseMark(disk: Disk, folder: string): Promise<DatabaseMark | undefined> {
  try {
    const bytes = await readRecordFile(disk, fileOf(folder))
    return bytes && decodeDatabaseMark(bytes)
  } catch (error) {
    if (isFailure(error, "corruptRecord", "deviceFailed")) return undefined
    throw error
  }
}

/** The store has moved to a database that the device has not seen yet. */
export async function removeDatabaseMark(disk: Disk, folder: string): Promise<void> {
  if (await disk.exists(fileOf(folder))) await disk.remove(fileOf(folder))
}

export class DatabaseMarks implements BackgroundService {
  readonly name = "database marks"
  private readonly written = new Map<DeviceId, DatabaseMark>()

  constructor(
    private readonly metadata: { readonly mark: DatabaseMark },
    private readonly folders: () => readonly KeptFolder[],
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.write()
      await this.clock.sleep(WRITE_EVERY_MS, signal)
    }
  }

  /** Writes what was seen last to every open device that lacks it. */
  async write(): Promise<void> {
    const { mark } = this.metadata
    const behind = this.folders().filter(({ id }) => this.written.get(id) !== mark)
    await mapBounded(behind, DEVICES_MAX, async ({ id, disk, path, check }) => {
      try {
        await check?.()
        await withBallast(disk, path, () => replaceRecordFile(disk, fileOf(path), encodeDatabaseMark(mark)))
        this.written.set(id, mark)
      } catch (error) {
        this.log.debug("database_mark_not_written", { device: id, error: String(error) })
      }
    })
  }
}
