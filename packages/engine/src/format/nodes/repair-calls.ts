/**
 * Repair visits, version 1: the node that coordinates repair asks another one to visit a partition, and receives what
 * the visit did and found. Call 18 (`repairVisit`): the request is the visit, the body of the response its outcome.
 *
 * Positional MessagePack arrays, as are the lists in them (`pack.ts`); null stands for none. Device ids (8 bytes) and
 * upload ids (16 bytes) are bytes, lists of them one after another. Later releases append members; readers ignore
 * members that they do not know.
 *
 *   visit     partition; generation of the control record; version of the layout; devices that are offline; uploads
 *             that no device waits for any more
 *   outcome   shards written; bytes written; flags: 1 a device is full, 2 a device does not respond; remaining work or
 *             null: kind, spare shards, bytes; uploads passed over; names of unreadable blocks; uploads with such
 *             blocks: upload, bucket id, key; unreferenced blocks; count; uploads of the visiting process that it does not
 *             hold, and no row references
 *   block     needle key of slot 0 (27 bytes); policy and block length or null; shards and damaged shards, each a list
 *             of slot, device, length; bucket id and key of the owner
 *   count     policies with bytes; misplaced groups: needed shards, devices, bytes; devices that lack shards; that lack
 *             some perhaps; that lack some that cannot be rebuilt; blocks with a single copy
 *
 * Refuses   Anything malformed with `corruptRecord`.
 * Limits    A visit names VISIT_DEVICES_MAX devices and VISIT_UPLOADS_MAX uploads at most.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfBytes, parseDeviceId, parsePartitionId, parseUploadId } from "@hayloft/base/ids.js"
import { bytesOfByteString, type PartitionId, type UploadId } from "@hayloft/base/ids.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import {
  BYTES,
  bytesOfLength,
  flags,
  flat,
  group,
  listOf,
  mapOf,
  mapped,
  NUMBER,
  oneOf,
  optional,
} from "../encoding/fields.js"
import { parsed, record, row, rowsOf, tail, TEXT, type RecordField, type ValueOf } from "../encoding/fields.js"
import { BUCKET_ID, POLICY } from "../encoding/id-fields.js"
import { NEEDLE_KEY_BYTES, readNeedleKey, writeNeedleKey, type NeedleId } from "../needles/needle.js"

export const REPAIR_VISIT_CALL = 18
export const VISIT_DEVICES_MAX = 4_096
export const VISIT_UPLOADS_MAX = 1_024

const DEVICE_BYTES = 8
const UPLOAD_BYTES = 16

/** Ids of so many bytes one after another. */
const idsOf = <Id extends string>(idBytes: number, parse: (text: string) => Id): RecordField<readonly Id[]> =>
  mapped(
    BYTES,
    bytes => {
      const [text, digits] = [hexOf(bytes), 2 * idBytes]
      if (text.length % digits !== 0) throw fail("corruptRecord", { what: "repair visit", field: "ids" })
      return Array.from({ length: text.length / digits }, (_, i) => parse(text.slice(i * digits, (i + 1) * digits)))
    },
    ids => must(bytesOfHex(ids.join("")), "these ids are hex"),
  )

const setOf = <Id>(ids: RecordField<readonly Id[]>): RecordField<ReadonlySet<Id>> =>
  mapped(
    ids,
    list => new Set(list),
    set => [...set],
  )

const idOf = <Id extends string>(parse: (text: string) => Id): RecordField<Id> =>
  mapped(
    BYTES,
    bytes => parse(hexOf(bytes)),
    (id): Uint8Array => must(bytesOfHex(id), "these ids are hex"),
  )

const DEVICES = idsOf(DEVICE_BYTES, parseDeviceId)
const UPLOADS = idsOf(UPLOAD_BYTES, parseUploadId)

const VISIT = record("repair visit", {
  partition: parsed(NUMBER, parsePartitionId),
  /** The visit is decided on this control record and this layout. */
  generation: NUMBER,
  layoutVersion: NUMBER,
  /** Devices that the coordinator cannot use, also because it cannot reach them. */
  offline: DEVICES,
  /** Young uploads that no device waits for any more. */
  longPassedOver: UPLOADS,
})
export type RepairVisit = ValueOf<typeof VISIT>
/** Throws `corruptRecord`. */
export const { decode: decodeRepairVisit } = VISIT

export function encodeRepairVisit(visit: RepairVisit): Uint8Array {
  assert(visit.offline.length <= VISIT_DEVICES_MAX, "a store has a limited number of devices")
  assert(visit.longPassedOver.length <= VISIT_UPLOADS_MAX, "a visit names a limited number of uploads")
  return VISIT.encode(visit)
}

const OWNER = { bucketId: BUCKET_ID, key: mapped(BYTES, objectKeyOfBytes, bytesOfByteString) }

/** The id of a needle of slot 0, without the slot. */
const BLOCK = mapped(
  bytesOfLength(NEEDLE_KEY_BYTES),
  (key): Omit<NeedleId, "slot"> => {
    const { slot, ...block } = readNeedleKey(key, 0)
    if (slot !== 0) throw corruptKey()
    return block
  },
  block => {
    const key = new Uint8Array(NEEDLE_KEY_BYTES)
    writeNeedleKey({ ...block, slot: 0 }, key, 0)
    return key
  },
)

const SHARDS = rowsOf({ slot: NUMBER, deviceId: idOf(parseDeviceId), bodyBytes: NUMBER })

/** Blocks that no row references. */
const UNREFERENCED = rowsOf({
  group: group({
    block: flat(BLOCK),
    shape: optional(row({ policy: POLICY, blockLengthBytes: NUMBER })),
    shards: SHARDS,
    damaged: SHARDS,
  }),
  owner: group(OWNER),
})
export type UnreferencedBlock = ValueOf<typeof UNREFERENCED>[number]

/** The text of a policy. */
const POLICY_TEXT = mapped(
  TEXT,
  text => textOfPolicy(parsePolicy(text)),
  text => text,
)

/** The shards of a partition by place, which the visit names. */
const COUNT = row({
  bytesByPolicy: mapOf(POLICY_TEXT, NUMBER),
  misplaced: rowsOf({
    /** Shards that a read needs. */
    needed: NUMBER,
    devices: DEVICES,
    /** Bytes of the blocks, not of their shards. */
    bytes: NUMBER,
  }),
  lackingOn: setOf(DEVICES),
  /** Devices that lack shards if a doubtful block turns out to be referenced. */
  perhapsLackingOn: setOf(DEVICES),
  /** Devices that lack shards of blocks that cannot be rebuilt: repair cannot supply them now. */
  unrebuildableOn: setOf(DEVICES),
  singles: NUMBER,
})
type SentCount = ValueOf<typeof COUNT>

export type RepairCount = Omit<SentCount, "misplaced"> & {
  readonly partition: number
  readonly misplaced: ReadonlyMap<string, SentCount["misplaced"][number] & { readonly partition: number }>
}

/** Numbers are on the wire: append only. */
const KINDS = ["mend", "move"] as const

/** Not written if there are none. */
const ABANDONED = mapped(
  tail(UPLOADS),
  (uploads): ReadonlySet<UploadId> => new Set(uploads),
  uploads => (uploads.size > 0 ? [...uploads] : undefined),
)

const OUTCOME = record("repair outcome", {
  writtenShards: NUMBER,
  writtenBytes: NUMBER,
  /** `isFull`: a device has no space. `isWaiting`: a device that takes part lacks a shard and does not respond now. */
  state: flat(flags("isFull", "isWaiting")),
  /** Remaining work; undefined: nothing that could be done now. */
  left: optional(row({ kind: oneOf(KINDS), spareShards: NUMBER, bytes: NUMBER })),
  /** Held or young uploads that were not whole: visited again once they are released. */
  passedOver: setOf(UPLOADS),
  /** Names of blocks that rows reference and that have too few shards left. */
  unreadable: setOf(listOf(TEXT)),
  /** The uploads of these. */
  unreadableUploads: rowsOf({ uploadId: idOf(parseUploadId), ...OWNER }),
  unreferenced: UNREFERENCED,
  count: COUNT,
  /** Uploads of the process that made the visit: it does not hold them any more, and no row references them. */
  abandoned: ABANDONED,
})

export type RepairOutcome = Omit<ValueOf<typeof OUTCOME>, "count"> & { readonly count: RepairCount }

export const encodeRepairOutcome = (outcome: RepairOutcome): Uint8Array =>
  OUTCOME.encode({ ...outcome, count: { ...outcome.count, misplaced: [...outcome.count.misplaced.values()] } })

/** The outcome of a visit to this partition. Throws `corruptRecord`. */
export function decodeRepairOutcome(bytes: Uint8Array, partition: PartitionId): RepairOutcome {
  const { count, ...outcome } = OUTCOME.decode(bytes)
  if (outcome.unreferenced.some(({ group: block }) => block.partition !== partition)) throw corruptKey()
  const misplaced = count.misplaced.map(
    each => [`${each.needed} ${each.devices.join(" ")}`, { partition, ...each }] as const,
  )
  return { ...outcome, count: { ...count, partition, misplaced: new Map(misplaced) } }
}

const corruptKey = () => fail("corruptRecord", { what: "repair visit", field: "needle key" })
