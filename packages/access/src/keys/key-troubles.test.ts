import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketId } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { CreatedKey, ObjectKeys } from "./contract.js"
import { KEY_TROUBLE_LIMITS, KeyTroubles } from "./key-troubles.js"

const [PHOTOS, LETTERS] = [parseBucketId(1), parseBucketId(2)]
const CREATED = { key: new Uint8Array(32) } as CreatedKey

function world() {
  const clock = new SimClock()
  const telemetry = new SimTelemetry()
  const troubles = new KeyTroubles(clock, telemetry.log)
  const lacking = new Set<number>()
  const unused = () => {
    throw new Error("not asked for")
  }
  const keys: ObjectKeys = {
    create: bucketId => {
      if (lacking.has(bucketId)) throw fail("keysUnavailable", { bucketId })
      return CREATED
    },
    open: async bucketId => {
      if (lacking.has(bucketId)) throw fail("keysUnavailable", { bucketId })
      throw fail("accessDenied")
    },

    bind: unused,
    checkBind: unused,
    rowsOf: unused,
    digestKey: unused,
    openSecret: unused,
    restoreSecret: unused,
    restore: unused,
  }
  const watched = troubles.watching(keys)
  const create = async (bucketId = PHOTOS) => watched.create(bucketId, { mode: "s3" })
  const open = async (bucketId = PHOTOS) => watched.open(bucketId, CREATED.sealing, undefined)
  return { clock, telemetry, troubles, lacking, create, open }
}

test("a bucket whose keys are unavailable counts until they are there again", async () => {
  const { troubles, lacking, create, open } = world()
  assert.equal(await create(), CREATED)
  assert.equal(troubles.count(), 0)
  lacking.add(PHOTOS)
  await assert.rejects(create(), { kind: "keysUnavailable" })
  await assert.rejects(open(), { kind: "keysUnavailable" })
  assert.equal(troubles.count(), 1)
  lacking.add(LETTERS)
  await assert.rejects(open(LETTERS), { kind: "keysUnavailable" })
  assert.equal(troubles.count(), 2)
  lacking.clear()
  assert.equal(await create(), CREATED)
  assert.equal(troubles.count(), 1)
})

test("the key of a client that does not fit is no trouble of the store", async () => {
  const { troubles, open } = world()
  await assert.rejects(open(), { kind: "accessDenied" })
  assert.equal(troubles.count(), 0)
})

test("a bucket that nobody asks for any more is forgotten", async () => {
  const { clock, troubles, lacking, create } = world()
  lacking.add(PHOTOS)
  await assert.rejects(create())
  await clock.advance(KEY_TROUBLE_LIMITS.rememberMs - 1)
  assert.equal(troubles.count(), 1)
  await clock.advance(1)
  assert.equal(troubles.count(), 0)
})
