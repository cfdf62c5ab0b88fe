/** Admission: golden bytes of what is proved, and every way in which a row must not count. */
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { parseNodeFingerprint, parseStoreId, type StoreId } from "@hayloft/base/ids.js"
import { encodeNodeAdmission, type NodeAdmission } from "@hayloft/engine/format/nodes/node-admission.js"
import { isAdmitted, proveAdmission } from "./admission-core.js"

const KEY = new Uint8Array(32).fill(7)
const storeId = parseStoreId("0123456789abcdef0123456789abcdef")
const fingerprint = parseNodeFingerprint("ab".repeat(32))
const ADMISSION: NodeAdmission = { storeId, nodeName: "héron", fingerprint }

const hex = (text: string): string => hexOf(Buffer.from(text))

test("node admission v1 is unchanged, byte for byte, and so is its proof", () => {
  const bytes = `484c4e410100${"2000"}${hex(storeId)}${"0600"}${hex("héron")}${"4000"}${hex(fingerprint)}`
  assert.equal(hexOf(encodeNodeAdmission(ADMISSION)), bytes)
  const key = createHmac("sha256", KEY).update("node admission").digest()
  const proof = createHmac("sha256", key).update(Buffer.from(bytes, "hex")).digest("hex")
  assert.equal(hexOf(proveAdmission(KEY, ADMISSION)), proof)
})

test("a proof counts only for its store, name and fingerprint, under its master key, whole", () => {
  const proof = proveAdmission(KEY, ADMISSION)
  assert.ok(isAdmitted(KEY, ADMISSION, proof))
  const others: readonly NodeAdmission[] = [
    { ...ADMISSION, storeId: parseStoreId("0123456789abcdef0123456789abcdee") },
    { ...ADMISSION, nodeName: "heron" },
    { ...ADMISSION, nodeName: "" },
    { ...ADMISSION, fingerprint: parseNodeFingerprint(`${"ab".repeat(31)}aa`) },
  ]
  for (const other of others) assert.ok(!isAdmitted(KEY, other, proof))
  assert.ok(!isAdmitted(new Uint8Array(32).fill(8), ADMISSION, proof))
  for (let length = 0; length < proof.length; length += 1) {
    assert.ok(!isAdmitted(KEY, ADMISSION, proof.subarray(0, length)))
    const flipped = proof.slice()
    flipped[length] = (flipped[length] ?? 0) ^ 1
    assert.ok(!isAdmitted(KEY, ADMISSION, flipped))
  }
  assert.ok(!isAdmitted(KEY, ADMISSION, Uint8Array.of(...proof, 0)))
})

test("fields cannot be shifted into one another", () => {
  const shifted = (nodeName: string) => hexOf(encodeNodeAdmission({ ...ADMISSION, nodeName }))
  const names = ["a", "a\u0000", `a${fingerprint}`, "@\u0000", ""]
  assert.equal(new Set(names.map(shifted)).size, names.length)
})

test("only rows with a valid proof are peers: the database alone admits no node", () => {
  const intruder = parseNodeFingerprint("cd".repeat(32))
  const proof = proveAdmission(KEY, ADMISSION)
  const row = { nodeName: ADMISSION.nodeName, fingerprint, proof }
  const rows = [
    row,
    { ...row, fingerprint: intruder },
    { nodeName: "b", fingerprint: intruder, proof: new Uint8Array(32) },
    { nodeName: "c", fingerprint: intruder, proof: new Uint8Array(0) },
  ]
  const admitted = (store: StoreId) =>
    rows.filter(({ proof, ...node }) => isAdmitted(KEY, { storeId: store, ...node }, proof))
  assert.deepEqual(admitted(storeId), [row])
  assert.deepEqual(admitted(parseStoreId("f".repeat(32))), [])
})
