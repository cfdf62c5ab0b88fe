/**
 * What a person with a browser sees on the two ports, in a real Chromium.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { chromium } from "playwright-core"
import { findProgram } from "../harness/commands.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { CREDENTIALS, withServer } from "../harness/server.js"

const CHROMIUM = findProgram("chromium")
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
]

test(
  "a browser is told where it is, on both ports",
  { skip: CHROMIUM ? false : "Chromium is not installed" },
  async () => {
    await withFolder(folder => look({ folders: dataFolders(folder, 1) }))
  },
)

async function look(options: Parameters<typeof withServer>[0]): Promise<void> {
  await withServer(options, async server => {
    const browser = await chromium.launch({ executablePath: CHROMIUM ?? "", args: QUIET })
    try {
      const page = await browser.newPage()
      const s3 = await page.goto(`${server.endpoint}/`)
      const text = await page.innerText("body")
      assert.equal(s3?.headers()["content-type"]?.startsWith("text/html"), true)
      assert.ok(text.includes(server.adminEndpoint), `the S3 port names the admin address: ${text}`)
      await page.goto(`${server.adminEndpoint}/`)
      const admin = await page.innerText("body")
      assert.match(admin, /Hayloft/)
      assert.match(admin, /\d+\.\d+\.\d+/)
      assert.ok(!(await page.content()).includes(CREDENTIALS.secretKey))
      await page.click("a")
      assert.ok(page.url().startsWith(server.adminEndpoint), "the link to the docs stays on this machine")
      assert.ok((await page.innerText("body")).length > 0)
    } finally {
      await browser.close()
    }
  })
}
