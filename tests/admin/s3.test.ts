/** S3 on the admin port: who acts, what a page of another origin may do, and what an uploaded page may do. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http"
import { after, test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import type { AdminApi } from "@hayloft/admin/index.js"
import { AdminProtocol, S3_PREFIX, S3OfCallers, speaksS3 } from "@hayloft/admin/index.js"
import { Denials } from "@hayloft/access/index.js"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { HTTP_LIMITS, HttpServer } from "@hayloft/protocols/http/index.js"
import { PortRouter } from "@hayloft/server/ports/port-router.js"
import { ForwardedRequests } from "@hayloft/protocols/s3/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { ROOT_KEY } from "../access/world.js"
import { handleModel } from "../s3/over-model.js"
import { Browser, ConsoleWorld, TOKEN } from "./world.js"

const FOLDER_POLICY = JSON.stringify({
  Version: "2012-10-17",
  Statement: [
    { Effect: "Allow", Action: ["s3:PutObject", "s3:GetObject"], Resource: "arn:aws:s3:::photos/ann/*" },
    { Effect: "Allow", Action: "s3:ListAllMyBuckets", Resource: "*" },
  ],
})

/** The admin port with S3 on it. */
async function served(
  api: AdminApi,
  requests: Pick<ForwardedRequests, "handle" | "stop">,
): Promise<{ readonly port: number }> {
  const port = new AdminProtocol(api)
  const s3 = new S3OfCallers(api.callers, requests, port)
  const router = new PortRouter([{ protocol: s3, speaks: speaksS3 }], port)
  const limits = { ...HTTP_LIMITS, stopMs: 2_000 }
  const ofServer = { name: "admin", host: "127.0.0.1", port: 0, serverHeader: "Hayloft", limits }
  const seams = { clock: new RealClock(), random: new RealRandom(), telemetry: new SimTelemetry() }
  const server = new HttpServer(seams, router, ofServer)
  const bound = await server.listen()
  const stopping = new AbortController()
  const running = server.run(stopping.signal)
  after(async () => {
    stopping.abort()
    await running
  })
  return bound
}

const consoleNode = async (): Promise<AdminApi> => (await ConsoleWorld.open()).node()

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

type Headers = Readonly<Record<string, string>>

async function open() {
  const world = await ConsoleWorld.open()
  const api = world.node()
  const { accounts, identities } = world.access.access
  const audit = new FakeAudit()
  const denials = new Denials()
  const { settings, services } = handleModel({ accounts, audit, denials })
  const requests = new ForwardedRequests({ ...settings, pathPrefix: S3_PREFIX }, ROOT_KEY.accountId)
  const bound = await served(api, requests)
  const host = `127.0.0.1:${bound.port}`
  const send = (method: string, path: string, headers: Headers = bearer(TOKEN), body: string | Uint8Array = "") =>
    exchanged(bound.port, method, `/v1/s3${path}`, headers, body)
  /** S3 wants a digest of each document. */
  const change = (path: string, document: string, headers: Headers = bearer(TOKEN)) =>
    send("PUT", path, { ...headers, "content-md5": createHash("md5").update(document).digest("base64") }, document)
  const signIn = async (credentials: object) => {
    const browser = new Browser(api, host)
    await browser.signIn(credentials)
    const asPage = (more: Headers = {}): Headers => ({
      cookie: browser.cookie,
      host,
      origin: `http://${host}`,
      "sec-fetch-site": "same-origin",
      ...more,
    })
    return { asPage, csrf: { "x-hayloft-csrf": browser.csrf ?? "" } }
  }
  const token = async (...scopes: readonly string[]): Promise<string> => {
    const operator = new Browser(api)
    await operator.signIn({ token: TOKEN })
    const { value } = await operator.send("POST", "/v1/tokens", { body: { name: "ci", scopes } })
    return String(value["token"])
  }
  const user = async (name: string, policy: string) => {
    const ref = await world.access.create("user", name)
    await identities.putInline(ref, "own", policy)
    const { key, secret } = await accounts.createKey({ accountId: ROOT_KEY.accountId, userName: name })
    return { accessKeyId: key.id, secretAccessKey: secret }
  }
  return { host, send, change, signIn, token, user, accounts, services, audit, denials }
}

const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` })

async function exchanged(
  port: number,
  method: string,
  path: string,
  headers: Headers,
  body: string | Uint8Array,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = { "content-length": String(Buffer.byteLength(body)) }
    const outgoing = httpRequest(
      { host: "127.0.0.1", port, method, path, agent: false, headers: { ...length, ...headers } },
      incoming => {
        const pieces: Buffer[] = []
        incoming.on("data", (piece: Buffer) => pieces.push(piece))
        incoming.once("error", reject)
        incoming.once("end", () => {
          const text = Buffer.concat(pieces).toString("latin1")
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text })
        })
      },
    )
    outgoing.once("error", reject)
    outgoing.end(body)
  })
}

const codeOf = ({ text }: Answer): string => /<Code>(\w+)|"code":"(\w+)/.exec(text)?.slice(1).find(Boolean) ?? text

test("the operator uses S3 with a token: objects, ranges, listings, uploads in parts, and errors as S3 has them", async () => {
  const { send, host } = await open()
  assert.equal((await send("PUT", "/photos")).status, 200)
  assert.equal((await send("PUT", "/photos/a%20b/1.txt", bearer(TOKEN), "hello world")).status, 200)
  assert.equal((await send("GET", "/photos/a%20b/1.txt")).text, "hello world")
  const part = await send("GET", "/photos/a%20b/1.txt", { ...bearer(TOKEN), range: "bytes=6-" })
  assert.deepEqual([part.status, part.text, part.headers["content-range"]], [206, "world", "bytes 6-10/11"])
  assert.match((await send("GET", "/photos?list-type=2&prefix=a")).text, /<Key>a b\/1.txt<\/Key>/)
  for (const target of ["", "/"]) assert.match((await send("GET", target)).text, /<Name>photos<\/Name>/)
  const { text } = await send("POST", "/photos/big?uploads")
  const [, id = ""] = /<UploadId>([^<]+)/.exec(text) ?? []
  const { headers } = await send("PUT", `/photos/big?partNumber=1&uploadId=${id}`, bearer(TOKEN), "part")
  const parts = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${headers.etag ?? ""}</ETag></Part></CompleteMultipartUpload>`
  const completed = await send("POST", `/photos/big?uploadId=${id}`, bearer(TOKEN), parts)
  assert.match(completed.text, new RegExp(`<Location>http://${host}/v1/s3/photos/big</Location>`))
  const missing = await send("GET", "/photos/none")
  assert.deepEqual([missing.status, codeOf(missing)], [404, "NoSuchKey"])
  assert.match(missing.text, /<Resource>\/photos\/none</)
  assert.deepEqual(codeOf(await send("GET", "/%ZZ")), "InvalidURI")
  assert.equal(codeOf(await send("GET", "/nobucketofthis")), "NoSuchBucket")
})

test("a page that a person opens gets S3's answer, and a Host that looks like a bucket's is none", async () => {
  const { send, host } = await open()
  await send("PUT", "/photos")
  const list = await send("GET", "/", {
    ...bearer(TOKEN),
    accept: "text/html",
    host: host.replace("127.0.0.1", "x.localhost"),
  })
  assert.match(list.text, /<Name>photos<\/Name>/)
})

test("the operator acts as the root user of the bucket's owner; the audit log says who it was", async () => {
  const { send, change, accounts, audit, token, services } = await open()
  const account = await accounts.createAccount({ displayName: "lab", email: "lab@example.com" })
  await services.buckets.create({ name: parseBucketName("lab-data"), owner: account.id, location: "" })
  assert.equal((await send("PUT", "/lab-data/k", bearer(TOKEN), "v")).status, 200)
  const { headers, text } = await send("GET", "/lab-data?acl")
  assert.ok(text.includes(account.id), JSON.stringify(headers))
  assert.equal((await change("/lab-data?tagging", TAGS, bearer(await token("all")))).status, 204)
  assert.deepEqual({ ...audit.last("s3:PutBucketTagging")?.caller, id: "" }, { ...CALLER, kind: "token", name: "ci" })
  assert.equal((await send("PUT", "/mine")).status, 200)
  assert.deepEqual(audit.last("s3:CreateBucket")?.caller, { ...CALLER, kind: "operator", name: "" })
  assert.equal((await services.buckets.open(parseBucketName("mine"))).owner, ROOT_KEY.accountId)
})

const CALLER = { id: "", address: "127.0.0.1" }
const TAGS = "<Tagging><TagSet><Tag><Key>team</Key><Value>lab</Value></Tag></TagSet></Tagging>"

test("tokens need the scope all; those who signed in with a key may do what their policies allow", async () => {
  const { send, change, token, user, signIn, audit, denials } = await open()
  await send("PUT", "/photos")
  for (const scope of ["read", "buckets", "identities", "devices"]) {
    const refused = await send("GET", "/photos", bearer(await token(scope)))
    assert.deepEqual([refused.status, codeOf(refused)], [403, "outOfScope"])
  }
  const ann = await user("ann", FOLDER_POLICY)
  const { asPage, csrf } = await signIn(ann)
  assert.equal((await send("PUT", "/photos/ann/1", asPage(csrf), "hers")).status, 200)
  assert.equal((await send("GET", "/photos/ann/1", asPage())).text, "hers")
  assert.match((await send("GET", "/", asPage())).text, /<Name>photos</)
  for (const [method, path] of [
    ["PUT", "/photos/bob/1"],
    ["GET", "/photos?list-type=2"],
    ["DELETE", "/photos"],
    ["PUT", "/photos?tagging"],
  ] as const) {
    const denied = await send(method, path, asPage(csrf), "x")
    assert.deepEqual([denied.status, codeOf(denied)], [403, "AccessDenied"], `${method} ${path}`)
    const found = denials.find(String(denied.headers["x-amz-request-id"]))
    assert.equal(found?.accessKeyId, ann.accessKeyId)
  }
  const other = await user("eve", FOLDER_POLICY.replace("s3:PutObject", "s3:*").replace("photos/ann/*", "photos"))
  const eve = await signIn(other)
  assert.equal((await change("/photos?tagging", TAGS, eve.asPage(eve.csrf))).status, 204)
  assert.equal(audit.last("s3:PutBucketTagging")?.caller.id, other.accessKeyId)
})

test("nobody who has not signed in gets anything, not even by a signature of S3", async () => {
  const { send } = await open()
  for (const headers of [
    {},
    bearer("wrong"),
    { authorization: `AWS4-HMAC-SHA256 Credential=${ROOT_KEY.accessKeyId}/20260601/us-east-1/s3/aws4_request` },
    { cookie: "hayloft-session=HLC1.forged" },
  ] as readonly Headers[]) {
    const refused = await send("GET", "/photos", headers)
    assert.deepEqual([refused.status, codeOf(refused)], [401, "accessDenied"])
  }
  const presigned = await send("GET", "/photos/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00", {})
  assert.equal(presigned.status, 401)
})

test("with a cookie, pages of other origins read and change nothing, and every change needs the proof of a page", async () => {
  const { send, signIn, host } = await open()
  await send("PUT", "/photos")
  await send("PUT", "/photos/k", bearer(TOKEN), "before")
  const { asPage, csrf } = await signIn({ token: TOKEN })
  const attacks: readonly [string, string, Headers][] = [
    ["PUT", "/photos/k", asPage()],
    ["POST", "/photos?delete", asPage({ "x-hayloft-csrf": "guess" })],
    ["DELETE", "/photos/k", asPage()],
    ["PUT", "/photos/k", asPage({ ...csrf, "sec-fetch-site": "cross-site" })],
    ["PUT", "/photos/k", asPage({ ...csrf, origin: "https://evil.example" })],
    ["GET", "/photos/k", asPage({ "sec-fetch-site": "cross-site" })],
    ["GET", "/photos/k", asPage({ "sec-fetch-site": "same-site" })],
    ["GET", "/photos/k", asPage({ host: `evil.example:${host.split(":")[1] ?? ""}`, origin: "" })],
  ]
  for (const [method, path, headers] of attacks) {
    const refused = await send(method, path, headers, "after")
    assert.deepEqual([refused.status, codeOf(refused)], [403, "accessForbidden"], `${method} ${path}`)
  }
  const preflight = await send("OPTIONS", "/photos/k", { origin: "https://evil.example" })
  assert.equal(preflight.status, 405)
  assert.equal((await send("GET", "/photos/k", asPage())).text, "before")
  assert.equal((await send("PUT", "/photos/k", asPage(csrf), "after")).status, 200)
})

test("an uploaded page is of no origin and runs nothing; scripts, styles and workers are not served", async () => {
  const { send, change, signIn } = await open()
  await send("PUT", "/photos")
  const html = { ...bearer(TOKEN), "content-type": "text/html", "cache-control": "public, max-age=600" }
  await send("PUT", "/photos/page", html, "<script>fetch('/v1/session')</script>")
  const cors = `<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>`
  assert.equal((await change("/photos?cors", cors)).status, 200)
  const { asPage } = await signIn({ token: TOKEN })
  const seen = [
    await send("GET", "/photos/page", asPage({ "sec-fetch-dest": "document" })),
    await send("GET", "/photos/page", asPage({ range: "bytes=0-3" })),
    await send("GET", "/photos/page?response-content-type=image/svg%2Bxml", asPage({ "sec-fetch-dest": "iframe" })),
    await send("HEAD", "/photos/page", asPage()),
    await send("GET", "/photos/none", asPage()),
    await send("GET", "/photos?list-type=2", { ...bearer(TOKEN), origin: "https://elsewhere.example" }),
  ]
  for (const { headers } of seen) {
    assert.match(String(headers["content-security-policy"]), /^sandbox; default-src 'none';/)
    assert.equal(headers["x-content-type-options"], "nosniff")
    assert.equal(headers["cross-origin-resource-policy"], "same-origin")
    assert.equal(headers["access-control-allow-origin"], undefined)
  }
  const [shown, , , head] = seen
  assert.equal(shown?.headers["content-type"], "text/html")
  assert.match(String(shown?.headers["cache-control"]), /no-store/)
  assert.equal(head?.headers["cache-control"], "public, max-age=600")
  for (const destination of ["script", "style", "worker", "serviceworker", "sharedworker", "object", "embed", "font"]) {
    const refused = await send("GET", "/photos/page", asPage({ "sec-fetch-dest": destination }))
    assert.deepEqual([refused.status, codeOf(refused)], [403, "accessForbidden"], destination)
  }
})

test("bodies are checked as on the S3 port: hashes, chunks without signatures; signed chunks and forms are refused", async () => {
  const { send } = await open()
  await send("PUT", "/photos")
  const put = (headers: Headers, body: string) => send("PUT", "/photos/k", { ...bearer(TOKEN), ...headers }, body)
  const wrong = await put({ "x-amz-content-sha256": "0".repeat(64) }, "hello")
  assert.equal(codeOf(wrong), "XAmzContentSHA256Mismatch")
  const chunks = {
    "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",

    "x-amz-decoded-content-length": "5",
    "x-amz-trailer": "x-amz-checksum-crc32",
    "content-encoding": "aws-chunked",
  }
  const chunked = await put(chunks, "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n")
  assert.equal(chunked.status, 200, chunked.text)
  assert.equal((await send("GET", "/photos/k")).text, "hello")
  const signed = { ...chunks, "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" }
  assert.equal(codeOf(await put(signed, "5;chunk-signature=0\r\nhello\r\n")), "InvalidRequest")
  const form = { ...bearer(TOKEN), "content-type": "multipart/form-data; boundary=x" }
  const posted = await send("POST", "/photos", form, "--x--\r\n")
  assert.deepEqual([posted.status, codeOf(posted)], [501, "NotImplemented"])
})

test("bodies pass at the pace of who reads them, in both directions, and end when the client leaves", async () => {
  const piece = new Uint8Array(MIB)
  let sent = 0
  let isEnded = false
  async function* pieces(): AsyncGenerator<Uint8Array> {
    try {
      for (; sent < PIECES; sent += 1) yield piece
    } finally {
      isEnded = true
    }
  }
  const { port } = await served(await consoleNode(), {
    stop: () => undefined,
    handle: async exchange => {
      if (exchange.method === "GET") return exchange.respond({ status: 200, headers: [], body: pieces() })
      for await (const first of exchange.body()) {
        assert.ok(first.length > 0)
        await new Promise(resolve => exchange.signal.addEventListener("abort", resolve))
      }
    },
  })
  const at = { host: "127.0.0.1", port, path: "/v1/s3/photos/big", headers: bearer(TOKEN), agent: false }
  const reading = httpRequest(at).end()
  const [incoming] = (await once(reading, "response")) as [IncomingMessage]
  incoming.pause()
  const settled = await settledValue(() => sent)
  assert.ok(settled < 64, `${settled} MiB were read for a client that reads nothing`)
  incoming.destroy()
  await until("the request has ended", () => isEnded, 5)

  const writing = httpRequest({ ...at, method: "PUT", headers: { ...bearer(TOKEN), "content-length": PIECES * MIB } })
  writing.once("error", () => undefined)
  let written = 0
  const write = (): void => {
    while (written < PIECES) {
      written += 1
      if (!writing.write(piece)) break
    }
  }
  writing.on("drain", write)
  write()
  const taken = await settledValue(() => written)
  assert.ok(taken < 64, `${taken} MiB were taken for a server that reads nothing`)
  writing.destroy()
})

const PIECES = 512

/** A value that grows for a while, once it grows no more. */
async function settledValue(value: () => number): Promise<number> {
  let [before, same] = [-1, 0]
  const isSettled = (): boolean => {
    same = value() === before && before > 0 ? same + 1 : 0
    before = value()
    return same === 10
  }
  await until(() => `${value()} grows no more`, isSettled, 10)
  return value()
}
