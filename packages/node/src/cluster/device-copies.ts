/**
 * Copies on the devices of this node: the shared control record, and the database mark, which is what the node has seen
 * of the store's database. They decide nothing while the database is as it was: a start without it says where the
 * metadata is, `rescue` needs no database, and a start finds that a database was restored to an earlier moment while no
 * node ran, so that no incarnation is numbered like one that has begun already.
 *
 * Promises  Each open device gets the newest of both within seconds; a new incarnation before the node writes anything
 *           else; the last ones at a stop in order. The record is there before the mark, which counts only beside a
 *           record of the same database. A device that cannot be written is tried again.
 * Limits    A database that lost only what no process had time to mark is not noticed after all of them have crashed.
 */
import { withBallast, writeControlRecord } from "@hayloft/engine/device/index.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { DatabaseMark } from "@hayloft/engine/format/device/database-mark.js"
import { mapBounded, type BackgroundService } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { KeptFolder, RecordManager } from "../control/record-manager.js"
import { writeDatabaseMark } from "./database-marks.js"

const WRITE_EVERY_MS = 1_000

interface Copies {
  record?: ControlRecord
  mark?: DatabaseMark
}

export class DeviceCopies implements BackgroundService {
  readonly name = "copies on devices"
  private readonly written = new Map<DeviceId, Copies>()

  constructor(
    private readonly records: Pick<RecordManager, "record">,
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

  /** Writes the present record and mark to every open device that lacks them. */
  async write(): Promise<void> {
    const { record } = this.records
    const { mark } = this.metadata
    await mapBounded(this.folders(), DEVICES_MAX, async folder => {
      const copies = this.written.get(folder.id) ?? {}
      this.written.set(folder.id, copies)
      if (copies.record === record && copies.mark === mark) return
      try {
        await writeTo(folder, copies, record, mark)
      } catch (error) {
        this.log.debug("device_copies_not_written", { device: folder.id, error: String(error) })
      }
    })
  }
}

async function writeTo(
  { disk, path, check }: KeptFolder,
  copies: Copies,
  record: ControlRecord,
  mark: DatabaseMark,
): Promise<void> {
  // Nothing is written into an emptied folder.
  await check?.()
  if (copies.record !== record) {
    await withBallast(disk, path, () => writeControlRecord(disk, path, record))
    copies.record = record
  }
  if (copies.mark === mark) return
  await withBallast(disk, path, () => writeDatabaseMark(disk, path, mark))
  copies.mark = mark
}
