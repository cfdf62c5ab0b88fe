/** The page on traffic: figures by bucket, and live requests with filters and pause. */
import assert from "node:assert/strict"
import { KIB } from "@hayloft/base/limits.js"
import { assertAccessible, assertTwoLines, screenshot, standardTests, type PageTests } from "./harness.js"

export const traffic: PageTests = {
  define(world, pageTest) {
    standardTests(world, pageTest, {
      address: "/console/traffic",
      heading: "Traffic",
      request: "**/v1/traffic*",
      shows: "Traffic by operation",
      picture: "traffic",
    })

    pageTest("requests show up by bucket, and live as the filter says, until they are paused", async () => {
      const client = world.server.client()
      const page = await world.open("/console/traffic?tab=live")
      assert.equal((await client.call("PUT", { bucket: "busy" })).status, 200)
      await page.getByLabel("Bucket", { exact: true }).fill("busy")
      await page.getByRole("button", { name: "Apply the filters" }).click()
      await page.getByText("Running.").waitFor()
      // The stream has begun once a request shows.
      const requests = page.getByRole("table", { name: "Live requests" })
      const asking = setInterval(() => void client.call("GET", { bucket: "busy", key: "missing" }), 200)
      await requests.getByText("404 NoSuchKey").first().waitFor()
      clearInterval(asking)
      assert.equal((await client.call("PUT", { bucket: "other" })).status, 200)
      assert.equal((await client.call("PUT", { bucket: "busy", key: "a", body: "a" })).status, 200)
      await requests.getByText("busy/a").waitFor()
      assert.equal(await requests.getByText("other").count(), 0)
      await page.getByRole("button", { name: "Pause", exact: true }).click()
      await page.getByText("Paused.").waitFor()
      assert.equal(await requests.getByText("getTraffic").count(), 0, "the console's own requests are hidden")
      await page.getByRole("button", { name: "Refresh" }).click()
      await page.getByRole("tab", { name: "Operations" }).click()
      await page.getByRole("table", { name: "Traffic by operation" }).getByText("GetObject").waitFor()
      await page.getByRole("tab", { name: "Buckets" }).click()
      await page.getByRole("table", { name: "Traffic by bucket" }).getByText("busy").waitFor()
      await page.getByRole("tab", { name: "Accounts" }).click()
      await page.getByRole("table", { name: "Traffic by account" }).getByText("root").waitFor()
      await page.getByRole("tab", { name: "Errors" }).click()
      await page.getByRole("table", { name: "Errors by code" }).getByText("NoSuchKey").waitFor()
      await page.getByRole("tab", { name: "Events" }).click()
      const events = page.getByRole("table", { name: "Recent events" })
      await events.getByRole("row").nth(1).waitFor()
      assert.equal(await events.getByRole("columnheader", { name: "Node" }).count(), 0, "there is one machine")
      await screenshot(page, "traffic-events")
    })

    pageTest("the code of an event is whole, however long the details are", async () => {
      const code = "objects_written_with_single_copy"
      const fields = { reason: "two of three devices do not respond, and ".repeat(20) }
      const event = { id: "1", atMs: Date.UTC(2026, 0, 2), level: "warn", code, count: 3, fields }
      const page = await world.open("/console/traffic?tab=events", {
        before: async opened => {
          await opened.route("**/v1/events?*", route => route.fulfill({ json: { events: [event] } }))
        },
      })
      await page.getByRole("cell").getByText(code, { exact: true }).waitFor()
      const shown = `[...document.querySelectorAll("td span")].find(each => each.textContent === "${code}")`
      assert.equal(await page.evaluate(`${shown}.getClientRects().length`), 1, "lines of the code")
    })

    pageTest("figures are of an hour, a day or a week, and the address keeps which", async () => {
      assert.equal((await world.server.client().call("PUT", { bucket: "this-week" })).status, 200)
      const page = await world.open("/console/traffic")
      await page.getByText("Bytes each minute").waitFor()
      await page.getByLabel("Figures of").selectOption("last week")
      await page.getByText("Bytes each 2 hours").waitFor()
      await page.getByText("Since the server has started").waitFor()
      assert.match(page.url(), /window=week/)
      const table = page.getByRole("table", { name: "Traffic by operation" })
      await table.getByText("CreateBucket").waitFor()
      assert.doesNotMatch(await table.innerText(), /\/s/, "all of a column are counts, none is a rate")
      await page.getByText(/^Requests, [\d.]+\/s$/).waitFor()
      await page.getByLabel("Figures of").selectOption("last day")
      await page.getByText("Requests each 15 minutes").waitFor()
      await assertAccessible(page)
    })

    pageTest("on a phone a row of figures has two lines, also of the widest", async () => {
      assert.equal((await world.server.client().call("PUT", { bucket: "on-a-phone" })).status, 200)
      const page = await world.open("/console/overview", { isPhone: true })
      const widest = { clientErrors: 999, p50Ms: 999, p99Ms: 999, receivedBytes: 999.9 * KIB, sentBytes: 999.9 * KIB }
      await page.route("**/v1/traffic*", async route => {
        const traffic = (await (await route.fetch()).json()) as { readonly operations: readonly object[] }
        await route.fulfill({
          json: { ...traffic, operations: traffic.operations.map(each => ({ ...each, ...widest })) },
        })
      })
      await page.goto(new URL("/console/traffic", page.url()).href)
      const table = page.getByRole("table", { name: "Traffic by operation" })
      await table.getByText("CreateBucket").waitFor()
      await assertTwoLines(page, "Traffic by operation")
    })

    pageTest("hot objects show up with the memory of their copies, and not if copies are off", async () => {
      const page = await world.open("/console/traffic")
      await page.getByRole("heading", { name: "Traffic by operation" }).waitFor()
      assert.equal(await page.getByRole("heading", { name: "Hot objects" }).count(), 0)
      const hot = { uploadId: "0".repeat(32), part: 0, copies: 4, bytes: 4_194_304, hits: 470, readsPerMinute: 180.7 }
      const figures = { isOn: true, budgetBytes: 67_108_864, readsPerMinute: 30, usedBytes: 4_194_304, copies: 4 }
      const counts = { hits: 470, hitBytes: 1, misses: 470, made: 4, failed: 0, evicted: 0, cooled: 2 }
      const hottest = [{ bucket: "models", key: "weights.bin", ...hot }]
      await page.route("**/v1/hot-copies*", route => route.fulfill({ json: { ...figures, ...counts, hottest } }))
      await page.reload()
      const table = page.getByRole("table", { name: "Hot objects" })
      await table.getByText("models/weights.bin").waitFor()
      await table.getByText("181").waitFor()
      await page.getByText("4.0 MiB of 64.0 MiB").waitFor()
    })
  },
}
