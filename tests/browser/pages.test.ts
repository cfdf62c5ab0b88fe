/** The two ports in a real Chromium: their own pages, a form that uploads, and requests of pages of other origins. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Browser } from "playwright-core"
import { signForm } from "../../conformance/forms.js"
import { fromOtherOrigins } from "./cors.js"
import { noChromium, withChromium } from "../harness/chromium.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { CREDENTIALS, withServer, type ServerProcess } from "../harness/server.js"

test("a browser works with the two ports", { skip: noChromium }, t =>
  withFolder(folder =>
    withServer({ folders: dataFolders(folder, 1) }, server =>
      withChromium(async browser => {
        await t.test("a browser gets a page that explains the port, on both ports", () => look(browser, server))
        await t.test("a form uploads a file and redirects to the given address", () => upload(browser, server))
        await t.test(
          "a page of another origin reads and writes what the bucket's CORS rules allow, and nothing else",
          () => fromOtherOrigins(browser, server),
        )
      }),
    ),
  ),
)

const escaped = (text: string): string => text.replace(/[&"<]/g, character => `&#${character.charCodeAt(0)};`)

async function upload(browser: Browser, server: ServerProcess): Promise<void> {
  await server.client().call("PUT", { bucket: "uploads" })
  const own = [
    ["key", `from a browser/\${filename}`],
    ["success_action_redirect", `${server.adminEndpoint}/docs/`],
  ] as const
  const conditions = own.map(([name]) => ["starts-with", `$${name}`, ""])
  const fields = [...own, ...signForm(CREDENTIALS, { bucket: "uploads", conditions })]
    .map(([name, value]) => `<input type="hidden" name="${name}" value="${escaped(value)}">`)
    .join("")
  const page = await browser.newPage()
  const file = `<input type="file" name="file"><input type="submit" name="submit" value="send">`
  await page.setContent(
    `<form action="${server.endpoint}/uploads" method="post" enctype="multipart/form-data">${fields}${file}</form>`,
  )
  const bytes = Buffer.alloc(5 * 1024 * 1024, "\r\n--line")
  await page.setInputFiles("input[type=file]", { name: 'día "1".txt', mimeType: "text/plain", buffer: bytes })
  await page.click("input[type=submit]")
  await page.waitForURL(`${server.adminEndpoint}/docs/?bucket=uploads&**`)
  // Browsers encode quotes in names like this.
  const key = "from a browser/día %221%22.txt"
  assert.equal(new URL(page.url()).searchParams.get("key"), key)
  const stored = await server.client().call("GET", { bucket: "uploads", key })
  assert.ok(stored.body.equals(bytes))
}

async function look(browser: Browser, server: ServerProcess): Promise<void> {
  const page = await browser.newPage()
  const s3 = await page.goto(`${server.endpoint}/`)
  const text = await page.innerText("body")
  assert.equal(s3?.headers()["content-type"]?.startsWith("text/html"), true)
  assert.ok(text.includes(server.adminEndpoint), `the S3 port names the admin address: ${text}`)
  await page.goto(`${server.adminEndpoint}/about`)
  const admin = await page.innerText("body")
  assert.match(admin, /Hayloft/)
  assert.match(admin, /\d+\.\d+\.\d+/)
  assert.ok(!(await page.content()).includes(CREDENTIALS.secretKey))
  await page.click("a[href='/docs/']")
  assert.ok(page.url().startsWith(server.adminEndpoint), "the link to the docs stays on this machine")
  assert.ok((await page.innerText("body")).length > 0)
}
