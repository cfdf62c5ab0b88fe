/** The page of queues: what they hold, their oldest messages, and what can be done with them. */
import assert from "node:assert/strict"
import { assertAccessible, assertFits, standardTests, type ConsoleWorld, type PageTests } from "./harness.js"

async function prepare(world: ConsoleWorld): Promise<void> {
  for (const name of ["mail", "thumbnails", "old"]) await world.admin("POST", "/v1/queues", { name })
}

export const queues: PageTests = {
  prepare,
  define(world, pageTest) {
    standardTests(world, pageTest, {
      address: "/console/queues",
      heading: "Queues",
      request: "**/v1/queues*",
      shows: "thumbnails",
      picture: "queues",
    })

    pageTest("a queue is made, paused, resumed and deleted", async () => {
      const page = await world.open("/console/queues")
      await page.getByRole("button", { name: "New queue" }).click()
      await page.getByLabel("Name").fill("new")
      await page.getByRole("button", { name: "Create queue" }).click()
      const row = page.getByRole("row").filter({ has: page.getByRole("link", { name: "new", exact: true }) })
      await row.getByText("root", { exact: true }).waitFor()
      await page.getByRole("link", { name: "new", exact: true }).click()
      await page.getByRole("heading", { name: "new", level: 1 }).waitFor()
      await page.getByText("No message is due").waitFor()
      await page.getByRole("button", { name: "Pause" }).click()
      await page.getByText("new is paused").waitFor()
      await page.getByRole("button", { name: "Resume" }).click()
      await page.getByText("new goes on").waitFor()
      await page.getByRole("button", { name: "Delete" }).click()
      await page.getByRole("dialog").getByRole("button", { name: "Delete new" }).click()
      await page.getByRole("heading", { name: "Queues", level: 1 }).waitFor()
      await page.getByRole("link", { name: "mail" }).waitFor()
      assert.equal(await page.getByRole("link", { name: "new", exact: true }).count(), 0)
    })

    pageTest(
      "a message is sent from the page, at once or later, and looked at as a whole without a delivery",
      async () => {
        await world.admin("POST", "/v1/queues", { name: "orders" })
        const { stdout } = await world.server.hayloft(["queue", "show", "orders", "--json"])
        const account = /"account":"([^"]+)"/.exec(stdout)?.[1] ?? ""
        const page = await world.open(`/console/queues/${account}/orders`)
        const dialog = page.getByRole("dialog")
        const body = `{"order": 7, "note": "${"long ".repeat(40)}"}`
        await page.getByRole("button", { name: "Send a message" }).click()
        assert.ok(await dialog.getByRole("button", { name: "Send" }).isDisabled(), "an empty message")
        await dialog.getByLabel("Body").fill(body)
        await assertAccessible(page)
        await dialog.getByRole("button", { name: "Send" }).click()
        await page.getByText("Sent a message to orders").waitFor()
        await page.getByRole("button", { name: "Send a message" }).click()
        await dialog.getByLabel("Body").fill("later")
        await dialog.getByLabel("Delay in seconds").fill("5000000")
        await dialog.getByText("30 days at most").waitFor()
        await dialog.getByLabel("Delay in seconds").fill("600")
        await dialog.getByRole("button", { name: "Send" }).click()
        const row = page.getByRole("row", { name: /"order": 7/ })
        await row.getByRole("button").click()
        await dialog.getByLabel("Body").getByText(body).waitFor()
        await assertAccessible(page)
        await dialog.getByRole("button", { name: "Close" }).last().click()
        const path = `/v1/queues/${account}/orders`
        const queue = JSON.stringify(await world.server.report(path))
        assert.match(queue, /"due":1,"inFlight":0,"delayed":1/)
        const audited = JSON.stringify(await world.server.report("/v1/audit?operation=sendMessage"))
        assert.match(audited, /orders/)
        assert.doesNotMatch(audited, /note/, "the audit log has no bodies")
      },
    )

    pageTest("messages that are due are shown with what is known of them", async () => {
      const { stdout } = await world.server.hayloft(["queue", "show", "mail", "--json"])
      const account = /"account":"([^"]+)"/.exec(stdout)?.[1] ?? ""
      const page = await world.open(`/console/queues/${account}/mail`)
      await page.getByText("No message is due").waitFor()
      const message = {
        id: "D-0000002a-AAAAAAAAAAAAAAAAAAAAAAAA-05a1",
        createdMs: 1,
        dueMs: 1,
        expiresMs: 2,
        deliveries: 3,
        nacks: 0,
        bytes: 5,
        movedFrom: "thumbnails",
        body: "hello <b>there</b>",
      }
      await page.route("**/v1/queues/*/mail/messages", route => route.fulfill({ json: { messages: [message] } }))
      const row = page.getByRole("row", { name: /D-0000002a/ })
      await row.getByText("hello <b>there</b>").waitFor()
      await row.getByText("thumbnails").waitFor()
    })

    pageTest("a queue with a long name fits a phone, also where it is deleted", async () => {
      const name = `${"long-".repeat(11)}name`
      await world.admin("POST", "/v1/queues", { name })
      const page = await world.open("/console/queues", { isPhone: true })
      await page.getByRole("link", { name }).click()
      await page.getByText("No message is due").waitFor()
      await assertFits(page)
      await page.getByRole("button", { name: "Delete" }).click()
      const button = page.getByRole("dialog").getByRole("button", { name: `Delete ${name}` })
      const [inner, outer] = [await button.boundingBox(), await page.getByRole("dialog").boundingBox()]
      assert.ok(inner && outer && inner.x >= outer.x && inner.x + inner.width <= outer.x + outer.width)
    })
  },
}
