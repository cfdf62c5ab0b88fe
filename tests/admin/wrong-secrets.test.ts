/** Wrong secrets at the doors of a real server: who has to wait, who does not, and what the audit log has. */
import assert from "node:assert/strict"
import { request } from "node:http"
import { join } from "node:path"
import { test } from "node:test"
import { z } from "zod"
import { Client } from "../../conformance/client.js"
import { FORM_BOUNDARY, formBody, signForm } from "../../conformance/forms.js"
import { parseEndpoint, type RawRequest } from "../../conformance/raw-client.js"
import type { Credentials } from "../../conformance/sign-v4.js"
import { forTestsOfFile } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"

const ENTRIES = z.object({
  entries: z.array(
    z.object({
      operation: z.string(),
      target: z.string(),
      caller: z.object({ kind: z.string(), address: z.string() }),
      ended: z.object({ outcome: z.string() }).optional(),
    }),
  ),
})
const WRONG = { accessKey: CREDENTIALS.accessKey, secretKey: "wrong" }
/** Far more than wait on any machine: waits get longer. */
const ATTEMPTS_MAX = 40

let server: ServerProcess
let swiftPort = 0
forTestsOfFile(async folder => {
  swiftPort = await freePort()
  server = await ServerProcess.start({
    folders: [join(folder, "data")],
    args: ["--swift-listen", `127.0.0.1:${swiftPort}`],
  })
  return () => server.kill()
})

interface Sent {
  readonly port: number
  readonly path: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  /** From which of the machine's own addresses. */
  readonly from: string
}

/** The status of the answer. */
const send = ({ port, path, method = "GET", headers = {}, body, from }: Sent): Promise<number> =>
  new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, method, headers, localAddress: from }, answer => {
      answer.resume().once("end", () => resolve(answer.statusCode ?? 0))
    })
    sent.once("error", reject).end(body)
  })

const sendAs = (port: number, { method, target, headers, body = [] }: RawRequest, from: string): Promise<number> => {
  const bytes = Buffer.concat([...body])
  return send({ port, path: target, method, headers: Object.fromEntries(headers), body: bytes, from })
}

/** Until the client has to wait, which is answered with `status`, after so many attempts. */
async function untilRefused(status: number, wrong: number, attempt: () => Promise<number>, free = 5): Promise<void> {
  for (let i = 0; i < ATTEMPTS_MAX; i += 1) {
    const got = await attempt()
    if (got === status && i >= free) return
    assert.equal(got, wrong)
  }
  assert.fail("no attempt was refused")
}

const clientOf = (credentials: Credentials) => new Client(parseEndpoint(server.endpoint), credentials, REGION)

/** A URL is signed for a host. */
const host = () => ({ host: `127.0.0.1:${server.port}` })

/** How a request may be signed; each sends one from an address. */
const SIGNED: Readonly<Record<string, (credentials: Credentials, from: string) => Promise<number>>> = {
  "in a header": (credentials, from) => sendAs(server.port, clientOf(credentials).prepare("GET", {}).request, from),
  "in a URL": (credentials, from) =>
    send({ port: server.port, path: clientOf(credentials).presign("GET", {}), headers: host(), from }),
  "in a form": (credentials, from) => {
    const signed = signForm(credentials, { bucket: "forms", conditions: [{ key: "k" }] })
    const headers = { ...host(), "content-type": `multipart/form-data; boundary=${FORM_BOUNDARY}` }
    const body = formBody([["key", "k"], ...signed], { bytes: "x" })
    return send({ port: server.port, path: "/forms", method: "POST", headers, body, from })
  },
}

test("S3: wrong signatures of a key, in headers, URLs and forms, hold up their own address alone", async () => {
  assert.equal((await clientOf(CREDENTIALS).call("PUT", { bucket: "forms" })).status, 200)
  for (const [i, [name, sendSigned]] of Object.entries(SIGNED).entries()) {
    const address = `127.0.1.${i}`
    await untilRefused(503, 403, () => sendSigned(WRONG, address))
    // The wait may be over by now, but then each wrong one makes the next one longer.
    for (const other of Object.values(SIGNED)) await untilRefused(503, 403, () => other(WRONG, address), 0)
    assert.ok((await sendSigned(CREDENTIALS, "127.0.0.3")) < 300, name)
  }
})

test("IAM: wrong signatures of a key hold up their address", async () => {
  const client = clientOf(WRONG)
  const call = {
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: "Action=ListUsers&Version=2010-05-08",
    sign: { service: "iam" },
  }
  const { request: wrong } = client.prepare("POST", call)
  await untilRefused(400, 403, () => sendAs(server.port, wrong, "127.0.0.4"))
})

test("Swift, the console and bearer tokens: an address waits, and the audit log has each wrong attempt", async () => {
  const body = JSON.stringify({ token: "guess" })
  const { adminPort } = server
  const headers = { "content-type": "application/json", origin: `http://127.0.0.1:${adminPort}` }
  const signIn = (key: string, from: string) =>
    send({
      port: swiftPort,
      path: "/auth/v1.0",
      from,
      headers: { "X-Auth-User": CREDENTIALS.accessKey, "X-Auth-Key": key },
    })
  await untilRefused(498, 401, () => signIn("wrong", "127.0.0.5"))
  assert.equal(await signIn(CREDENTIALS.secretKey, "127.0.0.6"), 200)
  const console = { port: adminPort, path: "/v1/session", method: "POST", headers, body }
  await untilRefused(429, 401, () => send({ ...console, from: "127.0.0.5" }))
  const bearer = { authorization: "Bearer guess" }
  await untilRefused(429, 401, () => send({ port: adminPort, path: "/v1/status", headers: bearer, from: "127.0.0.5" }))
  const { entries } = ENTRIES.parse(await server.report("/v1/audit"))
  for (const [operation, target, outcome] of [
    ["swift:SignIn", CREDENTIALS.accessKey, "invalidAccessKey"],
    ["signIn", "", "accessDenied"],
    ["useToken", "operator", "accessDenied"],
  ] as const) {
    const found = entries.filter(entry => entry.operation === operation && entry.target === target)
    assert.ok(found.length >= 5, operation)
    assert.deepEqual(found[0]?.caller, { kind: "anonymous", address: "127.0.0.5" })
    assert.equal(found[0]?.ended?.outcome, outcome)
  }
})
