/** The inventory of a bucket is started from its page, and its job shows there. */
import assert from "node:assert/strict"
import { assertAccessible, assertFits, type ConsoleWorld, type PageTests } from "./harness.js"

const prepare = async ({ server }: ConsoleWorld): Promise<void> => {
  for (const bucket of ["stock", "reports"]) assert.equal((await server.client().call("PUT", { bucket })).status, 200)
  assert.equal((await server.client().call("PUT", { bucket: "stock", key: "cat.jpg", body: "cat" })).status, 200)
}

export const inventory: PageTests = {
  prepare,
  define(world, pageTest) {
    pageTest("an inventory is started, and its job shows how it ends", async () => {
      const page = await world.open("/console/buckets/stock?tab=inventory")
      const form = page.getByRole("form", { name: "Inventory" })
      await form.getByLabel("Into the bucket").fill("reports")
      await form.getByRole("button", { name: "Start the inventory" }).click()
      await page.getByRole("log").getByText("Started: inventory of stock").waitFor()
      await page.getByText("1 row, for 3 B of objects").waitFor()
      const { status } = await world.server.client().call("HEAD", { bucket: "reports", key: "stock.table" })
      assert.equal(status, 200)
      await assertAccessible(page)
      await assertFits(page)
    })
  },
}
