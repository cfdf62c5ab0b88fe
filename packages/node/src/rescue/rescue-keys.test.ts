/** Named keys of a rescue: deletions that were due, and rotations since the snapshot. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseAccountId, parseKmsKeyId } from "@hayloft/base/ids.js"
import type { KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import type { RescueEntry } from "./report.js"
import { addNamedKeys } from "./rescue-keys.js"
import type { RescuedKey } from "./target.js"

const id = parseKmsKeyId("01234567-89ab-4def-8123-456789abcdef")
const key: KmsKeyRecord = {
  id,
  accountId: parseAccountId("former"),
  description: "payroll",
  policy: "{}",
  tags: [],
  state: "enabled",
  deletionMs: undefined,
  rotation: undefined,
  external: undefined,
  versions: [{ createdMs: 5, isOnDemand: false }],
}

async function rescued(row: KmsKeyRecord, materials: readonly Uint8Array[]) {
  const added: (RescuedKey | undefined)[] = []
  const entries: RescueEntry[] = []
  const source = { materialIds: [id], materialsOf: () => materials }
  const owner = parseAccountId("new")
  const keys = { source, rows: new Map([[id, row]]), ownerOf: () => owner, numberOf: () => undefined }
  const target = { addNamedKey: async (_: unknown, made: RescuedKey | undefined) => void added.push(made) }
  await addNamedKeys(keys, target, "certain", async entry => void entries.push(entry))
  return { record: added[0]?.record ?? assert.fail("the key is added"), notes: entries.flatMap(({ notes }) => notes) }
}

test("a key whose deletion is overdue comes back disabled, so that it is still there when its objects are", async () => {
  const { record, notes } = await rescued({ ...key, state: "pendingDeletion", deletionMs: 1 }, [new Uint8Array(32)])
  assert.equal(record.deletionMs, undefined)
  assert.equal(record.state, "disabled")
  assert.match(notes.join(), /to be deleted/)
})

test("a key has a version for each material, also for those of rotations since the snapshot", async () => {
  const { record, notes } = await rescued(
    key,
    [1, 2, 3].map(byte => new Uint8Array(32).fill(byte)),
  )
  assert.equal(record.versions.length, 3)
  assert.deepEqual([record.state, record.accountId, notes], ["enabled", "new", []])
})
