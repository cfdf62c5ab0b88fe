/**
 * Cross-origin requests of a real Chromium: the bucket's CORS rules decide what a page of another origin can read
 * and write.
 */
import assert from "node:assert/strict"
import { createServer } from "node:http"
import type { Browser, Page } from "playwright-core"
import { freePort } from "../harness/free-port.js"
import type { ServerProcess } from "../harness/server.js"
import { sha256Hex } from "../../conformance/checksums.js"

/** A page of another origin reads and writes what the bucket's CORS rules allow, and nothing else. */
export const fromOtherOrigins = (browser: Browser, server: ServerProcess): Promise<void> =>
  withPages(origins => visit(browser, server, origins))

/** Two origins, each with an empty page. */
async function withPages(work: (origins: readonly [string, string]) => Promise<void>): Promise<void> {
  const pages = createServer((_, response) =>
    response.setHeader("content-type", "text/html").end("<title>page</title>"),
  )
  const others = createServer((_, response) =>
    response.setHeader("content-type", "text/html").end("<title>other</title>"),
  )
  const [port, otherPort] = [await freePort(), await freePort()]
  try {
    await new Promise<void>(resolve => pages.listen(port, "127.0.0.1", resolve))
    await new Promise<void>(resolve => others.listen(otherPort, "127.0.0.1", resolve))
    await work([`http://127.0.0.1:${port}`, `http://127.0.0.1:${otherPort}`])
  } finally {
    for (const server of [pages, others]) {
      server.closeAllConnections()
      server.close()
    }
  }
}

interface Fetched {
  readonly status?: number
  readonly text?: string
  readonly etag?: string | null
  readonly requestId?: string | null
  /** The page learns only that it failed. */
  readonly blocked?: true
}

/** The result of a script in the page. */
const fetchIn = (page: Page, url: string, method: string, headers: Record<string, string> = {}): Promise<Fetched> =>
  page.evaluate(
    async ([address, verb, sent]): Promise<Fetched> => {
      try {
        const response = await fetch(address, { method: verb, headers: sent, ...(verb === "PUT" && { body: "new" }) })
        const { headers: heard } = response
        const [etag, requestId] = [heard.get("etag"), heard.get("x-amz-request-id")]
        return { status: response.status, text: await response.text(), etag, requestId }
      } catch {
        return { blocked: true }
      }
    },
    [url, method, headers] as const,
  )

const rulesFor = (origin: string): string =>
  `<CORSConfiguration><CORSRule><AllowedOrigin>${origin}</AllowedOrigin><AllowedMethod>GET</AllowedMethod>` +
  `<AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-meta-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader></CORSRule></CORSConfiguration>`

async function visit(
  browser: Browser,
  server: ServerProcess,
  [origin, otherOrigin]: readonly [string, string],
): Promise<void> {
  const client = server.client()
  const object = { bucket: "pages", key: "note" }
  await client.call("PUT", { bucket: "pages" })
  await client.call("PUT", { ...object, body: "old" })
  const urlOf = (method: string, headers = {}) => `${server.endpoint}${client.presign(method, { ...object, headers })}`
  const stored = async (): Promise<string> => (await client.call("GET", object)).text
  const page = await browser.newPage()
  await page.goto(origin)
  assert.deepEqual(await fetchIn(page, urlOf("GET"), "GET"), { blocked: true }, "without rules")
  const rules = rulesFor(origin)
  const checksum = Buffer.from(sha256Hex(Buffer.from(rules)), "hex").toString("base64")
  const put = { bucket: "pages", query: "cors", body: rules, headers: { "x-amz-checksum-sha256": checksum } }
  assert.equal((await client.call("PUT", put)).status, 200)

  const read = await fetchIn(page, urlOf("GET"), "GET")
  assert.deepEqual([read.status, read.text], [200, "old"])
  assert.match(read.etag ?? "", /^"[0-9a-f]{32}"$/)
  assert.equal(read.requestId, null, "a header that the rule does not expose")
  const meta = { "x-amz-meta-from": "page" }
  assert.equal((await fetchIn(page, urlOf("PUT", meta), "PUT", meta)).status, 200, "after a preflight")
  assert.equal(await stored(), "new")
  assert.equal((await client.call("HEAD", object)).header("x-amz-meta-from"), "page")
  const denied = await fetchIn(page, `${server.endpoint}/pages/note`, "GET")
  assert.equal(denied.status, 403, "the page can read errors too")

  assert.deepEqual(await fetchIn(page, urlOf("DELETE"), "DELETE"), { blocked: true }, "a method that no rule allows")
  const tagging = { "x-amz-tagging": "a=b" }
  assert.deepEqual(
    await fetchIn(page, urlOf("PUT", tagging), "PUT", tagging),
    { blocked: true },
    "a header that no rule allows",
  )
  const other = await browser.newPage()
  await other.goto(otherOrigin)
  assert.deepEqual(await fetchIn(other, urlOf("GET"), "GET"), { blocked: true }, "an origin that no rule allows")
  assert.deepEqual(await fetchIn(other, urlOf("PUT", meta), "PUT", meta), { blocked: true })
  assert.equal(await stored(), "new", "a request refused at its preflight has no effect")
}
