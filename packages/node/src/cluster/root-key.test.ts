/** Nodes follow the root key pair that another node has started with. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { recordOf } from "../control/testing-record.js"
import { randomSecrets, sealSecrets } from "../open/secrets.js"
import { followRootKey } from "./root-key.js"
import { SharedRecordManager, writeFirstRecord } from "./shared-record.js"
import { SharedMemory } from "./testing-shared.js"

const MASTER_KEY = new Uint8Array(32).fill(1)

test("a node follows the root key of the record, and keeps it while the record's cannot be opened", async () => {
  const random = new SimRandom(1)
  const secrets = randomSecrets(random, 0, { current: MASTER_KEY }, undefined)
  const record = { ...recordOf(1, [1, 2]), secrets: sealSecrets(secrets, random) }
  const rows = new SharedMemory("n1")
  await writeFirstRecord(rows, record)
  const telemetry = new SimTelemetry()
  const manager = () => new SharedRecordManager(rows, new SimClock(), telemetry.log, record)
  const [one, other] = [manager(), manager()]
  const ids: string[] = []
  const keys = { current: MASTER_KEY }
  followRootKey(other, keys, telemetry.log, ({ accessKeyId, secret }) => ids.push(`${accessKeyId} ${secret}`))
  const first = `${secrets.root.accessKeyId} ${secrets.root.secret}`
  assert.deepEqual(ids, [first])
  await one.change("pause", before => ({ ...before, pausedWork: ["scrub"] }))
  await other.refresh()
  assert.deepEqual(ids, [first])
  const root = { ...secrets.root, accessKeyId: parseAccessKeyId("NEXTKEY"), secret: "next secret" }
  await one.change("node starts", before => ({ ...before, secrets: sealSecrets({ ...secrets, root }, random) }))
  await other.refresh()
  assert.deepEqual(ids, [first, "NEXTKEY next secret"])
  const foreign = sealSecrets({ ...secrets, masterKey: new Uint8Array(32).fill(2) }, random)
  await one.change("damage", before => ({ ...before, secrets: foreign }))
  await other.refresh()
  assert.equal(ids.length, 2)
  assert.equal(telemetry.entries("root_key_unknown").length, 1)
})
