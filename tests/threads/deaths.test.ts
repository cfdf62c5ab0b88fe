/** Front threads die, and hang, while uploads are under way: nothing that was acknowledged is lost, and they come back. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { MIB } from "@hayloft/base/limits.js"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { bodyBytes } from "../../sim/world/bodies.js"
import { elements, text } from "../../conformance/xml.js"
import { noNode24 } from "../harness/new-node.js"
import { until, UNTIL_MS_MAX } from "@hayloft/base/seams/clock/testing-until.js"
import { frontOf, withFronts, type Death, type FrontedStore, type Pinned } from "./fronted.js"

const BUCKET = "deaths"
const ARGS = ["--block-size", "1M", "--log-level", "warn"]
const SIZES = { small: 700, medium: 300_000, large: 5 * MIB } as const
const WHOLE_BYTES = 4 * MIB
/** All bodies are parts of it: to compute each one costs more than its request. */
const NOISE = bodyBytes("noise", SIZES.large + MIB)
/** The next body begins so much later. */
const NEXT_BODY_BYTES = 4_099
let bodies = 0
const nextBody = (bytes: number): Buffer => {
  const from = (NEXT_BODY_BYTES * (bodies += 1)) % MIB
  return NOISE.subarray(from, from + bytes)
}
/** A client whose connection was refused leaves the processor to the threads that start. */
const REFUSED_PAUSE_MS = 20
/** Writers would keep the processor busy otherwise: a thread ends under the requests that are under way. */
const WRITTEN_PAUSE_MS = 20
const ROUNDS = runsOf(3)
const DEATHS = ["exit", "throw", "memory", "hang"] as const
/** How many bytes of an upload have arrived. */
const STATES = { "no body": 0, "three blocks": 3 * MIB, "all but a byte": WHOLE_BYTES - 1 } as const

const BLOCK_BYTES = MIB
/** The whole blocks of the uploads in each state through both threads, and of a part. */
const BLOCKS_UNDER_WAY = 2 * (3 + 3) + 2
/** How many bytes three devices have for each of a block: two of data and one of parity. */
const OF_THREE_DEVICES = 3 / 2

/** The log of each way to die. */
const REASONS: Readonly<Record<Death, RegExp>> = {
  exit: /front_thread_ended thread=front-\d reason="it has ended by itself"/,
  throw: /front_thread_ended thread=front-\d reason=".*planted/,
  memory: /front_thread_ended thread=front-\d reason=".*ERR_WORKER_OUT_OF_MEMORY/,
  hang: /front_thread_silent thread=front-\d\n[^]*front_thread_ended thread=front-\d/,
}

interface Upload {
  readonly key: string
  readonly body: Buffer
  readonly sentBytes: number
  readonly connection: Pinned["connection"]
}

/** An upload in each state, through the thread. */
async function uploadsThrough(store: FrontedStore, front: string, how: Death): Promise<readonly Upload[]> {
  const uploads: Upload[] = []
  for (const [state, sentBytes] of Object.entries(STATES)) {
    const key = `${how} ${front} ${state}`
    const [body, connection] = [nextBody(WHOLE_BYTES), await store.to(front)]
    await store.begin(connection, "PUT", { bucket: BUCKET, key, body }, sentBytes)
    uploads.push({ key, body, sentBytes, connection })
  }
  return uploads
}

/** Returns the number of the upload of the key, whose part is half sent. */
async function partThrough(store: FrontedStore, front: string, key: string): Promise<string> {
  const started = await store.client.call("POST", { bucket: BUCKET, key, query: "uploads" })
  const uploadId = text(started.text, "UploadId") ?? ""
  const [body, query] = [nextBody(WHOLE_BYTES), `partNumber=1&uploadId=${uploadId}`]
  await store.begin(await store.to(front), "PUT", { bucket: BUCKET, key, query, body }, 2 * MIB)
  return uploadId
}

async function checkThere(store: FrontedStore, keys: Iterable<readonly [key: string, body: Buffer]>): Promise<void> {
  for (const [key, body] of keys) {
    const { status, body: found } = await store.client.call("GET", { bucket: BUCKET, key })
    assert.equal(status, 200, key)
    assert.ok(body.equals(found), `${key} has other bytes`)
  }
}

const pendingKeys = async ({ server }: FrontedStore): Promise<readonly string[]> =>
  STORE_SCHEMAS.PENDING_UPLOADS.parse(await server.report("/v1/pending")).uploads.map(({ key }) => key ?? "")

/** Ends one of two threads, and waits until it is back. Adds what is `there`; returns the keys of what is left on the devices. */
async function endOne(store: FrontedStore, how: Death, there: Map<string, Buffer>): Promise<readonly string[]> {
  const own = new Map<string, Buffer>()
  const [dying, staying] = await store.toEach(2)
  assert.ok(dying && staying)
  for (const { front, connection } of [dying, staying]) {
    for (const [size, bytes] of Object.entries(SIZES)) {
      const key = `${how} ${front} ${size}`
      const body = nextBody(bytes)
      assert.equal((await store.on(connection, "PUT", { bucket: BUCKET, key, body })).status, 200)
      own.set(key, body)
    }
  }
  const volumesBefore = await store.metric("hayloft_volume_bytes")
  const parts = `${how} parts`
  const uploadId = await partThrough(store, dying.front, parts)
  const lost = await uploadsThrough(store, dying.front, how)
  const others = await uploadsThrough(store, staying.front, how)
  await store.inFlight(lost.length + others.length + 1)
  // A thread that ends before it has read what was sent leaves nothing of it.
  const isWritten = async (): Promise<boolean> =>
    (await store.metric("hayloft_volume_bytes")) - volumesBefore >= BLOCKS_UNDER_WAY * BLOCK_BYTES * OF_THREE_DEVICES
  await until("all whole blocks are on the devices", isWritten)
  const counted = await store.metric("hayloft_http_requests_total", 'server="s3"')

  const ending = store.end(dying.connection, how)
  // Not once it has ended: an upload that pauses for longer than 20 s is refused, and a hang lasts longer.
  for (const { connection, key, body, sentBytes } of others) {
    await connection.write(body.subarray(sentBytes))
    assert.equal((await connection.read("PUT")).status, 200, key)
    own.set(key, body)
  }
  await ending
  for (const { connection, key } of lost) assert.ok(await connection.waitClosed(UNTIL_MS_MAX), key)
  await until("its end is told", () => REASONS[how].test(store.server.log))
  await checkThere(store, own)
  for (const [key, body] of own) there.set(key, body)
  const listing = await store.client.call("GET", { bucket: BUCKET, query: "list-type=2" })
  assert.deepEqual(
    elements(listing.text, "Contents").map(entry => text(entry, "Key")),
    [...there.keys()].sort(),
  )

  // It is started again, at the same port.
  const back = await store.untilEach(2)
  assert.ok(back.some(({ front }) => front === staying.front))
  assert.ok(!back.some(({ front }) => front === dying.front))
  assert.ok((await store.metric("hayloft_http_requests_total", 'server="s3"')) >= counted)
  await store.inFlight(0)
  const query = `uploadId=${uploadId}`
  const answer = await store.client.call("GET", { bucket: BUCKET, key: parts, query })
  assert.deepEqual([answer.status, elements(answer.text, "Part")], [200, []])
  return [...lost.filter(({ sentBytes }) => sentBytes > 0).map(({ key }) => key), parts]
}

/** Repeats what fails while all threads end, again and again. */
async function endAll(store: FrontedStore): Promise<void> {
  const { client } = store
  const ended = (): number => store.server.log.match(/front_thread_ended/g)?.length ?? 0
  const endedBefore = ended()
  const written = new Map<string, Buffer>()
  let [isOver, failures] = [false, 0]
  const sizes = Object.values(SIZES)
  const write = async (writer: number): Promise<void> => {
    for (let number = 0; !isOver; number += 1) {
      const key = `${writer}/${number % 6}`
      const body = nextBody(sizes[number % sizes.length] ?? 0)
      const isWritten = async (): Promise<boolean> => {
        const answer = await client.call("PUT", { bucket: BUCKET, key, body }).catch(() => undefined)
        if (answer?.status === 200) return true
        failures += 1
        return false
      }
      await until("a write is acknowledged", isWritten, REFUSED_PAUSE_MS)
      written.set(key, body)
      await later(WRITTEN_PAUSE_MS)
    }
  }
  const writing = [0, 1, 2, 3].map(write)
  for (let round = 0; round < ROUNDS; round += 1) {
    const each = await store.untilEach(2)
    const before = written.size + failures
    await Promise.all(each.map(({ connection }) => store.end(connection, "exit")))
    await until("clients notice", () => written.size + failures > before)
  }
  await store.untilEach(2)
  isOver = true
  await Promise.all(writing)
  assert.equal(ended() - endedBefore, 2 * ROUNDS)
  assert.ok(failures > 0)
  await checkThere(store, written)
}

/** The thread is busy for a moment, and goes on. */
async function stayBusy(store: FrontedStore): Promise<void> {
  const loggedBefore = store.server.log.length
  const { front, connection } = await store.open()
  const answer = store.on(connection, "GET", { headers: { "x-die": "busy" } })
  // Timers of the process look after the thread meanwhile.
  await Promise.all(Array.from({ length: 60 }, () => store.server.metrics()))
  assert.equal(frontOf(await answer).front, front)
  assert.doesNotMatch(store.server.log.slice(loggedBefore), /front_thread_silent/)
}

test("front threads end in every way while uploads are under way, one and all of them", { skip: noNode24 }, t => {
  // Beside the options of all processes of tests, without which the program has no code cache. With less memory, the process
  // itself would only collect garbage.
  const env = { NODE_OPTIONS: `${process.env["NODE_OPTIONS"] ?? ""} --max-old-space-size=192` }
  return withFronts({ threads: 2, folders: 3, args: ARGS, env }, async store => {
    assert.equal((await store.client.call("PUT", { bucket: BUCKET })).status, 200)
    const [there, left] = [new Map<string, Buffer>(), new Set<string>()]
    for (const how of DEATHS)
      await t.test(`one thread ends (${how})`, async () => {
        for (const key of await endOne(store, how, there)) left.add(key)
      })
    await t.test("the next process finds whatever they have left on the devices, and nothing else", async () => {
      assert.equal(await store.server.stop(), 0)
      await store.server.launch()
      await checkThere(store, there)
      await until("it is pending", async () => (await pendingKeys(store)).length >= left.size)
      assert.deepEqual([...(await pendingKeys(store))].sort(), [...left].sort())
    })
    await t.test("all end at once, again and again, while clients repeat what fails", () => endAll(store))
    await t.test("one that is busy for a moment is not ended, however often metrics are read", () => stayBusy(store))
  })
})
