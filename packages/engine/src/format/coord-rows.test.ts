/** Rows of coordination are unchanged, byte for byte, sort as they are to, and malformed ones are refused. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { bytesOfByteString, parseAccountId, parseCoordPath, parseSessionId, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import {
  coordChangeRange,
  coordChangeRowKey,
  coordRowKey,
  decodeCoordChange,
  decodeFile,
  decodeLock,
  decodeNamespace,
  decodeSession,
  encodeCoordChange,
  encodeFile,
  encodeLock,
  encodeNamespace,
  encodeSession,
  HOLDING_VALUE,
  holdingRange,
  holdingRowKey,
  namespaceOf,
  namespaceRowKey,
  numberOfCoordChange,
  parseHoldingRowKey,
  sessionRowKey,
  type CoordChange,
  type FileRecord,
  type LockRecord,
  type NamespaceRecord,
  type SessionRecord,
} from "./coord-rows.js"
import { packRecord } from "./encoding/pack.js"
import { accountRange, parseAccountRowKey } from "./row-key.js"

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5)
const account = parseAccountId("main")
const id = parseSessionId("000102030405060708090a0b0c0d0e0f")
const other = parseSessionId("f0".repeat(16))
const path = parseCoordPath("jobs/leader")

const session: SessionRecord = {
  name: "worker é",
  principal: "arn",
  createdMs: NOW_MS,
  leaseSeconds: 12,
  graceSeconds: 8,
  beat: 3,
  renewedMs: NOW_MS + 1,
  held: 2,
}
const namespace: NamespaceRecord = {
  createdMs: NOW_MS,
  lastNumber: NOW_MS + 2,
  forgottenNumber: NOW_MS + 1,
  changes: 4,
  files: 5,
  bytes: 6,
  locks: 7,
}
const file: FileRecord = {
  version: NOW_MS + 2,
  createdMs: NOW_MS,
  modifiedMs: NOW_MS + 1,
  session: id,
  content: Buffer.from("hello"),
}
const bare: FileRecord = { ...file, session: undefined, content: new Uint8Array(0) }
const holder = { session: id, token: NOW_MS + 2, sinceMs: NOW_MS, value: "h:1" }
const held: LockRecord = { mode: "exclusive", holders: [holder], waiting: [] }
const shared: LockRecord = {
  mode: "shared",
  holders: [holder, { session: other, token: NOW_MS + 3, sinceMs: NOW_MS + 1, value: "" }],
  waiting: [
    { session: other, mode: "exclusive", sinceMs: NOW_MS, value: "w" },
    { session: id, mode: "shared", sinceMs: NOW_MS + 1, value: "" },
  ],
}
const changes = (["written", "deleted", "acquired", "released"] as const).map((kind): CoordChange => ({
  kind,
  path,
  atMs: NOW_MS,
}))

const GOLDEN = readFileSync(
  new URL("../../../../../packages/engine/src/format/golden/coord-rows-v1.txt", import.meta.url),
  "utf8",
)
const bytesFrom = (hex: string): Uint8Array => must(bytesOfHex(hex), "these are hex digits")
/** With bytes as texts: of whichever class they are. */
const plainly = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(structuredClone(value), (_, each: unknown) => (each instanceof Uint8Array ? hexOf(each) : each)),
  )

test("rows of coordination v1 are unchanged, byte for byte, and are read back", () => {
  const records = [
    [encodeSession(session), session, decodeSession] as const,
    [encodeNamespace(namespace), namespace, decodeNamespace] as const,
    ...[file, bare].map(record => [encodeFile(record), record, decodeFile] as const),
    ...[held, shared].map(record => [encodeLock(record), record, decodeLock] as const),
    ...changes.map(record => [encodeCoordChange(record), record, decodeCoordChange] as const),
  ]
  const keys = [
    sessionRowKey(account, id),
    namespaceRowKey(account, "jobs"),
    coordRowKey(account, path),
    ...(["lock", "file"] as const).map(kind => holdingRowKey(account, id, { kind, path })),
    coordChangeRowKey(account, "jobs", NOW_MS),
  ]
  const lines = [
    ...records.map(([bytes]) => hexOf(bytes)),
    hexOf(HOLDING_VALUE),
    ...keys.map(key => hexOf(bytesOfByteString(key))),
  ]
  assert.deepEqual(lines, GOLDEN.trim().split("\n"))
  for (const [index, [, record, decode]] of records.entries())
    assert.deepEqual(plainly(decode(bytesFrom(lines[index] ?? ""))), plainly(record))
})

test("row keys are read back", () => {
  for (const kind of ["lock", "file"] as const)
    assert.deepEqual(parseHoldingRowKey(account, id, holdingRowKey(account, id, { kind, path })), { kind, path })
  assert.equal(numberOfCoordChange(coordChangeRowKey(account, "jobs", NOW_MS)), NOW_MS)
  assert.deepEqual(parseAccountRowKey(sessionRowKey(account, id)), { account, rest: id })
  assert.deepEqual(parseAccountRowKey(coordRowKey(account, path)), { account, rest: path })
  assert.equal(namespaceOf(parseCoordPath("jobs/a/b")), "jobs")
})

const isIn = (key: RowKey, { start, end }: KeyRange): boolean => key >= start && key < end

test("changes of a namespace sort by their numbers, and a range begins after one of them", () => {
  const numbers = [1, 255, 256, 65_535, 2 ** 32, NOW_MS, Number.MAX_SAFE_INTEGER]
  const keys = numbers.map(number => coordChangeRowKey(account, "jobs", number))
  assert.deepEqual([...keys].sort(), keys)
  assert.deepEqual(keys.map(numberOfCoordChange), numbers)
  for (const [index, number] of numbers.slice(0, -1).entries()) {
    const range = coordChangeRange(account, "jobs", number)
    assert.deepEqual(
      keys.filter(key => isIn(key, range)),
      keys.slice(index + 1),
    )
  }
})

test("rows do not mix with those of accounts, namespaces and sessions whose names begin alike", () => {
  const accounts = ["main", "main2", "mai"].map(parseAccountId)
  const namespaces = ["jobs", "jobs2", "jobs-a", "job"]
  const rows = accounts.flatMap(of =>
    namespaces.map(name => ({ of, name, change: coordChangeRowKey(of, name, NOW_MS), row: namespaceRowKey(of, name) })),
  )
  for (const { of, name } of rows) {
    const range = coordChangeRange(of, name, 0)
    assert.deepEqual(
      rows.filter(({ change }) => isIn(change, range)).map(each => [each.of, each.name]),
      [[of, name]],
    )
  }
  for (const of of accounts) {
    const found = rows.filter(({ row }) => isIn(row, accountRange(of)))
    assert.deepEqual(
      found.map(each => [each.of, each.name]),
      namespaces.map(name => [of, name]),
    )
    for (const each of [id, other]) {
      const key = holdingRowKey(of, each, { kind: "lock", path })
      const owners = accounts.flatMap(by =>
        [id, other].filter(one => isIn(key, holdingRange(by, one))).map(one => [by, one]),
      )
      assert.deepEqual(owners, [[of, each]])
    }
  }
})

test("malformed rows of coordination are refused", () => {
  const isCorrupt = (error: unknown): boolean => isFailure(error, "corruptRecord")
  const decoders = [decodeSession, decodeNamespace, decodeFile, decodeLock, decodeCoordChange]
  for (const decode of decoders)
    for (const hex of ["", "c0", "9101", "9201a161", "91ff"]) assert.throws(() => decode(bytesFrom(hex)), isCorrupt)
  const malformed: readonly (readonly [(bytes: Uint8Array) => unknown, readonly unknown[]])[] = [
    [decodeFile, [1, 1, 1, Buffer.from("short"), Buffer.alloc(0)]],
    [decodeLock, [2, [], []]],
    [decodeLock, [0, [["not bytes", 1, 1, ""]], []]],
    [decodeLock, [0, [], [[Buffer.alloc(16), 2, 1, ""]]]],
    [decodeCoordChange, [4, path, 1]],
    [decodeCoordChange, [0, "no-name", 1]],
  ]
  for (const [decode, members] of malformed) assert.throws(() => decode(packRecord(1, members)), isCorrupt)
  // A later format may mean something else.
  assert.throws(() => decodeLock(packRecord(2, [0, [], []])), isCorrupt)
})
