/**
 * Every operation × every form of signature × every flaw of a signature: no operation runs for an unauthenticated
 * caller. Generated from the table of operations, so that a new operation is covered automatically.
 */
import { before, test } from "node:test"
import assert from "node:assert/strict"
import {
  presign,
  sha256Hex,
  signRequest,
  STREAMING_SIGNED,
  STREAMING_SIGNED_TRAILER,
  STREAMING_UNSIGNED_TRAILER,
  UNSIGNED_PAYLOAD,
} from "@hayloft/access/index.js"
import { signV2 } from "../../conformance/sign-v2.js"
import { encodeText } from "../../conformance/sign-v4.js"
import { attemptsWithoutWaits } from "@hayloft/access/secrets/testing-attempts.js"
import { OPERATIONS, type S3Operation } from "@hayloft/protocols/s3/operations.js"
import { SUB_RESOURCES } from "@hayloft/protocols/s3/route.js"
import { ask, type HandlerRequest, type Told } from "./ask.js"
import { handleModel, OWNER, STRANGER, userKeyOf, type Key } from "./over-model.js"
import { Spy } from "./spy.js"

const MINUTE_MS = 60_000
const BODY = new TextEncoder().encode("<Document/>")
const spy = new Spy()
const POWERLESS: Key = { id: "AKIAPOWERLESSPOWERLE", secret: "powerless-secret" }
const BARRED: Key = { id: "AKIABARREDBARREDBARR", secret: "barred-secret" }
const ADMIN: Key = { id: "AKIAADMINADMINADMIN0", secret: "admin-secret" }
const EVERYTHING = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'
const ELSEWHERE =
  '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::else","arn:aws:s3:::else/*"]}}'
const { handler } = handleModel({
  attempts: attemptsWithoutWaits(),
  services: model => spy.over(model),
  keys: [
    userKeyOf(POWERLESS, "powerless", []),
    userKeyOf(BARRED, "barred", [EVERYTHING], { session: ELSEWHERE }),
    userKeyOf(ADMIN, "admin", [EVERYTHING]),
  ],
})

interface Terms {
  readonly key: Key
  readonly atMs: number
  readonly region?: string
  readonly service?: string
}

type Sign = (request: HandlerRequest, terms: Terms) => HandlerRequest

const termsOf = ({ key, region = "us-east-1", service = "s3" }: Terms) => ({
  accessKeyId: key.id,
  secret: key.secret,
  region,
  service,
})

/** The body on the wire, and the header that describes it. */
const inHeader =
  (mode: string): Sign =>
  (request, terms) => {
    const { body = new Uint8Array() } = request
    const chunked = mode.startsWith("STREAMING")
    const describing = chunked
      ? ["content-encoding", "aws-chunked", "x-amz-decoded-content-length", String(body.length)]
      : []
    const trailing = mode.endsWith("-TRAILER") ? ["x-amz-trailer", "x-amz-checksum-crc32"] : []
    const rawHeaders = [...request.rawHeaders, ...describing, ...trailing]
    const hash = mode === "hashed" ? sha256Hex(body) : mode
    return {
      ...request,
      rawHeaders: signRequest({ ...request, rawHeaders }, hash, termsOf(terms), terms.atMs).rawHeaders,
    }
  }

const inQuery: Sign = (request, terms) => ({
  ...request,
  rawTarget: presign(request, 600, termsOf(terms), terms.atMs),
})

const SIGNED_PARAMETERS = new Set([...SUB_RESOURCES].filter(name => name !== "list-type"))

function signatureOfVersion2({ method, rawTarget: target, rawHeaders }: HandlerRequest, key: Key, dateLine: string) {
  const headers = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name, rawHeaders[i + 1] ?? ""] as const] : []))
  return signV2(key.secret, { method, target, headers, dateLine, moreParameters: SIGNED_PARAMETERS })
}

const inHeaderOfVersion2: Sign = (request, { key, atMs }) => {
  const date = new Date(atMs).toUTCString()
  const authorization = `AWS ${key.id}:${signatureOfVersion2(request, key, date)}`
  return { ...request, rawHeaders: [...request.rawHeaders, "Date", date, "Authorization", authorization] }
}

/** For an operation on an object; for all other operations every such signature is refused. */
const inQueryOfVersion2: Sign = (request, { key, atMs }) => {
  const expires = String(Math.floor(atMs / 1000) + 600)
  const { rawTarget: target } = request
  const signature = signatureOfVersion2(request, key, expires)
  const parameters = `AWSAccessKeyId=${key.id}&Signature=${encodeText(signature)}&Expires=${expires}`
  return { ...request, rawTarget: `${target}${target.includes("?") ? "&" : "?"}${parameters}` }
}

const VERSION_2 = "query, version 2"
const VERSION_2_HEADER = "header, version 2"
const FORMS: Readonly<Record<string, Sign>> = {
  "header, hashed": inHeader("hashed"),
  "header, unsigned payload": inHeader(UNSIGNED_PAYLOAD),
  "header, signed chunks": inHeader(STREAMING_SIGNED),
  "header, signed chunks and trailer": inHeader(STREAMING_SIGNED_TRAILER),
  "header, chunks and trailer": inHeader(STREAMING_UNSIGNED_TRAILER),
  query: inQuery,
  [VERSION_2]: inQueryOfVersion2,
  [VERSION_2_HEADER]: inHeaderOfVersion2,
}

/** URLs of version 2 are accepted for requests on objects only. */
const formsOf = ({ resource }: S3Operation) =>
  Object.entries(FORMS).filter(([form]) => form !== VERSION_2 || resource === "object")

const withToken = (request: HandlerRequest): HandlerRequest => ({
  ...request,
  rawHeaders: [...request.rawHeaders, "x-amz-security-token", "nobody's"],
})

const withSignatureChanged = (request: HandlerRequest): HandlerRequest => {
  const change = (text: string) =>
    text.replace(
      /(Signature=|^AWS \w+:)(.)/,
      (_, before: string, first: string) => before + (first === "0" ? "1" : "0"),
    )
  return { ...request, rawTarget: change(request.rawTarget), rawHeaders: request.rawHeaders.map(change) }
}

interface Wrong {
  readonly name: string
  readonly terms?: Partial<Terms>
  /** Changes the request before it is signed. */
  readonly prepare?: (request: HandlerRequest) => HandlerRequest
  readonly change?: (request: HandlerRequest) => HandlerRequest
  /** All forms if absent. */
  readonly forms?: readonly string[]
  readonly codes: readonly string[]
}

const WRONGS: readonly Wrong[] = [
  { name: "wrong secret", terms: { key: { ...OWNER, secret: "wrong" } }, codes: ["SignatureDoesNotMatch"] },
  {
    name: "unknown or revoked key",
    terms: { key: { id: "AKIANOBODYNOBODYNOBO", secret: "x" } },
    codes: ["InvalidAccessKeyId"],
  },
  { name: "changed signature", change: withSignatureChanged, codes: ["SignatureDoesNotMatch"] },
  { name: "a session token that was never issued", prepare: withToken, codes: ["InvalidToken"] },
  { name: "too old", terms: { atMs: -16 * MINUTE_MS }, codes: ["RequestTimeTooSkewed", "AccessDenied"] },
  {
    name: "dated next week",
    terms: { atMs: 8 * 24 * 60 * MINUTE_MS },
    codes: ["RequestTimeTooSkewed", "AccessDenied"],
  },
  {
    name: "another service's",
    terms: { service: "ec2" },
    forms: Object.keys(FORMS).filter(form => form !== VERSION_2 && form !== VERSION_2_HEADER),
    codes: ["AuthorizationHeaderMalformed", "AuthorizationQueryParametersError"],
  },
  {
    name: "another method's",
    change: request => ({ ...request, method: otherMethod(request.method) }),
    codes: ["SignatureDoesNotMatch", "MethodNotAllowed"],
  },
  {
    name: "a header added",
    change: request => ({ ...request, rawHeaders: [...request.rawHeaders, "x-amz-acl", "public-read"] }),
    codes: ["AccessDenied", "SignatureDoesNotMatch"],
  },
  {
    name: "signed twice",
    change: request => ({
      ...request,
      rawTarget: inQuery({ ...request, rawHeaders: ["host", "localhost"] }, { key: OWNER, atMs: Date.now() }).rawTarget,
      rawHeaders: request.rawHeaders.includes("Authorization")
        ? request.rawHeaders
        : [...request.rawHeaders, "Authorization", "AWS4-HMAC-SHA256 Credential=x"],
    }),
    codes: ["InvalidArgument"],
  },
]

const otherMethod = (method: string): string => (method === "GET" ? "HEAD" : method === "HEAD" ? "GET" : method)

const PLACES = { service: "/", bucket: "/bucket", object: "/bucket/key" } as const
const VALUES: Readonly<Record<string, string>> = { uploadId: "none", partNumber: "1", id: "a" }

function requestOf({ method, resource, when, header }: S3Operation): HandlerRequest {
  const query = when.map(name => (name in VALUES ? `${name}=${VALUES[name] ?? ""}` : name)).join("&")
  const rawHeaders = ["host", "localhost", ...(header === undefined ? [] : [header, "/bucket/key"])]
  const body = method === "PUT" || method === "POST" ? BODY : new Uint8Array()
  return { method, rawTarget: PLACES[resource] + (query === "" ? "" : `?${query}`), rawHeaders, body }
}

const routed = OPERATIONS.filter(({ answer }) => answer.kind !== "alias" && answer.kind !== "preflight")

const codeOf = ({ answer }: Told): string => {
  const body = answer?.body
  return body instanceof Uint8Array ? (/<Code>(\w+)/.exec(Buffer.from(body).toString())?.[1] ?? "") : ""
}

before(async () => {
  for (const [rawTarget, body] of [
    ["/bucket", ""],
    ["/bucket/key", "kept"],
  ] as const) {
    const request = {
      method: "PUT",
      rawTarget,
      rawHeaders: ["host", "localhost", "content-length", String(body.length)],
      body: Buffer.from(body),
    }
    const { answer } = await ask(handler, inHeader("hashed")(request, { key: OWNER, atMs: Date.now() }))
    assert.equal(answer?.status, 200)
  }
})

test("no operation runs for a request with an invalid signature, in any form", async () => {
  spy.calls.length = 0
  for (const operation of routed) {
    const request = requestOf(operation)
    for (const [form, sign] of formsOf(operation)) {
      for (const { name, terms, prepare, change, codes, forms = [form] } of WRONGS) {
        if (!forms.includes(form)) continue
        if (name === "another method's" && otherMethod(request.method) === request.method) continue
        const { atMs = 0, ...others } = terms ?? {}
        const signed = sign(prepare?.(request) ?? request, { key: OWNER, ...others, atMs: Date.now() + atMs })
        const result = await ask(handler, change?.(signed) ?? signed)
        // A method that the resource does not have is refused before authentication.
        const what = `${operation.name}, ${form}, ${name}`
        assert.ok([400, 403, 405].includes(result.answer?.status ?? 0), `${what}: ${result.answer?.status}`)
        if (request.method !== "HEAD") assert.ok(codes.includes(codeOf(result)), `${what}: ${codeOf(result)}`)
      }
    }
  }
  assert.deepEqual(spy.calls, [])
})

test("no operation on a bucket runs for another account, in any form", async () => {
  spy.calls.length = 0
  for (const operation of routed) {
    if (operation.resource === "service" || operation.name === "CreateBucket") continue
    for (const [form, sign] of formsOf(operation)) {
      const result = await ask(handler, sign(requestOf(operation), { key: STRANGER, atMs: Date.now() }))
      const expected = operation.answer.kind === "refused" ? 501 : 403
      assert.equal(result.answer?.status, expected, `${operation.name}, ${form}`)
    }
  }
  assert.deepEqual(spy.calls, [])
})

test("no operation runs for a user of the owner, or for a service key, unless a policy allows it", async () => {
  for (const key of [POWERLESS, BARRED]) {
    spy.calls.length = 0
    for (const operation of routed) {
      for (const [form, sign] of formsOf(operation)) {
        const result = await ask(handler, sign(requestOf(operation), { key, atMs: Date.now() }))
        assert.equal(result.answer?.status, refusalOf(operation), `${operation.name}, ${form}`)
      }
    }
    assert.deepEqual(spy.calls, [])
  }
})

function refusalOf({ answer, requiredActions }: S3Operation): number {
  if (answer.kind === "refused") return 501
  // The handler first reads the keys: this body is not a form, and its document names no keys.
  if (answer.kind === "form") return 412
  return typeof requiredActions === "string" ? 400 : 403
}

test("a user who may do everything in the account does what the owner does", async () => {
  for (const operation of routed) {
    const request = requestOf(operation)
    const [result, owners] = await asBoth(request)
    const what = `${operation.name}: ${codeOf(result)}`
    assert.equal(result.answer?.status, owners.answer?.status, what)
    assert.equal(codeOf(result), codeOf(owners), what)
  }
})

/** On existing data, so that the first request changes nothing for the second. */
async function asBoth(request: HandlerRequest): Promise<readonly [Told, Told]> {
  const sign = (key: Key) => inHeader("hashed")(request, { key, atMs: Date.now() })
  const before = await ask(handler, sign(ADMIN))
  return [before, await ask(handler, sign(OWNER))]
}

test("the owner is admitted in every form: so the flaw is the reason of each refusal above", async () => {
  for (const operation of routed) {
    for (const [form, sign] of formsOf(operation)) {
      const { answer } = await ask(handler, sign(requestOf(operation), { key: OWNER, atMs: Date.now() }))
      const status = answer?.status ?? 0
      assert.ok(status >= 200 && status !== 401 && status !== 403, `${operation.name}, ${form}: ${status}`)
    }
  }
})

test("version 2 works in URLs of objects only, and nowhere if it is refused", async () => {
  spy.calls.length = 0
  const refusing = handleModel({
    services: model => spy.over(model),
    attempts: attemptsWithoutWaits(),
    refuseSignatureV2: true,
  })
  const terms = () => ({ key: OWNER, atMs: Date.now() })
  for (const operation of routed) {
    const request = requestOf(operation)
    const refused = [
      await ask(refusing.handler, inHeaderOfVersion2(request, terms())),
      await ask(refusing.handler, inQueryOfVersion2(request, terms())),
    ]
    if (operation.resource !== "object") refused.push(await ask(handler, inQueryOfVersion2(request, terms())))
    for (const result of refused) {
      assert.equal(result.answer?.status, 400, operation.name)
      if (request.method !== "HEAD") assert.equal(codeOf(result), "InvalidRequest", operation.name)
    }
  }
  assert.deepEqual(spy.calls, [])
})
