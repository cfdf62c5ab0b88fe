/** The first page of the console: figures, what needs attention, and the way to a first object while the store is empty. */
import assert from "node:assert/strict"
import type { Page } from "playwright-core"
import type { Status } from "../../console/api/shapes.js"
import {
  assertAccessible,
  assertFits,
  assertReadableInDark,
  screenshot,
  standardTests,
  type PageTests,
} from "./harness.js"

const GIB = 2 ** 30
const HOUR_MS = 3_600_000
const NOW_MS = Date.UTC(2026, 0, 8, 12)

/** A store that has been used for a week. */
async function plant(page: Page): Promise<void> {
  const buckets = ["backups", "photos", "website"].map((name, at) => {
    const usage = {
      objects: 48_210 >> (at * 2),
      versions: 48_210 >> (at * 2),
      bytes: (2.4 * GIB) / 3 ** at,
      uploads: 0,
    }
    return { name, owner: "root", createdMs: NOW_MS - 200 * HOUR_MS, location: "", versioning: "never", usage }
  })
  await page.route("**/v1/buckets?*", route => route.fulfill({ json: { buckets } }))
  for (const { name, usage } of buckets) {
    const samples = Array.from({ length: 168 }, (_, hour) => ({
      atMs: NOW_MS - (168 - hour) * HOUR_MS,
      objects: hour,
      bytes: Math.round(usage.bytes * (0.55 + hour / 400 + Math.sin(hour / 9) / 60)),
    }))
    await page.route(`**/v1/buckets/${name}/usage`, route => route.fulfill({ json: { nowMs: NOW_MS, usage, samples } }))
  }
  const figures = (requests: number) => ({
    requests,
    clientErrors: requests % 4,
    serverErrors: 0,
    receivedBytes: requests * 90_000,
    sentBytes: requests * 400_000,
  })
  const history = Array.from({ length: 60 }, (_, minute) => ({
    sinceMs: NOW_MS - (60 - minute) * 60_000,
    ...figures(Math.round(420 + 130 * Math.sin(minute / 6) + 60 * Math.cos(minute * 1.7))),
  }))
  const total = { ...figures(1_268), clientErrors: 2 }
  const traffic = { atMs: NOW_MS, window: "minute", seconds: 60, total, buckets: [], accounts: [], history }
  await page.route("**/v1/traffic*", route => route.fulfill({ json: traffic }))
}

export const overview: PageTests = {
  define(world, pageTest) {
    standardTests(world, pageTest, {
      address: "/console/overview",
      heading: "Overview",
      request: "**/v1/buckets?*",
      shows: "Put your first object",
      picture: "overview-empty",
    })

    pageTest("curves show what is stored and served, on a phone as well", async () => {
      const page = await world.open("/console/overview", { before: plant })
      await page.getByRole("img", { name: /^The last 7 days/ }).waitFor()
      await page.getByRole("img", { name: /^Each minute of the last hour/ }).hover()
      await page.getByText(/^requests: \d+/).waitFor()
      await assertAccessible(page)
      await page.getByRole("heading", { level: 1 }).hover()
      await screenshot(page, "overview")
      await assertReadableInDark(page)
      await screenshot(page, "overview-dark")
      await page.setViewportSize({ width: 390, height: 844 })
      await assertFits(page)
      await screenshot(page, "overview-phone")
    })

    pageTest("on a phone a remark has the width of the page, and what to do stands below it", async () => {
      const page = await world.open("/console/overview", {
        isPhone: true,
        before: async opened => {
          await opened.route("**/v1/status*", async route => {
            const response = await route.fetch()
            const status = (await response.json()) as Status
            const health = { ready: false, reasons: ["the metadata has fewer copies than it should have"] }
            await route.fulfill({ response, json: { ...status, health } })
          })
        },
      })
      const remark = page.locator(".attention").getByRole("listitem").filter({ hasText: "fewer copies" })
      await remark.waitFor()
      const boxOf = async (part: string) => (await remark.locator(part).boundingBox()) ?? assert.fail(part)
      const [text, step] = [await boxOf("> span"), await boxOf("> a")]
      assert.ok(step.y >= text.y + text.height, "the step is below")
      assert.equal(step.x, text.x)
      await assertFits(page)
    })

    pageTest("an empty store has lines for each client, and one with objects shows what it holds", async () => {
      const page = await world.open("/console/overview")
      await page.getByRole("link", { name: "Add a disk" }).or(page.getByText("Nothing needs attention")).waitFor()
      await page.getByRole("button", { name: "rclone" }).click()
      await page.getByText(`endpoint=${world.server.endpoint}`).waitFor()
      const copy = "getComputedStyle(document.querySelector('.copied-code > .button')).backgroundColor"
      assert.doesNotMatch(await page.evaluate(copy), /, 0\)$|^transparent$/, "no line shows through the button")
      const client = world.server.client()
      await client.call("PUT", { bucket: "held" })
      await client.call("PUT", { bucket: "held", key: "a", body: "x".repeat(2_048) })
      await page.getByRole("button", { name: "Refresh" }).click()
      await page.getByRole("link", { name: "Objects 1 in 1 bucket" }).waitFor()
      await page.getByRole("table", { name: "The largest buckets" }).getByText("2.0 KiB").waitFor()
      await page.setViewportSize({ width: 390, height: 844 })
      await assertFits(page)
      await client.call("DELETE", { bucket: "held", key: "a" })
      await client.call("DELETE", { bucket: "held" })
    })
  },
}
