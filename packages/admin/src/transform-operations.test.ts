/** The administrator's side of transforms: what is reported, how modules come and go, and who may change them. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { TRANSFORM_LIMITS } from "@hayloft/features/transforms/index.js"
import { OPERATIONS } from "./operations.js"
import { openApiText } from "./open-api.js"
import { ERROR } from "./schemas.js"
import { world, type Sent } from "./testing-api.js"
import { CREATED_ADMIN_TOKEN } from "./identities/token-schemas.js"
import { TRANSFORM_OPERATIONS } from "@hayloft/features/transforms/operations.js"
import { TRANSFORM_MODULE, TRANSFORM_MODULES, TRANSFORMS } from "@hayloft/features/transforms/schemas.js"

const PATH = "/v1/transforms"
const MODULES = `${PATH}/modules`
/** The fake looks only at how a module begins. */
const moduleOf = (text: string): Uint8Array => Buffer.from(`\0asm${text}`)
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** A store whose administrator uploads modules, and short forms of requests. */
function transformWorld(replaced: Parameters<typeof world>[1] = {}) {
  const it = world(true, replaced)
  const put = (name: string, bytes: Uint8Array, query = "", sent: Sent = {}) =>
    it.json("PUT", `${MODULES}/${name}${query}`, { ...sent, bytes })
  const refused = async (method: string, path: string, sent?: Sent) => {
    const { status, value } = await it.json(method, path, sent)
    const { code, message } = ERROR.parse(value).error
    return { status, code, message }
  }
  const names = async (): Promise<readonly string[]> =>
    TRANSFORM_MODULES.parse((await it.json("GET", MODULES)).value).modules.map(({ name }) => name)
  return { ...it, put, refused, names }
}

test("the report has what processes do, which steps this node has, and what is kept", async () => {
  const { json, put } = transformWorld()
  await put("upper", moduleOf("1"))
  const { status, value } = await json("GET", PATH)
  assert.equal(status, 200)
  assert.deepEqual(TRANSFORMS.parse(value), value)
  assert.deepEqual(value, {
    threads: 2,
    running: 1,
    waiting: 4,
    steps: [
      { name: "svgmin", isAvailable: true, version: "4" },
      { name: "image", isAvailable: false },
      { name: "gzip", isAvailable: true, version: "1" },
      { name: "zstd", isAvailable: true, version: "1" },
      { name: "tar", isAvailable: true },
    ],
    modules: [{ name: "upper", sha256: sha256(moduleOf("1")), sizeBytes: 5, modifiedMs: 7 }],
    moduleBytesMax: TRANSFORM_LIMITS.moduleBytesMax,
    results: { count: 3, sizeBytes: 2_048, sizeBytesMax: 1_048_576 },
  })
})

test("a module is its bytes as they are: it is added, shown, replaced and removed", async () => {
  const { json, put, names } = transformWorld()
  const bytes = Uint8Array.from([...moduleOf(""), 0, 255, 128, 10, 13])
  const made = await put("upper", bytes, "?contentType=text%2Fhtml%3B%20charset%3Dutf-8")
  const expected = {
    name: "upper",
    sha256: sha256(bytes),
    sizeBytes: 9,
    contentType: "text/html; charset=utf-8",
    modifiedMs: 7,
  }
  assert.deepEqual(made, { status: 200, value: expected })
  assert.deepEqual(await json("GET", `${MODULES}/upper`), { status: 200, value: expected })
  await put("a-1", moduleOf("a"))
  assert.deepEqual(await names(), ["a-1", "upper"])
  const replaced = TRANSFORM_MODULE.parse((await put("upper", moduleOf("2"))).value)
  assert.deepEqual([replaced.sha256, replaced.contentType], [sha256(moduleOf("2")), undefined])
  assert.deepEqual(await json("DELETE", `${MODULES}/upper`), { status: 204, value: undefined })
  assert.deepEqual(await names(), ["a-1"])
})

test("what is wrong with a request is said, and changes nothing", async () => {
  const { put, refused, names } = transformWorld()
  for (const name of ["one", "two", "three"]) assert.equal((await put(name, moduleOf(name))).status, 200)
  const bytes = moduleOf("")
  for (const [method, path, sent, status, code] of [
    ["GET", `${MODULES}/other`, {}, 404, "noSuchTransform"],
    ["DELETE", `${MODULES}/other`, {}, 404, "noSuchTransform"],
    ["DELETE", `${MODULES}/gzip`, {}, 400, "invalidArgument"],
    ["PUT", `${MODULES}/svgmin`, { bytes }, 400, "invalidArgument"],
    ["PUT", `${MODULES}/Upper`, { bytes }, 400, "invalidArgument"],
    ["PUT", `${MODULES}/one%2Ftwo`, { bytes }, 400, "invalidArgument"],
    ["PUT", `${MODULES}/one`, { bytes: Buffer.from("{}") }, 400, "invalidArgument"],
    ["PUT", `${MODULES}/one`, { bytes: new Uint8Array() }, 400, "invalidArgument"],
    ["PUT", `${MODULES}/one?contentType=`, { bytes }, 400, "invalidArgument"],
    ["PUT", `${MODULES}/one?contentType=text`, { bytes }, 400, "invalidArgument"],
    ["PUT", `${MODULES}/one?contentType=text%2Fa%0D%0Ax%3A%20y`, { bytes }, 400, "invalidArgument"],
    ["PUT", `${MODULES}/one?type=text%2Fplain`, { bytes }, 400, "invalidArgument"],
    ["PUT", `${MODULES}/four`, { bytes }, 409, "limitExceeded"],
    ["POST", `${MODULES}/one`, { bytes }, 405, "methodNotAllowed"],
  ] as const) {
    const answered = await refused(method, path, sent)
    assert.deepEqual([answered.status, answered.code], [status, code], `${method} ${path}`)
  }
  assert.deepEqual(await names(), ["one", "three", "two"])
})

test("a module is at most as large as the limit, and other bodies stay as small as they were", async () => {
  const { put, refused } = transformWorld()
  const { moduleBytesMax } = TRANSFORM_LIMITS
  const largest = new Uint8Array(moduleBytesMax)
  largest.set(moduleOf(""))
  assert.equal((await put("large", largest)).status, 200)
  const bytes = new Uint8Array(moduleBytesMax + 1)
  assert.equal((await refused("PUT", `${MODULES}/large`, { bytes })).code, "entityTooLarge")
  assert.equal((await refused("POST", "/v1/accounts", { bytes })).code, "entityTooLarge")
  const taking = OPERATIONS.filter(({ bytesType }) => bytesType !== undefined).map(({ id }) => id)
  assert.deepEqual(taking, ["putTransformModule", "sendMessage"])
  assert.match(openApiText(), /"requestBody": \{\s*"required": true,\s*"content": \{\s*"application\/wasm": \{\}/)
})

test("the audit log has who changed which module, and its checksum before and after, but not its bytes", async () => {
  const { put, json, store } = transformWorld()
  await put("upper", moduleOf("1"), "?contentType=text%2Fplain")
  await put("upper", moduleOf("22"))
  await put("upper", Buffer.from("no module"))
  await json("DELETE", `${MODULES}/upper`)
  const { entries } = await store.audit.list(undefined, 9)
  const [first, second] = [sha256(moduleOf("1")), sha256(moduleOf("22"))]
  const shown = entries.toReversed().map(({ operation, target, caller, request, before, after, ended }) => ({
    operation,
    target,
    caller: caller.kind,
    request,
    outcome: ended?.outcome,
    before: /[0-9a-f]{64}/.exec(before ?? "")?.[0],
    after: /[0-9a-f]{64}/.exec(after ?? "")?.[0],
  }))
  const of = (operation: string, request: string | undefined) => ({
    operation,
    target: "upper",
    caller: "operator",
    request,
    outcome: "done",
  })
  assert.deepEqual(shown, [
    { ...of("putTransformModule", '{"bytes":5}'), before: undefined, after: first },
    { ...of("putTransformModule", '{"bytes":6}'), before: first, after: second },
    { ...of("putTransformModule", '{"bytes":9}'), outcome: "invalidArgument", before: second, after: undefined },
    { ...of("deleteTransformModule", undefined), before: second, after: undefined },
  ])
})

test("while transforms are switched off, every operation says how to switch them on", async () => {
  const { json } = transformWorld({ core: {} })
  for (const { method, path } of TRANSFORM_OPERATIONS) {
    const message = "transforms are switched off: start the store with --transforms"
    const answer = await json(method, path.replace("{module}", "upper"))
    assert.deepEqual(answer, { status: 501, value: { error: { code: "notImplemented", message } } })
  }
})

test("a token reads with the scope read, and changes modules with the scope all alone", async () => {
  const { json, put, names } = transformWorld()
  const statuses: Record<string, readonly number[]> = {}
  for (const scope of ["read", "buckets", "identities", "devices", "all"]) {
    const made = await json("POST", "/v1/tokens", { body: { name: scope, scopes: [scope] } })
    const { token } = CREATED_ADMIN_TOKEN.parse(made.value)
    const read = (await json("GET", PATH, { token })).status
    const written = (await put("upper", moduleOf(scope), "", { token })).status
    statuses[scope] = [read, written, (await json("DELETE", `${MODULES}/upper`, { token })).status]
  }
  assert.deepEqual(statuses, {
    read: [200, 403, 403],
    buckets: [403, 403, 403],
    identities: [403, 403, 403],
    devices: [403, 403, 403],
    all: [200, 200, 204],
  })
  assert.deepEqual(await names(), [])
})

test("the body of one who may not upload is not read, nor that of a request without a token", async () => {
  const { api, json } = transformWorld()
  const made = await json("POST", "/v1/tokens", { body: { name: "reader", scopes: ["read"] } })
  const { token } = CREATED_ADMIN_TOKEN.parse(made.value)
  for (const [authorization, status] of [
    [`Bearer ${token}`, 403],
    ["Bearer nothing", 401],
  ] as const) {
    const reply = await api.handle({
      method: "PUT",
      rawTarget: `${MODULES}/upper`,
      isEncrypted: false,
      from: { requestId: "", address: "127.0.0.1" },
      header: name => (name === "authorization" ? authorization : undefined),
      body: async () => assert.fail("the body was read"),
    })
    assert.equal(reply.status, status)
  }
})

test("only the root account can allow these operations, whatever policies say of S3", () => {
  assert.deepEqual(
    TRANSFORM_OPERATIONS.filter(({ permission, own }) => permission !== undefined || own !== undefined),
    [],
  )
})
