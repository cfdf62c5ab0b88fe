/** A key that is remembered for a version is one of the present generation of keys: their secrets may be destroyed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { ObjectKeys } from "@hayloft/access/keys/contract.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketId } from "@hayloft/base/ids.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { Encryption } from "./encryption.js"

const [BUCKET, KEY] = [parseBucketId(1), objectKeyOfText("key")]
const PLAIN = new Uint8Array(32).fill(1)

const record: VersionRecord = {
  head: {
    isMarker: false,
    isNull: true,
    hasDetails: false,
    isShared: false,
    isLocked: false,
    storageClass: "STANDARD",
    checksumAlgorithm: undefined,
    checksumType: undefined,
    sizeBytes: 1,
    modifiedMs: 1,
    order: 1,
    random: new Uint8Array(8),
    md5: new Uint8Array(16),
    parts: 0,
  },
  content: { kind: "inline" },
  checksumValue: undefined,
  details: undefined,
  sealing: { key: { mode: "s3" }, secret: 1, salt: new Uint8Array(16), bind: new Uint8Array(16) },
}

test("a key that was opened while its secret was destroyed is not remembered", async () => {
  const unused = () => assert.fail("nothing else is asked")
  const opening: ((key: Uint8Array) => void)[] = []
  const state = { generation: 1, isDestroyed: false }
  const keys: ObjectKeys = {
    create: unused,
    bind: unused,
    rowsOf: unused,
    digestKey: unused,
    openSecret: unused,
    restoreSecret: unused,
    restore: unused,
    checkBind: () => undefined,
    open: () =>
      state.isDestroyed ? Promise.reject(fail("keysUnavailable")) : new Promise(resolve => opening.push(resolve)),
  }
  const engine = new MemoryMetadata()
  const metadata = {
    ask: engine.ask.bind(engine),
    run: engine.run.bind(engine),
    get generation() {
      return state.generation
    },
  }
  const encryption = new Encryption(new SimRandom(TEST_SEED), metadata, keys, false)
  const [value, other] = [Uint8Array.of(1), Uint8Array.of(2)]
  const keyOf = async (of: Uint8Array) => encryption.keyOf(BUCKET, KEY, record, of, undefined)

  const first = keyOf(value)
  state.generation += 1
  state.isDestroyed = true
  await assert.rejects(keyOf(other), error => isFailure(error, "keysUnavailable"))
  for (const opened of opening) opened(PLAIN)
  assert.deepEqual(await first, PLAIN)
  await assert.rejects(keyOf(value), error => isFailure(error, "keysUnavailable"))
})
