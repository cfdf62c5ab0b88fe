/** Rows of NDJSON, TSV and CSV: what they mean, however they arrive, and that mistakes name their line. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MIB } from "@hayloft/base/limits.js"
import { TABLE_FILE_LIMITS } from "./limits.js"
import type { TextFormat } from "./text-core.js"
import { textRows } from "./text-rows.js"

async function* pieces(text: string | Buffer, size: number) {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function read(format: TextFormat, text: string | Buffer, size = 7) {
  const { values, rows } = await textRows(format, pieces(text, size))
  const found: (readonly [string, string, number])[] = []
  for await (const batch of rows)
    for (const { key, value, line } of batch)
      found.push([Buffer.from(key).toString(), Buffer.from(value).toString(), line])
  return { values, found }
}

test("each format has its rows, in pieces of any size", async () => {
  const cases = [
    [
      "ndjson",
      '{"key":"ü","value":{"a":[1]}}\n\n{"key64":"YWI=","value":null}',
      "json",
      [
        ["ü", '{"a":[1]}', 1],
        ["ab", "null", 3],
      ],
    ],
    ["ndjson", '{"key":"a","value64":"AAEC"}\n', "bytes", [["a", "\x00\x01\x02", 1]]],
    [
      "tsv",
      "a\tb\tc\r\nü\t\n",
      "text",
      [
        ["a", "b\tc", 1],
        ["ü", "", 2],
      ],
    ],
    [
      "csv",
      'a,"b ""c"", d\nsecond"\r\n"k,1",v\n',
      "text",
      [
        ["a", 'b "c", d\nsecond', 1],
        ["k,1", "v", 3],
      ],
    ],
    ["ndjson", "", "json", []],
  ] as const
  for (const [format, text, values, expected] of cases) {
    for (const size of [1, 2, 3, 5, 1_000])
      assert.deepEqual(await read(format, text, size), { values, found: expected }, text)
  }
})

test("mistakes are refused, with their line", async () => {
  const cases = [
    ["ndjson", '{"key":"a","value":1}\n{"key":', /line 2: it is no JSON/],
    ["ndjson", "[1]", /line 1: it is no JSON object/],
    ["ndjson", '{"key":"a","value":1,"more":2}', /line 1: .*"more"/],
    ["ndjson", '{"key":1,"value":1}', /"key" must be a text/],
    ["ndjson", '{"value":1}', /either "key" or "key64"/],
    ["ndjson", '{"key":"a","key64":"YQ==","value":1}', /either "key" or "key64"/],
    ["ndjson", '{"key":"a"}', /either "value" or "value64"/],
    ["ndjson", '{"key64":"a*","value":1}', /"key64" must be base64/],
    ["ndjson", '{"key":"a","value":[12345678901234567890]}', /line 1: a number is beyond 2\^53/],
    ["ndjson", '{"key":"a","value":1}\n{"key":"b","value64":""}', /line 2: its value is bytes/],
    ["tsv", "a\tb\nno tab\n", /line 2: there is no tab/],
    ["tsv", Buffer.from([0xff, 9, 0x61]), /line 1: it is not UTF-8/],
    ["csv", "a,b,c\n", /line 1: it has 3 fields/],
    ["csv", "a\n", /line 1: it has 1 fields/],
    ["csv", 'a,b"c"\n', /line 1: there is a quote/],
  ] as const
  for (const [format, text, reason] of cases) await assert.rejects(read(format, text), reason)
  assert.equal((await read("ndjson", '{"key":"a","value":"12345678901234567890"}')).found.length, 1)
})

test("a stray quote is refused with its line, after one look at what follows", async () => {
  const lines = "k,v\n".repeat(TABLE_FILE_LIMITS.lineBytesMax / 4 + 1)
  const stray = `a,b\n"c,d\n${lines}`
  await assert.rejects(read("csv", stray, MIB), /line 2: a quoted field does not end within 33554432 bytes/)
  await assert.rejects(read("csv", 'a,b\n"c,d\ne,f\n'), /line 2: /)
  const many = `a,"${"x\n".repeat(1_000)}"\nb,c\n"`
  await assert.rejects(read("csv", many, 11), /line 1003: /)
})
