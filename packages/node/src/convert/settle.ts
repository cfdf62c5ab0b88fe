/**
 * Settling a conversion that was interrupted: the control record on the devices says where the metadata is, and a start
 * makes the database agree.
 *
 * Promises  A node starts on a database only if the devices say that the metadata is there. From then on the record in
 *           the database is newer than any on a device, also than one of an attempt that came to nothing. A database that
 *           was restored to a moment of the copy is not taken for one whose copy was finished.
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId, Incarnation } from "@hayloft/base/ids.js"
import { setConversion } from "@hayloft/engine/coordination/index.js"
import { votingIds, withBallast, writeControlRecord } from "@hayloft/engine/device/index.js"
import type { ControlRow, ConversionRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import { parseControlRecord, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { DatabaseMark } from "@hayloft/engine/format/device/database-mark.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { SharedMetadata } from "../metadata/database.js"
import type { FolderInspection } from "../open/folder-inspection.js"
import { planStart } from "../open/start-core.js"
import { incarnationOfGeneration } from "../control/steps-core.js"
import { whyElsewhere } from "@hayloft/engine/metadata/index.js"
import { removeDatabaseMark } from "../cluster/database-marks.js"
import { readSharedRecord, replaceSharedRecord } from "../cluster/shared-record.js"

export const onDevices = (path: string): Failure =>
  fail("metadataElsewhere", {
    message: `${path} belongs to a store that keeps its metadata on its own disks: start it without --cluster`,
  })

/** A folder that this process has taken. */
interface OwnFolder {
  readonly id: DeviceId
  readonly path: string
}

export interface Settled {
  /** The record in effect. */
  readonly record: ControlRecord
  /** Devices with an older copy of the record attest nothing of this database. */
  readonly marksFrom: number
  /** Throws `devicesMissing` if too few devices accept the record, and the failures of the database. */
  readonly settle: (metadata: SharedMetadata, disk: Disk, folders: readonly OwnFolder[]) => Promise<void>
}

/**
 * Returns undefined if nothing was interrupted. Throws `metadataElsewhere` if the devices keep the metadata, if none of
 * them is here to say where it is, or if they name another database.
 */
export function settledBy(
  inspections: readonly FolderInspection[],
  conversion: ConversionRow,
  row: ControlRow | undefined,
): Settled | undefined {
  if (conversion.state === "active" && row !== undefined) return undefined
  const plan = planStart(inspections)
  if (plan.kind === "new") {
    const reason = { message: "the metadata of the store is being moved: first start the node that has its disks" }
    throw whyElsewhere(conversion) ?? fail("metadataElsewhere", reason)
  }
  const found = plan.record
  if (found.tablets.length > 0)
    throw onDevices(inspections.find(({ content }) => content.kind === "device")?.path ?? "")
  if (isOutdated(conversion, found)) {
    throw fail("metadataElsewhere", {
      message:
        "the database has only a part or an old copy of the metadata: it is not the one that the store uses now, whose URL to pass, or it was restored to a moment at which the store had not moved into it yet: restore it to a later moment",
    })
  }
  const generation = Math.max(conversion.generation, found.generation, row?.generation ?? 0) + 1
  const present = row && isNewest(row, found) ? parseControlRecord(row.record) : found
  return {
    record: { ...present, generation },
    marksFrom: row === undefined ? generation : 0,
    settle: (metadata, disk, folders) => settle(metadata, conversion, found, generation, { disk, folders }),
  }
}

/** Otherwise the database was rolled back, and the newest copy is put back, as after any halt. */
const isNewest = (present: Pick<ControlRecord, "generation">, found: ControlRecord): boolean =>
  present.generation >= found.generation

/**
 * For a database without a control record, which is that of an unfinished copy. Throws `databaseRolledBack` if the
 * devices were used by incarnations that began after everything in it. All that devices know of a database that the store
 * has left is below it.
 */
export function checkNotRestored(
  { devices }: ControlRecord,
  marks: readonly DatabaseMark[],
  highest: Incarnation,
): void {
  const homes = devices.map(({ home }) => home?.incarnation ?? 0)
  if (Math.max(0, ...homes, ...marks.map(mark => mark.highest)) <= highest) return
  throw fail("databaseRolledBack", {
    message:
      "the database was restored to a moment at which the store had not moved into it yet: most of the metadata is not in it. Restore it to a later moment",
  })
}

/**
 * Returns true if devices that name a database mean another one: rows are missing here, or a process has run since by
 * which the devices kept the metadata. Each such process notes its start in the record. The generation of the record does
 * not tell: it is also raised by an operator who gives up a lost device of the stopped store.
 */
export function isOutdated({ state, generation }: ConversionRow, { starts }: Pick<ControlRecord, "starts">): boolean {
  if (state === "copying" || state === "left") return true
  const last = starts?.at(-1)?.incarnation ?? 0
  return state !== "active" && last > incarnationOfGeneration(generation)
}

async function settle(
  metadata: SharedMetadata,
  { state }: ConversionRow,
  found: ControlRecord,
  generation: number,
  { disk, folders }: { readonly disk: Disk; readonly folders: readonly OwnFolder[] },
): Promise<void> {
  const present = await readSharedRecord(metadata)
  const record = { ...(present !== undefined && isNewest(present, found) ? present : found), generation }
  if (present === undefined) for (const { path } of folders) await removeDatabaseMark(disk, path)
  // First on the devices: an attempt that came to nothing may have left another decision on some of them.
  await decideOn(disk, folders, record)
  // A first record is refused while rows are copied. One of which the database has lost nothing is replaced before.
  if (present !== undefined) await replaceSharedRecord(metadata, present, record)
  if (state !== "active") await metadata.run(setConversion(state, { state: "active", generation }))
  if (present === undefined) await replaceSharedRecord(metadata, undefined, record)
}

/**
 * The record is on more than half of the devices that vote in it once this resolves. If it says that they keep the
 * metadata, they attest nothing of a database any more.
 */
export async function decideOn(disk: Disk, folders: readonly OwnFolder[], record: ControlRecord): Promise<void> {
  const voting = votingIds(record)
  let accepted = 0
  for (const { id, path } of folders) {
    if (!voting.includes(id)) continue
    try {
      await withBallast(disk, path, () => writeControlRecord(disk, path, record))
      accepted += 1
    } catch (error) {
      // A full device lacks the record as a failed one does: more than half of them must have it.
      if (!isFailure(error, "deviceFailed", "deviceFull")) throw error
    }
  }
  if (2 * accepted <= voting.length)
    throw fail("devicesMissing", {
      message: "too few devices accept the decision where the metadata is: attach all of them",
      accepted,
      devices: voting.length,
    })
  if (record.tablets.length > 0) await forgetDatabase(disk, folders)
}

async function forgetDatabase(disk: Disk, folders: readonly OwnFolder[]): Promise<void> {
  for (const { path } of folders) {
    await removeDatabaseMark(disk, path).catch((error: unknown) => {
      // A mark that stays is below all incarnations of another database.
      if (!isFailure(error, "deviceFailed")) throw error
    })
  }
}
