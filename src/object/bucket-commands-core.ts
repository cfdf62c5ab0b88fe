/**
 * Commands on buckets: create, settings, and removal in three steps (close, check, drop), so that a
 * write racing a removal ends in an existing bucket or with an error, never in between. Pure.
 */
import { fail } from "../base/failures.js"
import { parseBucketId } from "../base/ids.js"
import type { AccountId, BucketId, BucketName } from "../base/ids.js"
import type { Policy } from "../base/policy.js"
import type { EntryWrite } from "../format/entry.js"
import { accountBucketRowKey, bucketRowKey, nameRowKey } from "../format/row-key.js"
import {
  decodeBucket,
  decodeBucketId,
  encodeBucket,
  encodeBucketId,
  PRESENT,
  type BucketRecord,
  type BucketState,
} from "../format/records.js"
import type { Command, TabletView } from "../tablet/index.js"
import { bucketOfRow, readCounters, requireBucket } from "./row-editor-core.js"

/** Row of the last bucket id given out: bucket 0 is no bucket. */
const LAST_BUCKET_ID = bucketRowKey(parseBucketId(0))

export function findBucket(view: TabletView, name: BucketName): BucketRecord | undefined {
  const id = view.get("names", nameRowKey(name))
  const row = id && view.get("buckets", bucketRowKey(decodeBucketId(id.value)))
  return row && bucketOfRow(row)
}

export function createBucket(request: { name: BucketName; owner: AccountId; location: string }): Command<BucketRecord> {
  return {
    name: "CreateBucket",
    touches: [["names", nameRowKey(request.name)]],
    decide(view, { nowMs }) {
      const there = findBucket(view, request.name)
      if (there) throw fail(there.owner === request.owner ? "bucketOwnedByYou" : "bucketExists")
      const last = view.get("buckets", LAST_BUCKET_ID)
      const id = parseBucketId((last ? decodeBucketId(last.value) : 0) + 1)
      const bucket: BucketRecord = {
        ...request,
        id,
        createdMs: nowMs,
        versioning: "never",
        state: "open",
        settingsVersion: 1,
      }
      const writes: EntryWrite[] = [
        { family: "buckets", key: LAST_BUCKET_ID, value: encodeBucketId(id) },
        { family: "buckets", key: bucketRowKey(id), value: encodeBucket(bucket) },
        { family: "names", key: nameRowKey(request.name), value: encodeBucketId(id) },
        { family: "accountBuckets", key: accountBucketRowKey(request.owner, request.name), value: PRESENT },
      ]
      return { writes, result: bucket }
    },
  }
}

export function setVersioning(bucketId: BucketId, versioning: "enabled" | "suspended"): Command<void> {
  return {
    name: "SetVersioning",
    grows: false,
    touches: [["buckets", bucketRowKey(bucketId)]],
    decide(view) {
      const bucket = requireBucket(view, bucketId)
      const changed = { ...bucket, versioning, settingsVersion: bucket.settingsVersion + 1 }
      return { writes: [bucketWrite(changed)], result: undefined }
    },
  }
}

/** Undefined: the store's policy again. Blocks that are there are re-coded behind. */
export function setBucketPolicy(bucketId: BucketId, policy: Policy | undefined): Command<void> {
  return {
    name: "SetBucketPolicy",
    grows: false,
    touches: [["buckets", bucketRowKey(bucketId)]],
    decide(view) {
      const { policy: _before, ...bucket } = requireBucket(view, bucketId)
      const changed = { ...bucket, settingsVersion: bucket.settingsVersion + 1 }
      return { writes: [bucketWrite(policy === undefined ? changed : { ...changed, policy })], result: undefined }
    },
  }
}

/** That a bucket chose for itself; undefined: the store's holds, or there is no such bucket. */
export function policyOfBucket(view: TabletView, bucketId: BucketId): Policy | undefined {
  const row = view.get("buckets", bucketRowKey(bucketId))
  return row && bucketOfRow(row).policy
}

const bucketWrite = (bucket: BucketRecord): EntryWrite => ({
  family: "buckets",
  key: bucketRowKey(bucket.id),
  value: encodeBucket(bucket),
})

function anyBucket(view: TabletView, bucketId: BucketId): BucketRecord {
  const row = view.get("buckets", bucketRowKey(bucketId))
  if (!row) throw fail("noSuchBucket")
  return decodeBucket(row.value)
}

/** Closes a bucket that holds no version (new writes are refused from here on), or opens it again. */
export function setBucketState(bucketId: BucketId, state: BucketState): Command<void> {
  return {
    name: state === "closing" ? "CloseBucket" : "OpenBucket",
    grows: false,
    touches: [["buckets", bucketRowKey(bucketId)]],
    decide(view) {
      const bucket = anyBucket(view, bucketId)
      if (state === "closing" && readCounters(view, bucketId).versions > 0) throw fail("bucketNotEmpty")
      return { writes: [bucketWrite({ ...bucket, state })], result: undefined }
    },
  }
}

/** Drops a closed bucket in which nothing is left. Throws `bucketNotEmpty`. */
export function dropBucket(bucketId: BucketId): Command<void> {
  return {
    name: "DropBucket",
    grows: false,
    touches: [["buckets", bucketRowKey(bucketId)]],
    decide(view) {
      const bucket = anyBucket(view, bucketId)
      const { versions, uploads } = readCounters(view, bucketId)
      if (bucket.state !== "closing" || versions > 0 || uploads > 0) throw fail("bucketNotEmpty")
      const writes: EntryWrite[] = [
        { family: "buckets", key: bucketRowKey(bucketId), value: undefined },
        { family: "counters", key: bucketRowKey(bucketId), value: undefined },
        { family: "names", key: nameRowKey(bucket.name), value: undefined },
        { family: "accountBuckets", key: accountBucketRowKey(bucket.owner, bucket.name), value: undefined },
      ]
      return { writes, result: undefined }
    },
  }
}
