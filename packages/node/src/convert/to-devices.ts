/**
 * To devices: moves the metadata of a store from its database back to the devices of the only node that is left.
 *
 * Order     the node's engine is closed, and its folders are still held; note in the database that the store is leaving,
 *           from when on no incarnation begins to work in it; make sure that no other one is live; copy all rows to new
 *           replicas; write the control record that names them to the devices: the point of no return; note in the
 *           database that the store has left it.
 * Promises  Until then the database keeps the metadata, and the next start of the node goes on with it (`settle.ts`).
 *           After it, no process commits anything in the database any more, whatever it was before: incarnations that
 *           have ended stay ended, and each new one reads the note first. Positions and incarnations are above all of
 *           the database's. A store that encrypts everything at rest encrypts the new replicas too.
 * Refuses   With `databaseRolledBack` if the database shows less than the node has seen of it, and with `corruptRow` or
 *           `corruptNeedle` if the bytes of an object cannot be read.
 */
import { fail } from "@hayloft/base/failures.js"
import { must } from "@hayloft/base/assert.js"
import { parseEpoch, parseIncarnation, rowKeyOf } from "@hayloft/base/ids.js"
import type { DeviceId, Epoch, Incarnation, NodeName, Position } from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import { setConversion } from "@hayloft/engine/coordination/index.js"
import { Spaces } from "@hayloft/engine/device/index.js"
import type { ConversionRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { encodeTimestamps, TIMESTAMPS_ROW } from "@hayloft/engine/format/commit-timestamps.js"
import type { DatabaseMark } from "@hayloft/engine/format/device/database-mark.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { mapBounded, supervise } from "@hayloft/base/life/index.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { EncodedBatch, Replica } from "@hayloft/engine/tablet/index.js"
import { readSharedRecord } from "../cluster/shared-record.js"
import { deviceKeysIn, rowCipherIn } from "../control/at-rest.js"
import { incarnationOfGeneration, nextGeneration } from "../control/steps-core.js"
import { openDevice, type DevicePlace, type DeviceSeams, type DeviceStack } from "../devices/device-stack.js"
import type { MetadataDatabase, SharedMetadata } from "../metadata/database.js"
import { FIRST_TABLET } from "../metadata/first-tablet.js"
import { writesOf } from "./row-copy.js"
import { COPIED_FAMILIES, FIRST_KEY, rowsFrom } from "./rows-core.js"
import { decideOn } from "./settle.js"

interface LeaveSeams extends DeviceSeams {
  readonly database: MetadataDatabase
}

/** A folder that this process holds. */
export interface HeldFolder {
  readonly place: DevicePlace
  /** Throws if the folder no longer belongs to this process. */
  check(): Promise<void>
}

interface LeavingStore {
  readonly node: NodeName
  /** Opens the keys of a store that encrypts everything at rest. */
  readonly masterKey: Uint8Array
  readonly folders: readonly HeldFolder[]
  /** The state of the database as the closed engine has seen it, and its last control record. */
  readonly seen: { readonly mark: DatabaseMark; readonly record: ControlRecord }
}

/** The note that the store has left is not waited for any longer: `leaving` is refused by everything as well. */
const NOTE_MS_MAX = 5_000

/** Returns why the store cannot leave its database; undefined: it can. `live`: nodes that run. */
export function whyStay({ devices }: ControlRecord, node: string, live: readonly string[]): string | undefined {
  const others = live.filter(each => each !== node)
  if (others.length > 0) return othersRun(others)
  const elsewhere = devices.filter(({ home }) => home?.node !== node)
  if (elsewhere.length > 0)
    return `other nodes have devices (${elsewhere.map(({ id }) => id).join(", ")}): remove those nodes first`
  const away = devices.filter(({ state }) => state === "offline")
  if (away.length > 0) return `devices are offline: bring back, or forget, ${away.map(({ id }) => id).join(", ")}`
  return undefined
}

const othersRun = (nodes: readonly string[]): string => `other nodes run: stop ${nodes.join(", ")} first`

/** The progress that an operator sees. */
interface LeaveProgress {
  rows(count: number): void
  step(name: "leaving" | "filled" | "decided"): void
}

/** Returns once the devices keep the metadata. Throws, and leaves the decision to the next start, if it cannot. */
export async function moveToDevices(
  seams: LeaveSeams,
  { node, masterKey, folders, seen }: LeavingStore,
  progress: LeaveProgress,
): Promise<void> {
  const { clock, random, log, database, disk } = seams
  const row = await database.control()
  const marks = [{ ...seen.mark, hasNewerRecord: (row?.generation ?? 0) < seen.record.generation }]
  const metadata = await database.open({ clock, random: random.fork("conversion"), log }, node, marks, true)
  try {
    const { own } = metadata.incarnations
    const { generation: before } = await checkedRecord(metadata, node)
    // An operator who gave up a lost device of the stopped store has raised the generation far.
    const generation = nextGeneration(parseIncarnation(Math.max(own, incarnationOfGeneration(before)) + 1), before)
    const leaving = { state: "leaving", generation, node } as const
    await metadata.run(setConversion((await database.conversion())?.state, leaving))
    progress.step("leaving")
    // Another one may have begun before it could see that, and may have ended since: processes on the devices would use
    // its number again.
    await checkAlone(metadata, own)
    if (metadata.live.highest > own)
      throw fail("conflict", { message: "other nodes run, or have run a moment ago: stop them, and begin again" })
    // It may also have ended since, after a change of the record.
    const record = await checkedRecord(metadata, node)
    // No replica on these devices was of this epoch, nor of a later one.
    const since = parseEpoch(own)
    const next = withReplicas(record, since, generation)
    const cipher = rowCipherIn(record, masterKey, random)
    if (cipher !== undefined) metadata.sealRows(cipher)
    const places = new Map(folders.map(folder => [folder.place.id, withKeys(folder, record, masterKey)]))
    const foldersOf = (ids: readonly DeviceId[]) =>
      ids.map(id => must(places.get(id), "this process holds the folders of all devices"))
    const holders = foldersOf(replicasOf(record).map(({ id }) => id))
    await fillReplicas(seams, holders, metadata, since, rows => progress.rows(rows))
    progress.step("filled")
    const all = foldersOf(record.devices.map(({ id }) => id))
    // Another process may have ended this incarnation, or have taken a folder, while this one was stopped.
    await checkAlone(metadata, own)
    for (const folder of all) await folder.check()
    await decideOn(
      disk,
      all.map(({ place }) => place),
      next,
    )
    progress.step("decided")
    await noteLeft(seams, metadata, { ...leaving, state: "left" })
  } finally {
    await metadata.stop()
  }
}

const withKeys = (folder: HeldFolder, record: ControlRecord, masterKey: Uint8Array): HeldFolder => ({
  place: { ...folder.place, keys: deviceKeysIn(record, masterKey, folder.place.id) },
  check: () => folder.check(),
})

/** The control record, if the store may leave with it. Throws `conflict` and `databaseRolledBack`. */
async function checkedRecord(metadata: SharedMetadata, node: NodeName): Promise<ControlRecord> {
  if (metadata.halt !== undefined) throw fail("databaseRolledBack")
  const record = await readSharedRecord(metadata)
  if (record === undefined) throw fail("corruptRecord", { message: "the database has lost the control record" })
  const live = metadata.live.nodes.map(each => each.node)
  const why = whyStay(record, node, live)
  if (why !== undefined) throw fail("conflict", { message: why })
  return record
}

/**
 * Throws unless this incarnation is the only one that has not ended: those that have ended commit nothing any more.
 * `databaseUnreachable`: that is unknown.
 */
async function checkAlone(metadata: SharedMetadata, own: Incarnation): Promise<void> {
  if (!(await metadata.learn())) throw fail("databaseUnreachable")
  const { nodes } = metadata.live
  const others = nodes.filter(({ incarnation }) => incarnation !== own)
  if (others.length > 0) throw fail("conflict", { message: othersRun(others.map(({ node }) => node)) })
  if (nodes.length === 0 || metadata.incarnations.own !== own)
    throw fail("conflict", { message: "another process has ended the incarnation that moves the metadata" })
}

/** The devices have decided: a failure changes nothing. */
async function noteLeft({ clock, log }: LeaveSeams, metadata: SharedMetadata, left: ConversionRow): Promise<void> {
  const note = metadata.run(setConversion("leaving", left)).then(
    () => true,
    () => false,
  )
  if ((await within(clock, NOTE_MS_MAX, note)) !== true)
    log.warn("database_not_told", { message: "it still says that the store is leaving" })
}

/** Devices that get replicas first; the store adds what is missing. */
const replicasOf = ({ devices, metaCopies }: ControlRecord) => devices.slice(0, metaCopies)

function withReplicas(record: ControlRecord, since: Epoch, generation: number): ControlRecord {
  const replicas = replicasOf(record).map(({ id }) => ({ id, since }))
  const { leavingNodes: _, ...rest } = record
  return {
    ...rest,
    generation,
    devices: record.devices.map(({ home: _home, ...device }) => device),
    tablets: [
      { id: FIRST_TABLET, epoch: since, replicas, learners: [], start: rowKeyOf(""), end: undefined, more: [] },
    ],
  }
}

/** Writes all rows of the source to new replicas on these devices; they are in checkpoints when it resolves. */
async function fillReplicas(
  seams: LeaveSeams,
  holders: readonly HeldFolder[],
  source: Metadata,
  since: Epoch,
  onProgress: (rows: number) => void,
): Promise<void> {
  const { clock, random, log } = seams
  const over = new AbortController()
  const stacks: DeviceStack[] = []
  let services: Promise<void> | undefined
  try {
    const spaces = new Spaces(clock, random.fork("ballast"), log)
    for (const owner of holders) stacks.push(await openOwned(seams, spaces, owner))
    services = supervise(
      stacks.flatMap(({ backgroundServices }) => backgroundServices),
      clock,
      random,
      log,
      over.signal,
    )
    await copyTo(stacks, source, since, onProgress)
    for (const { checkpointer } of stacks) await checkpointer.checkpoint()
  } finally {
    over.abort()
    await services
    for (const stack of stacks) await stack.close()
    await seams.checkpoints.close()
  }
}

const openOwned = (
  { disk, stores, clock, log, checkpoints, random }: LeaveSeams,
  spaces: Spaces,
  owner: HeldFolder,
): Promise<DeviceStack> =>
  openDevice(
    { disk, stores, clock, log, checkpoints, random },
    {
      place: owner.place,
      replicaIncarnations: new Map(),
      spaces,
      options: { guard: () => owner.check() },
    },
  )

async function copyTo(
  stacks: readonly DeviceStack[],
  source: Metadata,
  since: Epoch,
  onProgress: (rows: number) => void,
): Promise<void> {
  const { position } = source
  const replicas = stacks.map(stack => {
    stack.replicaIncarnations.set(FIRST_TABLET, since)
    return new Replica(stack.replica, FIRST_TABLET, since)
  })
  let rows = 0
  // A history begins with an entry that contains its position.
  await putAt(replicas, since, position, [])
  for (const family of [...COPIED_FAMILIES, "counters", "usage"] as const) {
    for await (const slice of walkPages(FIRST_KEY, start => source.ask(rowsFrom(family, start)))) {
      const writes = await writesOf(source, slice.rows, () => {
        throw fail("conflict", { message: "another node has changed a row while the rows were copied", family })
      })
      if (writes.length > 0) await putAt(replicas, since, position, writes)
      rows += writes.length
      onProgress(rows)
    }
  }
  // Nothing else is committed in the database any more.
  const value = encodeTimestamps(await source.closeTo())
  await putAt(replicas, since, position, [{ family: "clock", key: TIMESTAMPS_ROW, value }])
}

async function putAt(
  replicas: readonly Replica[],
  epoch: Epoch,
  position: Position,
  writes: readonly EntryWrite[],
): Promise<void> {
  const batch = EncodedBatch.of([{ tabletId: FIRST_TABLET, epoch, position, writes, isSnapshot: true }])
  await mapBounded(replicas, DEVICES_MAX, async replica => {
    await replica.device.spaceForWrites(false)
    const logged = await replica.log(batch)
    logged.apply()
  })
}
