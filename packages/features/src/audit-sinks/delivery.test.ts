/** Delivery of the audit log: at least once, in order, across restarts, and never in the way of a change. */
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { test } from "node:test"
import { AUDIT_LIMITS, openAuditLog } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAccountId, parseBucketId, parseBucketName } from "@hayloft/base/ids.js"
import { NEVER } from "@hayloft/base/never.js"
import type { Bucket, PutRequest } from "@hayloft/objects/contract.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { PostAnswer, PostRequest } from "@hayloft/base/seams/web/contract.js"
import { SimServices } from "@hayloft/base/seams/web/sim.js"
import { BUCKET_LIMITS, BucketSink } from "./bucket-sink.js"
import { AuditDelivery, DELIVERY_LIMITS } from "./delivery.js"
import { FileSink } from "./file-sink.js"
import type { AuditSink } from "./sink.js"
import { WEBHOOK_LIMITS, WebhookSink } from "./webhook-sink.js"

const DAY_MS = 86_400_000

const nothing = async () => undefined

function world() {
  const clock = new SimClock()
  const telemetry = new SimTelemetry()
  const metadata = new MemoryMetadata()
  const seams = { clock, random: new SimRandom(1), log: telemetry.log, dueTimeMs: clock.dueTimeMs }
  const log = openAuditLog(seams, metadata, async () => undefined)
  const begin = (target: string) => {
    const caller = { kind: "operator", id: "", name: "", address: "::1" } as const
    return log.begin({ caller, requestId: "r", operation: "createBucket", target, request: '{"a":1}' }, nothing)
  }
  const change = async (target: string) => (await begin(target)).end("done", nothing)
  const deliveryTo = (sink: AuditSink) => new AuditDelivery(log, sink, clock, telemetry)
  return { clock, telemetry, metadata, log, begin, change, deliveryTo }
}

/** A sink in memory. */
class Heap implements AuditSink {
  readonly name = "webhook"
  readonly gatherMs: number = 0
  readonly lines: { readonly number: number; readonly target: string; readonly outcome: string }[] = []
  before: () => void = () => undefined

  async deliver(text: string): Promise<void> {
    this.before()
    for (const line of text.trimEnd().split("\n")) this.lines.push(JSON.parse(line) as (typeof this.lines)[number])
  }

  get targets(): string {
    return this.lines.map(({ target }) => target).join("")
  }
}

test("records arrive in order, with numbers; what a crash repeats has the same numbers", async () => {
  const { change, deliveryTo, log } = world()
  const heap = new Heap()
  for (const target of "abc") await change(target)
  assert.equal(await deliveryTo(heap).step(NEVER), "busy")
  assert.equal(await deliveryTo(heap).step(NEVER), "idle")
  await change("d")
  // The process ends between the answer of the sink and the row.
  const crashing = new AuditDelivery(
    { undelivered: (...args) => log.undelivered(...args), delivered: () => Promise.reject(fail("deviceFailed")) },
    heap,
    new SimClock(),
    new SimTelemetry(),
  )
  await assert.rejects(crashing.step(NEVER))
  await deliveryTo(heap).step(NEVER)
  assert.deepEqual(
    heap.lines.map(({ number, target }) => `${number}${target}`),
    ["1a", "2b", "3c", "4d", "4d"],
  )
})

test("a record waits for its end, for a minute; an end that comes later is sent too", async () => {
  const { clock, begin, change, deliveryTo } = world()
  const heap = new Heap()
  const delivery = deliveryTo(heap)
  const begun = await begin("a")
  await change("b")
  assert.equal(await delivery.step(NEVER), "throttled")
  await clock.advance(60_000)
  assert.equal(await delivery.step(NEVER), "busy")
  await begun.end("done", nothing)
  assert.equal(await delivery.step(NEVER), "busy")
  assert.deepEqual(
    heap.lines.map(({ target, outcome }) => `${target} ${outcome}`),
    ["a unknown", "b done", "a done"],
  )
})

test("records of a wall clock that was far ahead hold up no others", async () => {
  const { clock, begin, change, deliveryTo } = world()
  const heap = new (class extends Heap {
    override readonly gatherMs = 60_000
  })()
  clock.jumpWall(400 * DAY_MS)
  await begin("a")
  await change("b")
  clock.jumpWall(-400 * DAY_MS)
  await change("c")
  assert.equal(await deliveryTo(heap).step(NEVER), "busy")
  assert.equal(heap.targets, "abc")
})

test("a sink that is down holds up no change; its records are late, and then dropped with a warning", async () => {
  const { clock, telemetry, change, deliveryTo } = world()
  const heap = new Heap()
  const delivery = deliveryTo(heap)
  heap.before = () => {
    throw fail("providerUnreachable", { reason: "down" })
  }
  await change("a")
  await change("b")
  await assert.rejects(delivery.step(NEVER), /down/)
  assert.equal(telemetry.entries("audit_delivery_late").length, 0)
  for (let n = 0; n < 2; n += 1) {
    await clock.advance(DELIVERY_LIMITS.lateMs)
    await assert.rejects(delivery.step(NEVER), /down/)
  }
  assert.equal(telemetry.entries("audit_delivery_late").length, 1)
  assert.equal(delivery.progress(), "2 records to deliver")
  await clock.advance(AUDIT_LIMITS.keepMs)
  await change("c")
  heap.before = () => undefined
  await delivery.step(NEVER)
  assert.equal(heap.targets, "c")
  assert.deepEqual(telemetry.entries("audit_records_dropped")[0]?.fields["records"], 2)
})

test("a sink that gathers gets a batch when it is full or old", async () => {
  const { clock, change, deliveryTo } = world()
  const heap = Object.assign(new Heap(), { gatherMs: 60_000 })
  const delivery = deliveryTo(heap)
  await change("a")
  assert.equal(await delivery.step(NEVER), "throttled")
  for (let n = 1; n < DELIVERY_LIMITS.batchMax; n += 1) await change("b")
  assert.equal(await delivery.step(NEVER), "busy")
  assert.equal(heap.lines.length, DELIVERY_LIMITS.batchMax)
  await change("c")
  await clock.advance(60_000)
  assert.equal(await delivery.step(NEVER), "busy")
  assert.equal(heap.targets.at(-1), "c")
})

test("webhook: a batch is signed; only 2xx is success, and an answer that does not come is a failure", async () => {
  const { clock, change, deliveryTo } = world()
  const web = new SimServices()
  const requests: PostRequest[] = []
  const answers: (number | "never")[] = [500, 302, "never", 204]
  web.serve("https://siem.test", async (request): Promise<PostAnswer> => {
    requests.push(request)
    const status = answers.shift()
    return status === "never" ? new Promise(() => undefined) : { status: status ?? 200, body: new Uint8Array() }
  })
  const url = "https://siem.test/hayloft"
  const delivery = deliveryTo(new WebhookSink(web, clock, { url, secret: "shared-secret" }))
  await change("a")
  await assert.rejects(delivery.step(NEVER), /status 500/)
  await assert.rejects(delivery.step(NEVER), /status 302/)
  const hanging = assert.rejects(delivery.step(NEVER))
  await clock.advance(WEBHOOK_LIMITS.timeoutMs)
  await hanging
  assert.equal(await delivery.step(NEVER), "busy")
  assert.equal(await delivery.step(NEVER), "idle")
  assert.equal(requests.length, 4)
  const { headers = {}, body = new Uint8Array(), url: posted } = requests[3] ?? {}
  assert.equal(posted, url)
  const text = Buffer.from(body).toString()
  assert.match(text, /^\{"number":1,"time":"[^"]+Z".*"operation":"createBucket","target":"a".*"request":\{"a":1\}\}\n$/)
  const [, atMs = "", hmac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(headers["x-hayloft-signature"] ?? "") ?? []
  assert.equal(hmac, createHmac("sha256", "shared-secret").update(`${atMs}.${text}`).digest("hex"))
  assert.equal(headers["x-hayloft-batch"], "1-1")
})

test("file: lines are appended, a cut line is ended, and files are rotated", async () => {
  const { change, deliveryTo } = world()
  const sim = new SimDisk()
  const disk = sim.boot()
  await disk.makeFolder("/logs")
  const read = async (path: string): Promise<string> => {
    const file = await disk.open(path, "read")
    const bytes = new Uint8Array(await file.sizeBytes())
    await file.read(bytes, 0)
    await file.close()
    return Buffer.from(bytes).toString()
  }
  const targets = async (path: string) =>
    [...(await read(path)).matchAll(/"target":"(\w)"/g)].map(([, name]) => name).join("")
  const delivery = deliveryTo(new FileSink(disk, "/logs/audit.jsonl", { bytesMax: 1_000, filesMax: 2 }))
  await change("a")
  await delivery.step(NEVER)
  const cut = await disk.open("/logs/audit.jsonl", "write")
  await cut.write([Buffer.from('{"cut')], await cut.sizeBytes())
  await cut.close()
  await change("b")
  await delivery.step(NEVER)
  assert.match(await read("/logs/audit.jsonl"), /^\{.*\}\n\{"cut\n\{.*\}\n$/)
  for (const target of "cdefghijklm") {
    await change(target)
    await delivery.step(NEVER)
  }
  const [oldest, older, newest] = [".2", ".1", ""].map(suffix => `/logs/audit.jsonl${suffix}`)
  assert.deepEqual(await disk.list("/logs"), ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"])
  const kept = [await targets(oldest ?? ""), await targets(older ?? ""), await targets(newest ?? "")].join("")
  assert.ok("abcdefghijklm".endsWith(kept) && kept.length > 4, kept)
})

test("bucket: a batch is an object below the day of its first record, also if it is sent again on a later day", async () => {
  const { clock, log, change, deliveryTo } = world()
  const puts: [key: string, body: string][] = []
  const name = parseBucketName("audit")
  const bucket: Bucket = {
    id: parseBucketId(1),
    name,
    owner: parseAccountId("root"),
    createdMs: 0,
    location: "",
    versioning: "enabled",
    settings: [],
    settingsVersion: 1,
  }
  const services = {
    buckets: { open: async () => bucket },
    objects: {
      put: async ({ key, body }: PutRequest) => {
        puts.push([key, Buffer.from((await body.gather()) ?? "").toString()])
        return { versionId: undefined, etag: "", checksum: undefined, sizeBytes: 0, lastModifiedMs: 0 }
      },
    },
  }
  const remote = { open: async (): Promise<Bucket> => ({ ...bucket, settings: ["remote"] }) }
  const refused = new BucketSink({ ...services, buckets: remote }, name)
  await assert.rejects(refused.deliver("{}\n", { first: 1, last: 1, atMs: 0 }, NEVER), /remote bucket/)
  assert.equal(puts.length, 0, "a remote would not have it")
  const sink = new BucketSink(services, name)
  await clock.advance(DAY_MS - (clock.wallMs() % DAY_MS) - 1)
  const day = new Date(clock.wallMs()).toISOString().slice(0, 10).replaceAll("-", "/")
  await change("a")
  await change("b")
  await clock.advance(BUCKET_LIMITS.gatherMs)
  // The process ends between the object and the row.
  const crashing = new AuditDelivery(
    { undelivered: (...args) => log.undelivered(...args), delivered: () => Promise.reject(fail("deviceFailed")) },
    sink,
    clock,
    new SimTelemetry(),
  )
  await assert.rejects(crashing.step(NEVER))
  await clock.advance(DAY_MS)
  await deliveryTo(sink).step(NEVER)
  assert.deepEqual(
    puts.map(([key]) => key),
    Array.from({ length: 2 }, () => `${day}/000000000001-000000000002.jsonl`),
  )
  for (const [, body] of puts) assert.equal(body.trimEnd().split("\n").length, 2)
})
