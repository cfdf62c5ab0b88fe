/** The admin operations of coordination, over rows in memory: sessions, namespaces, locks and files. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { LockMode } from "@hayloft/base/fence.js"
import { parseAccountId, parseCoordPath, type AccountId, type SessionId } from "@hayloft/base/ids.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { LOCK_OPERATOR } from "@hayloft/features/locks/operations.js"
import { COORD_FILES, COORD_LOCKS, COORD_NAMESPACES, COORD_SESSIONS } from "@hayloft/features/locks/schemas.js"
import type { OperationInput } from "@hayloft/features/operator/index.js"
import { segmentFrom } from "./path-template-core.js"
import { ERROR } from "./schemas.js"
import { world, type Sent } from "./testing-api.js"
import { FakeStore, ROOT } from "./testing-store.js"
import { CREATED_ADMIN_TOKEN } from "./identities/token-schemas.js"

const PATH = "/v1/coordination"
const TEAM = parseAccountId("team")
const UNKNOWN = "f".repeat(32)
const START_MS = 1_790_000_000_000

/** A store with the accounts "root" and "team", and short forms of requests. */
async function coordWorld() {
  const it = world()
  await it.store.clock.advance(START_MS)
  await it.json("POST", "/v1/accounts", { body: { id: TEAM, displayName: "Team" } })
  const { coordination } = it.store
  const begin = async (account: AccountId, name: string): Promise<SessionId> =>
    (await coordination.begin(account, { name, principal: `arn:${name}` })).id
  const acquire = async (account: AccountId, session: SessionId, path: string, mode: LockMode = "exclusive") => {
    const of = { account, session, path: parseCoordPath(path), mode, value: `value of ${path}`, waits: true }
    const outcome = await coordination.acquire(of)
    return outcome.kind === "acquired" ? outcome.holder.token : undefined
  }
  const write = (account: AccountId, path: string, text: string, session?: SessionId): Promise<number> =>
    coordination.write({ account, path: parseCoordPath(path) }, Buffer.from(text), { session })
  const get = async (path: string): Promise<unknown> => {
    const { status, value } = await it.json("GET", `${PATH}/${path}`)
    assert.equal(status, 200, `${path}: ${JSON.stringify(value)}`)
    return value
  }
  const refused = async (method: string, path: string, sent?: Sent) => {
    const { status, value } = await it.json(method, `${PATH}/${path}`, sent)
    const { code, message } = ERROR.parse(value).error
    return { status, code, message }
  }
  return { ...it, coordination, begin, acquire, write, get, refused }
}

test("sessions of all accounts are listed in pages, by account and id, with what they hold", async () => {
  const { begin, acquire, get, store } = await coordWorld()
  const ids = [await begin(ROOT, "one"), await begin(ROOT, "two")].sort()
  const other = await begin(TEAM, "three")
  await acquire(TEAM, other, "web/leader")
  const all = COORD_SESSIONS.parse(await get("sessions"))
  assert.deepEqual(
    all.sessions.map(({ account, session }) => [account, session]),
    [...ids.map(id => [ROOT, id]), [TEAM, other]],
  )
  assert.equal(all.next, undefined)
  const nowMs = store.clock.wallMs()
  assert.deepEqual(all.sessions[2], {
    account: TEAM,
    session: other,
    name: "three",
    principal: "arn:three",
    createdMs: nowMs,
    leaseSeconds: 12,
    graceSeconds: 8,
    renewedMs: nowMs,
    held: 1,
  })
  const first = COORD_SESSIONS.parse(await get("sessions?max=1"))
  assert.deepEqual([first.sessions.map(({ session }) => session), first.next], [[ids[0]], `${ROOT}/${ids[0]}`])
  const second = COORD_SESSIONS.parse(await get(`sessions?max=1&after=${ROOT}%2F${ids[0]}`))
  assert.deepEqual([second.sessions.map(({ session }) => session), second.next], [[ids[1]], `${ROOT}/${ids[1]}`])
  const last = COORD_SESSIONS.parse(await get(`sessions?max=1&after=${ROOT}%2F${ids[1]}`))
  assert.deepEqual([last.sessions.map(({ session }) => session), last.next], [[other], undefined])
  const ofRoot = COORD_SESSIONS.parse(await get("sessions?account=-"))
  assert.deepEqual(
    ofRoot.sessions.map(({ session }) => session),
    ids,
  )
  const ofTeam = COORD_SESSIONS.parse(await get(`sessions?account=${TEAM}`))
  assert.deepEqual(
    ofTeam.sessions.map(({ session }) => session),
    [other],
  )
})

test("a session that is ended has gone, its lock goes to the one that waits, and its file is deleted", async () => {
  const { begin, acquire, write, get, json, refused, store } = await coordWorld()
  const [one, two] = [await begin(ROOT, "one"), await begin(ROOT, "two")]
  const token = await acquire(ROOT, one, "web/leader")
  assert.equal(await acquire(ROOT, two, "web/leader", "shared"), undefined)
  await write(ROOT, "web/members/one", "1", one)
  await write(ROOT, "web/settings", "kept")
  const sinceMs = store.clock.wallMs()
  assert.deepEqual(await get("locks/-/web"), {
    locks: [
      {
        path: "web/leader",
        mode: "exclusive",
        holders: [{ session: one, token, sinceMs, value: "value of web/leader" }],
        waiting: [{ session: two, mode: "shared", sinceMs }],
      },
    ],
  })
  const target = `sessions/-/${one}`
  assert.deepEqual(await json("DELETE", `${PATH}/${target}`), { status: 204, value: undefined })
  const [lock] = COORD_LOCKS.parse(await get("locks/-/web")).locks
  assert.deepEqual([lock?.mode, lock?.holders.map(({ session }) => session), lock?.waiting], ["shared", [two], []])
  assert.ok((lock?.holders[0]?.token ?? 0) > (token ?? Infinity))
  assert.deepEqual(
    COORD_FILES.parse(await get("files/-/web")).files.map(({ path }) => path),
    ["web/settings"],
  )
  const again = await refused("DELETE", target)
  assert.deepEqual([again.status, again.code], [404, "noSuchSession"])
  assert.match(again.message, new RegExp(`${one} does not exist`))
  assert.deepEqual(
    COORD_SESSIONS.parse(await get("sessions")).sessions.map(({ session }) => session),
    [two],
  )
  const { entries } = await store.audit.list(undefined, 9)
  assert.deepEqual(
    entries.filter(({ operation }) => operation === "endCoordSession").map(each => [each.target, each.ended?.outcome]),
    [
      [`-/${one}`, "noSuchSession"],
      [`-/${one}`, "done"],
    ],
  )
})

test("a session is ended only in the account that it belongs to", async () => {
  const { begin, get, refused } = await coordWorld()
  const id = await begin(TEAM, "one")
  assert.equal((await refused("DELETE", `sessions/-/${id}`)).code, "noSuchSession")
  assert.equal(COORD_SESSIONS.parse(await get("sessions")).sessions.length, 1)
})

test("namespaces are listed in pages with what they have", async () => {
  const { begin, acquire, write, get } = await coordWorld()
  const id = await begin(ROOT, "one")
  await write(ROOT, "web/a", "12345")
  const lastNumber = await write(ROOT, "web/b", "678")
  await acquire(ROOT, id, "jobs/nightly")
  await write(TEAM, "web/c", "")
  const namesOf = (value: unknown) =>
    COORD_NAMESPACES.parse(value).namespaces.map(({ account, name }) => [account, name])
  const all = await get("namespaces")
  assert.deepEqual(namesOf(all), [
    [ROOT, "jobs"],
    [ROOT, "web"],
    [TEAM, "web"],
  ])
  const { namespaces, next } = COORD_NAMESPACES.parse(all)
  assert.equal(next, undefined)
  assert.deepEqual(namespaces[1], { account: ROOT, name: "web", files: 2, bytes: 8, locks: 0, lastNumber })
  assert.deepEqual([namespaces[0]?.locks, namespaces[0]?.files], [1, 0])
  const first = await get("namespaces?max=2")
  assert.deepEqual([namesOf(first), COORD_NAMESPACES.parse(first).next], [namesOf(all).slice(0, 2), `${ROOT}/web`])
  assert.deepEqual(namesOf(await get(`namespaces?max=2&after=${ROOT}%2Fweb`)), [[TEAM, "web"]])
  assert.deepEqual(namesOf(await get(`namespaces?after=${TEAM}%2Fa`)), [[TEAM, "web"]])
  assert.deepEqual(namesOf(await get(`namespaces?account=${TEAM}`)), [[TEAM, "web"]])
})

test("locks and files of one namespace are listed in pages, not those of one with a longer name", async () => {
  const { begin, acquire, write, get } = await coordWorld()
  const id = await begin(TEAM, "one")
  for (const path of ["web/a", "web/b", "web/c", "website/a"]) {
    await acquire(TEAM, id, path)
    await write(TEAM, path, path)
  }
  const versionOfD = await write(TEAM, "web/d", "1234", id)
  for (const [list, of] of [
    [
      "locks",
      (value: unknown) => ({ paths: COORD_LOCKS.parse(value).locks.map(({ path }) => path), ...nextOf(value) }),
    ],
    [
      "files",
      (value: unknown) => ({ paths: COORD_FILES.parse(value).files.map(({ path }) => path), ...nextOf(value) }),
    ],
  ] as const) {
    const first = await get(`${list}/${TEAM}/web?max=2`)
    assert.deepEqual(of(first), { paths: ["web/a", "web/b"], next: "web/b" })
    const rest = list === "locks" ? ["web/c"] : ["web/c", "web/d"]
    assert.deepEqual(of(await get(`${list}/${TEAM}/web?max=2&after=web%2Fb`)), { paths: rest })
    assert.deepEqual(of(await get(`${list}/-/web`)), { paths: [] }, "they are of another account")
  }
  const [, file] = COORD_FILES.parse(await get(`files/${TEAM}/web?after=web%2Fb`)).files
  const { createdMs = 0, modifiedMs = 0, ...shown } = file ?? {}
  assert.deepEqual(shown, { path: "web/d", version: versionOfD, bytes: 4, session: id })
  assert.deepEqual([createdMs, modifiedMs], [START_MS + 7, START_MS + 7])
  const [kept] = COORD_FILES.parse(await get(`files/${TEAM}/web?max=1`)).files
  assert.ok(kept !== undefined && !("session" in kept), "it ends with no session")
})

const nextOf = (value: unknown): { readonly next?: string | undefined } => {
  const { next } = COORD_LOCKS.pick({ next: true }).parse(value)
  return next === undefined ? {} : { next }
}

test("what is wrong with a request is said", async () => {
  const { refused } = await coordWorld()
  for (const [method, path, status, code] of [
    ["GET", "sessions?account=nobody", 404, "noSuchAccount"],
    ["GET", "namespaces?account=nobody", 404, "noSuchAccount"],
    ["GET", "locks/nobody/web", 404, "noSuchAccount"],
    ["GET", "files/nobody/web", 404, "noSuchAccount"],
    ["DELETE", `sessions/nobody/${UNKNOWN}`, 404, "noSuchAccount"],
    ["DELETE", `sessions/-/${UNKNOWN}`, 404, "noSuchSession"],
    ["DELETE", "sessions/-/nothing", 400, "invalidArgument"],
    ["GET", "sessions?max=0", 400, "invalidArgument"],
    ["GET", "sessions?after=root%2Fnothing", 400, "invalidArgument"],
    ["GET", "locks/-/a%20b", 400, "invalidArgument"],
    ["GET", "locks/-/web%2Fa", 400, "invalidArgument"],
    ["GET", "files/-/web%2Fa", 400, "invalidArgument"],
    ["GET", "locks/-/web?after=web", 400, "invalidArgument"],
    ["GET", "locks/-/web?after=zoo%2Fa", 400, "invalidArgument"],
    ["GET", "files/-/web?after=website%2Fa", 400, "invalidArgument"],
    ["GET", "files/-/web?max=1001", 400, "invalidArgument"],
  ] as const) {
    const { status: answered, code: said } = await refused(method, path)
    assert.deepEqual([answered, said], [status, code], `${method} ${path}`)
  }
})

test("while coordination is switched off, every operation says how to switch it on", async () => {
  const { json } = world(true, { core: {} })
  for (const { method, path } of LOCK_OPERATOR.operations ?? []) {
    const target = path.replace("{account}", "-").replace("{namespace}", "web").replace("{session}", UNKNOWN)
    assert.deepEqual(await json(method, target), {
      status: 501,
      value: {
        error: {
          code: "notImplemented",
          message: "coordination is switched off: start the store with --coordination",
        },
      },
    })
  }
})

test("a token reads with the scope read, and ends sessions with the scope all alone", async () => {
  const { json, begin, get } = await coordWorld()
  const id = await begin(ROOT, "one")
  const statuses: Record<string, number> = {}
  for (const scope of ["read", "buckets", "identities", "devices", "all"]) {
    const made = await json("POST", "/v1/tokens", { body: { name: scope, scopes: [scope] } })
    const { token } = CREATED_ADMIN_TOKEN.parse(made.value)
    const listed = await json("GET", `${PATH}/sessions`, { token })
    assert.equal(listed.status, scope === "read" || scope === "all" ? 200 : 403, scope)
    statuses[scope] = (await json("DELETE", `${PATH}/sessions/-/${id}`, { token })).status
  }
  assert.deepEqual(statuses, { read: 403, buckets: 403, identities: 403, devices: 403, all: 204 })
  assert.deepEqual(await get("sessions"), { sessions: [] })
})

test("principals need the actions of coordination, on the resources that clients need them on", async () => {
  const store = new FakeStore()
  await store.createAccount({ id: TEAM, displayName: "Team", email: "" })
  // No permission depends on what clients hold.
  const coordination = { sessions: never, end: never, namespaces: never, locks: never, files: never }
  const services = {
    ...store.parts,
    coordination,
    rootAccount: ROOT,
    region: "eu-west-1",
    newBucketSettings: new Map(),
  }
  const need = async (id: string, segments: Readonly<Record<string, string>>, query: Record<string, string> = {}) => {
    const input: OperationInput = {
      segment: segmentFrom(new Map(Object.entries(segments))),
      query: new Map(Object.entries(query)),
      body: undefined,
      caller: { kind: "operator", id: "", name: "" },
      isAllowed: async () => true,
      signer: undefined,
      host: undefined,
      signal: new AbortController().signal,
    }
    return LOCK_OPERATOR.operations?.find(each => each.id === id)?.permission?.(services, input)
  }
  const arn = `arn:aws:coord:eu-west-1:${accountNumberOf(TEAM)}:web/`
  const team = { account: TEAM }
  assert.deepEqual(await need("listCoordSessions", {}, team), [
    { action: "coord:ListSessions", resource: "*", owner: TEAM },
  ])
  assert.deepEqual(await need("listCoordNamespaces", {}, { account: "-" }), [
    { action: "coord:ListNamespaces", resource: "*", owner: ROOT },
  ])
  // Lists of all accounts need the actions of their operations.
  for (const id of ["listCoordSessions", "listCoordNamespaces"]) assert.deepEqual(await need(id, {}), [], id)
  assert.deepEqual(await need("endCoordSession", { ...team, session: UNKNOWN }), [
    { action: "coord:EndSession", resource: "*", owner: TEAM },
  ])
  assert.deepEqual(await need("listCoordLocks", { ...team, namespace: "web" }), [
    { action: "coord:ListLocks", resource: arn, owner: TEAM },
  ])
  assert.deepEqual(await need("listCoordFiles", { ...team, namespace: "web" }), [
    { action: "coord:ListFiles", resource: arn, owner: TEAM },
  ])
})

const never = (): never => assert.fail("the store was read")
