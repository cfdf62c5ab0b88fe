/**
 * Queues of a real server: every command of Disque by REST, permissions, requests that wait, and shutdown.
 */
import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { freePort } from "../harness/free-port.js"
import { forTestsOfFile, withFolder } from "../harness/folders.js"
import { fieldOf, inPath, jobsOf, QueueClient, type QueueReply } from "../harness/queue-client.js"
import { CREDENTIALS, ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"

let server: ServerProcess
let client: QueueClient
let host: string

forTestsOfFile(async folder => {
  host = `127.0.0.1:${await freePort()}`
  server = await ServerProcess.start({ folders: [join(folder, "data")], args: ["--queue-listen", host] })
  client = new QueueClient({ host, ...CREDENTIALS })
  return async () => {
    client.close()
    await server.kill()
  }
})

async function run(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await server.hayloft(args)
  assert.equal(code, 0, `hayloft ${args.join(" ")}: ${stderr}${stdout}`)
  return stdout
}

function refused({ status, json }: QueueReply, expected: number, code: string): void {
  assert.deepEqual([status, fieldOf(json, "code")], [expected, code], JSON.stringify(json))
}

const get = (path: string) => client.request("GET", path)
const post = (path: string, body: unknown = "") =>
  client.request("POST", path, { body: typeof body === "string" ? body : JSON.stringify(body) })

test("ADDJOB, GETJOB, ACKJOB: a job is delivered until it is acknowledged; bodies of any bytes come back", async () => {
  const id = await client.add("work", "hello ä", "?retry=3600&ttl=7200")
  assert.match(id, /^D-[0-9a-f]{8}-[A-Za-z0-9+/]{24}-[0-9a-f]{4}$/)
  assert.deepEqual(await client.get("work"), [
    { queue: "work", id, body: "hello ä", nacks: 0, additionalDeliveries: 0 },
  ])
  assert.deepEqual(await client.get("work"), [])
  const repeated = await client.add("soon", "x", "?retry=1&ttl=3600")
  assert.deepEqual([(await client.get("soon"))[0]?.id], [repeated])
  // It waits for the next delivery.
  const [again] = await client.get("none,soon", "&timeout=60000")
  assert.deepEqual([again?.id, again?.additionalDeliveries], [repeated, 1])
  assert.equal(await client.ack([id, id]), 1)
  assert.equal(await client.ack([id]), 0)
  const bytes = Buffer.from([0xff, 0x00, 0xfe])
  const added = await client.request("POST", "/queue/work", { body: bytes })
  const { json } = await get("/queue?from=work&count=10")
  assert.ok(Array.isArray(json))
  assert.equal(fieldOf(json[0], "bodyBase64"), bytes.toString("base64"))
  assert.equal(await client.ack([String(fieldOf(added.json, "id"))]), 1)
  assert.equal((await post("/jobs/ack?fast=1", [await client.add("work", "x")])).json, 1)
})

test("parameters of ADDJOB: what contradicts itself is refused, and what the store cannot keep is not promised", async () => {
  for (const bad of ["delay=60&ttl=60", "retry=0&replicate=2", "ttl=0", "maxDeliveries=3", "retry=x", "blub=1"])
    refused(await post(`/queue/params?${bad}`, "x"), 400, "INVALID")
  refused(await post("/queue/params?replicate=5", "x"), 503, "NOREPL")
  refused(await post("/queue/a.fifo", "x"), 501, "UNSUPPORTED")
  refused(await post("/queue/a%20b", "x"), 400, "INVALID")
  assert.equal((await post("/queue/params?maxlen=1", "x")).status, 201)
  refused(await post("/queue/params?maxlen=1", "x"), 429, "MAXLEN")
  await client.add("params", "much later", "?delay=3600&timeout=60000")
  assert.deepEqual(
    (await client.get("params", "&nohang=1&count=10")).map(({ body }) => body),
    ["x"],
  )
  const delayed = await client.add("params", "later", "?delay=1&timeout=60000")
  assert.equal((await client.get("params", "&timeout=60000"))[0]?.id, delayed)
  const unawaited = await post("/queue/params?async=1", "async")
  assert.equal(unawaited.status, 202)
  const [found] = await client.get("params", "&timeout=60000")
  assert.equal(found?.id, fieldOf(unawaited.json, "id"))
})

test("WORKING, NACK, ENQUEUE, DEQUEUE, DELJOB and SHOW", async () => {
  const id = await client.add("ops", "job", "?retry=100&ttl=1000")
  const path = `/jobs/${inPath(id)}`
  await client.get("ops")
  assert.equal((await post(`${path}/working`)).json, 100)
  assert.equal(await client.number("/jobs/nack", [id]), 1)
  const [again] = await client.get("ops")
  assert.deepEqual([again?.nacks, again?.additionalDeliveries], [1, 1])
  assert.equal(await client.number("/jobs/enqueue", [id]), 1)
  assert.equal(await client.number("/jobs/enqueue", [id]), 0)
  assert.equal(await client.number("/jobs/dequeue", [id]), 1)
  assert.deepEqual(await client.get("ops"), [])
  const shown = (await get(path)).json
  const fields = ["queue", "state", "retry", "nacks", "additionalDeliveries", "deliveries", "body"]
  assert.deepEqual(
    fields.map(name => fieldOf(shown, name)),
    ["ops", "active", 100, 1, 2, 2, "job"].map((value, at) => (at === 1 ? fieldOf(shown, "state") : value)),
  )
  assert.equal((await client.request("DELETE", path)).status, 204)
  for (const reply of [await get(path), await client.request("DELETE", path), await post(`${path}/working`)])
    refused(reply, 404, "NOJOB")
  refused(await get("/jobs/D-nonsense"), 404, "NOJOB")
})

test("QLEN, QSTAT, QPEEK, QSCAN, JSCAN: they show everything, page by page, and change nothing", async () => {
  const ids: string[] = []
  for (const body of ["1", "2", "3"]) ids.push(await client.add("scan", body))
  await client.add("scan2", "other")
  const stat = (await get("/queue/scan")).json
  assert.deepEqual([fieldOf(stat, "len"), fieldOf(stat, "jobs"), fieldOf(stat, "bytes")], [3, 3, 3])
  const bodiesOf = ({ json }: QueueReply) => (Array.isArray(json) ? json.map(each => fieldOf(each, "body")) : json)
  assert.deepEqual(bodiesOf(await get("/queue/scan/peek?count=2")), ["1", "2"])
  assert.deepEqual(bodiesOf(await get("/queue/scan/peek?count=-2")), ["3", "2"])
  const queues: string[] = []
  let cursor = "0"
  do {
    const page = (await get(`/queues?count=1&cursor=${cursor}&minlen=1`)).json
    const found = fieldOf(page, "queues")
    assert.ok(Array.isArray(found) && found.length <= 1)
    queues.push(...found.map(String))
    cursor = String(fieldOf(page, "cursor"))
  } while (cursor !== "0")
  assert.ok(queues.includes("scan") && queues.includes("scan2"))
  const jobs: string[] = []
  do {
    const page = (await get(`/jobs?queue=scan&count=2&state=queued&cursor=${inPath(cursor)}`)).json
    const found = fieldOf(page, "jobs")
    assert.ok(Array.isArray(found))
    jobs.push(...found.map(String))
    cursor = String(fieldOf(page, "cursor"))
  } while (cursor !== "0")
  assert.deepEqual(jobs.toSorted(), ids.toSorted())
  const whole = fieldOf((await get("/jobs?queue=scan&count=1000&reply=all")).json, "jobs")
  assert.ok(Array.isArray(whole) && whole.length > 0)
  for (const job of whole) assert.equal(typeof fieldOf(job, "body"), "string", JSON.stringify(job))
  refused(await get("/jobs?state=blub"), 400, "INVALID")
  refused(await get("/queue/missing"), 404, "NOQUEUE")
  assert.equal((await client.get("scan", "&nohang=1&count=10")).length, 3)
})

test("PAUSE: adds or deliveries wait, over a restart too", async () => {
  await client.add("pause", "before")
  const pause = (state: string) => client.request("PUT", `/queue/pause/pause?state=${state}&bcast=1`)
  assert.deepEqual((await pause("all")).json, { pause: "all" })
  await server.kill()
  await server.launch()
  refused(await post("/queue/pause", "x"), 503, "PAUSED")
  assert.deepEqual(await client.get("pause"), [])
  assert.deepEqual((await get("/queue/pause/pause")).json, { pause: "all" })
  const waiting = client.get("pause", "&timeout=60000")
  assert.deepEqual((await pause("in")).json, { pause: "in" })
  assert.deepEqual(
    (await waiting).map(({ body }) => body),
    ["before"],
  )
  refused(await pause("blub"), 400, "INVALID")
})

test("hayloft queue send adds a message, after a delay if one is given, and an empty one is refused", async () => {
  await run(["queue", "create", "typed"])
  const said = await run(["queue", "send", "typed", "hello ä"])
  const [found] = await client.get("typed")
  assert.ok(found !== undefined)
  assert.deepEqual([found.body, said], ["hello ä", `typed has the message ${found.id}\n`])
  assert.match(await run(["queue", "send", "typed", "later", "--delay", "1h", "--json"]), /^\{"id":"D-[^"]+"\}\n$/)
  assert.match(await run(["queue", "show", "typed"]), /^typed: 0 messages due, 1 in flight, 1 delayed,/)
  for (const [args, told] of [
    [["typed", ""], /is empty/],
    [["missing", "x"], /does not exist/],
    [["typed", "x", "--delay", "31d"], /delaySeconds must be 0 to/],
  ] as const) {
    const { code, stderr } = await server.hayloft(["queue", "send", ...args])
    assert.notEqual(code, 0)
    assert.match(stderr, told)
  }
})

test("a job that is delivered too often moves to its dead queue", async () => {
  const id = await client.add("poison", "bad", "?retry=1&maxDeliveries=1&deadQueue=graveyard")
  await client.get("poison")
  await later(1_100)
  assert.deepEqual(await client.get("poison"), [])
  const [dead] = await client.get("graveyard")
  assert.equal(dead?.id, id)
  assert.equal(fieldOf((await get(`/jobs/${inPath(id)}`)).json, "movedFrom"), "poison")
})

test("metrics tell what each queue holds", async () => {
  for (const body of ["12345", "67890"]) await client.add("measured", body)
  await client.get("measured")
  const of = String.raw`\{account="[^"]+",queue="measured"\}`
  let text = ""
  // A step that was under way has perhaps not seen them: another one follows.
  for (let looks = 0; looks < 100 && !text.includes('queue="measured"'); looks++) {
    await run(["jobs", "wake", "holdings"])
    text = await server.metrics()
  }
  assert.match(text, new RegExp(`^hayloft_queue_messages${of} 2$`, "m"))
  assert.match(text, new RegExp(`^hayloft_queue_bytes${of} 10$`, "m"))
})

test("requests need a signature for SQS, and what policies allow; other accounts see nothing", async () => {
  refused(await client.request("GET", "/queues", { isUnsigned: true }), 403, "DENIED")
  refused(await client.request("GET", "/queues", { service: "s3" }), 403, "DENIED")
  const id = await client.add("secret", "mine")
  const allowed = {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: "sqs:ReceiveMessage", Resource: "arn:aws:sqs:us-east-1:*:secret" }],
  }
  const worker = await withFolder(async folder => {
    const file = join(folder, "receive.json")
    await writeFile(file, JSON.stringify(allowed))
    return keyOf("--policy", file)
  })
  refused(await worker.request("POST", "/queue/secret", { body: "x" }), 403, "DENIED")
  refused(await worker.request("GET", "/queue?from=work&nohang=1"), 403, "DENIED")
  assert.equal((await worker.get("secret"))[0]?.id, id)
  refused(await worker.request("POST", "/jobs/ack", { body: JSON.stringify([id]) }), 403, "DENIED")
  worker.close()
  const but = { Effect: "Deny", Action: "sqs:ReceiveMessage", Resource: "arn:aws:sqs:us-east-1:*:secret" }
  const reader = await withFolder(async folder => {
    const file = join(folder, "read.json")
    const all = { Effect: "Allow", Action: "sqs:*", Resource: "*" }
    await writeFile(file, JSON.stringify({ ...allowed, Statement: [all, but] }))
    return keyOf("--policy", file)
  })
  const open = await client.add("open", "others")
  const shown = fieldOf((await reader.request("GET", "/jobs?count=1000")).json, "jobs")
  assert.ok(Array.isArray(shown))
  assert.deepEqual([shown.includes(open), shown.includes(id)], [true, false])
  reader.close()
  assert.equal(await client.ack([open]), 1)
  const account: unknown = JSON.parse(await run(["account", "create", "other", "--json"]))
  const other = await keyOf("--account", String(fieldOf(account, "id")))
  assert.deepEqual((await other.request("GET", "/queues")).json, { cursor: "0", queues: [] })
  assert.equal(await other.ack([id]), 0)
  refused(await other.request("GET", `/jobs/${inPath(id)}`), 404, "NOJOB")
  other.close()
  assert.equal(await client.ack([id]), 1)
})

/** A client with a new key. */
async function keyOf(...args: readonly string[]): Promise<QueueClient> {
  const made: unknown = JSON.parse(await run(["key", "create", ...args, "--json"]))
  const find = (names: readonly string[]): unknown =>
    names.map(name => fieldOf(made, name) ?? fieldOf(fieldOf(made, "key"), name)).find(Boolean)
  const accessKey = find(["accessKey", "accessKeyId", "id"])
  const secretKey = find(["secret", "secretKey", "secretAccessKey"])
  assert.ok(typeof accessKey === "string" && typeof secretKey === "string", JSON.stringify(made))
  return new QueueClient({ host, accessKey, secretKey })
}

/** Resolves once so many requests wait for jobs. */
const waits = (requests: number): Promise<void> =>
  until(`${requests} wait`, async () =>
    (await server.metrics()).includes(`\nhayloft_queue_receives_waiting ${requests}\n`),
  )

test("a client that goes while it waits takes no job with it; a server that stops answers those that wait", async () => {
  const gone = new AbortController()
  const waiting = client.request("GET", "/queue?from=gone&timeout=60000", { signal: gone.signal })
  await waits(1)
  gone.abort()
  await assert.rejects(waiting)
  await waits(0)
  const id = await client.add("gone", "x", "?retry=300")
  assert.equal((await client.get("gone", "&timeout=60000"))[0]?.id, id)
  const last = client.request("GET", "/queue?from=empty&timeout=60000")
  await waits(1)
  await server.stop()
  assert.deepEqual(jobsOf(await last), [])
  await server.launch()
})
