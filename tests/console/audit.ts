/** The page of the audit log: changes by S3 show up, are filtered, and show what differs. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import type { ServerProcess } from "../harness/server.js"
import { assertAccessible, assertFits, assertTwoLines, standardTests, type PageTests } from "./harness.js"

const prepare = async ({ server }: { readonly server: ServerProcess }): Promise<void> => {
  assert.equal((await server.client().call("PUT", { bucket: "first" })).status, 200)
}

export const audit: PageTests = {
  prepare,
  define(world, pageTest) {
    standardTests(world, pageTest, {
      address: "/console/audit",
      heading: "Audit",
      request: "**/v1/audit*",
      shows: "s3:CreateBucket",
      picture: "audit",
    })

    pageTest("on a phone a record has two lines, and a filter is opened by a button", async () => {
      const page = await world.open("/console/audit", { isPhone: true })
      const table = page.getByRole("table", { name: "Changes, the latest first" })
      await table.getByText("s3:CreateBucket").first().waitFor()
      await assertTwoLines(page, "Changes, the latest first")
      assert.equal(await page.getByLabel("Until").isVisible(), false)
      await page.getByRole("button", { name: "Filter" }).click()
      await page.getByLabel("Until").waitFor()
      await assertFits(page)
      await assertAccessible(page)
    })

    pageTest("changes of a time are found, and the address keeps the time", async () => {
      const page = await world.open("/console/audit")
      const table = page.getByRole("table", { name: "Changes, the latest first" })
      await table.getByText("s3:CreateBucket").first().waitFor()
      await page.getByRole("button", { name: "Filter" }).click()
      await page.getByLabel("Until").fill("2020-01-01T00:00")
      await page.getByRole("form", { name: "Filter" }).getByRole("button", { name: "Search" }).click()
      await page.getByText("No change matches").waitFor()
      await page.getByLabel("Until").fill("")
      await page.getByLabel("From").fill("2020-01-01T00:00")
      await page.getByRole("form", { name: "Filter" }).getByRole("button", { name: "Search" }).click()
      await table.getByText("s3:CreateBucket").first().waitFor()
      assert.match(page.url(), /sinceMs=15778/)
      assert.doesNotMatch(page.url(), /untilMs/)
    })

    pageTest("a changed setting is found by its operation, and shows the lines that differ", async () => {
      const client = world.server.client()
      assert.equal((await client.call("PUT", { bucket: "pictures" })).status, 200)
      for (const status of ["Enabled", "Suspended"]) {
        const body = `<VersioningConfiguration><Status>${status}</Status></VersioningConfiguration>`
        assert.equal((await client.call("PUT", { bucket: "pictures", query: "versioning", body })).status, 200)
      }
      const page = await world.open("/console/audit")
      const table = page.getByRole("table", { name: "Changes, the latest first" })
      await table.getByText("s3:CreateBucket").first().waitFor()
      await page.getByRole("button", { name: "Filter" }).click()
      await page.getByLabel("Operation", { exact: true }).fill("s3:Put*")
      await page.getByRole("form", { name: "Filter" }).getByRole("button", { name: "Search" }).click()
      await table.getByText("s3:CreateBucket").first().waitFor({ state: "detached" })
      const download = page.waitForEvent("download")
      await page.getByRole("button", { name: "Export as CSV" }).click()
      const lines = readFileSync(await (await download).path(), "utf8").split("\r\n")
      assert.match(lines[0] ?? "", /^time,who/)
      assert.ok(lines.length > 2 && lines.slice(1, -1).every(line => line.includes("s3:Put")), "what is filtered")
      await table.getByRole("button", { name: "Show" }).first().click()
      const dialog = page.getByRole("dialog")
      await dialog.getByLabel('removed:   "Status": "Enabled"').waitFor()
      await dialog.getByLabel('added:   "Status": "Suspended"').waitFor()
    })
  },
}
