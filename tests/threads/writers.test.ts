/** Conditional writes that race through several front threads, and settings that change: all threads decide alike. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { KeptConnection } from "../../conformance/raw-client.js"
import { createOtherAccount } from "../harness/accounts.js"
import { noNode24 } from "../harness/new-node.js"
import { withFronts, type FrontedStore, type Pinned } from "./fronted.js"

const BUCKET = "writers"
const [THREADS, WRITERS, RACES, COUNTS, HOT_WRITES] = [4, 32, runsOf(40), 5, runsOf(300)]
/** They read all the time, and each write waits for those before it. */
const READERS = 2 * THREADS

function connectionsOf(store: FrontedStore, count: number): readonly KeptConnection[] {
  return Array.from({ length: count }, () => new KeptConnection(store.client.endpoint))
}

async function raceForKeys(store: FrontedStore): Promise<void> {
  const { client } = store
  const connections = connectionsOf(store, WRITERS)
  const headers = { "If-None-Match": "*" }
  const fronts = new Set<string | undefined>()
  for (let race = 0; race < RACES; race += 1) {
    const answers = await Promise.all(
      connections.map((connection, writer) =>
        connection.exchange(
          client.prepare("PUT", { bucket: BUCKET, key: `race ${race}`, headers, body: `${race} ${writer}` }).request,
        ),
      ),
    )
    for (const answer of answers) fronts.add(answer.header("x-front"))
    const winners = answers.flatMap(({ status }, writer) => (status === 200 ? [writer] : []))
    assert.equal(winners.length, 1, `race ${race}: ${answers.map(({ status }) => status).join()}`)
    assert.ok(answers.every(({ status }) => [200, 409, 412].includes(status)))
    const { text } = await client.call("GET", { bucket: BUCKET, key: `race ${race}` })
    assert.equal(text, `${race} ${winners.join()}`)
  }
  assert.ok(fronts.size > 1, "several threads raced")

  assert.equal((await client.call("PUT", { bucket: BUCKET, key: "counter", body: "0" })).status, 200)
  const count = async (connection: KeptConnection): Promise<void> => {
    for (let counted = 0; counted < COUNTS;) {
      const now = await connection.exchange(client.prepare("GET", { bucket: BUCKET, key: "counter" }).request)
      const body = String(Number(now.text) + 1)
      const call = { bucket: BUCKET, key: "counter", body, headers: { "If-Match": now.header("etag") ?? "" } }
      const { status } = await connection.exchange(client.prepare("PUT", call).request)
      if (status === 200) counted += 1
      else assert.ok(status === 412 || status === 409, String(status))
    }
  }
  const counting = connections.slice(0, 8)
  await Promise.all(counting.map(count))
  const { text } = await client.call("GET", { bucket: BUCKET, key: "counter" })
  assert.equal(Number(text), counting.length * COUNTS, "no update is lost")
  for (const connection of connections) connection.close()
}

async function readWhatIsWritten(store: FrontedStore): Promise<void> {
  const { client } = store
  const call = { bucket: BUCKET, key: "hot" }
  const connections = connectionsOf(store, READERS)
  const writer = new KeptConnection(client.endpoint)
  const fronts = new Set<string | undefined>()
  let acknowledged = 0
  const write = async (value: number): Promise<void> => {
    const { request } = client.prepare("PUT", { ...call, body: String(value) })
    const answer = await writer.exchange(request)
    assert.equal(answer.status, 200)
    fronts.add(answer.header("x-front"))
    acknowledged = value
  }
  await write(0)
  let isOver = false
  const read = async (connection: KeptConnection): Promise<void> => {
    for (let seen = 0; !isOver;) {
      const least = Math.max(seen, acknowledged)
      const answer = await connection.exchange(client.prepare("GET", call).request)
      seen = Number(answer.text)
      fronts.add(answer.header("x-front"))
      assert.ok(seen >= least, `${least} was acknowledged or read before, and ${seen} is read`)
    }
  }
  const reading = Promise.all(connections.map(read))
  const writing = (async () => {
    for (let value = 1; value <= HOT_WRITES; value += 1) await write(value)
  })()
  await Promise.race([writing, reading])
  isOver = true
  await Promise.all([writing, reading])
  assert.ok(fronts.size > 1, "several threads served it")
  for (const connection of [...connections, writer]) connection.close()
}

/** Asks every thread, one after the other. */
async function statuses(
  store: FrontedStore,
  each: readonly Pinned[],
  call: Parameters<FrontedStore["on"]>[2],
): Promise<readonly number[]> {
  const found: number[] = []
  for (const { connection } of each) found.push((await store.on(connection, "GET", call)).status)
  return found
}

async function changeWhoMay(store: FrontedStore): Promise<void> {
  const { client, server } = store
  assert.equal((await client.call("PUT", { bucket: BUCKET, key: "a", body: "a" })).status, 200)
  const each = await store.toEach(THREADS)
  const call = { bucket: BUCKET, key: "a" }

  const credentials = await createOtherAccount(server)
  assert.deepEqual(
    await statuses(store, each, { credentials }),
    each.map(() => 200),
  )

  assert.equal((await client.call("DELETE", { bucket: BUCKET, query: "publicAccessBlock" })).status, 204)
  for (const [effect, status] of [
    ["Allow", 200],
    ["Deny", 403],
  ] as const) {
    const statement = { Effect: effect, Principal: "*", Action: "s3:GetObject", Resource: `arn:aws:s3:::${BUCKET}/*` }
    const body = JSON.stringify({ Version: "2012-10-17", Statement: [statement] })
    assert.equal(
      (await store.on(each[0]?.connection ?? assert.fail(), "PUT", { bucket: BUCKET, query: "policy", body })).status,
      204,
    )
    assert.deepEqual(
      await statuses(store, each, { ...call, anonymous: true }),
      each.map(() => status),
    )
  }
  const removed = await server.hayloft(["key", "delete", credentials.accessKey])
  assert.equal(removed.code, 0, removed.stderr)
  assert.deepEqual(
    await statuses(store, each, { credentials }),
    each.map(() => 403),
  )
}

/** The store is stopped and killed in between. */
async function writeWithAndWithoutThreads(store: FrontedStore): Promise<void> {
  const { server } = store
  const bucket = "rewritten"
  assert.equal((await store.client.call("PUT", { bucket })).status, 200)
  const written = new Map<string, string>()
  const write = async (connections: readonly Pinned[], round: string): Promise<void> => {
    for (const [at, { connection }] of connections.entries()) {
      for (const key of ["shared", `own ${at}`]) {
        const body = `${round} ${at} ${key}`.padEnd(key === "shared" ? 200_000 : 20, ".")
        assert.equal((await store.on(connection, "PUT", { bucket, key, body })).status, 200)
        written.set(key, body)
      }
    }
  }
  const check = async (): Promise<void> => {
    for (const [key, body] of written) {
      assert.equal((await store.client.call("GET", { bucket, key })).text, body, key)
    }
  }
  await write(await store.toEach(THREADS), "first")
  assert.equal(await server.stop(), 0)
  const filter = ["--filter", `${store.folder}/filter.cjs`]
  await server.launch(["--threads", "0", ...filter])
  await check()
  await write(await store.toEach(1), "second")
  assert.equal(await server.stop(), 0)
  await server.launch()
  await check()
  await write([...(await store.toEach(THREADS))].reverse(), "third")
  await server.kill()
  await server.launch(["--threads", "0", ...filter])
  await check()
}

test("all front threads of a store decide alike", { skip: noNode24 }, context =>
  withFronts({ threads: THREADS, args: ["--log-level", "warn"] }, async store => {
    assert.equal((await store.client.call("PUT", { bucket: BUCKET })).status, 200)
    const races = `${RACES} races of ${WRITERS} writers with If-None-Match: *, and counters with If-Match`
    await context.test(races, () => raceForKeys(store))
    const kept = "an answer that a thread keeps is over as soon as another has acknowledged a write"
    await context.test(kept, () => readWhatIsWritten(store))
    await context.test("a key that is deleted and a policy are seen by every thread at once", () => changeWhoMay(store))
    const otherwise = "a store that several threads have written is one without them, and the other way round"
    await context.test(otherwise, () => writeWithAndWithoutThreads(store))
  }),
)
