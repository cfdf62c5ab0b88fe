/**
 * Copies of the shared control record on the devices of this node: commands on the machine find the store's keys in them,
 * a start without the database says where the metadata is, and `rescue` needs no database. They decide nothing.
 *
 * Promises  Each open device gets the newest record within seconds. A device that cannot be written is tried again.
 */
import { withBallast, writeControlRecord } from "../../device/index.js"
import type { DeviceId } from "../../base/ids.js"
import { DEVICES_MAX } from "../../base/limits.js"
import { mapBounded, type BackgroundService } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import type { KeptFolder, RecordManager } from "../control/record-manager.js"

const WRITE_EVERY_MS = 1_000

export class RecordCopies implements BackgroundService {
  readonly name = "copies of the control record"
  /** Generations, by device. */
  private readonly written = new Map<DeviceId, number>()

  constructor(
    private readonly records: Pick<RecordManager, "record">,
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

  /** Writes the present record to every open device that lacks it. */
  async write(): Promise<void> {
    const { record } = this.records
    const behind = this.folders().filter(({ id }) => this.written.get(id) !== record.generation)
    await mapBounded(behind, DEVICES_MAX, async ({ id, disk, path, check }) => {
      try {
        // Nothing is written into an emptied folder.
        await check?.()
        await withBallast(disk, path, () => writeControlRecord(disk, path, record))
        this.written.set(id, record.generation)
      } catch (error) {
        this.log.debug("control_record_not_copied", { device: id, error: String(error) })
      }
    })
  }
}
