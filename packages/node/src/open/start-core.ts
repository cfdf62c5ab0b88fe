/**
 * Plan of a start: decides from the given folders which control record is in effect, whether the store may open,
 * and what happens to each folder. Pure.
 *
 * Opens      if more than half of the voting devices (all in the record that are not offline) are present, at
 *            least one with a metadata replica among them; if a device is missing that was not known to be
 *            offline, only if no more are missing than the redundancy tolerates.
 * Takes back an offline device, or an old image of a device, as one that may lack shards.
 * Fills      an empty folder in the place of a missing device: a folder at the missing device's path; or, if as
 *            many folders are empty as devices are missing, any folder that is a mount point for a device that
 *            had its own mount point.
 * Leaves     alone a folder with the remains of a device whose superblock is gone, a folder that is no longer
 *            part of the store, and an empty folder that was a mount point and is no longer one: a disk is not
 *            mounted.
 * Refuses    everything else, in one line with the command that resolves it; also if a newer device shows that all metadata
 *            replicas are older images.
 */
import { asFailure, fail, sentenceOf, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { tolerance } from "@hayloft/base/policy.js"
import { timeText } from "@hayloft/base/text/report-text.js"
import {
  absentees,
  isVoting,
  lastOpened,
  mayOpen,
  newestControlRecord,
  type ControlChoice,
  type PresentDevice,
} from "@hayloft/engine/device/index.js"
import { incarnationOfGeneration } from "../control/steps-core.js"
import type { ControlDevice, ControlReplica, ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Superblock } from "@hayloft/engine/format/device/superblock.js"
import type { FolderInspection } from "./folder-inspection.js"

/** A folder that holds a device. */
export interface DeviceFolder {
  readonly path: string
  readonly superblock: Superblock
}

/** An empty folder that replaces a missing device. */
export interface Replacement {
  readonly old: ControlDevice
  readonly path: string
  readonly isMountPoint: boolean
  /** The device was begun by a start that was interrupted. */
  readonly begun: Superblock | undefined
}

export type StartPlan =
  | { readonly kind: "new" }
  | {
      readonly kind: "known"
      readonly record: ControlRecord
      /** Voting devices that are present. */
      readonly present: readonly DeviceFolder[]
      /** Present devices that lack an incarnation which the others have recorded, as an old disk image does. */
      readonly lagging: readonly DeviceId[]
      /** Offline devices that are present; each is probed before it takes part. */
      readonly returning: readonly DeviceFolder[]
      /** Voting devices that are not present. */
      readonly missing: readonly ControlDevice[]
      readonly replacements: readonly Replacement[]
      /** Notes for the operator about folders that are left alone: one line each. */
      readonly notes: readonly string[]
    }

export type KnownPlan = Extract<StartPlan, { readonly kind: "known" }>

/**
 * Throws `devicesMissing`, `foreignFolder` (folders of different stores, or of none), `corruptRecord`, and the failure
 * of a folder if there is no store yet.
 */
export function planStart(inspections: readonly FolderInspection[]): StartPlan {
  const choice = newestOf(inspections)
  if (choice === undefined) {
    const broken = inspections.flatMap(({ content }) => (content.kind === "broken" ? [content.failure] : []))
    if (broken[0] !== undefined) throw withAdvice(broken[0], inspections)
    const remains = inspections.find(({ content }) => content.kind === "remains")
    if (remains !== undefined) {
      const gone = fail("corruptRecord", { message: `${remains.path} contains a device whose superblock is gone` })
      throw withAdvice(gone, inspections)
    }
    return { kind: "new" }
  }
  checkEnough(choice, inspections)
  const { record } = choice
  const missing = choice.missing.filter(isVoting)
  const { replacements, notes } = emptyFolders(inspections, choice)
  const devices = devicesIn(inspections)
  const entryOf = ({ superblock }: DeviceFolder) => record.devices.find(({ id }) => id === superblock.deviceId)
  const isIn = (folder: DeviceFolder, voting: boolean): boolean => {
    const entry = entryOf(folder)
    return entry !== undefined && isVoting(entry) === voting
  }
  const present = devices.filter(folder => isIn(folder, true))
  checkMetadataIsCurrent(record, present, devices)
  return {
    kind: "known",
    record,
    present,
    lagging: laggingIn(record, present),
    returning: devices.filter(folder => isIn(folder, false)),
    missing,
    replacements,
    notes: [...notes, ...strangersIn(inspections, choice), ...remainsIn(inspections, choice), ...brokenIn(inspections)],
  }
}

/** The way on for a store of which no folder can be identified. */
function withAdvice(failure: Failure, inspections: readonly FolderInspection[]): Failure {
  if (failure.kind !== "corruptRecord") return failure
  const folders = inspections.map(({ path }) => quoted(path)).join(" ")
  const message = `${sentenceOf(failure)}. Nothing was changed. If the store has other data folders, name all of them with --data; otherwise put this file back from a copy of the disk, or recover the objects into a new store: hayloft rescue --from ${folders} --to NEW`
  return fail("corruptRecord", { message }, failure)
}

/**
 * Each process begins its incarnation on the devices that take part before it writes a record, and marks the others as
 * offline: a voting device without the incarnation of the record was absent. Empty if no other device has a metadata
 * replica.
 */
function laggingIn(record: ControlRecord, present: readonly DeviceFolder[]): readonly DeviceId[] {
  const incarnation = incarnationOfGeneration(record.generation)
  const isLagging = ({ superblock }: DeviceFolder): boolean => superblock.incarnation < incarnation
  const current = new Set(present.filter(folder => !isLagging(folder)).map(({ superblock }) => superblock.deviceId))
  if (!record.tablets.every(({ replicas }) => replicas.some(({ id }) => current.has(id)))) return []
  return present.filter(isLagging).map(({ superblock }) => superblock.deviceId)
}

/**
 * A start that has opened the store began its incarnation on every device with a metadata replica before. If none of these
 * has it, all of them are older images: the store would silently go back to their time, and remove what newer devices have.
 */
function checkMetadataIsCurrent(
  record: ControlRecord,
  present: readonly DeviceFolder[],
  all: readonly DeviceFolder[],
): void {
  const last = lastOpened(record.starts)
  if (last === undefined) return
  const isOlder = ({ superblock }: DeviceFolder): boolean => superblock.incarnation < last.incarnation
  for (const { replicas } of record.tablets) {
    const holders = present.filter(({ superblock }) => replicas.some(({ id }) => id === superblock.deviceId))
    if (!holders.every(isOlder)) continue
    const newer = all.filter(folder => !isOlder(folder)).map(({ path }) => path)
    throw olderImages(
      all.filter(isOlder).map(({ path }) => path),
      newer,
      last.startedMs,
    )
  }
}

/** The newest record in these folders; undefined for a new store, or one whose first start was interrupted. */
export function newestOf(inspections: readonly FolderInspection[]): ControlChoice | undefined {
  const present: PresentDevice[] = []
  for (const { path, content } of inspections) {
    if (content.kind !== "device") continue
    const { deviceId: id, storeId } = content.superblock
    if (present.some(device => device.id === id)) {
      throw fail("foreignFolder", { message: `${path} is a copy of another data folder; leave one of them out` })
    }
    present.push({ id, storeId, path, record: content.record })
  }
  try {
    return newestControlRecord(present)
  } catch (error) {
    throw withAdvice(asFailure(error), inspections)
  }
}

export const devicesIn = (inspections: readonly FolderInspection[]): readonly DeviceFolder[] =>
  inspections.flatMap(({ path, content }) =>
    content.kind === "device" ? [{ path, superblock: content.superblock }] : [],
  )

function checkEnough(choice: ControlChoice, inspections: readonly FolderInspection[]): void {
  const { record } = choice
  const isIn = ({ id }: ControlReplica): boolean =>
    record.devices.some(device => device.id === id && isVoting(device) && !choice.missing.includes(device))
  const orphaned = record.tablets.find(({ replicas }) => !replicas.some(isIn))
  if (orphaned !== undefined) {
    const holders = record.devices.filter(({ id }) => orphaned.replicas.some(replica => replica.id === id))
    throw devicesMissing(holders, "every metadata replica is on one of them; attach one")
  }
  const lacking = absentees(choice)
  const isBeyond = lacking.length > 0 && choice.missing.length > tolerance(record.policy)
  if (!mayOpen(choice) || isBeyond) throw devicesMissing(lacking, attachOrGiveUp(choice, lacking, inspections))
}

/** Returns the reason why this record cannot be opened with these devices; undefined if it can. */
export function whyNotOpen(record: ControlRecord, here: ReadonlySet<DeviceId>): Failure | undefined {
  const missing = record.devices.filter(({ id }) => !here.has(id))
  try {
    checkEnough({ record, missing, behind: [], unreadable: [], strangers: [] }, [])
    return undefined
  } catch (error) {
    return asFailure(error)
  }
}

/** One line: which devices are missing, their last folders, and the command that resolves it. */
function devicesMissing(missing: readonly ControlDevice[], advice: string): Failure {
  const devices = missing.map(({ id, pathHint }) => `${id} (last at ${pathHint})`).join(", ")
  return fail("devicesMissing", { message: `devices of this store are missing: ${devices}; ${advice}` })
}

const olderImages = (older: readonly string[], newer: readonly string[], startedMs: number): Failure =>
  fail("foreignFolder", {
    message: `${older.join(", ")}: older than ${newer.join(", ")}, which the store has used since its start at ${timeText(startedMs)}, and no folder has the metadata since then: disks were set back to an earlier time, such as that of a backup. Nothing was changed. Give the folders as they were last in use; or, to go back to the earlier time without anything written since, start without ${newer.join(", ")}, and keep them as they are`,
  })

/** Suggests an empty folder as replacement if exactly one device is missing and one fits; otherwise giving up. */
function attachOrGiveUp(
  choice: ControlChoice,
  missing: readonly ControlDevice[],
  inspections: readonly FolderInspection[],
): string {
  const [only] = missing.length === 1 ? missing : []
  const folder = only && inspections.filter(isEmptyFor(choice)).find(inspection => fits(only, inspection))
  const words =
    only && folder
      ? `rebuild it in the empty folder: ${storeCommand(`replace ${only.id} ${quoted(folder.path)}`, inspections)}`
      : `give them up: ${storeCommand(`forget ${missing.map(({ id }) => id).join(" ")}`, inspections)}`
  return `attach them and give all data folders, or, if they are permanently lost, ${words}`
}

/** Returns true if the folder may hold the device's replacement, judging by its mount points. */
const fits = (old: ControlDevice, { content, isMountPoint }: FolderInspection): boolean =>
  content.kind !== "absent" && (isMountPoint || !old.isMountPoint)

/** A command for a stopped store, to be pasted into a shell. */
const storeCommand = (words: string, inspections: readonly FolderInspection[]): string =>
  [`hayloft device ${words}`, ...devicesIn(inspections).map(({ path }) => `--data ${quoted(path)}`)].join(" ")

const quoted = (path: string): string => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`)

/** Empty, or begun by a start that was interrupted before the record named it. */
const isEmptyFor =
  ({ strangers }: ControlChoice) =>
  ({ content }: FolderInspection): boolean =>
    content.kind === "absent" ||
    content.kind === "empty" ||
    (content.kind === "device" && content.isUnused && strangers.includes(content.superblock.deviceId))

/** Each empty folder replaces a missing device, is left alone, or is refused. */
function emptyFolders(
  inspections: readonly FolderInspection[],
  choice: ControlChoice,
): { readonly replacements: readonly Replacement[]; readonly notes: readonly string[] } {
  const { missing } = choice
  const empty = inspections.filter(isEmptyFor(choice))
  const replacements: Replacement[] = []
  const notes: string[] = []
  const others: FolderInspection[] = []
  for (const inspection of empty) {
    const old = missing.find(({ pathHint }) => pathHint === inspection.path)
    if (old === undefined) others.push(inspection)
    else if (fits(old, inspection)) replacements.push(replacementOf(old, inspection))
    else if (inspection.content.kind !== "absent") notes.push(notMounted(old, inspection, inspections))
  }
  const left = missing.filter(({ pathHint }) => !empty.some(({ path }) => path === pathHint))
  for (const [i, inspection] of others.entries()) {
    const old = left[i]
    if (others.length > left.length || old === undefined) throw unexpected(inspection)
    if (others.length < left.length || !old.isMountPoint || !inspection.isMountPoint)
      throw ambiguous(inspection, left, inspections)
    replacements.push(replacementOf(old, inspection))
  }
  return { replacements, notes }
}

const replacementOf = (old: ControlDevice, { path, isMountPoint, content }: FolderInspection): Replacement => ({
  old,
  path,
  isMountPoint,
  begun: content.kind === "device" ? content.superblock : undefined,
})

const notMounted = (
  { id, pathHint }: ControlDevice,
  { path }: FolderInspection,
  inspections: readonly FolderInspection[],
): string =>
  `${path} is empty and not a mount point, but device ${id}, last at ${pathHint}, had its own mount point: the folder is left alone; mount the disk, or rebuild the device in this folder with: ${storeCommand(`replace ${id} ${quoted(path)}`, inspections)}`

const unexpected = ({ path }: FolderInspection): Failure =>
  fail("foreignFolder", {
    message: `${path} is empty, and no device of this store is missing in its place; start without it, then run: hayloft device add ${quoted(path)}`,
  })

function ambiguous(
  { path }: FolderInspection,
  missing: readonly ControlDevice[],
  inspections: readonly FolderInspection[],
): Failure {
  const ids = missing.map(({ id }) => id)
  const command = storeCommand(`replace ${ids[0] ?? ""} ${quoted(path)}`, inspections)
  const which = ids.length > 1 ? `one of ${ids.join(", ")}` : `${ids[0] ?? ""}`
  return fail("foreignFolder", {
    message: `${path} is empty, and does not replace a missing device (${which}) automatically; to replace it: ${command}`,
  })
}

function strangersIn(inspections: readonly FolderInspection[], choice: ControlChoice): readonly string[] {
  const isEmpty = isEmptyFor(choice)
  return inspections.flatMap(inspection => {
    const { content, path } = inspection
    if (content.kind !== "device" || !choice.strangers.includes(content.superblock.deviceId) || isEmpty(inspection))
      return []
    return [`${path} is no longer part of this store and is left alone; to reuse it, empty it and add it`]
  })
}

/** Folders with remains count as missing: the record's path hint identifies the device. */
function remainsIn(inspections: readonly FolderInspection[], { record, missing }: ControlChoice): readonly string[] {
  return inspections.flatMap(({ path, content }) => {
    if (content.kind !== "remains") return []
    if (content.record.storeId !== record.storeId) {
      throw fail("foreignFolder", { message: `${path} holds the remains of a device of another store` })
    }
    const old = missing.find(({ pathHint }) => pathHint === path)
    const what = old === undefined ? "a device of this store" : `device ${old.id}`
    const command = `hayloft device replace ${old?.id ?? "DEVICE"} ${quoted(path)}`
    const advice = content.isEmptied
      ? `rebuild the device in it with: ${command}`
      : `empty it, then rebuild the device in it with: ${command}`
    return [`${path} holds the remains of ${what}, whose superblock is gone, and is left alone; ${advice}`]
  })
}

const brokenIn = (inspections: readonly FolderInspection[]): readonly string[] =>
  inspections.flatMap(({ path, content }) =>
    content.kind === "broken" ? [`${path} cannot be used and is left alone: ${content.failure.message}`] : [],
  )
