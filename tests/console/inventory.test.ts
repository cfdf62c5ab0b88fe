/** The inventory of a bucket is started from its page, and its job shows there. */
import assert from "node:assert/strict"
import { assertAccessible, assertFits, consoleSuite, type ConsoleWorld } from "./harness.js"

const prepare = async ({ server }: ConsoleWorld): Promise<void> => {
  for (const bucket of ["photos", "reports"]) assert.equal((await server.client().call("PUT", { bucket })).status, 200)
  assert.equal((await server.client().call("PUT", { bucket: "photos", key: "cat.jpg", body: "cat" })).status, 200)
}

consoleSuite({ folders: 1, prepare }, (world, pageTest) => {
  pageTest("an inventory is started, and its job shows how it ends", async () => {
    const page = await world.open("/console/buckets/photos?tab=inventory")
    const form = page.getByRole("form", { name: "Inventory" })
    await form.getByLabel("Into the bucket").fill("reports")
    await form.getByRole("button", { name: "Start the inventory" }).click()
    await page.getByRole("log").getByText("Started: inventory of photos").waitFor()
    await page.getByText("1 row, for 3 bytes of objects").waitFor()
    const { status } = await world.server.client().call("HEAD", { bucket: "reports", key: "photos.table" })
    assert.equal(status, 200)
    await assertAccessible(page)
    await assertFits(page)
  })
})
