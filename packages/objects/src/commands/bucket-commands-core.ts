/**
 * Commands on buckets: create, settings, and removal in three steps (close, check, drop), so that a write racing a
 * removal either finds an existing bucket or fails. Pure.
 *
 * Setting documents are opaque here: the caller that sets them validates them. A bucket's own row lists its settings,
 * and changes with each of them, so a setting that was read stays valid until that row's `settingsVersion` changes.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseBucketId } from "@hayloft/base/ids.js"
import type { AccountId, BucketId, BucketName, RowKey } from "@hayloft/base/ids.js"
import { SETTING_BYTES_MAX } from "@hayloft/base/limits.js"
import type { Policy } from "@hayloft/base/policy.js"
import { RememberedByObject } from "@hayloft/base/remembered.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import type { DefaultRetention } from "@hayloft/engine/format/objects/object-lock.js"
import { usageHistoryRowKey } from "@hayloft/engine/format/objects/usage-history.js"
import { accountBucketRowKey, bucketRowKey, nameRowKey, settingRowKey } from "@hayloft/engine/format/row-key.js"
import {
  decodeBucket,
  decodeBucketId,
  decodeSetting,
  encodeBucket,
  encodeBucketId,
  encodeSetting,
  PRESENT,
  SETTING_NAMES,
  type BucketRecord,
  type BucketState,
  type BucketSettingName,
  type SettingRecord,
} from "@hayloft/engine/format/records.js"
import { command, deletionsOf, type CommandView, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"
import type { CreateBucketRequest, SettingDocuments } from "../contract.js"
import { hasContents } from "./contents-core.js"
import { firstKeysOf } from "./bucket-key-commands-core.js"
import { bucketOfRow, readCounters, requireBucket } from "./bucket-rows-core.js"
import { notesChanges } from "./changes-core.js"
import type { BucketFacts, BucketPart } from "../door/decision-part.js"
import { bucketParts } from "../door/parts.js"
import { droppedUsage } from "./usage-core.js"

/** Row of the last assigned bucket id: bucket 0 does not exist. */
const LAST_BUCKET_ID = bucketRowKey(parseBucketId(0))

/** 0: there was never a bucket. */
export function lastBucketId(view: RowView): number {
  const last = view.get("buckets", LAST_BUCKET_ID)
  return last ? decodeBucketId(last.value) : 0
}

export function findBucket(view: RowView, name: BucketName): BucketRecord | undefined {
  const id = view.get("names", nameRowKey(name))
  const row = id && view.get("buckets", keysOfIds.of(id.value))
  return row && bucketOfRow(row)
}

/** The key of the bucket record for a name's row, computed once per row value. */
const keysOfIds = new RememberedByObject<Uint8Array, RowKey>(value => bucketRowKey(decodeBucketId(value)))

const NO_SETTINGS: SettingDocuments = new Map()

export const createBucket = command<[request: CreateBucketRequest], BucketRecord>({
  name: "CreateBucket",
  touches: ({ name }) => [["names", nameRowKey(name)]],
  decide(view, { nowMs }, { settings = NO_SETTINGS, hasLock = false, ...request }) {
    const there = findBucket(view, request.name)
    if (there) throw fail(there.owner === request.owner ? "bucketOwnedByYou" : "bucketExists")
    const id = parseBucketId(lastBucketId(view) + 1)
    const bucket: BucketRecord = {
      ...request,
      settings: SETTING_NAMES.filter(name => settings.has(name)),
      id,
      createdMs: nowMs,
      versioning: hasLock ? "enabled" : "never",
      state: "open",
      settingsVersion: 1,
      ...(hasLock && { lock: { defaultRetention: undefined } }),
      ...createdBy(view, request.owner),
    }
    const writes: EntryWrite[] = [
      { family: "buckets", key: LAST_BUCKET_ID, value: encodeBucketId(id) },
      { family: "buckets", key: bucketRowKey(id), value: encodeBucket(bucket) },
      { family: "names", key: nameRowKey(request.name), value: encodeBucketId(id) },
      { family: "accountBuckets", key: accountBucketRowKey(request.owner, request.name), value: PRESENT },
    ]
    for (const [name, document] of settings) writes.push(settingWrite(id, name, { setMs: nowMs, document }))
    return { writes, result: bucket }
  },
})

/** Returns what features add to the record of a new bucket. */
const createdBy = (view: RowView, owner: AccountId): Partial<BucketRecord> =>
  bucketParts().reduce<Partial<BucketRecord>>((made, part) => ({ ...made, ...part.created?.(view, owner) }), {})

/** Throws `entityTooLarge`. */
function settingWrite(bucketId: BucketId, name: BucketSettingName, setting: SettingRecord): EntryWrite {
  const sizeBytes = Buffer.byteLength(setting.document)
  const maxSizeAllowedBytes = partOf(name)?.bytesMax ?? SETTING_BYTES_MAX
  if (sizeBytes > maxSizeAllowedBytes) throw fail("entityTooLarge", { sizeBytes, maxSizeAllowedBytes })
  return { family: "settings", key: settingRowKey(bucketId, name), value: encodeSetting(setting) }
}

/** The value that a setting must have for a change of it. */
interface FormerSetting {
  readonly document: string | undefined
}

type SetSettingArguments = [
  bucketId: BucketId,
  name: BucketSettingName,
  document: string | undefined,
  former?: FormerSetting | undefined,
]

/** Throws `invalidRequest`. */
function checkTogether(settings: readonly BucketSettingName[], added: BucketSettingName): void {
  const exclusive = settingParts().flatMap(({ name, excludes = [] }) => excludes.map(each => [name, ...each] as const))
  for (const [one, other, message] of exclusive) {
    const excludes = (added === one && settings.includes(other)) || (added === other && settings.includes(one))
    if (excludes) throw fail("invalidRequest", { message })
  }
}

/**
 * An undefined document removes the setting. Throws `conflict` if `former` is stated, and it is another by now, and
 * `invalidRequest` if the bucket has a setting that excludes it.
 */
export const setSetting = command<SetSettingArguments, void>({
  name: "SetSetting",
  // A full store must still let its owner withdraw permissions, and ask for the removal of objects.
  grows: (_bucketId, name, document = "", former) =>
    document.length > (former?.document ?? "").length && partOf(name)?.freesSpace !== true,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, { nowMs, commitUs }, bucketId, name, document, former) {
    const key = settingRowKey(bucketId, name)
    const bucket = requireBucket(view, bucketId)
    const part = partOf(name)
    const refusal = document === undefined ? undefined : part?.refusal?.(bucket)
    if (refusal !== undefined) throw fail("invalidRequest", { message: refusal })
    const row = view.get("settings", key)
    if (former !== undefined && (row && decodeSetting(row.value).document) !== former.document) {
      throw fail("conflict", { reason: "the setting has changed" })
    }
    if (document === undefined && !bucket.settings.includes(name)) return { writes: [], result: undefined }
    if (document !== undefined) checkTogether(bucket.settings, name)
    const has = (one: BucketSettingName) => (one === name ? document !== undefined : bucket.settings.includes(one))
    const changed = { settings: SETTING_NAMES.filter(has), settingsVersion: bucket.settingsVersion + 1 }
    const write =
      document === undefined
        ? { family: "settings" as const, key, value: undefined }
        : settingWrite(bucketId, name, { setMs: nowMs, document })
    const more = part === undefined ? [] : writesOf(part, { view, commitUs, bucket, isOn: document !== undefined })
    return { writes: [bucketWrite({ ...bucket, ...changed }), write, ...more], result: undefined }
  },
})

const partOf = (name: BucketSettingName) => settingParts().find(part => part.name === name)

const settingParts = () => bucketParts().flatMap(({ setting }) => (setting === undefined ? [] : [setting]))

/** Returns the rows that a feature writes when its setting is turned on or off; none if the setting was so before. */
function writesOf(
  part: NonNullable<BucketPart["setting"]>,
  { view, commitUs, bucket, isOn }: { view: RowView; commitUs: number; bucket: BucketRecord; isOn: boolean },
): readonly EntryWrite[] {
  if (!isOn) return deletionsOf(view, part.rowsOf?.(bucket) ?? [])
  return bucket.settings.includes(part.name) ? [] : (part.begins?.(bucket, commitUs) ?? [])
}

/** Rows of features that go with the bucket. */
export const settingRowsOf = (bucket: BucketRecord): Touches =>
  settingParts().flatMap(part => (bucket.settings.includes(part.name) ? (part.rowsOf?.(bucket) ?? []) : []))

/** How long after its removal a version of the bucket is kept, milliseconds; undefined: its bytes are released at once. */
export function keptForMs(bucket: BucketFacts): number | undefined {
  const times = bucketParts().flatMap(part => part.keepsForMs?.(bucket) ?? [])
  return times.length === 0 ? undefined : Math.max(...times)
}

export const setVersioning = command<[bucketId: BucketId, versioning: "enabled" | "suspended"], void>({
  name: "SetVersioning",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, _time, bucketId, versioning) {
    const bucket = requireBucket(view, bucketId)
    if (bucket.lock !== undefined && versioning !== "enabled") {
      throw fail("lockNeedsVersioning", {
        message: "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
      })
    }
    if (notesChanges(bucket))
      throw fail("invalidRequest", {
        message: "The container is synchronized with another one, which knows no versions: end that first.",
      })
    let versioned = bucket
    for (const part of bucketParts()) {
      const message = part.refusesVersioning?.(bucket, versioning)
      if (message !== undefined) throw fail("invalidRequest", { message })
      versioned = part.versioned?.(versioned) ?? versioned
    }
    const changed = { ...versioned, versioning, settingsVersion: bucket.settingsVersion + 1 }
    return { writes: [bucketWrite(changed)], result: undefined }
  },
})

/** Turns object lock on, which nothing turns off again, and sets the default retention. Throws `lockNeedsVersioning`. */
export const setBucketLock = command<[bucketId: BucketId, defaultRetention: DefaultRetention | undefined], void>({
  name: "SetBucketLock",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, _time, bucketId, defaultRetention) {
    const bucket = requireBucket(view, bucketId)
    if (bucket.versioning !== "enabled") {
      throw fail("lockNeedsVersioning", {
        message: "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
      })
    }
    const changed = { ...bucket, lock: { defaultRetention }, settingsVersion: bucket.settingsVersion + 1 }
    return { writes: [bucketWrite(changed)], result: undefined }
  },
})

/** Sets the policy of a bucket; undefined: the store's policy. Existing blocks are re-encoded in the background. */
export const setBucketPolicy = command<[bucketId: BucketId, policy: Policy | undefined], void>({
  name: "SetBucketPolicy",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, _time, bucketId, policy) {
    const { policy: _before, ...bucket } = requireBucket(view, bucketId)
    const changed = { ...bucket, settingsVersion: bucket.settingsVersion + 1 }
    return { writes: [bucketWrite(policy === undefined ? changed : { ...changed, policy })], result: undefined }
  },
})

/** The bucket's own policy; undefined: the store's policy applies, or the bucket does not exist. */
export function policyOfBucket(view: RowView, bucketId: BucketId): Policy | undefined {
  const row = view.get("buckets", bucketRowKey(bucketId))
  return row && bucketOfRow(row).policy
}

export const bucketWrite = (bucket: BucketRecord): EntryWrite => ({
  family: "buckets",
  key: bucketRowKey(bucket.id),
  value: encodeBucket(bucket),
})

/** In any state. Throws `noSuchBucket`. */
export function anyBucket(view: RowView, bucketId: BucketId): BucketRecord {
  const row = view.get("buckets", bucketRowKey(bucketId))
  if (!row) throw fail("noSuchBucket")
  return decodeBucket(row.value)
}

/** Throws `bucketNotEmpty`. */
export function requireNothingKept(view: RowView, bucket: BucketRecord): void {
  for (const part of bucketParts()) {
    const { message, objects = 0 } = part.remains?.(view, bucket) ?? {}
    if (message !== undefined) throw fail("bucketNotEmpty", { message, kept: objects })
  }
}

const notEmpty = ({ versioning }: BucketRecord): Failure =>
  fail("bucketNotEmpty", {
    message:
      versioning === "never"
        ? undefined
        : "The bucket you tried to delete is not empty. You must delete all versions in the bucket.",
  })

const setState = (name: string, state: BucketState) =>
  command<[bucketId: BucketId], void>({
    name,
    grows: false,
    touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
    decide(view, _time, bucketId) {
      const bucket = anyBucket(view, bucketId)
      if (bucket.state === "erasing") throw fail("noSuchBucket")
      if (state === "closing") {
        if (readCounters(view, bucketId).versions > 0) throw notEmpty(bucket)
        requireNothingKept(view, bucket)
      }
      return { writes: [bucketWrite({ ...bucket, state })], result: undefined }
    },
  })

/** Closes a bucket without versions: new writes are refused from now on. Throws `bucketNotEmpty`. */
export const closeBucket = setState("CloseBucket", "closing")
export const openBucket = setState("OpenBucket", "open")

/** Rows that background jobs may have written about a bucket. */
export function notedRowsOf(view: CommandView, bucketId: BucketId): Touches {
  const rows: Touches = [
    ["usageHistory", usageHistoryRowKey(bucketId)],
    ...bucketParts().flatMap(part => (part.notedRow === undefined ? [] : [part.notedRow(bucketId)])),
  ]
  return rows.filter(([family, key]) => view.ifPresent(family, key) !== undefined)
}

/** Drops a closed, empty bucket; `dropBucketKeys` removes the keys that are left. Throws `bucketNotEmpty`. */
export const dropBucket = command<[bucketId: BucketId], void>({
  name: "DropBucket",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, _time, bucketId) {
    const bucket = anyBucket(view, bucketId)
    const { versions, uploads } = readCounters(view, bucketId)
    if (bucket.state !== "closing" || versions > 0 || uploads > 0) throw fail("bucketNotEmpty")
    requireNothingKept(view, bucket)
    if (hasContents(view, bucketId)) throw fail("bucketNotEmpty")
    const rows: Touches = [
      ["buckets", bucketRowKey(bucketId)],
      ["names", nameRowKey(bucket.name)],
      ["accountBuckets", accountBucketRowKey(bucket.owner, bucket.name)],
      ...bucket.settings.map(name => ["settings", settingRowKey(bucketId, name)] as const),
      ...settingRowsOf(bucket),
    ]
    const writes = deletionsOf(view, [...rows, ...firstKeysOf(view, bucketId), ...notedRowsOf(view, bucketId)])
    const usage = droppedUsage(bucket)
    return { writes, counts: [{ bucketId, change: "drop" }], usage, result: undefined }
  },
})
