/** A removal that fails leaves its bucket as it was. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "../base/failures.js"
import { parseAccountId, parseBucketName, parsePosition } from "../base/ids.js"
import { visitRows } from "../base/row-scan.js"
import { getThrough, MemoryLayer, rangeThrough } from "../device/index.js"
import type { CommittedRows, Tablet, TabletRow } from "../tablet/index.js"
import { BucketService } from "./bucket-service.js"

const name = parseBucketName("bucket")
const owner = parseAccountId("root")

/** A tablet in memory that commits at once; commands whose names are in `full` find no room. */
function memoryTablet(full: ReadonlySet<string>): Tablet {
  const rows = new MemoryLayer<TabletRow>()
  const committed: CommittedRows = {
    get: (family, key) => getThrough([rows], family, key),
    range: (family, range) => rangeThrough([rows], family, range),
    scan: (family, range, visitor) => visitRows(rangeThrough([rows], family, range), visitor),
  }
  const time = { nowMs: 0, position: parsePosition(1) }
  return {
    committed,
    committedPosition: time.position,
    warm: () => undefined,
    payload: () => Promise.resolve(undefined),
    payloadNow: () => undefined,
    run: async command => {
      if (full.has(command.name)) throw fail("deviceFull")
      const { writes, result } = command.decide({ ...committed, payload: () => undefined }, time)
      for (const { family, key, value } of writes) rows.set(family, key, value && { value, payload: undefined })
      return result
    },
  }
}

test("a bucket whose removal found the disk full is open again once there is room", async () => {
  const full = new Set<string>()
  const tablet = memoryTablet(full)
  const buckets = new BucketService(tablet)
  const bucket = await buckets.create({ name, owner, location: "" })
  full.add("DropBucket").add("OpenBucket")
  await assert.rejects(buckets.remove(bucket), error => isFailure(error, "deviceFull"))
  await buckets.open(name)
  await assert.rejects(buckets.setVersioning(bucket, "enabled"), error => isFailure(error, "bucketClosing"))
  full.clear()
  await buckets.open(name)
  await buckets.setVersioning(bucket, "enabled")
  await buckets.remove(bucket)
  await assert.rejects(buckets.open(name), error => isFailure(error, "noSuchBucket"))
})
