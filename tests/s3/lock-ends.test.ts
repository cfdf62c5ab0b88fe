/** The end of a lock, over a store in simulated time: until then nobody removes the version, from then on anyone may. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { Machine } from "@hayloft/node/testing-engine.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import { ask } from "./ask.js"
import { shown, world } from "./delays-world.js"

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const BODY = Buffer.from("body")
const digestOf = (bytes: Uint8Array) => [
  "content-length",
  String(bytes.length),
  "content-md5",
  Buffer.from(digestOnce("md5", bytes, "hex"), "hex").toString("base64"),
]

test("a lock ends at its time, not before, and can be prolonged until then", () => {
  const machine = new Machine({ devices: 1 })
  return machine.clock.runUntil(lockEnds(machine))
})

async function lockEnds(machine: Machine): Promise<void> {
  const { quick, sign, engine, clock } = await world(machine)
  const { buckets } = engine.services
  const owner = parseAccountId("root")
  const bucket = await buckets.create({ name: parseBucketName("locked"), owner, location: "", hasLock: true })
  await buckets.setLock(bucket, { mode: "COMPLIANCE", unit: "days", count: 1 })
  const send = async (method: string, rawTarget: string, body: Buffer = Buffer.alloc(0), headers: string[] = []) => {
    const rawHeaders = ["host", "h", ...headers, ...(body.length > 0 ? digestOf(body) : [])]
    return shown(await ask(quick, { ...sign({ method, rawTarget, rawHeaders }), body }))
  }
  const put = async (key: string, headers: string[] = []): Promise<string> => {
    const { status, pairs, body } = await send("PUT", `/locked/${key}`, BODY, headers)
    assert.equal(status, 200, body)
    const version = pairs.find(pair => pair.startsWith("x-amz-version-id: "))?.slice("x-amz-version-id: ".length)
    return `/locked/${key}?versionId=${version ?? ""}`
  }
  const inHours = (hours: number): string => new Date(clock.wallMs() + hours * HOUR_MS).toISOString()
  const modeAndDate = (until: string) => [
    "x-amz-object-lock-mode",
    "COMPLIANCE",
    "x-amz-object-lock-retain-until-date",
    until,
  ]
  const removed = async (line: string): Promise<number> => (await send("DELETE", line)).status

  const pass = (durationMs: number): Promise<void> => clock.sleep(durationMs, new AbortController().signal)

  const byDefault = await put("default")
  const stated = await put("stated", modeAndDate(inHours(2)))
  const prolonged = await put("prolonged", modeAndDate(inHours(2)))
  await pass(HOUR_MS)
  for (const jumpMs of [0, 30 * DAY_MS]) {
    // A wall clock that is set ahead ends nothing.
    machine.clock.jumpWall(jumpMs)
    for (const line of [byDefault, stated, prolonged]) assert.equal(await removed(line), 403, line)
    machine.clock.jumpWall(-jumpMs)
  }
  const longer = `<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>${inHours(72)}</RetainUntilDate></Retention>`
  assert.equal((await send("PUT", `${prolonged}&retention`, Buffer.from(longer))).status, 200)

  await pass(HOUR_MS + 1_000)
  assert.deepEqual([await removed(byDefault), await removed(stated), await removed(prolonged)], [403, 204, 403])
  await pass(DAY_MS)
  const head = await send("HEAD", byDefault)
  assert.ok(head.pairs.includes("x-amz-object-lock-mode: COMPLIANCE"), "a retention that is over is still shown")
  assert.deepEqual([await removed(byDefault), await removed(prolonged)], [204, 403])
  await pass(3 * DAY_MS)
  assert.equal(await removed(prolonged), 204)
  await engine.stop()
}
