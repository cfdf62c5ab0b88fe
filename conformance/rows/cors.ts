/** Line 96: preflights, and the headers of answers to pages of other origins. */
import { expectBody, expectError, expectHeader, expectStatus, same } from "../expect.js"
import { FORM_BOUNDARY, formBody, signForm } from "../forms.js"
import type { Fields } from "../forms.js"
import type { RawResponse } from "../raw-client.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import { PART } from "../scene.js"
import type { Scene } from "../scene.js"
import { text } from "../xml.js"

const PAGE = "https://page.example.com"
const VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"

interface Rule {
  readonly origins: readonly string[]
  readonly methods: readonly string[]
  readonly headers?: readonly string[]
  readonly more?: string
}

function corsOf(rules: readonly Rule[]): string {
  const all = (name: string, values: readonly string[]) => values.map(value => `<${name}>${value}</${name}>`).join("")
  const inside = rules.map(({ origins, methods, headers = [], more = "" }) => {
    const lists = all("AllowedOrigin", origins) + all("AllowedMethod", methods) + all("AllowedHeader", headers)
    return `<CORSRule>${lists}${more}</CORSRule>`
  })
  return `<CORSConfiguration>${inside.join("")}</CORSConfiguration>`
}

const setRules = async (scene: Scene, ...rules: readonly Rule[]) =>
  expectStatus(await scene.document("PUT", "cors", corsOf(rules)), 200)

const preflight = (scene: Scene, origin: string, method: string, asked?: string) =>
  scene.call("OPTIONS", {
    key: "k",
    anonymous: true,
    headers: {
      Origin: origin,
      "Access-Control-Request-Method": method,
      ...(asked !== undefined && { "Access-Control-Request-Headers": asked }),
    },
  })

function expectAllowed(response: RawResponse, origin: string, methods: string): void {
  expectHeader(response, "access-control-allow-origin", origin)
  expectHeader(response, "access-control-allow-methods", methods)
  expectHeader(response, "access-control-allow-credentials", origin === "*" ? undefined : "true")
  expectHeader(response, "vary", VARY)
}

function expectForbidden(response: RawResponse, message: RegExp, resourceType: "BUCKET" | "OBJECT"): void {
  expectError(response, 403, "AccessForbidden")
  same(
    [message.test(text(response.text, "Message") ?? ""), text(response.text, "ResourceType")],
    [true, resourceType],
    "why",
  )
  expectHeader(response, "access-control-allow-origin", undefined)
}

/** Pattern, origins that it allows, origins that it does not. */
const PATTERNS: readonly (readonly [pattern: string, good: readonly string[], bad: readonly string[]])[] = [
  [
    "https://page.example.com",
    [PAGE],
    ["http://page.example.com", `${PAGE}/`, `${PAGE}:443`, "https://PAGE.example.com"],
  ],
  ["https://*.example.com", [PAGE, "https://a.b.example.com", "https://.example.com"], ["https://example.com"]],
  ["https://page*", ["https://page", PAGE], ["https://pag", "x-https://page"]],
  ["*com", ["com", PAGE], ["https://page.example.org"]],
]

export const corsRows: readonly Row[] = [
  row("96.1", "OPTIONS without Origin is BadRequest", async scene => {
    expectError(await scene.call("OPTIONS", { key: "k", anonymous: true }), 400, "BadRequest")
    await setRules(scene, { origins: ["*"], methods: ["GET"] })
    expectError(await scene.call("OPTIONS", { key: "k", anonymous: true }), 400, "BadRequest")
  }),
  row("96.2", "OPTIONS without any rule, and of a bucket that is not there, is AccessForbidden", async scene => {
    expectForbidden(await preflight(scene, PAGE, "GET"), /CORS is not enabled for this bucket/, "BUCKET")
    const headers = { Origin: PAGE, "Access-Control-Request-Method": "PUT" }
    for (const bucket of [scene.uniqueName(), "No_Such_Name"]) {
      const missing = await scene.client.call("OPTIONS", { bucket, key: "k", headers, anonymous: true })
      expectForbidden(missing, /Bucket not found/, "BUCKET")
      same(text(missing.text, "Method"), "PUT", "Method")
    }
  }),
  row("96.3", "a preflight is answered by the first rule that allows origin, method and headers", async scene => {
    await setRules(
      scene,
      {
        origins: [PAGE],
        methods: ["PUT", "GET"],
        headers: ["x-amz-*", "Content-Type"],
        more: "<MaxAgeSeconds>60</MaxAgeSeconds>",
      },
      {
        origins: ["*"],
        methods: ["GET"],
        headers: ["*"],
        more: "<ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-amz-id-2</ExposeHeader>",
      },
    )
    const first = expectStatus(await preflight(scene, PAGE, "PUT", "X-Amz-Date,content-type"), 200)
    expectAllowed(first, PAGE, "PUT, GET")
    expectHeader(first, "access-control-allow-headers", "x-amz-date, content-type")
    expectHeader(first, "access-control-max-age", "60")
    expectHeader(first, "access-control-expose-headers", undefined)
    expectBody(first, "")
    const second = expectStatus(await preflight(scene, PAGE, "GET", "authorization"), 200)
    expectAllowed(second, "*", "GET")
    expectHeader(second, "access-control-allow-headers", "authorization")
    expectHeader(second, "access-control-expose-headers", "ETag, x-amz-id-2")
    expectHeader(second, "access-control-max-age", undefined)
    const plain = expectStatus(await preflight(scene, PAGE, "PUT"), 200)
    expectHeader(plain, "access-control-allow-headers", undefined)
  }),
  row("96.4", "a preflight that no rule allows is AccessForbidden", async scene => {
    await setRules(scene, { origins: [PAGE], methods: ["PUT"], headers: ["x-amz-date"] })
    const why = /CORS request is not allowed/
    expectForbidden(await preflight(scene, "https://other.example.com", "PUT"), why, "OBJECT")
    expectForbidden(await preflight(scene, PAGE, "DELETE"), why, "OBJECT")
    expectForbidden(await preflight(scene, PAGE, "PUT", "x-amz-date, x-other"), why, "OBJECT")
    const many = Array.from({ length: 101 }, () => "x-amz-date").join()
    expectForbidden(await preflight(scene, PAGE, "PUT", many), why, "OBJECT")
    const ofBucket = { anonymous: true, headers: { Origin: PAGE, "Access-Control-Request-Method": "GET" } }
    expectForbidden(await scene.call("OPTIONS", ofBucket), why, "BUCKET")
  }),
  row("96.5", "OPTIONS with Origin but without Access-Control-Request-Method is BadRequest", async scene => {
    const bare = { anonymous: true, headers: { Origin: PAGE } }
    expectError(await scene.call("OPTIONS", { key: "k", ...bare }), 400, "BadRequest")
    await setRules(scene, { origins: ["*"], methods: ["GET", "PUT"], headers: ["*"] })
    for (const at of [{ key: "k" }, {}]) {
      expectError(await scene.call("OPTIONS", { ...at, ...bare }), 400, "BadRequest")
    }
  }),
  ...PATTERNS.map(([pattern, good, bad], index) =>
    row(`96.${index + 10}`, `the origin ${pattern} lets in what it should`, async scene => {
      await setRules(scene, { origins: [pattern], methods: ["GET"] })
      for (const origin of good) expectAllowed(expectStatus(await preflight(scene, origin, "GET"), 200), origin, "GET")
      for (const origin of bad) expectStatus(await preflight(scene, origin, "GET"), 403)
    }),
  ),
  row(
    "96.20",
    "answers to a page carry the fields: bodies in one piece, streams, ranges, lists, writes",
    async scene => {
      await setRules(scene, {
        origins: [PAGE],
        methods: ["GET", "PUT", "HEAD", "POST", "DELETE"],
        more: "<ExposeHeader>ETag</ExposeHeader>",
      })
      const origin = { Origin: PAGE }
      const etag = (await scene.stored("small", "body")).header("etag") ?? ""
      await scene.stored("large", PART)
      const answers = [
        expectStatus(await scene.put("k", "body", origin), 200),
        expectStatus(await scene.get("small", origin), 200),
        expectStatus(await scene.head("small", origin), 200),
        expectStatus(await scene.get("large", origin), 200),
        expectStatus(await scene.get("large", { ...origin, Range: "bytes=5-9" }), 206),
        expectStatus(await scene.get("small", { ...origin, "If-None-Match": etag }), 304),
        expectStatus(await scene.call("GET", { query: "list-type=2", headers: origin }), 200),
        expectStatus(await scene.remove("k", origin), 204),
      ]
      for (const answer of answers) {
        expectAllowed(answer, PAGE, "GET, PUT, HEAD, POST, DELETE")
        expectHeader(answer, "access-control-expose-headers", "ETag")
      }
      expectBody(expectStatus(await scene.get("small", origin), 200), "body")
    },
  ),
  row("96.21", "errors carry the fields too", async scene => {
    await setRules(scene, { origins: ["*"], methods: ["GET", "PUT", "POST"] })
    await scene.stored("k", "body")
    const origin = { Origin: PAGE }
    const wrong = { accessKey: "AKIANOBODYNOBODYNOBO", secretKey: "secret" }
    const errors = [
      expectStatus(await scene.get("missing", origin), 404),
      expectStatus(await scene.get("k", { ...origin, Range: "bytes=99-" }), 416),
      expectStatus(await scene.put("k", "x", { ...origin, "If-None-Match": "*" }), 412),
      expectStatus(await scene.call("GET", { key: "k", headers: origin, anonymous: true }), 403),
      expectStatus(await scene.call("GET", { key: "k", headers: origin, credentials: wrong }), 403),
      expectStatus(await scene.call("POST", { key: "k", headers: origin }), 405),
    ]
    for (const error of errors) expectAllowed(error, "*", "GET, PUT, POST")
  }),
  row("96.22", "a request that no rule allows is served without them, and one without Origin as ever", async scene => {
    await scene.stored("k", "body")
    const bare = expectStatus(await scene.get("k", { Origin: PAGE }), 200)
    expectHeader(bare, "access-control-allow-origin", undefined)
    expectHeader(bare, "vary", undefined)
    await setRules(scene, { origins: [PAGE], methods: ["GET"] })
    for (const headers of [
      { Origin: "https://other.example.com" },
      { Origin: PAGE, "Access-Control-Request-Method": "PUT" },
      { Origin: PAGE, "Access-Control-Request-Headers": "x-other" },
    ]) {
      const served = expectStatus(await scene.get("k", headers), 200)
      expectBody(served, "body")
      expectHeader(served, "access-control-allow-origin", undefined)
      expectHeader(served, "vary", VARY)
    }
    expectStatus(await scene.put("k", "changed", { Origin: PAGE }), 200)
    const plain = expectStatus(await scene.get("k"), 200)
    expectBody(plain, "changed")
    expectHeader(plain, "access-control-allow-origin", undefined)
  }),
  row("96.24", "a form that a page sends is answered with the fields, also where it is refused", async scene => {
    await setRules(scene, { origins: [PAGE], methods: ["POST"] })
    const { client, bucket } = scene
    const fields = [["key", "k"]] as const
    const signed = signForm(client.credentials, { bucket, region: client.region, conditions: [["eq", "$key", "k"]] })
    const headers = { "Content-Type": `multipart/form-data; boundary=${FORM_BOUNDARY}`, Origin: PAGE }
    const send = (all: Fields) =>
      scene.call("POST", { body: formBody(all, { name: "f", bytes: "body" }), headers, anonymous: true })
    expectAllowed(expectStatus(await send([...fields, ...signed]), 204), PAGE, "POST")
    expectAllowed(expectStatus(await send([["key", "other"], ...signed]), 403), PAGE, "POST")
  }),
  row("96.25", "a preflight for no method of HTTP, or with what is no name of a header, is BadRequest", async scene => {
    await setRules(scene, { origins: ["*"], methods: ["GET"], headers: ["*"] })
    const messageOf = (response: RawResponse) => text(expectError(response, 400, "BadRequest").text, "Message")
    const method = await preflight(scene, PAGE, "PATCH")
    same(messageOf(method), "Invalid Access-Control-Request-Method: PATCH", "Message")
    const header = await preflight(scene, PAGE, "GET", "X-Good, Bad/Header")
    same(messageOf(header), 'Access-Control-Request-Headers "Bad/Header" contains invalid character.', "Message")
    const origin = await scene.call("OPTIONS", { key: "k", anonymous: true })
    same(messageOf(origin), "Insufficient information. Origin request header needed.", "Message")
  }),
  row("96.23", "rules count from the moment they are put until they are deleted", async scene => {
    for (const origin of ["https://one.example.com", "https://two.example.com"]) {
      await setRules(scene, { origins: [origin], methods: ["GET"] })
      expectAllowed(expectStatus(await preflight(scene, origin, "GET"), 200), origin, "GET")
      expectStatus(await preflight(scene, "https://one.example.com", "GET"), origin.includes("one") ? 200 : 403)
    }
    expectStatus(await scene.call("DELETE", { query: "cors" }), 204)
    expectForbidden(await preflight(scene, "https://two.example.com", "GET"), /not enabled/, "BUCKET")
  }),
]
