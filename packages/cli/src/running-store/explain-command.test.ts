/** `hayloft explain`, without a store. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { EXIT_CODES } from "../exit-codes.js"
import { run } from "../program.js"
import { testIo } from "../testing-io.js"

async function explained(...args: readonly string[]) {
  const { io, written } = testIo()
  const code = await run(["explain", ...args], io, new AbortController().signal)
  return { code, ...written }
}

const linesOf = (text: string): readonly { readonly [name: string]: unknown }[] =>
  text
    .trimEnd()
    .split("\n")
    .map(line => JSON.parse(line) as { readonly [name: string]: unknown })

test("an event of the log: what it means, what to do, where to read more", async () => {
  const { code, out } = await explained("certificate_load_failed")
  assert.equal(code, 0)
  assert.match(out, /^certificate_load_failed \(log, warn\)\n/)
  assert.match(out, /former certificate stays in use/)
  assert.match(out, /\n {2}To do: Repair the files/)
  assert.match(out, /\n {2}More: docs\/guide\/install\.md#tls\n/)
  for (const line of out.split("\n")) assert.ok(line.length <= 100, line)
})

test("letter case and punctuation do not matter, and a failure names the codes that clients see", async () => {
  const { out } = await explained("QUOTA-exceeded")
  assert.match(out, /^quotaExceeded \(failure\): the quota of a bucket or an account would be exceeded\n/m)
  assert.match(out, /^QuotaExceeded \(S3 error\)\n/m)
  assert.match(out, /Clients see: QuotaExceeded \(S3\)/)
})

test("an error code of few failures is explained by each of them, once", async () => {
  const { out } = await explained("SlowDown")
  for (const kind of ["tooManyInFlight", "rateExceeded", "uploadAborted"]) {
    assert.equal(out.match(new RegExp(`^${kind} \\(failure\\): `, "gm"))?.length, 1, kind)
  }
})

test("an error code of many failures has its own text and a line for each", async () => {
  const { out } = await explained("InternalError")
  assert.match(out, /Find the line `request`/)
  assert.match(out, /\n {4}notEnoughShards: too few intact shards are left to read this\n/)
  assert.doesNotMatch(out, /^notEnoughShards/m)
})

test("a code of several APIs is explained for each", async () => {
  const { out } = await explained("servIceunavailable", "--json")
  assert.deepEqual(
    linesOf(out).map(({ code, type }) => `${String(code)} ${String(type)}`),
    ["ServiceUnavailable S3", "ServiceUnavailable IAM", "ServiceUnavailable SQS"],
  )
})

test("a status of HTTP", async () => {
  const { code, out } = await explained("507")
  assert.equal(code, 0)
  assert.match(out, /^507 \(HTTP status\): the store is full\n {2}To do: Add a device/)
})

test("exit codes, by number and by the name in errors of --json", async () => {
  for (const [name, { code }] of Object.entries(EXIT_CODES)) {
    for (const wanted of [String(code), name]) {
      const { code: exit, out } = await explained(wanted)
      assert.equal(exit, 0)
      assert.match(out, new RegExp(`^${code} \\(exit code\\): `, "m"), wanted)
    }
  }
})

test("an unknown code: exit code 3, and the nearest ones", async () => {
  const near = await explained("certificat_loaded_failed")
  assert.deepEqual([near.code, near.out], [EXIT_CODES.notFound.code, ""])
  assert.match(near.error, /^hayloft: there is no code certificat_loaded_failed; did you mean certificate_load_failed/)
  const part = await explained("shards")
  assert.match(part.error, /did you mean notEnoughShards\?/)
  const far = await explained("qqqqqqqqqqqqqqqqqq", "--json")
  assert.deepEqual(JSON.parse(far.error), {
    error: { code: "notFound", message: "there is no code qqqqqqqqqqqqqqqqqq; hayloft explain --list shows all codes" },
  })
})

test("--list has every code once for each type, as text and as JSON", async () => {
  const { out } = await explained("--list")
  assert.match(out, /^CODE +TYPE +MEANING\n/)
  assert.match(out, /^store_halted +log, error +The database lacks changes/m)
  assert.match(out, /^130 +exit code +interrupted$/m)
  const rows = linesOf((await explained("--list", "--json")).out)
  assert.equal(rows.length, out.trimEnd().split("\n").length - 1)
  assert.equal(new Set(rows.map(({ code, type }) => `${String(code)} ${String(type)}`)).size, rows.length)
})

test("without a code, or with a code and --list: exit code 2", async () => {
  assert.equal((await explained()).code, EXIT_CODES.usage.code)
  assert.equal((await explained("SlowDown", "--list")).code, EXIT_CODES.usage.code)
})
