/** The page of buckets: what is created and set here is what S3 clients see, and what is refused says why. */
import assert from "node:assert/strict"
import type { Locator, Page } from "playwright-core"
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
    const addMove = async (
      form: Locator,
      button: string,
      group: string,
      fields: readonly (readonly [label: string, value: string])[],
    ): Promise<void> => {
      await form.getByRole("button", { name: button, exact: true }).click()
      for (const [label, value] of fields)
        await form.getByRole("group", { name: group }).getByLabel(label, { exact: true }).fill(value)
    }
    const isDone = (page: Page, text: string) => page.getByRole("log").getByText(text).waitFor()

    standardTests(world, pageTest, {
      address: "/console/buckets",
      heading: "Buckets",
      request: "**/v1/buckets*",
      shows: "photos",
      picture: "buckets",
    })

    pageTest("a store without buckets says how to get one", async () => {
      const page = await world.open("/console/buckets", {
        before: async opened => {
          await opened.route("**/v1/buckets*", route => route.fulfill({ json: { buckets: [] } }))
        },
      })
      await page.getByText("There is no bucket yet").waitFor()
      await page.getByRole("link", { name: "its first lines" }).click()
      await page.getByText("Put your first object").waitFor()
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
      const act = async (item: string): Promise<void> => {
        await page.getByRole("button", { name: "Actions", exact: true }).click()
        await page.getByRole("menuitem", { name: item }).click()
      }
      await world.server.client().call("PUT", { bucket: "holidays", key: "here", body: "x" })
      await page.getByRole("tab", { name: "Overview" }).click()
      await page.getByRole("button", { name: "Refresh" }).click()
      await page.getByText("1 object, 1 B").waitFor()
      await act("Delete the bucket")
      await page.getByRole("button", { name: "Empty the bucket first" }).click()
      const emptying = page.getByRole("dialog", { name: "Empty the bucket" })
      await emptying.getByText("It is gone then").waitFor()
      await emptying.getByRole("button", { name: "Start the job" }).click()
      await page.getByText("delete-objects: 1 of 1 done").waitFor()
      await page.getByText("0 objects, 0 B").waitFor()
      await act("Delete the bucket")
      await page.getByRole("dialog").getByRole("button", { name: "Delete the bucket" }).click()
      await isDone(page, "Deleted bucket holidays")
      assert.equal((await world.server.client().call("HEAD", { bucket: "holidays" })).status, 404)
    })

    pageTest("a bucket that does not exist has nothing but a way back", async () => {
      const page = await world.open("/console/buckets/nothing-of-that-name")
      await page.getByText("Not found").waitFor()
      // The list of objects may know it before the rest of the page does.
      await page.getByRole("tab").first().waitFor({ state: "detached" })
      assert.equal(await page.locator("main").getByRole("button", { name: "Actions" }).count(), 0)
      await page.locator("main").getByRole("link", { name: "Buckets" }).click()
      await page.getByRole("heading", { level: 1, name: "Buckets" }).waitFor()
    })

    pageTest("appends are allowed, and not any more", async () => {
      await world.server.client().call("PUT", { bucket: "journals" })
      const append = async () =>
        (await world.server.client().call("POST", { bucket: "journals", key: "log", query: "append", body: "x" }))
          .status
      assert.equal(await append(), 501)
      const page = await world.open("/console/buckets/journals?tab=settings")
      const line = page.getByRole("group", { name: "Appends" })
      await line.getByRole("switch", { name: "Allow appends" }).click()
      await line.getByText("Saved").waitFor()
      assert.equal(await append(), 200)
      await line.getByRole("switch", { name: "Allow appends", checked: true }).click()
      await line.getByRole("switch", { name: "Allow appends", checked: false }).waitFor()
      await line.getByText("Saved").waitFor()
      assert.equal(await append(), 501)
    })

    pageTest("deduplication is switched on, shows what it saves, and is verified", async () => {
      const client = world.server.client()
      await client.call("PUT", { bucket: "backups" })
      const page = await world.open("/console/buckets/backups?tab=dedup")
      await page.getByRole("switch", { name: "Deduplicate what is written" }).click()
      await page.getByText("Saved", { exact: true }).waitFor()
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

    pageTest("settings save themselves, and what is refused is set back with the reason", async () => {
      const page = await world.open("/console/buckets/photos?tab=settings")
      const line = (name: string) => page.getByRole("group", { name, exact: true })
      await line("Versioning").getByRole("switch").click()
      await line("Versioning").getByText("Saved").waitFor()
      assert.match(await s3("versioning"), /<Status>Enabled</)
      await page.getByText("Each block").click()
      const lists = "Access control lists that admit the public have no effect"
      await page.getByRole("switch", { name: lists, checked: true }).click()
      await page.getByRole("switch", { name: lists, checked: false }).waitFor()
      assert.match(await s3("publicAccessBlock"), /<IgnorePublicAcls>false<.*<BlockPublicPolicy>true</s)
      await line("Quota").getByLabel("GiB at most").fill("0.5")
      await page.keyboard.press("Enter")
      await line("Quota").getByText("Saved").waitFor()
      const report = (await world.server.report("/v1/buckets/photos/quota")) as { quota: { limits: object } }
      assert.deepEqual(report.quota.limits, { hardBytes: 2 ** 29 })
      // The line keeps changes of another tab.
      await world.admin("PUT", "/v1/buckets/photos/settings/quota", { value: { hardBytes: 2 ** 29, warnObjects: 7 } })
      await line("Quota").getByLabel("GiB at most").fill("1")
      // A change that is made while one is saved is not lost without a word.
      const release = await holdBack(page, "**/v1/buckets/photos/settings/quota")
      await page.keyboard.press("Enter")
      await line("Quota").getByText("Saving…").waitFor()
      await line("Quota").getByLabel("Objects at most").fill("9")
      await page.keyboard.press("Enter")
      await release()
      await line("Quota").getByRole("alert").getByText("the change before it was still being saved").waitFor()
      await page.unroute("**/v1/buckets/photos/settings/quota")
      const kept = (await world.server.report("/v1/buckets/photos/quota")) as { quota: { limits: object } }
      assert.deepEqual(kept.quota.limits, { hardBytes: 2 ** 30, warnObjects: 7 })
      for (const name of ["Undelete", "Appends"]) {
        await line(name).getByRole("switch").click()
        await line(name)
          .getByRole("alert")
          .getByText(/Not saved, and set back: .*versioning/)
          .waitFor()
        await line(name).getByRole("switch", { checked: false }).waitFor()
      }
      await assertAccessible(page)
      await screenshot(page, "buckets-settings")
    })

    pageTest("CORS, the website and tags have forms, with their JSON folded away", async () => {
      const page = await world.open("/console/buckets/photos?tab=settings", { isPhone: true })
      await page.getByRole("button", { name: "Set cors" }).click()
      const cors = page.getByRole("dialog", { name: "CORS of photos" })
      await cors.getByLabel("Web pages from").fill("https://example.org\nhttps://www.example.org")
      await cors.getByLabel("PUT").check()
      await assertAccessible(page)
      await assertFits(page)
      await cors.getByRole("button", { name: "Save" }).click()
      await isDone(page, "Saved: cors of photos")
      assert.match(await s3("cors"), /<AllowedMethod>PUT<.*www\.example\.org/s)
      await page.getByRole("group", { name: "CORS" }).getByText("JSON", { exact: true }).click()
      await page.getByLabel("cors as JSON").getByText("MaxAgeSeconds").waitFor({ state: "detached" })
      await page.getByRole("button", { name: "Set website" }).click()
      await page.getByRole("dialog").getByLabel("Page for errors").fill("404.html")
      await page.getByRole("dialog").getByRole("button", { name: "Save" }).click()
      await page.getByText("Folders show index.html.").waitFor()
      assert.match(await s3("website"), /<Key>404\.html</)
      await page.getByRole("button", { name: "Set tags" }).click()
      await page.getByRole("dialog").getByRole("textbox", { name: "Tags" }).fill("team=a")
      await page.getByRole("dialog").getByRole("button", { name: "Save" }).click()
      await page.getByText("team=a.").waitFor()
      await page.getByRole("button", { name: "Remove cors" }).click()
      await page.getByRole("dialog").getByRole("button", { name: "Remove cors" }).click()
      await isDone(page, "Removed: cors of photos")
      assert.match(await s3("cors"), /NoSuchCORSConfiguration/)
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

    pageTest("lifecycle rules are made by a form, tried out, and then saved", async () => {
      const page = await world.open("/console/buckets/photos?tab=lifecycle")
      await page.getByRole("button", { name: "Add a rule" }).click()
      const form = page.getByRole("dialog", { name: "New rule" })
      await form.getByLabel("Name").fill("old logs")
      await form.getByLabel("Keys that begin with").fill("logs/")
      // An object goes at the end of the day after a full day: a date in the past shows something at once.
      await form.getByLabel("Remove", { exact: true }).selectOption("On a date")
      await form.getByLabel("Remove on").fill("2020-01-01")
      await assertAccessible(page)
      await form.getByRole("button", { name: "Add the rule" }).click()
      await page.getByText("These changes are not saved yet.").waitFor()
      await page.getByRole("button", { name: "Preview" }).click()
      const table = page.getByRole("table", { name: "What the rules would do" })
      await table.getByRole("row").filter({ hasText: "old logs" }).getByText("4.0 KiB").waitFor()
      await page.getByRole("list", { name: "Examples" }).getByText("logs/1").waitFor()
      assert.match(await s3("lifecycle"), /NoSuchLifecycleConfiguration/, "a preview sets nothing")
      await assertAccessible(page)
      await screenshot(page, "buckets-lifecycle")
      await page.getByRole("button", { name: "Edit old logs" }).click()
      const edit = page.getByRole("dialog", { name: "Rule old logs" })
      await edit.getByLabel("Remove", { exact: true }).selectOption("After days")
      await edit.getByLabel("Remove after days").fill("400")
      await edit.getByLabel("Larger than, bytes").fill("100")
      await edit.getByLabel("With the tags").fill("team=a")
      await edit.getByLabel("Remove older versions after days").fill("70")
      await edit.getByLabel("Keep the newest versions").fill("3")
      await addMove(edit, "Add a move", "Move 1", [
        ["Days", "30"],
        ["To the class", "STANDARD_IA"],
      ])
      await addMove(edit, "Add a move", "Move 2", [["Days", "60"]])
      assert.ok(await edit.getByRole("button", { name: "Change the rule" }).isDisabled(), "a move without a class")
      await edit.getByRole("group", { name: "Move 2" }).getByLabel("To the class").fill("GLACIER_IR")
      const ofOlder = [
        ["Move after days", "30"],
        ["To the class", "GLACIER_IR"],
        ["But for the newest", "2"],
      ] as const
      await addMove(edit, "Add a move of older versions", "Move of older versions 1", ofOlder)
      await assertAccessible(page)
      await edit.getByRole("button", { name: "Change the rule" }).click()
      await page.getByRole("button", { name: "Save rules" }).click()
      await isDone(page, "Saved: lifecycle of photos")
      const saved = await s3("lifecycle")
      assert.match(saved, /<And><Prefix>logs\/<.*<Key>team<.*<ObjectSizeGreaterThan>100</s)
      assert.match(saved, /<NewerNoncurrentVersions>3</)
      assert.match(saved, /<Days>400</)
      assert.match(saved, /<Days>30<.*STANDARD_IA.*<Days>60<.*GLACIER_IR/s)
      assert.match(saved, /<NoncurrentVersionTransition>.*GLACIER_IR.*<\/NoncurrentVersionTransition>/s)
      await page.getByText("These rules are active.").waitFor()
      await page.getByRole("button", { name: "Edit old logs" }).click()
      assert.equal(await edit.getByLabel("Keep the newest versions").inputValue(), "3", "the form has what is saved")
      assert.equal(
        await edit.getByRole("group", { name: "Move 2" }).getByLabel("To the class").inputValue(),
        "GLACIER_IR",
      )
      await edit.getByRole("button", { name: "Remove move 1", exact: true }).click()
      assert.equal(await edit.getByRole("group", { name: "Move 1" }).getByLabel("Days").inputValue(), "60")
      await edit.getByRole("button", { name: "Cancel" }).click()
      // A sign of equality in the key of a tag, which a line divides at the first one, is kept.
      const tag = { Key: "a=b", Value: "c" }
      const rule = { ID: "old logs", Status: "Enabled", Filter: { Tag: tag }, Expiration: { Days: 30 } }
      await world.admin("PUT", "/v1/buckets/photos/settings/lifecycle", { value: { Rules: [rule] } })
      await page.getByRole("button", { name: "Remove old logs" }).click()
      await page.getByRole("button", { name: "Save rules" }).click()
      await page.getByText("Somebody has changed lifecycle of photos since this page read it.").waitFor()
      await page.reload()
      await page.getByRole("button", { name: "Edit old logs" }).click()
      await edit.getByLabel("Remove after days").fill("31")
      await edit.getByRole("button", { name: "Change the rule" }).click()
      // While the page reads what was saved, nothing can be changed that would be lost then.
      let read = (): void => undefined
      const isRead = new Promise<void>(resolve => (read = resolve))
      await page.route(
        "**/v1/buckets/photos/settings",
        async route => {
          await isRead
          await route.continue()
        },
        { times: 1 },
      )
      const answered = page.waitForResponse("**/v1/buckets/photos/settings")
      await page.getByRole("button", { name: "Save rules" }).click()
      await isDone(page, "Saved: lifecycle of photos")
      assert.match(await s3("lifecycle"), /<Key>a=b<.*<Value>c<.*<Days>31<|<Days>31<.*<Key>a=b<.*<Value>c</s)
      await page.locator("[inert]").getByText("old logs", { exact: true }).waitFor()
      read()
      await answered
      await page.getByRole("button", { name: "Remove old logs" }).click()
      await page.getByRole("button", { name: "Save rules" }).click()
      await page.getByText("No rules: nothing is removed or moved by itself").waitFor()
      await page.getByRole("button", { name: "Save rules" }).waitFor({ state: "detached" })
      assert.match(await s3("lifecycle"), /NoSuchLifecycleConfiguration/)
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

    pageTest(
      "one switch makes a bucket public, with the address that anybody reads by, and private again",
      async () => {
        const client = world.server.client()
        await client.call("PUT", { bucket: "posters" })
        await client.call("PUT", { bucket: "posters", key: "a.txt", body: "hello" })
        const status = async () => (await fetch(`${world.server.endpoint}/posters/a.txt`)).status
        assert.equal(await status(), 403)
        const page = await world.open("/console/buckets/posters?tab=policy")
        const onOff = page.getByRole("switch", { name: "Anybody may read its objects" })
        await onOff.click()
        await page.getByRole("dialog").getByRole("button", { name: "Make public" }).click()
        await isDone(page, "Anybody may read the objects of posters")
        await page.getByText(`${world.server.endpoint}/posters/`).waitFor()
        assert.equal(await status(), 200)
        await assertAccessible(page)
        await onOff.click()
        await isDone(page, "posters is private")
        assert.equal(await status(), 403)
        // Statements of others stay, whatever their name, and the page says what they admit.
        const set = (setting: string, value: object) =>
          world.admin("PUT", `/v1/buckets/posters/settings/${setting}`, { value })
        const blocks = { BlockPublicAcls: true, IgnorePublicAcls: true, RestrictPublicBuckets: false }
        await set("public-access-block", { ...blocks, BlockPublicPolicy: false })
        const other = {
          Sid: "PublicRead",
          Effect: "Allow",
          Principal: { AWS: "*" },
          Action: "s3:GetObject",
          Resource: "arn:aws:s3:::posters/a.txt",
        }
        await set("policy", { Version: "2012-10-17", Statement: [other] })
        await page.getByRole("tab", { name: "Settings" }).click()
        await page.getByText("a statement of the policy admits the public").waitFor()
        assert.equal(await onOff.getAttribute("aria-checked"), "false")
        await set("public-access-block", { ...blocks, BlockPublicPolicy: false, RestrictPublicBuckets: true })
        await page.getByRole("tab", { name: "Access" }).click()
        await page.getByText("but public access is blocked").waitFor()
        assert.equal(await status(), 403)
        await onOff.click()
        await page.getByRole("dialog").getByRole("button", { name: "Make public" }).click()
        await page.getByRole("dialog").waitFor({ state: "detached" })
        assert.equal(await status(), 200)
        await onOff.click()
        await page.getByText("but public access is blocked").waitFor()
        const policy = await client.call("GET", { bucket: "posters", query: "policy" })
        assert.deepEqual(JSON.parse(policy.text), { Version: "2012-10-17", Statement: [other] })
      },
    )

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
        const page = await world.open("/console/buckets/photos?tab=usage", {
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
