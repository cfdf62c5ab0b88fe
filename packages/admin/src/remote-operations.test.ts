/** The administrator's side of remote buckets: stores, cache, buckets with what is pending, and who may see it. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { objectKeyOfText, parseBucketName } from "@hayloft/base/ids.js"
import type { RemoteSetting } from "@hayloft/features/remote-buckets/contract.js"
import { REMOTE_OPERATIONS } from "@hayloft/features/remote-buckets/operations.js"
import { PENDING_COUNTED_MAX, PENDING_WRITES, REMOTES } from "@hayloft/features/remote-buckets/schemas.js"
import { ERROR } from "./schemas.js"
import { world } from "./testing-api.js"
import { type FakeRemotes, REMOTE_SETTING } from "./testing-remotes.js"
import { CREATED_ADMIN_TOKEN } from "./identities/token-schemas.js"

const PATH = "/v1/remotes"
const PENDING = "/v1/buckets/remote-1/remote/pending"

/** A store with the buckets `remote-1`, which is remote, and `plain`. */
async function remoteWorld(replaced: Parameters<typeof world>[1] = {}) {
  const it = world(true, replaced)
  for (const name of ["remote-1", "plain"])
    assert.equal((await it.json("POST", "/v1/buckets", { body: { name } })).status, 201)
  const refused = async (path: string) => {
    const { status, value } = await it.json("GET", path)
    const { code, message } = ERROR.parse(value).error
    return { status, code, message }
  }
  const open = (name: string) => it.store.buckets.open(parseBucketName(name))
  const { remotes } = it.store
  const setRemote = async (...settings: readonly Partial<RemoteSetting>[]): Promise<void> => {
    const bucket = await open("remote-1")
    remotes.remote = settings.map((setting, at) => ({
      bucket: { ...bucket, name: parseBucketName(`remote-${settings.length - at}`) },
      setting: { ...REMOTE_SETTING, ...setting },
    }))
  }
  return { ...it, refused, remotes, setRemote }
}

const writesOf = (count: number): FakeRemotes["writes"] =>
  Array.from({ length: count }, (_, at) => ({
    key: objectKeyOfText(`k${at}`),
    kind: "put",
    sizeBytes: at,
    sinceMs: at,
    lastError: undefined,
  }))

test("the report has stores with their last errors, the cache, and remote buckets by name", async () => {
  const { json, setRemote } = await remoteWorld()
  await setRemote({ freshness: { check: "Never" }, prefix: "" }, {})
  const { status, value } = await json("GET", PATH)
  assert.equal(status, 200)
  assert.deepEqual(REMOTES.parse(value), value)
  const of = (bucket: string) => ({ bucket, store: "aws", remoteBucket: "data", writes: "Back", pending: 2 })
  assert.deepEqual(value, {
    stores: [
      {
        name: "aws",
        endpoint: "https://s3.example",
        region: "eu-central-1",
        accounts: ["root", "team"],
        requests: 12,
        failures: 2,
        lastError: "the remote does not respond",
        lastErrorMs: 5,
      },
      {
        name: "other",
        endpoint: "http://10.0.0.1:9000",
        region: "us-east-1",
        accounts: ["root"],
        requests: 0,
        failures: 0,
      },
    ],
    cache: { sizeBytes: 2_048, sizeBytesMax: 8_192, hitBytes: 3_000, missBytes: 1_000, evictedBytes: 512 },
    buckets: [
      { ...of("remote-1"), prefix: "logs/", freshness: { check: "Age", maxAgeSeconds: 60 } },
      { ...of("remote-2"), prefix: "", freshness: { check: "Never" } },
    ],
  })
})

test("writes of buckets without write-back are not pending, and many are counted up to a limit", async () => {
  const { json, setRemote, remotes } = await remoteWorld()
  await setRemote({ writes: "Through" }, { writes: "None" }, { writes: "Back" })
  remotes.writes = writesOf(PENDING_COUNTED_MAX + 5)
  const { buckets } = REMOTES.parse((await json("GET", PATH)).value)
  assert.deepEqual(
    buckets.map(({ writes, pending }) => [writes, pending]),
    [
      ["Back", PENDING_COUNTED_MAX],
      ["None", PENDING_COUNTED_MAX],
      ["Through", 0],
    ],
  )
})

test("pending writes are listed with the reason why they are, and a page says whether others follow", async () => {
  const { json, remotes } = await remoteWorld()
  const { status, value } = await json("GET", PENDING)
  const lastError = "the remote does not respond"
  const first = { key: "día.txt", kind: "put", sizeBytes: 2_048, sinceMs: 3, lastError }
  const second = { key: "gone.txt", kind: "delete", sizeBytes: 0, sinceMs: 4 }
  assert.deepEqual({ status, value }, { status: 200, value: { pending: [first, second], hasMore: false } })
  assert.deepEqual((await json("GET", `${PENDING}?max=1`)).value, { pending: [first], hasMore: true })
  remotes.writes = writesOf(101)
  const page = PENDING_WRITES.parse((await json("GET", PENDING)).value)
  assert.deepEqual([page.pending.length, page.hasMore], [100, true])
})

test("what is wrong with a request is said", async () => {
  const { refused } = await remoteWorld()
  for (const [path, status, code, message] of [
    [PENDING.replace("remote-1", "plain"), 400, "invalidArgument", /the bucket plain is not remote/],
    [PENDING.replace("remote-1", "none"), 404, "noSuchBucket", /./],
    [`${PENDING}?max=0`, 400, "invalidArgument", /max must be 1 to 1000/],
    [`${PENDING}?max=1001`, 400, "invalidArgument", /max must be 1 to 1000/],
    [`${PENDING}?after=a`, 400, "invalidArgument", /after/],
  ] as const) {
    const answered = await refused(path)
    assert.deepEqual([answered.status, answered.code], [status, code], path)
    assert.match(answered.message, message)
  }
})

test("while remote buckets are switched off, every operation says how to switch them on", async () => {
  const { json } = await remoteWorld({ core: {} })
  for (const { method, path } of REMOTE_OPERATIONS) {
    const message = "remote buckets are switched off: start the store with --remotes"
    const answer = await json(method, path.replace("{bucket}", "remote-1"))
    assert.deepEqual(answer, { status: 501, value: { error: { code: "notImplemented", message } } })
  }
})

test("tokens see remote stores with the scopes read and all, pending writes with that of buckets, too", async () => {
  const { json } = await remoteWorld()
  const statuses: Record<string, readonly number[]> = {}
  for (const scope of ["read", "buckets", "identities", "devices", "all"]) {
    const made = await json("POST", "/v1/tokens", { body: { name: scope, scopes: [scope] } })
    const { token } = CREATED_ADMIN_TOKEN.parse(made.value)
    statuses[scope] = [(await json("GET", PATH, { token })).status, (await json("GET", PENDING, { token })).status]
  }
  assert.deepEqual(statuses, {
    read: [200, 200],
    buckets: [403, 200],
    identities: [403, 403],
    devices: [403, 403],
    all: [200, 200],
  })
})
