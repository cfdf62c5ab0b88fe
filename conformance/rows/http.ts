/** Lines 15 to 26: HTTP behaviour beyond Node's classes, errors, XML. Line 25 needs faults and is tested elsewhere. */
import { md5Base64 } from "../checksums.js"
import type { Call } from "../client.js"
import { check, expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { ANSWER_TIMEOUT_MS, AnswerBroken, RawConnection, encodeHead, exchange, exchangeOn } from "../raw-client.js"
import type { RawResponse } from "../raw-client.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { UNSIGNED_PAYLOAD } from "../sign-v4.js"
import { elements, text } from "../xml.js"

const later = (durationMs: number) => new Promise<void>(resolve => void setTimeout(resolve, durationMs))
const EXPECT = { Expect: "100-continue" }
const UNSIGNED = { payloadHash: UNSIGNED_PAYLOAD }
/** Longer than Node's own keep-alive time-out of 5 s. */
const IDLE_MS = 7_000

async function refusedWithoutContinue(scene: Scene, call: Call, status: number, code: string): Promise<void> {
  const response = await scene.call("PUT", { key: "k", body: "x".repeat(1000), awaitContinue: true, ...call })
  expectError(response, status, code)
  check(!response.continued, "no 100 Continue was sent")
}

/**
 * Sends a prepared PUT with other framing headers than the signed ones (they are left unsigned). Returns undefined if the
 * connection ends instead of an answer. `isLast`: the server closes the connection.
 */
async function putFramed(
  scene: Scene,
  framing: readonly (readonly [string, string])[],
  body: string,
  { target = { key: "k" }, isLast = false }: { readonly target?: Call; readonly isLast?: boolean } = {},
): Promise<RawResponse | undefined> {
  const { request } = scene.client.prepare("PUT", { bucket: scene.bucket, noLength: true, sign: UNSIGNED, ...target })
  const connection = await RawConnection.open(scene.client.endpoint)
  try {
    const headers = [...request.headers, ...framing]
    const response = await exchangeOn(connection, { ...request, headers, body: [Buffer.from(body)] }).catch(
      (error: unknown) => {
        if (error instanceof AnswerBroken) return undefined
        throw error
      },
    )
    if (isLast) check(await connection.waitClosed(ANSWER_TIMEOUT_MS), "the server closed the connection")
    return response
  } finally {
    connection.destroy()
  }
}

const framed = async (scene: Scene, framing: readonly (readonly [string, string])[], body: string, target?: Call) =>
  present(await putFramed(scene, framing, body, target && { target }), "an answer")

const NS = "http://s3.amazonaws.com/doc/2006-03-01/"
const DELETE_K = "<Object><Key>k</Key></Object>"

const MALFORMED: readonly (readonly [title: string, xml: string])[] = [
  ["no XML", "not xml at all"],
  ["an unclosed element", `<Delete>${DELETE_K}`],
  ["a DTD", `<!DOCTYPE d [<!ENTITY e "k">]><Delete><Object><Key>&e;</Key></Object></Delete>`],
  ["an unknown entity", "<Delete><Object><Key>&nbsp;</Key></Object></Delete>"],
  ["a deep document", "<Delete>".repeat(5_000) + "</Delete>".repeat(5_000)],
  ["another root", `<Remove>${DELETE_K}</Remove>`],
  ["an empty body", ""],
]

const ACCEPTED: readonly (readonly [title: string, xml: string])[] = [
  ["the namespace", `<?xml version="1.0" encoding="UTF-8"?>\n<Delete xmlns="${NS}">${DELETE_K}</Delete>`],
  ["no namespace", `<Delete>${DELETE_K}</Delete>`],
  ["a prefix", `<s3:Delete xmlns:s3="${NS}"><s3:Object><s3:Key>k</s3:Key></s3:Object></s3:Delete>`],
  ["white space and a comment", `\n<Delete>\n  <!-- why -->\n  ${DELETE_K}\n</Delete>\n`],
  [
    "numeric references and CDATA",
    "<Delete><Object><Key><![CDATA[k]]></Key></Object><Quiet>&#102;alse</Quiet></Delete>",
  ],
]

async function errorsCarry(scene: Scene): Promise<void> {
  const missing = expectError(await scene.get("missing/key"), 404, "NoSuchKey")
  expectHeader(missing, "content-type", /^application\/xml/)
  for (const name of ["Code", "Message", "Resource", "RequestId", "HostId"]) {
    check((text(missing.text, name) ?? "") !== "", `<${name}> is filled`)
  }
  same(text(missing.text, "Key"), "missing/key", "Key")
  same(text(missing.text, "RequestId"), missing.header("x-amz-request-id"), "RequestId")
  const bucket = scene.uniqueName()
  const gone = expectError(await scene.client.call("GET", { bucket }), 404, "NoSuchBucket")
  same(text(gone.text, "BucketName"), bucket, "BucketName")
}

export const httpRows: readonly Row[] = [
  row("15.1", "100 Continue comes for a good request, then 200", async scene => {
    const response = await scene.call("PUT", { key: "k", body: "body", headers: EXPECT, awaitContinue: true })
    expectStatus(response, 200)
    check(response.continued, "100 Continue was sent")
    expectBody(await scene.get("k"), "body")
  }),
  row("15.2", "a wrong signature is refused without 100", async scene => {
    const credentials = { ...scene.client.credentials, secretKey: "wrong" }
    await refusedWithoutContinue(scene, { headers: EXPECT, credentials }, 403, "SignatureDoesNotMatch")
  }),
  row("15.3", "a false condition is refused without 100", async scene => {
    await scene.stored("k", "first")
    await refusedWithoutContinue(scene, { headers: { ...EXPECT, "If-None-Match": "*" } }, 412, "PreconditionFailed")
  }),
  row("15.4", "a length over the limit is refused without 100", async scene => {
    const headers = { ...EXPECT, "Content-Length": String(5 * 1024 ** 3 + 1) }
    await refusedWithoutContinue(scene, { headers, sign: UNSIGNED }, 400, "EntityTooLarge")
  }),
  row("15.5", "a missing bucket is refused without 100", async scene => {
    await refusedWithoutContinue(scene, { headers: EXPECT, bucket: scene.uniqueName() }, 404, "NoSuchBucket")
  }),
  row("15.6", "anonymous is refused without 100", async scene => {
    await refusedWithoutContinue(scene, { headers: EXPECT, anonymous: true }, 403, "AccessDenied")
  }),
  row("15.7", "other values of Expect are ignored", async scene => {
    for (const value of ["200", "", "200-ok"]) expectStatus(await scene.put("k", "body", { Expect: value }), 200)
  }),
  row("16.1", "a refusal reaches a client that sends 8 MiB without asking", async scene => {
    const call = { bucket: scene.uniqueName(), key: "k", body: Buffer.alloc(8 << 20), sign: UNSIGNED }
    expectError(await scene.client.call("PUT", call), 404, "NoSuchBucket")
  }),
  row("16.2", "a wrong signature reaches a client that sends 32 MiB without asking", async scene => {
    const credentials = { ...scene.client.credentials, secretKey: "wrong" }
    const call = { key: "k", body: Buffer.alloc(32 << 20), credentials, sign: UNSIGNED }
    expectError(await scene.call("PUT", call), 403, "SignatureDoesNotMatch")
  }),
  row(
    "16.3",
    "a connection whose request was refused before a small body stays usable, or is closed cleanly",
    async scene => {
      const connection = await RawConnection.open(scene.client.endpoint)
      const bad = scene.client.prepare("PUT", { bucket: scene.uniqueName(), key: "k", body: "small" }).request
      expectError(await exchangeOn(connection, bad), 404, "NoSuchBucket")
      const next = scene.client.prepare("GET", { bucket: scene.bucket, query: "list-type=2" }).request
      if (!connection.closed) {
        const response = await exchangeOn(connection, next).catch((error: unknown) => {
          if (error instanceof AnswerBroken && error.partial.status === undefined) return undefined
          throw error
        })
        if (response) expectStatus(response, 200)
      }
      connection.destroy()
    },
  ),
  row("17.1", "an upload with pauses of seconds succeeds", async scene => {
    const piece = Buffer.alloc(256 * 1024, "slow")
    const body = [piece, piece, piece, piece]
    const { request } = scene.client.prepare("PUT", {
      bucket: scene.bucket,
      key: "k",
      headers: { "Content-Length": String(piece.length * body.length) },
      sign: UNSIGNED,
    })
    expectStatus(await exchange(scene.client.endpoint, { ...request, body, pauseMs: 1_500 }), 200)
    expectHeader(await scene.head("k"), "content-length", String(piece.length * 4))
  }),
  row("18.1", "a connection idle for seven seconds still answers", async scene => {
    const connection = await RawConnection.open(scene.client.endpoint)
    const prepare = () => scene.client.prepare("GET", { bucket: scene.bucket, query: "list-type=2" }).request
    expectStatus(await exchangeOn(connection, prepare()), 200)
    await later(IDLE_MS)
    check(!connection.closed, "the server kept the idle connection")
    expectStatus(await exchangeOn(connection, prepare()), 200)
    connection.destroy()
  }),
  row("18.2", "many requests on one connection, pipelined ones too", async scene => {
    await scene.stored("k", "body")
    const connection = await RawConnection.open(scene.client.endpoint)
    const prepare = () => scene.client.prepare("GET", { bucket: scene.bucket, key: "k" }).request
    await connection.write(Buffer.concat([encodeHead(prepare()), encodeHead(prepare()), encodeHead(prepare())]))
    for (let count = 0; count < 3; count += 1) expectBody(await connection.read("GET"), "body")
    expectBody(await exchangeOn(connection, prepare()), "body")
    connection.destroy()
  }),
  row("19.1", "an object without a length is 411", async scene => {
    expectError(await framed(scene, [], ""), 411, "MissingContentLength")
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  row("19.2", "a part without a length is 411", async scene => {
    const uploadId = await scene.createUpload("k")
    const target = { key: "k", query: `partNumber=1&uploadId=${uploadId}` }
    expectError(await framed(scene, [], "", target), 411, "MissingContentLength")
  }),
  ...["", "-5", "abc"].map((value, index) =>
    row(`19.${3 + index}`, `Content-Length "${value}" is 400`, async scene => {
      expectStatus(await framed(scene, [["Content-Length", value]], ""), 400)
      expectError(await scene.get("k"), 404, "NoSuchKey")
    }),
  ),
  row("19.6", "Transfer-Encoding: chunked is accepted", async scene => {
    expectStatus(await framed(scene, [["Transfer-Encoding", "chunked"]], "4\r\nbody\r\n6\r\n & end\r\n0\r\n\r\n"), 200)
    expectBody(expectStatus(await scene.get("k"), 200), "body & end")
  }),
  row("19.7", "a bucket is made without a length", async scene => {
    const bucket = scene.adopt(scene.uniqueName())
    expectStatus(await framed(scene, [], "", { bucket }), 200)
  }),
  row("19.8", "Content-Length beside Transfer-Encoding is 400, and the connection ends", async scene => {
    const framing = [
      ["Content-Length", "4"],
      ["Transfer-Encoding", "chunked"],
    ] as const
    const response = await putFramed(scene, framing, "4\r\nbody\r\n0\r\n\r\n", { isLast: true })
    if (response) expectStatus(response, 400)
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  row("19.9", "two different lengths are 400, and the connection ends", async scene => {
    const framing = [
      ["Content-Length", "4"],
      ["Content-Length", "5"],
    ] as const
    const response = await putFramed(scene, framing, "body5", { isLast: true })
    if (response) expectStatus(response, 400)
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  row("20.1", "a body that ends early leaves nothing visible", async scene => {
    const headers = { "Content-Length": "1000" }
    const { request } = scene.client.prepare("PUT", { bucket: scene.bucket, key: "k", headers, sign: UNSIGNED })
    for (const ending of ["fin", "reset"]) {
      const connection = await RawConnection.open(scene.client.endpoint)
      await connection.write(encodeHead(request))
      await connection.write(Buffer.alloc(400))
      if (ending === "fin") {
        connection.endWriting()
        const response = await connection.read("PUT", 10_000).catch(() => undefined)
        if (response) expectStatus(response, 400)
      }
      connection.destroy()
    }
    await later(100)
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  row("20.2", "an old object survives an overwrite that ends early", async scene => {
    await scene.stored("k", "old")
    const headers = { "Content-Length": String(6 << 20) }
    const { request } = scene.client.prepare("PUT", { bucket: scene.bucket, key: "k", headers, sign: UNSIGNED })
    const connection = await RawConnection.open(scene.client.endpoint)
    await connection.write(encodeHead(request))
    await connection.write(Buffer.alloc(5 << 20))
    connection.destroy()
    await later(100)
    expectBody(expectStatus(await scene.get("k"), 200), "old")
  }),
  row("20.3", "bytes past the length are no part of the object", async scene => {
    await putFramed(scene, [["Content-Length", "4"]], "bodyGARBAGE")
    const response = await scene.get("k")
    if (response.status === 200) expectBody(response, "body")
    else expectError(response, 404, "NoSuchKey")
  }),
  row("21.1", "a header block over 16 KiB is refused", async scene => {
    const response = await scene.get("k", { "x-filler": "f".repeat(20_000) })
    expectStatus(response, [400, 431])
  }),
  row("21.2", "user metadata over 2,048 bytes is refused", async scene => {
    const headers = { "x-amz-meta-a": "v".repeat(1024), "x-amz-meta-b": "v".repeat(1023) }
    expectError(await scene.put("k", "body", headers), 400, "MetadataTooLarge")
  }),
  row("21.3", "user metadata of 2,048 bytes is kept", async scene => {
    const headers = { "x-amz-meta-a": "v".repeat(1024), "x-amz-meta-b": "w".repeat(1022) }
    await scene.stored("k", "body", headers)
    expectHeader(await scene.head("k"), "x-amz-meta-b", "w".repeat(1022))
  }),
  row("22.1", "every answer carries its ids, Date and Server", async scene => {
    const { header } = await scene.stored("k", "body")
    const etag = header("etag") ?? ""
    const answers = [
      await scene.get("k"),
      await scene.head("k"),
      await scene.get("missing"),
      await scene.head("missing"),
      await scene.get("k", { "If-None-Match": etag }),
      await scene.remove("missing"),
      await scene.client.call("GET", { anonymous: true }),
      await scene.list(),
    ]
    for (const answer of answers) {
      for (const name of ["x-amz-request-id", "x-amz-id-2", "server"]) expectHeader(answer, name, /./)
      const skewMs = Math.abs(Date.parse(answer.header("date") ?? "") - Date.now())
      check(skewMs < 120_000, `Date is a time of now (${answer.status})`)
    }
    const ids = new Set(answers.map(answer => answer.header("x-amz-request-id")))
    same(ids.size, answers.length, "different request ids")
  }),
  row("23.1", "error documents carry what tools read", errorsCarry),
  row("23.2", "PreconditionFailed names the condition", async scene => {
    await scene.stored("k", "body")
    const response = expectError(await scene.get("k", { "If-Match": '"no"' }), 412, "PreconditionFailed")
    same(text(response.text, "Condition"), "If-Match", "Condition")
  }),
  row("23.3", "InvalidRange carries the size", async scene => {
    await scene.stored("k", "body")
    const response = expectError(await scene.get("k", { Range: "bytes=10-" }), 416, "InvalidRange")
    same(text(response.text, "ActualObjectSize"), "4", "ActualObjectSize")
  }),
  row("23.4", "SignatureDoesNotMatch shows what was signed", async scene => {
    const credentials = { ...scene.client.credentials, secretKey: "wrong" }
    const response = expectError(await scene.call("GET", { key: "k", credentials }), 403, "SignatureDoesNotMatch")
    check(text(response.text, "StringToSign")?.startsWith("AWS4-HMAC-SHA256\n") ?? false, "StringToSign")
    check(text(response.text, "CanonicalRequest")?.startsWith(`GET\n/${scene.bucket}/k\n`) ?? false, "CanonicalRequest")
  }),
  row("23.5", "text in errors is escaped", async scene => {
    const response = expectError(await scene.get("<a>&\u0001"), 404, "NoSuchKey")
    check(!response.text.includes("<a>"), "the key is escaped")
    same(text(response.text, "Key"), "<a>&\ufffd", "Key, without what XML 1.0 cannot carry")
  }),
  row("24.1", "HEAD errors have no body, and the connection stays usable", async scene => {
    const etag = (await scene.stored("k", "body")).header("etag") ?? ""
    const connection = await RawConnection.open(scene.client.endpoint)
    const calls: readonly (readonly [number, Call])[] = [
      [404, { key: "missing" }],
      [304, { key: "k", headers: { "If-None-Match": etag } }],
      [412, { key: "k", headers: { "If-Match": '"no"' } }],
      [403, { key: "k", anonymous: true }],
      [404, { bucket: scene.uniqueName() }],
      [200, { key: "k" }],
    ]
    for (const [status, call] of calls) {
      const { request } = scene.client.prepare("HEAD", { bucket: scene.bucket, ...call })
      expectStatus(await exchangeOn(connection, request), status)
      check(!connection.closed, `the connection is open after ${status}`)
    }
    const { request } = scene.client.prepare("GET", { bucket: scene.bucket, key: "k" })
    expectBody(await exchangeOn(connection, request), "body")
    connection.destroy()
  }),
  row("26.1", "answers carry the namespace", async scene => {
    const answers = [await scene.list(), await scene.list("versions"), await scene.client.call("GET", {})]
    for (const answer of answers) {
      check(answer.text.includes(`xmlns="${NS}"`), "namespace")
      check(answer.text.startsWith("<?xml"), "declaration")
    }
  }),
  ...ACCEPTED.map(([title, xml], index) =>
    row(`26.${2 + index}`, `a request document with ${title} is accepted`, async scene => {
      await scene.stored("k", "body")
      const response = expectStatus(await scene.document("POST", "delete", xml), 200)
      same(elements(response.text, "Deleted").length, 1, "deleted")
      expectError(await scene.get("k"), 404, "NoSuchKey")
    }),
  ),
  ...MALFORMED.map(([title, xml], index) =>
    row(`26.${10 + index}`, `a request document with ${title} is MalformedXML`, async scene => {
      await scene.stored("k", "body")
      expectError(await scene.document("POST", "delete", xml), 400, "MalformedXML", "MissingRequestBodyError")
      expectStatus(await scene.get("k"), 200)
    }),
  ),
  row("26.20", "an oversized document is refused", async scene => {
    const body = `<Delete><!--${"x".repeat(6 << 20)}-->${DELETE_K}</Delete>`
    const headers = { "Content-MD5": md5Base64(Buffer.from(body)) }
    const response = await scene.call("POST", { query: "delete", body, headers })
    expectError(response, 400, "MalformedXML", "EntityTooLarge", "MaxMessageLengthExceeded")
  }),
]
