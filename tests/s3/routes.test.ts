/** The tables against a running server: every operation, every sub-resource, every header. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import * as sdk from "@aws-sdk/client-s3"
import { Client } from "../../conformance/client.js"
import type { Call } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { text } from "../../conformance/xml.js"
import { attemptsWithoutWaits } from "@hayloft/access/secrets/testing-attempts.js"
import { headerRow, HEADER_ROWS } from "@hayloft/protocols/s3/headers.js"
import { OPERATIONS } from "@hayloft/protocols/s3/operations.js"
import type { S3Operation } from "@hayloft/protocols/s3/operations.js"
import { SUB_RESOURCES } from "@hayloft/protocols/s3/route.js"
import { compatibilityTables } from "@hayloft/protocols/s3/index.js"
import { OWNER, serveModel, STRANGER } from "./over-model.js"
import type { Served } from "./over-model.js"
import { Spy } from "./spy.js"

const spy = new Spy()
let served: Served
let client: Client

const credentialsOf = ({ id, secret }: { id: string; secret: string }) => ({ accessKey: id, secretKey: secret })

before(async () => {
  served = await serveModel({ services: model => spy.over(model), attempts: attemptsWithoutWaits() })
  client = new Client(parseEndpoint(served.endpoint), credentialsOf(OWNER), "us-east-1")
  assert.equal((await client.call("PUT", { bucket: "bucket" })).status, 200)
  assert.equal((await client.call("PUT", { bucket: "bucket", key: "key", body: "kept" })).status, 200)
})
after(() => served.stop())

const PLACES = {
  service: {},
  bucket: { bucket: "bucket" },
  object: { bucket: "bucket", key: "key" },
} as const

const VALUES: Readonly<Record<string, string>> = { uploadId: "none", partNumber: "1", id: "a" }

function callOf({ resource, when, header }: S3Operation): Call {
  const query = when.map(name => (name in VALUES ? `${name}=${VALUES[name] ?? ""}` : name)).join("&")
  return {
    ...PLACES[resource],
    ...(query !== "" && { query }),
    ...(header !== undefined && { headers: { [header]: "/bucket/key" } }),
  }
}

const routed = OPERATIONS.filter(({ answer }) => answer.kind !== "alias" && answer.kind !== "preflight")

test("every operation of the service model has its row", () => {
  const names = new Set(OPERATIONS.map(({ name }) => name))
  const commands = Object.keys(sdk).flatMap(name =>
    /^[A-Z]\w+Command$/.test(name) ? [name.slice(0, -"Command".length)] : [],
  )
  assert.ok(commands.length >= 100, `the SDK lists ${commands.length}`)
  assert.deepEqual(
    commands.filter(name => !names.has(name)),
    [],
  )
  const deprecated = ["GetBucketLifecycle", "PutBucketLifecycle", "GetBucketNotification", "PutBucketNotification"]
  assert.deepEqual(
    deprecated.filter(name => !names.has(name)),
    [],
  )
})

test("no two rows answer the same request", () => {
  const requests = OPERATIONS.filter(({ answer }) => answer.kind !== "alias").map(
    ({ method, resource, when, header }) => `${method} ${resource} ${when.join("&")} ${header ?? ""}`,
  )
  assert.deepEqual(
    requests.filter((request, at) => requests.indexOf(request) !== at),
    [],
  )
})

test("no operation runs for an unsigned, wrongly signed, unknown or foreign caller", async () => {
  const wrong = { ...credentialsOf(OWNER), secretKey: "wrong" }
  const unknown = { accessKey: "AKIANOBODYNOBODYNOBO", secretKey: "secret" }
  const forms: readonly (readonly [Partial<Call>, string])[] = [
    [{ anonymous: true }, "AccessDenied"],
    [{ credentials: wrong }, "SignatureDoesNotMatch"],
    [{ credentials: unknown }, "InvalidAccessKeyId"],
  ]
  spy.calls.length = 0
  for (const operation of routed) {
    for (const [form, code] of forms) {
      const response = await client.call(operation.method, { ...callOf(operation), ...form })
      assert.equal(response.status, 403, `${operation.name} ${code}`)
      if (operation.method !== "HEAD") assert.equal(text(response.text, "Code"), code, operation.name)
    }
    if (operation.answer.kind !== "bucket" && operation.answer.kind !== "object") continue
    const response = await client.call(operation.method, { ...callOf(operation), credentials: credentialsOf(STRANGER) })
    assert.equal(response.status, 403, `${operation.name} of a stranger`)
  }
  assert.deepEqual(spy.calls, [])
})

test("an unsupported operation is refused by name, and has no effect", async () => {
  spy.calls.length = 0
  for (const operation of routed.filter(({ standing }) => standing === "refused")) {
    const response = await client.call(operation.method, { ...callOf(operation), body: "<Setting/>" })
    assert.equal(response.status, 501, operation.name)
    assert.equal(text(response.text, "Code"), "NotImplemented", operation.name)
    assert.match(response.text, new RegExp(`<Operation>${operation.name}</Operation>`))
  }
  assert.deepEqual(spy.calls, [])
})

test("a request for a sub-resource is never treated as one for the object or the bucket, whatever the method", async () => {
  for (const name of SUB_RESOURCES) {
    for (const method of ["GET", "HEAD", "PUT", "POST", "DELETE"] as const) {
      for (const place of ["service", "bucket", "object"] as const) {
        const isRow = routed.some(
          ({ method: its, resource, when }) =>
            its === method && resource === place && when.some(one => one.split("=")[0] === name),
        )
        if (isRow || (name === "partNumber" && place === "object" && (method === "GET" || method === "HEAD"))) continue
        const response = await client.call(method, {
          ...PLACES[place],
          query: name,
          body: method === "PUT" ? "gone" : "",
        })
        assert.ok([400, 405, 501].includes(response.status), `${method} ${place} ?${name}: ${response.status}`)
        if (response.status === 405) assert.ok(response.header("allow"), `${method} ${place} ?${name} has Allow`)
      }
    }
  }
  assert.equal((await client.call("GET", { ...PLACES.object })).text, "kept")
})

test("reading a setting that was never set answers as S3 does, never with 501", async () => {
  for (const operation of OPERATIONS.filter(({ standing }) => standing === "unset")) {
    const response = await client.call(operation.method, callOf(operation))
    assert.ok([200, 400, 404].includes(response.status), `${operation.name}: ${response.status}`)
    assert.match(response.text, /^<\?xml/, operation.name)
  }
})

test("every header has one rule, and requests follow it", async () => {
  const samples = HEADER_ROWS.map(({ name, answer }) => ({ name: name.replace("*", "anything"), answer }))
  for (const { name, answer } of samples) {
    assert.equal(headerRow(name)?.answer, answer, `${name} is hidden by an earlier row`)
    if (answer.kind !== "refused" && answer.kind !== "values") continue
    const response = await client.call("PUT", { ...PLACES.object, body: "gone", headers: { [name]: "no-such-value" } })
    assert.ok([400, 501].includes(response.status), `${name}: ${response.status}`)
    assert.ok(!response.text.includes("no-such-value") || answer.kind === "values", `${name} may hold a secret`)
  }
  for (const { name, answer } of samples) {
    if (answer.kind !== "noise") continue
    const response = await client.call("GET", { ...PLACES.object, headers: { [name]: "x" } })
    assert.equal(response.status, 200, name)
  }
  assert.equal((await client.call("GET", { ...PLACES.object })).text, "kept")
})

test("unsupported methods of a resource get 405 with Allow", async () => {
  const cases: readonly (readonly [string, Call, string])[] = [
    ["PUT", {}, "GET, OPTIONS"],
    ["DELETE", {}, "GET, OPTIONS"],
    ["POST", PLACES.object, "GET, HEAD, PUT, DELETE, OPTIONS"],
    ["PATCH", PLACES.object, "GET, HEAD, PUT, DELETE, OPTIONS"],
  ]
  for (const [method, call, allow] of cases) {
    const response = await client.call(method, call)
    assert.equal(response.status, 405, method)
    assert.equal(response.header("allow"), allow)
    assert.equal(text(response.text, "Code"), "MethodNotAllowed")
  }
})

test("the tables for the documents contain every row", () => {
  const { operations, headers } = compatibilityTables()
  for (const { name } of OPERATIONS) assert.ok(operations.includes(`| ${name} |`), name)
  for (const { name } of HEADER_ROWS) assert.ok(headers.includes(`\`${name}\``), name)
  assert.ok(!/undefined|\| {2}\|/.test(operations + headers), "no empty cells")
  assert.match(operations, /\| `OPTIONS \/bucket` \| none \| supported; without a rule that allows it 403 \|/)
})
