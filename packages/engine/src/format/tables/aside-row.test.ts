import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { decodeAsideRows, encodeAsideRow, type AsideRow } from "./aside-row.js"

const SAMPLE: AsideRow = { family: "current", key: rowKeyOf("\x00\x00\x00\x01key\xff"), stored: Buffer.from([1, 2, 0]) }
const MARK = "aside/c79a52f9d0ee244c1cfd64b7d554f4da44db2f5876b4feee30ddbb257b4a4790/0000"

test("a row set aside v1 is unchanged, byte for byte", () => {
  const golden = readFileSync(
    new URL("../../../../../../packages/engine/src/format/golden/aside-row-v1.hex", import.meta.url),
    "utf8",
  ).trim()
  assert.deepEqual(
    encodeAsideRow(SAMPLE).map(([mark, bytes]) => [mark, hexOf(bytes)]),
    [[MARK, golden]],
  )
  const [row] = decodeAsideRows([[rowKeyOf(MARK), bytesOfHex(golden) ?? new Uint8Array(0)]])
  assert.deepEqual(row && { ...row, stored: Buffer.from(row.stored) }, SAMPLE)
})

test("a long row is cut into parts; a missing part is refused", () => {
  const stored = Buffer.alloc(MIB + 1, 9)
  const parts = encodeAsideRow({ ...SAMPLE, stored })
  assert.equal(parts.length, 3)
  assert.equal(decodeAsideRows(parts)[0]?.stored.length, stored.length)
  for (const left of [parts.slice(1), parts.slice(0, 2), parts.filter((_, i) => i !== 1)]) {
    assert.throws(
      () => decodeAsideRows(left),
      error => isFailure(error, "corruptRecord"),
    )
  }
})
