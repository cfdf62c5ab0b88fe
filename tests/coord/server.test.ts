/**
 * Coordination of a real server: sessions, locks, fences, files and changes over HTTP, by the client and by hand; permissions,
 * restarts, and what happens to a client that is stopped.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { Client, type Call } from "../../conformance/client.js"
import { signForm } from "../../conformance/forms.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { CoordClient, RemoteFailure } from "@hayloft/client/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { forTestsOfFile, withFolder } from "../harness/folders.js"
import { CREDENTIALS, ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"

const CLOCK = new RealClock()
const NEVER = new AbortController().signal
const REGION = "us-east-1"
const ROOT = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey, region: REGION }

let server: ServerProcess
let client: CoordClient
let s3: Client

const clientOf = (key: typeof ROOT | { readonly token: string }): CoordClient =>
  new CoordClient({ endpoint: server.adminEndpoint, ...key }, CLOCK, NEVER)

forTestsOfFile(async folder => {
  server = await ServerProcess.start({ folders: [join(folder, "data")], args: ["--coordination"] })
  client = clientOf(ROOT)
  s3 = new Client(parseEndpoint(server.endpoint), CREDENTIALS, REGION)
  assert.equal((await s3.call("PUT", { bucket: "state" })).status, 200)
  const file = join(folder, "append.json")
  await writeFile(file, "{}")
  assert.equal((await server.hayloft(["bucket", "settings", "set", "state", "append", file])).code, 0)
  return async () => {
    client.close()
    await server.kill()
  }
})

/** A restart on a busy machine takes longer than the usual lease. */
const OVER_RESTARTS = { leaseSeconds: 60 }

const refuses =
  (status: number, code: string) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof RemoteFailure, String(error))
    assert.deepEqual([error.status, error.code], [status, code], error.message)
    return true
  }

test("a lock passes from one session to the next that waits, and its fence goes with it", async () => {
  const [one, two] = [await client.begin({ name: "one" }), await client.begin({ name: "two" })]
  const lock = await one.acquire("jobs/leader", { value: "10.0.0.1" })
  assert.ok(lock)
  assert.equal(await two.acquire("jobs/leader"), undefined)
  assert.deepEqual(
    (await client.holders("jobs/leader")).map(({ session, value, fence }) => [session, value, fence]),
    [[one.id, "10.0.0.1", lock.fence]],
  )
  const waiting = two.acquire("jobs/leader", { waitSeconds: Infinity })
  await later(200)
  await lock.release()
  const next = await waiting
  assert.ok(next && next.token > lock.token)
  assert.deepEqual([await lock.isHeld(), await next.isHeld()], [false, true])
  assert.match((await client.faultOf(lock.fence)) ?? "", /jobs\/leader is not held any more.*another session holds it/)
  await one.end()
  await two.end()
  assert.equal(two.signal.aborted, true)
  assert.equal(await next.isHeld(), false)
})

test("the first page of a list may be asked for with an empty cursor, as scripts do", async () => {
  const session = await client.begin()
  assert.ok(await session.acquire("jobs/listed"))
  await session.write("jobs/listed.txt", "x")
  for (const [target, shown] of [
    ["sessions", session.id],
    ["namespaces", "jobs"],
    ["locks/jobs/", "jobs/listed"],
    ["files/jobs/", "jobs/listed.txt"],
  ] as const) {
    const answer = await client.send({ method: "GET", target: `${target}?after=` })
    assert.ok(String(await answer.document()).includes(`"${shown}"`), target)
  }
  await session.end()
  for (const target of ["coordination/sessions", "coordination/namespaces", "coordination/locks/-/jobs", "queues"])
    assert.ok(await server.report(`/v1/${target}?after=`))
})

test("a session goes on while its client takes and releases locks without end", async () => {
  const connectionsMax = 16
  const own = new CoordClient({ endpoint: server.adminEndpoint, ...ROOT, connectionsMax }, CLOCK, NEVER)
  const session = await own.begin()
  for (let round = 0; round < 2 * connectionsMax; round += 1) {
    const lock = await session.acquire("jobs/often")
    assert.ok(lock)
    await lock.release()
  }
  // No lock that was released has kept a connection.
  await session.write("jobs/renewed", "here")
  assert.equal(session.signal.aborted, false)
  await session.end()
  own.close()
})

test("a refusal takes nothing away, and the end of a session may be repeated", async () => {
  const session = await client.begin()
  const lock = await session.acquire("jobs/mine", { value: "a" })
  assert.ok(lock)
  await assert.rejects(session.acquire("jobs/mine", { value: "b" }), refuses(409, "conflict"))
  await assert.rejects(session.acquire("jobs/mine", { mode: "shared" }), refuses(409, "conflict"))
  assert.equal(await lock.isHeld(), true)
  await session.end()
  await session.end()
  const worker = clientOf(await userWith("ender", ["coord:BeginSession"], "*"))
  const own = await worker.begin()
  await own.end()
  await own.end()
  await assert.rejects(worker.send({ method: "GET", target: `sessions/${own.id}` }), refuses(404, "noSuchSession"))
  worker.close()
})

test("who waits goes on waiting over a restart of the server; a client that stops still ends its session", async () => {
  const stop = new AbortController()
  const access = { endpoint: server.adminEndpoint, ...ROOT }
  const stopping = new CoordClient(access, CLOCK, stop.signal)
  const [one, two] = [await client.begin(OVER_RESTARTS), await stopping.begin(OVER_RESTARTS)]
  const lock = await one.acquire("jobs/restart")
  assert.ok(lock)
  const waiting = two.acquire("jobs/restart", { waitSeconds: Infinity })
  await later(200)
  await server.stop()
  await server.launch()
  await lock.release()
  const next = await waiting
  assert.ok(next)
  stop.abort()
  assert.equal(two.signal.aborted, true)
  await two.end()
  assert.notEqual(await client.faultOf(next.fence), undefined)
  stopping.close()
  await one.end()
})

test("who waits in vain gives up its place; who breaks off does too", async () => {
  const [one, two, three] = [await client.begin(), await client.begin(), await client.begin()]
  const lock = await one.acquire("jobs/x")
  assert.ok(lock)
  assert.equal(await two.acquire("jobs/x", { waitSeconds: 0.3 }), undefined)
  const abort = new AbortController()
  const waiting = two.acquire("jobs/x", { waitSeconds: 100, signal: abort.signal })
  await later(200)
  abort.abort()
  await assert.rejects(waiting)
  await lock.release()
  assert.ok(await three.acquire("jobs/x"))
  for (const session of [one, two, three]) await session.end()
})

test("a place that is given up is not taken again by the request that waited in it", async () => {
  const [one, two] = [await client.begin(), await client.begin()]
  const lock = await one.acquire("jobs/y")
  assert.ok(lock)
  const body = JSON.stringify({ session: two.id, waitSeconds: 600, keepsPlace: true })
  const waiting = client.send({ method: "PUT", target: "locks/jobs/y", body })
  const refused = assert.rejects(waiting, refuses(409, "lockHeld"))
  const inLine = async (): Promise<number> => {
    const lines = await client.locks("jobs/")
    return lines.find(({ path }) => path === "jobs/y")?.waiting.length ?? 0
  }
  await until("the request waits", async () => (await inLine()) > 0, 20)
  await two.release("jobs/y")
  await refused
  assert.equal(await inLine(), 0)
  await lock.release()
  await one.end()
  await two.end()
})

test("a client that stops loses its session after lease and grace, and its writes to S3 are refused", async () => {
  // It does not renew: a client that was stopped.
  const fields = async (method: string, target: string, body: object): Promise<Buffer> =>
    (await client.send({ method, target, body: JSON.stringify(body) })).document()
  const put = (held: string, text: string) => ask("PUT", { key: "counter", fence: held, body: text })
  const times = { leaseSeconds: 4, graceSeconds: 2 }
  let [paused, fence, lock, attempts] = ["", "", "", 0]
  await until("the client writes before its lease ends", async () => {
    const begunMs = performance.now()
    lock = `jobs/writer-${(attempts += 1)}`
    paused = fieldOf(await fields("POST", "sessions", { name: "paused", ...times }), "session")
    fence = fieldOf(await fields("PUT", `locks/${lock}`, { session: paused }), "fence")
    const { status } = await put(fence, "1")
    const isOver = performance.now() - begunMs > 1_000 * (times.leaseSeconds + times.graceSeconds)
    assert.ok(status === 200 || isOver, `a fence that holds is refused: ${status}`)
    return status === 200
  })
  const session = await client.begin()
  const next = await session.acquire(lock, { waitSeconds: Infinity })
  assert.ok(next)
  refusesS3(await put(fence, "old"), 412, "PreconditionFailed")
  assert.equal((await put(next.fence, "2")).status, 200)
  refusesS3(await put(fence, "old"), 412, "PreconditionFailed")
  assert.equal(await contentOf("counter"), "2")
  await assert.rejects(
    client.send({ method: "POST", target: `sessions/${paused}/renew` }),
    refuses(404, "noSuchSession"),
  )
  await session.end()
})

function fieldOf(json: Buffer, name: string): string {
  const value: unknown = JSON.parse(json.toString())
  const members = typeof value === "object" && value !== null ? Object.entries(value) : []
  return String(members.find(([key]) => key === name)?.[1])
}

/** A request to S3 with a fence. */
const ask = (method: string, { fence, headers, ...call }: Omit<Call, "headers"> & FencedCall) =>
  s3.call(method, { bucket: "state", ...call, headers: { "x-hayloft-fence": fence, ...headers } })

interface FencedCall {
  readonly fence: string
  readonly headers?: Readonly<Record<string, string>>
}

function refusesS3({ status, body }: { status: number; body: Uint8Array }, expected: number, code: string): void {
  const text = Buffer.from(body).toString()
  assert.deepEqual([status, /<Code>(\w+)</.exec(text)?.[1]], [expected, code], text)
}

/** Empty if there is no such object. */
async function contentOf(key: string): Promise<string> {
  const { status, body } = await s3.call("GET", { bucket: "state", key })
  return status === 200 ? Buffer.from(body).toString() : ""
}

test("every write of an object honours a fence, and what cannot is refused by name", async () => {
  const session = await client.begin()
  const lock = await session.acquire("jobs/fenced")
  assert.ok(lock)
  const key = "fenced"
  assert.equal((await s3.call("PUT", { bucket: "state", key: "other", body: "other" })).status, 200)
  const made = Buffer.from((await s3.call("POST", { bucket: "state", key, query: "uploads=" })).body).toString()
  const upload = /<UploadId>([^<]+)</.exec(made)?.[1] ?? ""
  const part = await s3.call("PUT", { bucket: "state", key, query: `partNumber=1&uploadId=${upload}`, body: "part" })
  const etag = part.headers.find(([name]) => name.toLowerCase() === "etag")?.[1] ?? ""
  const complete = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
  const copy = { "x-amz-copy-source": "/state/other" }
  const several = `<Delete><Quiet>true</Quiet><Object><Key>${key}</Key></Object></Delete>`
  const digest = { "content-md5": createHash("md5").update(several).digest("base64") }
  const steps = (fence: string) => ({
    put: () => ask("PUT", { key, fence, body: "first" }),
    append: () => ask("PUT", { key, fence, body: "+", headers: { "x-amz-write-offset-bytes": "5" } }),
    copy: () => ask("PUT", { key, fence, headers: copy }),
    complete: () => ask("POST", { key, fence, query: `uploadId=${upload}`, body: complete }),
    rename: () =>
      ask("PUT", { key, fence, query: "renameObject=", headers: { "x-amz-rename-source": "/state/other" } }),
    remove: () => ask("DELETE", { key, fence }),
    removeSeveral: () => ask("POST", { fence, query: "delete=", body: several, headers: digest }),
  })
  const wrong = steps(`jobs/fenced:exclusive:${lock.token + 1}`)
  const right = steps(lock.fence)
  for (const name of ["put", "append", "copy", "complete", "rename", "remove", "removeSeveral"] as const) {
    const before = await contentOf(key)
    const refused = await wrong[name]()
    if (name === "removeSeveral") assert.match(Buffer.from(refused.body).toString(), /<Code>PreconditionFailed</)
    else refusesS3(refused, 412, "PreconditionFailed")
    assert.equal(await contentOf(key), before, name)
    const done = await right[name]()
    assert.ok(done.status < 300, `${name}: ${done.status} ${Buffer.from(done.body).toString()}`)
    assert.notEqual(await contentOf(key), before, name)
    if (name === "remove") await right.put()
  }
  const { fence } = lock
  refusesS3(await ask("PUT", { key, fence: "nonsense", body: "x" }), 400, "InvalidArgument")
  const tagging = "<Tagging><TagSet></TagSet></Tagging>"
  refusesS3(await ask("PUT", { key, fence, query: "tagging=", body: tagging }), 501, "NotImplemented")
  refusesS3(await ask("GET", { key, fence }), 501, "NotImplemented")
  refusesS3(await ask("PUT", { key, fence, body: "x", anonymous: true }), 403, "AccessDenied")
  const form = new FormData()
  const signed = signForm(CREDENTIALS, { bucket: "state", conditions: [{ key: "form" }] })
  for (const [name, text] of [["key", "form"] as const, ...signed]) form.append(name, text)
  form.append("file", "from a form")
  const post = (held: string) =>
    fetch(`${server.endpoint}/state`, { method: "POST", body: form, headers: { "x-hayloft-fence": held } })
  assert.deepEqual([(await post(`jobs/fenced:exclusive:${lock.token + 1}`)).status, await contentOf("form")], [412, ""])
  assert.deepEqual([(await post(fence)).status, await contentOf("form")], [204, "from a form"])
  await session.end()
})

test("an election: followers learn who leads, and that nobody does", async () => {
  const stop = new AbortController()
  const seen: string[] = []
  const following = (async () => {
    for await (const holders of client.follow("jobs/elected", stop.signal)) {
      seen.push(holders.map(({ value }) => value).join())
      if (seen.at(-1) === "end") return
    }
  })()
  await later(200)
  for (const value of ["a", "b", "end"]) {
    const session = await client.begin({ name: value })
    assert.ok(await session.acquire("jobs/elected", { value }))
    await until(`${value} is seen`, () => seen.includes(value), 20)
    if (value === "end") break
    await session.end()
    await until("its end is seen", () => seen.at(-1) === "", 20)
  }
  await following
  assert.deepEqual(seen, ["", "a", "", "b", "", "end"])
})

test("small files: versions, conditions, sessions, listings, and a file that is awaited", async () => {
  const path = "conf/app/main"
  const first = await client.write(path, "one", { isNew: true })
  await assert.rejects(client.write(path, "x", { isNew: true }), refuses(412, "preconditionFailed"))
  await assert.rejects(client.write(path, "x", { ifVersion: first - 1 }), refuses(412, "preconditionFailed"))
  const second = await client.write(path, Buffer.from([0, 255]), { ifVersion: first })
  assert.deepEqual(await client.read(path), { content: Buffer.from([0, 255]), version: second })
  await assert.rejects(client.write(path, Buffer.alloc(256 * 1024 + 1)), refuses(413, "entityTooLarge"))
  assert.ok(await client.write("conf/app/large", Buffer.alloc(256 * 1024)))
  const session = await client.begin()
  await session.write("conf/app/member", "here")
  const listed: string[] = []
  for await (const file of client.files("conf/app/")) listed.push(`${file.path} ${file.bytes} ${file.session ?? ""}`)
  assert.deepEqual(listed, ["conf/app/large 262144 ", `conf/app/main 2 `, `conf/app/member 4 ${session.id}`])
  const awaited = client.send({ method: "GET", target: `files/${path}?after=${second}&waitSeconds=600` })
  await later(100)
  await client.write(path, "three")
  assert.equal((await (await awaited).document()).toString(), "three")
  assert.equal((await client.send({ method: "GET", target: `files/conf/none?after=0` })).status, 304)
  await session.end()
  assert.equal(await client.read("conf/app/member"), undefined)
  await client.remove(path)
  assert.equal(await client.read(path), undefined)
})

test("changes are followed over a restart of the server, and none is missed", async () => {
  const { upTo } = await client.changes("watched/")
  await client.write("watched/a", "1")
  await server.kill()
  await server.launch()
  await client.write("watched/dir/b", "2")
  const session = await client.begin()
  await session.acquire("watched/lock")
  await client.remove("watched/a")
  const found = await client.changes("watched/", upTo)
  assert.deepEqual(
    found.changes.map(({ kind, path }) => `${kind} ${path}`),
    ["written watched/a", "written watched/dir/b", "acquired watched/lock", "deleted watched/a"],
  )
  const below = await client.changes("watched/dir/", upTo)
  assert.deepEqual([below.changes.length, below.upTo], [1, found.upTo])
  const next = client.changes("watched/dir/", below.upTo)
  await later(100)
  await client.write("watched/dir/c", "3")
  assert.deepEqual(
    (await next).changes.map(({ path }) => path),
    ["watched/dir/c"],
  )
  assert.equal((await client.changes("watched/", found.upTo + 10_000_000)).isReset, true)
  await session.end()
})

test("a session outlives a restart of the server; a lock that was acknowledged is held after kill -9", async () => {
  const session = await client.begin({ leaseSeconds: 30 })
  const lock = await session.acquire("jobs/kept")
  assert.ok(lock)
  await server.kill()
  await server.launch()
  assert.equal(await lock.isHeld(), true)
  const other = await client.begin()
  assert.equal(await other.acquire("jobs/kept"), undefined)
  const { safeMs } = session
  await until("its client renews it again by itself", () => session.safeMs > safeMs)
  assert.equal(await lock.isHeld(), true)
  await session.end()
  await other.end()
})

test("the store's devices are files that only the store writes", async () => {
  const files: string[] = []
  const isListed = async (): Promise<boolean> => {
    for await (const { path } of client.files("hayloft/devices/")) files.push(path)
    return files.length > 0
  }
  await until("devices are files", isListed, 100)
  const { content } = (await client.read(files[0] ?? "")) ?? {}
  assert.match(String(content), /"state":"active"/)
  await assert.rejects(client.write("hayloft/devices/x", "x"), refuses(403, "accessForbidden"))
  const session = await client.begin()
  await assert.rejects(session.acquire("hayloft/lock"), refuses(403, "accessForbidden"))
  await session.end()
})

async function iam(action: string, values: Readonly<Record<string, string>>): Promise<string> {
  const body = new URLSearchParams({ Action: action, Version: "2010-05-08", ...values }).toString()
  const headers = { "content-type": "application/x-www-form-urlencoded" }
  const answer = await s3.call("POST", { path: "/", headers, body, sign: { service: "iam" } })
  const text = Buffer.from(answer.body).toString()
  assert.equal(answer.status, 200, text)
  return text
}

/** The key of a new user of the root account who may do only this. */
async function userWith(name: string, actions: readonly string[], resource: string): Promise<typeof ROOT> {
  const statement = { Effect: "Allow", Action: actions, Resource: resource }
  const document = JSON.stringify({ Version: "2012-10-17", Statement: [statement] })
  await iam("CreateUser", { UserName: name })
  await iam("PutUserPolicy", { UserName: name, PolicyName: "own", PolicyDocument: document })
  const made = await iam("CreateAccessKey", { UserName: name })
  const [, accessKeyId = ""] = /<AccessKeyId>([^<]+)</.exec(made) ?? []
  const [, secretAccessKey = ""] = /<SecretAccessKey>([^<]+)</.exec(made) ?? []
  return { accessKeyId, secretAccessKey, region: REGION }
}

test("policies decide by path; sessions belong to who has begun them", async () => {
  const worker = clientOf(await userWith("worker", ["coord:BeginSession", "coord:AcquireLock", "coord:GetLock"], "*"))
  const session = await worker.begin()
  assert.ok(await session.acquire("jobs/mine"))
  await assert.rejects(worker.read("jobs/mine"), refuses(403, "accessDenied"))
  await assert.rejects(worker.write("jobs/file", "x"), refuses(403, "accessDenied"))
  const narrow = clientOf(await userWith("narrow", ["coord:*"], "arn:aws:coord:us-east-1:*:team/*"))
  await narrow.write("team/file", "x")
  await assert.rejects(narrow.write("other/file", "x"), refuses(403, "accessDenied"))
  const root = await client.begin()
  await assert.rejects(
    worker.send({ method: "POST", target: `sessions/${root.id}/renew` }),
    refuses(403, "accessForbidden"),
  )
  await assert.rejects(worker.send({ method: "DELETE", target: `sessions/${root.id}` }), refuses(403, "accessDenied"))
  await root.end()
  await session.end()
  for (const each of [worker, narrow]) each.close()
  const wrong = clientOf({ ...ROOT, secretAccessKey: "wrong-wrong-wrong-wrong" })
  await assert.rejects(wrong.begin(), refuses(401, "signatureMismatch"))
  wrong.close()
})

test("the admin token works too; nothing is anonymous; requests of another form are refused", async () => {
  const operator = clientOf({ token: await server.adminToken() })
  const session = await operator.begin({ name: "by token" })
  assert.ok(await session.acquire("jobs/token"))
  await session.end()
  operator.close()
  const nobody = clientOf({ token: "wrong" })
  await assert.rejects(nobody.begin(), refuses(401, "accessDenied"))
  nobody.close()
  const bad: readonly (readonly [string, string, string, number])[] = [
    ["GET", "nothing/x", "", 400],
    ["GET", "files/only", "", 400],
    ["GET", "files/a/../b", "", 400],
    ["PUT", "files/a/b?blub=1", "", 400],
    ["POST", "locks/a/b", "", 405],
    ["POST", "sessions", '{"leaseSeconds":1}', 400],
    ["POST", "sessions", "{", 400],
    ["POST", "sessions", '{"blub":1}', 400],
    ["PUT", "locks/a/b", '{"session":"x"}', 400],
    ["PUT", "locks/a/b", `{"session":"${"0".repeat(32)}"}`, 404],
    ["GET", "fences/a/b:exclusive:x", "", 400],
  ]
  for (const [method, target, body, status] of bad) {
    const error = await client.send({ method, target, body }).then(
      () => undefined,
      (failure: unknown) => failure,
    )
    assert.ok(error instanceof RemoteFailure, `${method} ${target}`)
    assert.equal(error.status, status, `${method} ${target}: ${error.message}`)
  }
})

test("metrics count sessions and requests that wait", async () => {
  const session = await client.begin()
  const stop = new AbortController()
  const waiting = client.changes("metrics/", 0, stop.signal)
  const areCounted = async (): Promise<boolean> => {
    const text = await server.metrics()
    return /^hayloft_coord_requests_waiting 1$/m.test(text) && /^hayloft_coord_sessions [1-9]/m.test(text)
  }
  await until("the session and the request are counted", areCounted, 100)
  stop.abort()
  await assert.rejects(waiting)
  await session.end()
})

test("the commands: a program runs under a lock, small files are written and read", async () => {
  const path = "cli/lock"
  const run = (...args: readonly string[]) => server.hayloft(["lock", path, ...args])
  const node = (script: string) => ["--", process.execPath, "-e", script]
  const shown = await run("--value", "me", ...node("console.log(process.env.HAYLOFT_FENCE); process.exit(7)"))
  // The exit code is that of the program, and the lock is free afterwards.
  assert.deepEqual([shown.code, /^cli\/lock:exclusive:\d+\n$/.test(shown.stdout)], [7, true], shown.stderr)
  assert.deepEqual(await client.holders(path), [])
  const session = await client.begin()
  const lock = await session.acquire(path, { value: "other" })
  assert.ok(lock)
  const held = await run("--wait", "0.2", ...node("console.log('not run')"))
  assert.deepEqual([held.code, held.stdout], [6, ""])
  assert.match(held.stderr, /another session holds the lock cli\/lock/)
  assert.match(
    (await server.hayloft(["coord", "locks", "cli/"])).stdout,
    new RegExp(`cli/lock +exclusive +${session.id}`),
  )
  const waiting = run("--wait", ...node("console.log('after it')"))
  await later(500)
  await session.end()
  assert.equal((await waiting).stdout, "after it\n")
  await withFolder(async folder => {
    const file = join(folder, "f")
    await writeFile(file, "content")
    const put = (...more: readonly string[]) => server.hayloft(["coord", "put", "cli/file", file, ...more])
    assert.equal((await put("--new")).code, 0)
    const again = await put("--new")
    const unfenced = await put("--fence", lock.fence)
    assert.deepEqual([again.code, unfenced.code], [6, 6])
    assert.equal((await server.hayloft(["coord", "get", "cli/file"])).stdout, "content")
    assert.match((await server.hayloft(["coord", "files", "cli/"])).stdout, /cli\/file/)
    assert.equal((await server.hayloft(["coord", "remove", "cli/file"])).code, 0)
    assert.equal((await server.hayloft(["coord", "get", "cli/file"])).code, 3)
  })
})

/** The end of a program that waits for a signal: it creates the file. */
const waitsAfter = (file: string): string =>
  `require("node:fs").writeFileSync(${JSON.stringify(file)}, ""); setInterval(() => 1, 1000)`

test("a program is ended when its lock is lost", () =>
  withFolder(async folder => {
    const file = join(folder, "waits")
    const script = `process.on("SIGTERM", () => { console.log("ended"); process.exit(0) }); ${waitsAfter(file)}`
    const running = server.hayloft(["lock", "cli/lost", "--", process.execPath, "-e", script])
    await until("the program waits", () => existsSync(file))
    const [holder] = await client.holders("cli/lost")
    await client.send({ method: "DELETE", target: `sessions/${holder?.session}` })
    const { code, stdout, stderr } = await running
    assert.deepEqual([code, stdout], [1, "ended\n"])
    assert.match(stderr, /the lock cli\/lost was lost/)
  }))

test("a program that is stopped leaves no lock and no programs behind", () =>
  withFolder(async folder => {
    const file = join(folder, "waits")
    const child = `process.on("SIGTERM", () => 1); ${waitsAfter(file)}`
    const script = `require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(child)}], { stdio: "inherit" }); setInterval(() => 1, 1000)`
    const command = server.startHayloft(["lock", "cli/stopped", "--grace", "60", "--", process.execPath, "-e", script])
    const [exited, closed] = [once(command, "exit"), once(command, "close")]
    command.stdout.resume()
    await until("its child waits", () => existsSync(file))
    command.kill("SIGTERM")
    assert.deepEqual(await exited, [143, null])
    // Without its end the session would go on for more than a minute.
    assert.deepEqual(await client.holders("cli/stopped"), [])
    // The process that the program has started has the pipe of its output, which ends with it.
    await closed
  }))
