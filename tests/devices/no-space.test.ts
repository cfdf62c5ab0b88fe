/**
 * A real server runs out of space, or of file handles, while clients use it: it refuses writes with the right error
 * code, serves all other requests, and accepts writes again once there is space, without a restart.
 */
import assert from "node:assert/strict"
import { closeSync, existsSync, openSync, readdirSync, rmSync, statfsSync, statSync, writeSync } from "node:fs"
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test, type TestContext } from "node:test"
import type { Call, Client } from "../../conformance/client.js"
import { KeptConnection, parseEndpoint, type RawResponse } from "../../conformance/raw-client.js"
import { topText } from "../../conformance/xml.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { findProgram, run } from "../harness/commands.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { withServer, type ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { statesOf } from "./small-store.js"

const MIB = 2 ** 20
const drawn = new SimRandom(TEST_SEED)
const BODY_BYTES_MAX = 10 * MIB
/** All bodies are parts of it: random bytes cost more than their requests. */
const NOISE = Buffer.from(drawn.bytes(BODY_BYTES_MAX + MIB))
const randomBytes = (count: number): Buffer => {
  const from = drawn.below(NOISE.length - count)
  return NOISE.subarray(from, from + count)
}
const BUCKET = "crowded"
const DISK_MIB = 96
const START_DISK_MIB = 80
const TINY_DISK_MIB = 64
/** The objects that clients wrote on the smallest disk, in an order that depends on a seed. */
const TINY_SEED = 7
const TINY_SIZES = [300_000, 90_000, 3_000] as const
const PART_BYTES = 5 * MIB
/** So many large objects stay: one more fits beside the reserve even if other programs have taken all of it but the ballast. */
const LARGE_STAYING = 4
/** Half of the reserve of that disk, which is a quarter of its space. */
const BALLAST_BYTES = (DISK_MIB / 8) * MIB
const POLL_MS = 2_000

type Answer = "done" | { readonly status: number; readonly code: string }

class Clients {
  readonly bodies = new Map<string, Buffer>()
  private readonly client: Client
  /** A server without file handles accepts no other. */
  private readonly connection: KeptConnection

  constructor(server: ServerProcess) {
    this.client = server.client()
    this.connection = new KeptConnection(parseEndpoint(server.endpoint))
  }

  private call(method: string, call: Call): Promise<RawResponse> {
    return this.connection.exchange(this.client.prepare(method, call).request)
  }

  async make(): Promise<void> {
    done(await this.call("PUT", { bucket: BUCKET }))
  }

  async put(key: string, bytes: number): Promise<Answer> {
    const body = randomBytes(bytes)
    const answer = answerOf(await this.call("PUT", { bucket: BUCKET, key, body }))
    if (answer === "done") this.bodies.set(key, body)
    return answer
  }

  async remove(key: string): Promise<Answer> {
    const answer = answerOf(await this.call("DELETE", { bucket: BUCKET, key }))
    if (answer === "done") this.bodies.delete(key)
    return answer
  }

  async begin(key: string): Promise<string> {
    const { text } = done(await this.call("POST", { bucket: BUCKET, key, query: "uploads" }))
    return topText(text, "UploadId") ?? assert.fail("an upload has an id")
  }

  part(key: string, uploadId: string, number: number, body: Buffer): Promise<RawResponse> {
    return this.call("PUT", { bucket: BUCKET, key, query: `partNumber=${number}&uploadId=${uploadId}`, body })
  }

  async abort(key: string, uploadId: string): Promise<void> {
    done(await this.call("DELETE", { bucket: BUCKET, key, query: `uploadId=${uploadId}` }))
  }

  /** Starts an upload and puts these parts; only CompleteMultipartUpload is missing. */
  async upload(key: string, parts: readonly Buffer[]): Promise<() => Promise<void>> {
    const uploadId = await this.begin(key)
    let list = ""
    for (const [i, body] of parts.entries()) {
      const etag = done(await this.part(key, uploadId, i + 1, body)).header("etag")
      list += `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`
    }
    return async () => {
      const body = `<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`
      done(await this.call("POST", { bucket: BUCKET, key, query: `uploadId=${uploadId}`, body }))
      this.bodies.set(key, Buffer.concat(parts))
    }
  }

  async read(key: string): Promise<Answer> {
    const wanted = this.bodies.get(key) ?? assert.fail(`${key} was never written`)
    const response = await this.call("GET", { bucket: BUCKET, key })
    const answer = answerOf(response)
    if (answer === "done") assert.ok(response.body.equals(wanted), `${key} has its bytes`)
    return answer
  }

  async readAll(): Promise<void> {
    for (const key of this.bodies.keys()) assert.equal(await this.read(key), "done", key)
  }

  /** Writes until one is refused for lack of space; returns the refusal. */
  async fill(stem: string, bytes: number): Promise<Answer> {
    for (let i = 0; i < 5_000; i += 1) {
      const answer = await this.put(`${stem} ${i}`, bytes)
      if (answer !== "done") return answer
    }
    return assert.fail("the disk never filled up")
  }
}

const answerOf = (response: RawResponse): Answer =>
  response.status < 300 ? "done" : { status: response.status, code: topText(response.text, "Code") ?? "" }

function done(response: RawResponse): RawResponse {
  if (answerOf(response) !== "done") assert.fail(response.text)
  return response
}

const FULL: Answer = { status: 507, code: "StorageFull" }

/** Repeats a request until it gets the expected answer. */
const repeat = (what: string, ask: () => Promise<boolean>): Promise<void> => until(what, ask, POLL_MS)

/** Another program's file uses all free space. */
function takeSpace(folder: string): void {
  const file = openSync(join(folder, "others"), "a")
  const piece = Buffer.alloc(64 * 1024, 1)
  try {
    for (;;) {
      const { bavail, bsize } = statfsSync(folder)
      const bytes = Math.min(piece.length, bavail * bsize)
      if (bytes <= 0) return
      writeSync(file, piece, 0, bytes)
    }
  } catch {
    // The disk is full.
  } finally {
    closeSync(file)
  }
}

function ballastBytes(data: string): number {
  const folder = join(data, "ballast")
  const names = existsSync(folder) ? readdirSync(folder).filter(name => /^\d/.test(name)) : []
  return names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
}

/** Runs the test in a folder on a separate small disk. */
async function onSmallDisk(t: TestContext, mib: number, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-room-"))
  const mount = ["-t", "tmpfs", "-o", `size=${mib}m`, "hayloft-test", folder]
  if ((await run("mount", mount).catch(() => ({ code: 1 }))).code !== 0) {
    await rm(folder, { recursive: true })
    t.skip("THIS TEST NEEDS THE RIGHT TO mount A SMALL tmpfs")
    return
  }
  try {
    await work(folder)
  } finally {
    await run("umount", ["-l", folder])
    await rm(folder, { recursive: true, force: true })
  }
}

test("a full disk, as clients see it: 507 for writes, also in the middle of uploads; all else is served, and space is freed", t =>
  onSmallDisk(t, DISK_MIB, async folder => {
    const data = join(folder, "disk")
    await mkdir(data)
    await withServer({ folders: [data] }, async server => {
      const clients = new Clients(server)
      await clients.make()
      const complete = await clients.upload("in parts", [randomBytes(PART_BYTES), randomBytes(100)])
      assert.deepEqual(await clients.fill("large", 6 * MIB), FULL)
      const uploadId = await clients.begin("cut off")
      let answer: Answer = "done"
      for (let number = 1; answer === "done"; number += 1) {
        answer = answerOf(await clients.part("cut off", uploadId, number, randomBytes(PART_BYTES)))
      }
      assert.deepEqual(answer, FULL)
      await complete()
      // The disk is full only once small objects are refused too; refused large objects free some space again.
      let fills = 0
      await repeat("status reports that the disk is full", async () => {
        assert.deepEqual(await clients.fill(`rest ${fills++}`, MIB), FULL)
        return [...(await statesOf(server)).values()].includes("full")
      })
      await clients.readAll()
      // From here on only the ballast is free: everything that frees space has to work with that. A store that is filled
      // within its first second has none yet.
      await repeat("there is ballast", () => Promise.resolve(ballastBytes(data) >= BALLAST_BYTES))
      takeSpace(folder)
      await clients.abort("cut off", uploadId)
      // The number that fitted varies with the moment at which the space was measured, so the number that stays is fixed.
      const large = [...clients.bodies.keys()].filter(key => key.startsWith("large"))
      assert.ok(large.length > LARGE_STAYING)
      for (const key of large.slice(LARGE_STAYING)) assert.equal(await clients.remove(key), "done")
      await clients.readAll()
      await repeat("space is freed automatically", async () => {
        const after = await clients.put("after", 6 * MIB)
        if (after !== "done") assert.deepEqual(after, FULL)
        return after === "done"
      })
      await clients.readAll()
      const [state] = (await statesOf(server)).values()
      assert.ok(state === "active" || state === "full", `a full disk is not a faulty disk: ${state}`)
    })
  }))

test("a store on a disk without a free byte, its ballast used up, restarts repeatedly; reads and deletes continue", t =>
  onSmallDisk(t, START_DISK_MIB, async folder => {
    const data = join(folder, "disk")
    await mkdir(data)
    await withServer({ folders: [data] }, async server => {
      const clients = new Clients(server)
      await clients.make()
      for (let i = 0; i < 20; i += 1) assert.equal(await clients.put(`small ${i}`, 1000), "done")
      for (let i = 0; i < 4; i += 1) assert.equal(await clients.put(`large ${i}`, 3 * MIB), "done")
      const ballast = join(data, "ballast")
      await repeat("space is reserved for records", async () => existsSync(join(ballast, "records")))
      for (let incarnation = 0; incarnation < 2; incarnation += 1) {
        await (incarnation % 2 === 0 ? server.kill() : server.stop())
        for (const name of readdirSync(ballast)) if (/^\d/.test(name)) rmSync(join(ballast, name))
        takeSpace(folder)
        await server.launch()
        await clients.readAll()
        assert.deepEqual([...(await statesOf(server)).values()], ["full"])
        const runtime = await readFile(join(data, "runtime"), "utf8")
        assert.ok(runtime.includes(`"pid":${server.pid}`), runtime)
        assert.equal(await clients.remove(`small ${incarnation}`), "done")
        assert.equal(await clients.remove(`large ${incarnation}`), "done")
      }
      await clients.readAll()
      assert.deepEqual(await clients.put("too large", 3 * MIB), FULL)
      rmSync(join(folder, "others"))
      await repeat("the free space is detected", async () => (await clients.put("after", 3 * MIB)) === "done")
      await clients.readAll()
    })
  }))

test("a very small disk is filled, also by other programs, and the process killed: deletes alone free the space", t =>
  onSmallDisk(t, TINY_DISK_MIB, async folder => {
    const data = join(folder, "disk")
    await mkdir(data)
    await withServer({ folders: [data] }, async server => {
      const clients = new Clients(server)
      const random = new SimRandom(TINY_SEED)
      await clients.make()
      for (let refused = 0, i = 0; refused < TINY_SIZES.length; i += 1) {
        const answer = await clients.put(`${i}`, TINY_SIZES[random.below(TINY_SIZES.length)] ?? 0)
        if (answer === "done") continue
        assert.deepEqual(answer, FULL)
        refused += 1
      }
      takeSpace(folder)
      const order = [...clients.bodies.keys()].map(key => [random.below(2 ** 30), key] as const)
      const keys = order.sort(([a], [b]) => a - b).map(([, key]) => key)
      const removed = async (count: number): Promise<void> => {
        for (const key of keys.splice(0, count)) {
          await repeat(`${key} is deleted`, async () => {
            const answer = await clients.remove(key)
            if (answer !== "done") assert.deepEqual(answer, FULL)
            return answer === "done"
          })
        }
      }
      // Other writers sometimes use the freed space first.
      for (let i = 0; i < 10; i += 1) {
        await removed(2)
        takeSpace(folder)
      }
      await server.kill()
      takeSpace(folder)
      await server.launch()
      takeSpace(folder)
      await repeat("the store reports that it refuses writes", async () =>
        /writes .*are refused/.test((await server.admin("GET", "/health/ready")).text),
      )
      rmSync(join(folder, "others"))
      // A third of the objects first, spread over all volumes: compaction of the rest would use all remaining space.
      await removed(Math.ceil(keys.length / 3))
      await clients.readAll()
      await removed(Math.ceil(keys.length * 0.9))
      await repeat("space is freed automatically", async () => {
        const answer = await clients.put("after", 10 * MIB)
        if (answer !== "done") assert.deepEqual(answer, FULL)
        return answer === "done"
      })
      await clients.readAll()
    })
  }))

test("without a spare file handle at most requests are refused, no disk is blamed, and service resumes once handles are free", async t => {
  const prlimit = findProgram("prlimit")
  if (prlimit === undefined) {
    t.skip("THIS TEST NEEDS prlimit")
    return
  }
  await withFolder(folder =>
    withServer({ folders: dataFolders(folder, 4) }, async server => {
      const handles = async (limit: string): Promise<void> => {
        const { code, stderr } = await run(prlimit, [`--nofile=${limit}`, "--pid", String(server.pid)])
        assert.equal(code, 0, stderr)
      }
      const clients = new Clients(server)
      await clients.make()
      for (const [i, bytes] of [100, 5_000, 300_000, 4 * MIB + 1].entries()) {
        assert.equal(await clients.put(`before ${i}`, bytes), "done")
      }
      await handles("16:")
      const answers: Answer[] = []
      const round = async (): Promise<boolean> => {
        answers.push(await clients.put(`meanwhile ${answers.length}`, 200_000))
        for (const key of clients.bodies.keys()) answers.push(await clients.read(key))
        return answers.some(answer => answer !== "done")
      }
      await repeat("requests fail for lack of handles", round)
      for (let more = 0; more < 4; more += 1) await round()
      for (const answer of answers) if (answer !== "done") assert.equal(answer.status, 503, JSON.stringify(answer))
      await handles("1024:")
      await repeat("writes are accepted again", async () => (await clients.put("after", 4 * MIB + 1)) === "done")
      await clients.readAll()
      assert.deepEqual([...(await statesOf(server)).values()], ["active", "active", "active", "active"])
    }),
  )
})
