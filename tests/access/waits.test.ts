/**
 * Requests that wait for a change when their callers lose their rights: they end with nothing, whatever they wait for, and take nothing
 * from others. Other changes of identities do not end them.
 */
import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { z } from "zod"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import type { Credentials } from "../../conformance/sign-v4.js"
import { CoordClient } from "@hayloft/client/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { createKey } from "../harness/accounts.js"
import { freePort } from "../harness/free-port.js"
import { forTestsOfFile } from "../harness/folders.js"
import { K2vClient } from "../harness/k2v-client.js"
import { QueueClient } from "../harness/queue-client.js"
import { CREDENTIALS, ServerProcess } from "../harness/server.js"

const BUCKET = "logs"
const REGION = "us-east-1"
const NEVER = new AbortController().signal
const TOKEN = z.object({ id: z.string(), token: z.string() })

let server: ServerProcess
let k2vHost: string
let queueHost: string

forTestsOfFile(async folder => {
  k2vHost = `127.0.0.1:${await freePort()}`
  queueHost = `127.0.0.1:${await freePort()}`
  const args = ["--coordination", "--k2v-listen", k2vHost, "--queue-listen", queueHost]
  server = await ServerProcess.start({ folders: [join(folder, "data")], args })
  await run(["mb", `s3://${BUCKET}`])
  const file = join(folder, "append.json")
  await writeFile(file, "{}")
  await run(["bucket", "settings", "set", BUCKET, "append", file])
  return () => server.kill()
})

async function run(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await server.hayloft(args)
  assert.equal(code, 0, `hayloft ${args.join(" ")}: ${stderr}${stdout}`)
  return stdout
}

/** Clients of every protocol with requests that wait, all with one key. */
class Clients {
  readonly s3: Client
  readonly k2v: K2vClient
  readonly queues: QueueClient
  readonly locks: CoordClient

  constructor({ accessKey, secretKey }: Credentials) {
    this.s3 = new Client(parseEndpoint(server.endpoint), { accessKey, secretKey }, REGION)
    this.k2v = new K2vClient({ host: k2vHost, accessKey, secretKey }, BUCKET)
    this.queues = new QueueClient({ host: queueHost, accessKey, secretKey })
    const key = { accessKeyId: accessKey, secretAccessKey: secretKey, region: REGION }
    this.locks = new CoordClient(
      { endpoint: server.adminEndpoint, ...key },
      new RealClock(),
      new AbortController().signal,
    )
  }

  append(key: string, body: string) {
    return this.s3.call("POST", { bucket: BUCKET, key, query: "append", body })
  }

  follow(key: string, offset: number) {
    return this.s3.call("GET", { bucket: BUCKET, key, query: `follow&offset=${offset}&wait=60` })
  }

  close(): void {
    this.queues.close()
    this.locks.close()
  }
}

const WAITING = [
  "hayloft_s3_follows_waiting",
  "hayloft_k2v_polls_waiting",
  "hayloft_queue_receives_waiting",
  "hayloft_coord_requests_waiting",
]

/** One request of each kind waits. */
const areWaiting = async (names: readonly string[]): Promise<boolean> => {
  const metrics = await server.metrics()
  return names.every(name => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)$`, "m").exec(metrics)?.[1]) >= 1)
}

const codeOf = ({ text }: { readonly text: string }): string | undefined => /<Code>(.*?)<\/Code>/.exec(text)?.[1]

test("requests of a removed key that wait are told of nothing more, and leave messages to others", async () => {
  const root = new Clients(CREDENTIALS)
  const key = await createKey(server)
  const removed = new Clients(key)
  await root.append("log", "one ")
  assert.equal((await root.k2v.insert("box", "item", "one")).status, 204)
  const seen = (await root.k2v.read("box", "item")).token ?? assert.fail("it has a token")
  const session = await root.locks.begin()
  await session.write("jobs/file", "one")
  const { upTo } = await root.locks.changes("jobs/")
  const follow = removed.follow("log", 4)
  const poll = removed.k2v.poll("box", "item", seen)
  const receive = removed.queues.request("GET", "/queue?from=work&timeout=60000")
  const changes = removed.locks.send({ method: "GET", target: `changes/jobs/?after=${upTo}&waitSeconds=60` })
  await until("requests of all kinds wait", () => areWaiting(WAITING))
  await run(["key", "delete", key.accessKey])

  await root.append("log", "two")
  await root.k2v.insert("box", "item", "two", seen)
  const id = await root.queues.add("work", "secret", "?retry=3600&ttl=7200")
  await session.write("jobs/file", "two")
  const followed = await follow
  assert.deepEqual([followed.status, followed.text], [204, ""])
  assert.equal((await poll).status, 304)
  assert.equal((await receive).status, 204)
  assert.deepEqual(JSON.parse(String(await (await changes).document())), { upTo, changes: [] })
  assert.deepEqual(
    (await root.queues.get("work")).map(job => [job.id, job.additionalDeliveries]),
    [[id, 0]],
  )
  assert.equal(codeOf(await removed.follow("log", 4)), "InvalidAccessKeyId")
  await session.end()
  for (const each of [root, removed]) each.close()
})

test("a request that waits ends when the policy that let it in is removed, not with other changes of identities", async () => {
  const root = new Clients(CREDENTIALS)
  const account = /"id":"([0-9a-f]{64})"/.exec(await run(["account", "create", "other", "--json"]))?.[1]
  const other = new Clients(await createKey(server, account ?? assert.fail("it has an id")))
  const Resource = [`arn:aws:s3:::${BUCKET}`, `arn:aws:s3:::${BUCKET}/*`]
  const Statement = [{ Effect: "Allow", Principal: { CanonicalUser: account }, Action: "s3:GetObject", Resource }]
  const body = JSON.stringify({ Version: "2012-10-17", Statement })
  const policy = { bucket: BUCKET, query: "policy" }
  assert.equal((await root.s3.call("PUT", { ...policy, body })).status, 204)
  await root.append("shared", "one ")
  const first = other.follow("shared", 4)
  await until("it waits", () => areWaiting(WAITING.slice(0, 1)))
  await createKey(server)
  await root.append("shared", "two ")
  assert.equal((await first).text, "two ")

  const second = other.follow("shared", 8)
  await until("it waits", () => areWaiting(WAITING.slice(0, 1)))
  assert.equal((await root.s3.call("DELETE", policy)).status, 204)
  await root.append("shared", "three")
  assert.equal((await second).status, 204)
  assert.equal(codeOf(await other.follow("shared", 8)), "AccessDenied")
  for (const each of [root, other]) each.close()
})

test("a token that is revoked while its request waits is told of no more changes", async () => {
  const root = new Clients(CREDENTIALS)
  const made: unknown = JSON.parse(await run(["token", "create", "reader", "--scope", "read", "--json"]))
  const { id, token } = TOKEN.parse(made)
  const reader = new CoordClient({ endpoint: server.adminEndpoint, token }, new RealClock(), NEVER)
  await root.locks.write("jobs/kept", "one")
  const { upTo } = await reader.changes("jobs/")
  const target = `changes/jobs/?after=${upTo}&waitSeconds=60`
  const changes = reader.send({ method: "GET", target })
  await until("it waits", () => areWaiting(WAITING.slice(3)))
  await run(["token", "revoke", id])
  await root.locks.write("jobs/kept", "two")
  assert.deepEqual(JSON.parse(String(await (await changes).document())), { upTo, changes: [] })
  await assert.rejects(reader.send({ method: "GET", target }), /it is missing, wrong or expired/)
  for (const each of [root.locks, reader]) each.close()
})
