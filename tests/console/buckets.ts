/** The page of buckets: what is created and set here is what S3 clients see, and what is refused says why. */
import assert from "node:assert/strict"
import type { Page } from "playwright-core"
import {
  assertAccessible,
  assertFits,
  holdBack,
  screenshot,
  standardTests,
  type ConsoleWorld,
  type PageTests,
} from "./harness.js"

const prepare = async ({ server }: ConsoleWorld): Promise<void> => {
  const client = server.client()
  assert.equal((await client.call("PUT", { bucket: "photos" })).status, 200)
  for (const key of ["logs/1", "logs/2", "cat.jpg"])
    assert.equal((await client.call("PUT", { bucket: "photos", key, body: "x".repeat(2_048) })).status, 200)
}

export const buckets: PageTests = {
  prepare,
  define(world, pageTest) {
    const s3 = async (query: string): Promise<string> =>
      (await world.server.client().call("GET", { bucket: "photos", query })).text
    const isDone = (page: Page, text: string) => page.getByRole("log").getByText(text).waitFor()

    standardTests(world, pageTest, {
      address: "/console/buckets",
      heading: "Buckets",
      request: "**/v1/buckets*",
      shows: "photos",
      picture: "buckets",
    })

    pageTest("a bucket is created, found by S3, and deleted", async () => {
      const page = await world.open("/console/buckets")
      await page.getByRole("button", { name: "Create a bucket" }).click()
      const dialog = page.getByRole("dialog", { name: "Create a bucket" })
      await dialog.getByLabel("Name").fill("A_wrong_name")
      await dialog.getByRole("button", { name: "Create", exact: true }).click()
      await dialog
        .getByRole("alert")
        .getByText(/not valid|characters/)
        .waitFor()
      await dialog.getByLabel("Name").fill("holidays")
      await dialog.getByRole("button", { name: "Create", exact: true }).click()
      await page.getByRole("table", { name: "Buckets" }).getByRole("link", { name: "holidays" }).click()
      await page.getByRole("heading", { level: 1, name: "holidays" }).waitFor()
      assert.equal((await world.server.client().call("HEAD", { bucket: "holidays" })).status, 200)
      await page.getByRole("button", { name: "Delete" }).click()
      await page.getByRole("dialog").getByRole("button", { name: "Delete the bucket" }).click()
      await isDone(page, "Deleted bucket holidays")
      assert.equal((await world.server.client().call("HEAD", { bucket: "holidays" })).status, 404)
    })

    pageTest("appends are allowed, and not any more", async () => {
      await world.server.client().call("PUT", { bucket: "journals" })
      const append = async () =>
        (await world.server.client().call("POST", { bucket: "journals", key: "log", query: "append", body: "x" }))
          .status
      assert.equal(await append(), 501)
      const page = await world.open("/console/buckets/journals?tab=settings")
      const form = page.getByRole("form", { name: "Appends" })
      await form.getByLabel("Allow appends").check()
      await form.getByRole("button", { name: "Save appends" }).click()
      await isDone(page, "Saved: appends of journals")
      assert.equal(await append(), 200)
      await form.getByLabel("Allow appends").uncheck()
      await form.getByRole("button", { name: "Save appends" }).click()
      await page.getByRole("log").getByText("Saved: appends of journals").nth(1).waitFor()
      assert.equal(await append(), 501)
    })

    pageTest("deduplication is switched on, shows what it saves, and is verified", async () => {
      const client = world.server.client()
      await client.call("PUT", { bucket: "backups" })
      const page = await world.open("/console/buckets/backups?tab=dedup")
      const form = page.getByRole("form", { name: "Deduplication" })
      await form.getByLabel("Deduplicate what is written").check()
      await form.getByRole("button", { name: "Save deduplication" }).click()
      await isDone(page, "Saved: deduplication of backups")
      const body = Buffer.alloc(200_000, "some bytes ")
      for (const key of ["monday", "tuesday"])
        assert.equal((await client.call("PUT", { bucket: "backups", key, body })).status, 200)
      await page.getByRole("button", { name: "Count again" }).click()
      await page.locator("main").getByText("2.00 times", { exact: true }).waitFor()
      await page.getByRole("button", { name: "Verify" }).click()
      await isDone(page, "Started: verify backups")
      await page.getByText(/rows compared: all agree/).waitFor()
      await assertAccessible(page)
      await page.getByRole("link", { name: "Details" }).click()
      await page.getByRole("heading", { level: 1, name: /^dedup-verify-/ }).waitFor()
    })

    pageTest("forms change what S3 sees, begin again with what was saved, and say what is refused", async () => {
      const page = await world.open("/console/buckets/photos?tab=settings")
      const versioning = page.getByRole("form", { name: "Versioning" })
      await versioning.getByLabel("State").selectOption("Enabled")
      await versioning.getByRole("button", { name: "Save versioning" }).click()
      await isDone(page, "Saved: versioning of photos")
      assert.match(await s3("versioning"), /<Status>Enabled</)
      await versioning.getByText("Off").waitFor({ state: "detached" })
      const block = page.getByRole("form", { name: "Public access" })
      await block.getByLabel("Ignore those that there are").uncheck()
      await block.getByRole("button", { name: "Save public access" }).click()
      await isDone(page, "Saved: public access of photos")
      assert.match(await s3("publicAccessBlock"), /<IgnorePublicAcls>false<.*<BlockPublicPolicy>true</s)
      const quota = page.getByRole("form", { name: "Quota" })
      await quota.getByLabel("GiB at most").fill("0.5")
      await quota.getByRole("button", { name: "Save quota" }).click()
      await isDone(page, "Saved: quota of photos")
      const report = (await world.server.report("/v1/buckets/photos/quota")) as { quota: { limits: object } }
      assert.deepEqual(report.quota.limits, { hardBytes: 2 ** 29 })
      const undelete = page.getByRole("form", { name: "Undelete" })
      await undelete.getByLabel("Days").fill("5")
      await undelete.getByRole("button", { name: "Save undelete" }).click()
      await undelete
        .getByRole("alert")
        .getByText(/versioning/)
        .waitFor()
      const appends = page.getByRole("form", { name: "Appends" })
      await appends.getByLabel("Allow appends").check()
      await appends.getByRole("button", { name: "Save appends" }).click()
      await appends
        .getByRole("alert")
        .getByText(/versioning/)
        .waitFor()
      await assertAccessible(page)
      await screenshot(page, "buckets-settings")
    })

    pageTest(
      "any setting is edited as JSON; what is not JSON, or not a setting, is refused and changes nothing",
      async () => {
        const page = await world.open("/console/buckets/photos?tab=json")
        await page.getByRole("button", { name: "Edit cors" }).click()
        const dialog = page.getByRole("dialog", { name: "cors of photos" })
        const [value, save] = [dialog.getByLabel("Value"), dialog.getByRole("button", { name: "Save" })]
        await value.fill('{ "CORSRules": [')
        await dialog.getByText("This is not JSON").waitFor()
        assert.ok(await save.isDisabled())
        await value.fill('{ "CORSRules": [{ "AllowedMethod": ["GET"] }] }')
        await save.click()
        await dialog.getByRole("alert").getByText("CORSRules[0].AllowedMethod: there is no such member").waitFor()
        await assertAccessible(page)
        assert.match(await s3("cors"), /NoSuchCORSConfiguration/)
        await value.fill('{ "CORSRules": [{ "AllowedMethods": ["GET"], "AllowedOrigins": ["https://example.org"] }] }')
        await save.click()
        await isDone(page, "Saved: cors of photos")
        assert.match(await s3("cors"), /<AllowedOrigin>https:\/\/example\.org</)
        await page.getByRole("button", { name: "Remove cors" }).click()
        await page.getByRole("dialog").getByRole("button", { name: "Remove cors" }).click()
        await isDone(page, "Removed: cors of photos")
        assert.match(await s3("cors"), /NoSuchCORSConfiguration/)
      },
    )

    pageTest("lifecycle rules are tried out, and then saved", async () => {
      const page = await world.open("/console/buckets/photos?tab=lifecycle")
      const form = page.getByRole("form", { name: "Add a rule" })
      await form.getByLabel("Keys that begin with").fill("logs/")
      await form.getByLabel("Remove objects after days").fill("1")
      await form.getByRole("button", { name: "Add the rule" }).click()
      // An object goes at the end of the day after a full day: tried out, the rule has a date in the past.
      const rules = page.getByLabel("Rules as JSON")
      await rules.fill((await rules.inputValue()).replace('"Days": 1', '"Date": "2020-01-01"'))
      await page.getByRole("button", { name: "Preview" }).click()
      const table = page.getByRole("table", { name: "What the rules would do" })
      await table.getByRole("row").filter({ hasText: "rule 1" }).getByText("4.0 KiB").waitFor()
      await page.getByRole("list", { name: "Examples" }).getByText("logs/1").waitFor()
      assert.match(await s3("lifecycle"), /NoSuchLifecycleConfiguration/, "a preview sets nothing")
      await assertAccessible(page)
      await screenshot(page, "buckets-lifecycle")
      await rules.fill((await rules.inputValue()).replace('"Date": "2020-01-01"', '"Days": 30'))
      await page.getByRole("button", { name: "Save rules" }).click()
      await isDone(page, "Saved: lifecycle of photos")
      assert.match(await s3("lifecycle"), /<Prefix>logs\/<.*<Days>30</s)
    })

    pageTest("a policy is checked while it is typed, saved, and explains a denied request", async () => {
      const page = await world.open("/console/buckets/photos?tab=policy")
      const text = page.getByLabel("Policy of the bucket")
      const statement = {
        Effect: "Deny",
        Principal: "*",
        Action: "s3:GetObject",
        Resource: "arn:aws:s3:::photos/cat.jpg",
      }
      await text.fill(JSON.stringify({ Version: "2012-10-17", Statement: [{ ...statement, Action: "s3:GetObjekt" }] }))
      await page
        .getByRole("list", { name: "Problems of the policy" })
        .getByText("error", { exact: true })
        .first()
        .waitFor()
      await text.fill(JSON.stringify({ Version: "2012-10-17", Statement: [{ ...statement, Sid: "NoCats" }] }))
      await page.getByText("The policy is valid.").waitFor()
      const show = await holdBack(page, "**/v1/buckets/photos/settings")
      await page.getByRole("button", { name: "Save policy" }).click()
      await isDone(page, "Saved: policy of photos")
      assert.ok(await text.isDisabled(), "the page does not yet show what was stored: what is typed now would be lost")
      await show()
      const denied = await world.server.client().call("GET", { bucket: "photos", key: "cat.jpg" })
      assert.equal(denied.status, 403)
      const open = JSON.stringify({ Version: "2012-10-17", Statement: [{ ...statement, Effect: "Allow" }] })
      await text.fill(open)
      await page.getByRole("button", { name: "Save policy" }).click()
      await page
        .getByRole("form", { name: "Policy" })
        .getByRole("alert")
        .getByText(/public/i)
        .waitFor()
      assert.equal(await text.inputValue(), open, "who has signed in stays so, and the text is kept")
      await page.goto(`${world.server.adminEndpoint}/console/buckets`)
      await page.getByLabel("Request id").fill(denied.header("x-amz-request-id") ?? "")
      await page.getByRole("button", { name: "Explain" }).click()
      await page.getByText(/, statement 1/).waitFor()
      await assertAccessible(page)
      await page.getByLabel("Request id").fill("0000000000000000")
      await page.getByRole("button", { name: "Explain" }).click()
      await page
        .getByRole("form", { name: "Why was a request denied?" })
        .getByRole("alert")
        .getByText(/0000000000000000/)
        .waitFor()
    })

    pageTest("usage over time is a chart with its values, and fits a phone", async () => {
      const hourMs = 3_600_000
      const nowMs = Date.UTC(2026, 0, 8)
      const samples = Array.from({ length: 168 }, (_, hour) => ({
        atMs: nowMs - (168 - hour) * hourMs,
        objects: 100 + hour,
        bytes: hour * 2 ** 20,
      }))
      const usage = { objects: 300, versions: 310, bytes: 2 ** 28, uploads: 0, kept: { objects: 0, bytes: 0 } }
      for (const isPhone of [true, false]) {
        const page = await world.open("/console/buckets/photos", {
          isPhone,
          before: async opened => {
            await opened.route("**/v1/buckets/photos/usage", route =>
              route.fulfill({ json: { nowMs, usage, samples } }),
            )
            const createdMs = nowMs - 300 * hourMs
            const bucket = { name: "photos", owner: "root", createdMs, location: "", versioning: "enabled", usage }
            await opened.route("**/v1/buckets/photos", route => route.fulfill({ json: bucket }))
          },
        })
        await page.getByRole("img", { name: /Bytes of all versions/ }).waitFor()
        await page.getByText("Values as a table").first().click()
        await page.getByRole("region", { name: "Bytes of all versions, values" }).getByText("256.0 MiB").waitFor()
        await assertFits(page)
        await assertAccessible(page)
        if (!isPhone) {
          await page.getByText("Values as a table").first().click()
          await screenshot(page, "buckets-usage")
        }
      }
    })
  },
}
