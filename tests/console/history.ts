/** The history of a bucket: it is switched on, compared, previewed and restored, and objects are listed as they were. */
import assert from "node:assert/strict"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import type { Page } from "playwright-core"
import type { BucketHistory } from "../../console/api/shapes.js"
import { assertAccessible, assertFits, type ConsoleWorld, type PageTests } from "./harness.js"

const ENABLED = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"

const prepare = async (world: ConsoleWorld): Promise<void> => {
  const client = world.server.client()
  for (const bucket of ["diary", "films"]) {
    assert.equal((await client.call("PUT", { bucket })).status, 200)
    assert.equal((await client.call("PUT", { bucket, query: "versioning", body: ENABLED })).status, 200)
    for (const key of ["cat.jpg", "dog.jpg"])
      assert.equal((await client.call("PUT", { bucket, key, body: `first ${key}` })).status, 200)
  }
  await world.admin("PUT", "/v1/buckets/films/settings/history", { value: {} })
}

export const history: PageTests = {
  prepare,
  define(world, pageTest) {
    const client = () => world.server.client()

    /** A whole second that the history has, and that is over: fields for times have no less. */
    const pastSecond = async (bucket: string): Promise<number> => {
      const { since } = (await world.server.report(`/v1/buckets/${bucket}/history`)) as BucketHistory
      const atMs = Math.ceil((Date.parse(since ?? "") + 1) / 1_000) * 1_000
      await until("the second is over", () => Date.now() > atMs, 20)
      return atMs
    }

    const fieldText = (page: Page, timeMs: number): Promise<string> =>
      page.evaluate(ms => {
        const local = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000)
        return local.toISOString().slice(0, "2026-01-31T09:30:00".length)
      }, timeMs)

    pageTest("a bucket is compared with a moment, and restored to it after a preview", async () => {
      const page = await world.open("/console/buckets/diary?tab=settings")
      const line = page.getByRole("group", { name: "History" })
      await line.getByRole("switch", { name: "Keep a history" }).click()
      await line.getByText("Saved").waitFor()
      const atMs = await pastSecond("diary")
      await client().call("DELETE", { bucket: "diary", key: "cat.jpg" })
      await client().call("PUT", { bucket: "diary", key: "new.jpg", body: "new" })
      await page.getByRole("button", { name: "More", exact: true }).click()
      await page.getByRole("menuitem", { name: "History" }).click()
      await page
        .getByRole("form", { name: "Another time" })
        .getByLabel("Time", { exact: true })
        .fill(await fieldText(page, atMs))
      await page.getByRole("button", { name: "Compare with now" }).click()
      const differences = page.getByRole("table", { name: "Objects that differ" })
      await differences.getByRole("row", { name: /removed cat\.jpg/ }).waitFor()
      await differences.getByRole("row", { name: /added new\.jpg/ }).waitFor()
      await assertAccessible(page)
      await page.getByRole("button", { name: "Preview a restore" }).click()
      const planned = page.getByRole("table", { name: "The first objects" })
      await planned.getByRole("row", { name: /restore cat\.jpg/ }).waitFor()
      await planned.getByRole("row", { name: /delete new\.jpg/ }).waitFor()
      assert.equal((await client().call("HEAD", { bucket: "diary", key: "cat.jpg" })).status, 404, "it only counts")
      await page.getByRole("button", { name: "Restore", exact: true }).click()
      await page.getByRole("dialog").getByRole("button", { name: "Restore the bucket" }).click()
      await page.getByText("restore-objects: 2 of 2 done").waitFor()
      assert.equal((await client().call("GET", { bucket: "diary", key: "cat.jpg" })).text, "first cat.jpg")
      assert.equal((await client().call("HEAD", { bucket: "diary", key: "new.jpg" })).status, 404)
    })

    pageTest("objects are listed and downloaded as they were", async () => {
      const atMs = await pastSecond("films")
      await client().call("DELETE", { bucket: "films", key: "dog.jpg" })
      const page = await world.open("/console/buckets/films")
      await page.getByText("cat.jpg").waitFor()
      assert.equal(await page.getByText("dog.jpg").count(), 0)
      await page.getByRole("button", { name: "Filter" }).click()
      await page.getByLabel("As it was at").fill(await fieldText(page, atMs))
      const download = page.waitForEvent("download")
      await page.getByRole("link", { name: "dog.jpg" }).click()
      assert.equal((await download).suggestedFilename(), "dog.jpg")
      await assertAccessible(page)
    })

    pageTest("the history fits a phone", async () => {
      const page = await world.open("/console/buckets/films?tab=history", { isPhone: true })
      await page.getByRole("heading", { name: "Another time" }).waitFor()
      await assertFits(page)
      await assertAccessible(page)
    })
  },
}
