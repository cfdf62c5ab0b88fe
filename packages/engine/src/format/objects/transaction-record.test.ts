/** Rows of transactions are unchanged, byte for byte, and are read back. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { bytesOfByteString, objectKeyOfText, parseAccountId, parseBucketId, parseVersionId } from "@hayloft/base/ids.js"
import {
  decodeGuards,
  decodeTransaction,
  encodeGuards,
  encodeTransaction,
  guardsRowKey,
  isGuardsRowKey,
  transactionRowKey,
} from "./transaction-record.js"

const NOW_MS = 1_795_680_000_123
const token = { account: parseAccountId("main"), token: "t-1", digest: new Uint8Array(32).fill(7) }
const transaction = {
  digest: token.digest,
  atMs: NOW_MS,
  results: [
    { versionId: parseVersionId("0".repeat(25) + "V"), etag: "9e107d9d372bb6826bd81d3542a419d6-2" },
    { versionId: parseVersionId("null"), deleteMarker: true } as const,
    {},
  ],
}
const guards = {
  atMs: NOW_MS,
  keys: [
    { bucketId: parseBucketId(1), key: objectKeyOfText("a/é") },
    { bucketId: parseBucketId(2 ** 40), key: objectKeyOfText("b") },
  ],
}
const GOLDEN = readFileSync(
  new URL("../../../../../../packages/engine/src/format/golden/transaction-rows-v1.txt", import.meta.url),
  "utf8",
)

test("rows of transactions v1 are unchanged, byte for byte, and are read back", () => {
  const lines = [
    ...[encodeTransaction(transaction), encodeGuards(guards)].map(hexOf),
    ...[transactionRowKey(token), guardsRowKey("\x00\x01decision")].map(key => hexOf(bytesOfByteString(key))),
  ]
  assert.deepEqual(lines, GOLDEN.trim().split("\n"))
  const [first = "", second = ""] = lines
  const bytesFrom = (hex: string) => must(bytesOfHex(hex), "these are hex digits")
  const { digest, ...read } = decodeTransaction(bytesFrom(first))
  assert.deepEqual({ ...read, digest: Uint8Array.from(digest) }, transaction)
  assert.deepEqual(decodeGuards(bytesFrom(second)), guards)
  assert.deepEqual([isGuardsRowKey(transactionRowKey(token)), isGuardsRowKey(guardsRowKey("x"))], [false, true])
})
