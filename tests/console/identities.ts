/** The pages of identities on a real store: what is created there works on S3, and policies are edited and tried. */
import assert from "node:assert/strict"
import type { Page } from "playwright-core"
import {
  assertAccessible,
  assertFits,
  failWith,
  screenshot,
  standardTests,
  visit,
  type ConsoleWorld,
  type PageTests,
} from "./harness.js"

const READ = {
  Version: "2012-10-17",
  Statement: [{ Sid: "Read", Effect: "Allow", Action: "s3:GetObject", Resource: "arn:aws:s3:::gallery/*" }],
}

const prepare = async (world: ConsoleWorld): Promise<void> => {
  const client = world.server.client()
  assert.equal((await client.call("PUT", { bucket: "gallery" })).status, 200)
  assert.equal((await client.call("PUT", { bucket: "gallery", key: "cat.jpg", body: "meow" })).status, 200)
  await world.admin("POST", "/v1/accounts/~/users", { name: "zoe" })
  await world.admin("POST", "/v1/accounts/~/users/zoe/attach", { policy: "readonly" })
  await world.admin("POST", "/v1/accounts/~/groups", { name: "readers" })
  await world.admin("POST", "/v1/tokens", { name: "dashboard", scopes: ["read"] })
}

export const identities: PageTests = {
  prepare,
  define(world, pageTest) {
    standardTests(world, pageTest, {
      address: "/console/identities",
      heading: "Identities",
      request: "**/v1/accounts/~/users*",
      shows: "zoe",
      picture: "identities",
    })

    pageTest("lists say how long ago something was, and the exact time to who points at it", async () => {
      for (const [tab, name] of [
        ["users", "zoe"],
        ["groups", "readers"],
      ] as const) {
        const page = await world.open(`/console/identities?tab=${tab}`)
        const row = page.getByRole("row").filter({ hasText: name })
        const time = row.getByText(/^(just now|\d+ min ago)$/)
        await time.waitFor()
        assert.match((await time.getAttribute("title")) ?? "", /UTC$/)
      }
    })

    const dialogOf = (page: Page, name: string | RegExp) => page.getByRole("dialog", { name })

    /** The key that a dialog shows once. */
    const secretIn = async (page: Page): Promise<{ readonly accessKey: string; readonly secretKey: string }> => {
      const dialog = dialogOf(page, /^The new key/)
      const [accessKey = "", secretKey = ""] = await dialog.locator("dd").allInnerTexts()
      await assertAccessible(page)
      await dialog.getByRole("button", { name: "I have saved it" }).click()
      await dialog.waitFor({ state: "detached" })
      return { accessKey, secretKey }
    }

    const statusWith = async (credentials: { readonly accessKey: string; readonly secretKey: string }) =>
      (await world.server.client(credentials).call("GET", { bucket: "gallery", key: "cat.jpg" })).status

    pageTest("every tab and page has an address, is accessible and fits a phone", async () => {
      const page = await world.open("/console/identities", { isPhone: true })
      for (const [address, text] of [
        ["/console/identities?tab=groups", "readers"],
        ["/console/identities?tab=roles", "This account has no roles"],
        ["/console/identities?tab=policies", "readwrite"],
        ["/console/identities?tab=keys", "root user"],
        ["/console/identities?tab=providers", "This account has no providers"],
        ["/console/identities?tab=accounts", "New account"],
        ["/console/identities?tab=tokens", "dashboard"],
        ["/console/identities/~/users/zoe", "What may zoe do?"],
        ["/console/identities/~/groups/readers", "Nobody is in this group"],
        ["/console/identities/~/new-role", "Who may assume the role"],
        [`/console/identities/~/policies/${encodeURIComponent("arn:aws:iam::aws:policy/readonly")}`, "user zoe"],
        ["/console/identities/~/users/nobody", "Not found"],
      ] as const) {
        await visit(page, address)
        await page.locator("main").getByText(text).first().waitFor()
        await assertFits(page)
        await assertAccessible(page)
      }
    })

    pageTest("a user is created, gets a key that is shown once and works on S3, and the key is rotated", async () => {
      const page = await world.open("/console/identities")
      await page.getByRole("button", { name: "New user" }).click()
      const dialog = dialogOf(page, "New user")
      await dialog.getByLabel("Name", { exact: true }).fill("ann")
      await dialog.getByLabel("Find in policies").fill("reado")
      await dialog.getByLabel(/^readonly/).check()
      await dialog.getByLabel("readers").check()
      await assertAccessible(page)
      await dialog.getByRole("button", { name: "Create user and key" }).click()
      const lines = dialogOf(page, "The new key of ann").getByLabel("Lines to paste")
      await lines.getByText(`export AWS_ENDPOINT_URL=${world.server.endpoint}`).waitFor()
      await page.getByLabel("Lines for").selectOption("mc")
      await lines.getByText(`mc alias set hayloft ${world.server.endpoint}`).waitFor()
      const wizard = await secretIn(page)
      assert.equal(await statusWith(wizard), 200)
      await page.getByRole("heading", { level: 1, name: "ann" }).waitFor()
      await page.getByRole("link", { name: "readers" }).waitFor()
      await page.getByRole("button", { name: "Create key" }).click()
      await dialogOf(page, "Create a key of ann").getByLabel("Purpose").fill("backups")
      await page.keyboard.press("Enter")
      await dialogOf(page, "The new key of ann").waitFor()
      const first = await secretIn(page)
      assert.equal(await statusWith(first), 200)
      const keys = page.getByRole("table", { name: "Access keys" })
      await keys.getByText("backups").waitFor()
      await keys.getByRole("button", { name: `Rotate ${first.accessKey}` }).click()
      await page.getByRole("button", { name: "Create the second key" }).click()
      await dialogOf(page, "The new key of ann").waitFor()
      const second = await secretIn(page)
      assert.notEqual(first.accessKey, second.accessKey)
      await keys.getByRole("button", { name: `Disable ${first.accessKey}` }).click()
      await keys.getByText("disabled", { exact: true }).waitFor()
      assert.deepEqual([await statusWith(first), await statusWith(second)], [403, 200])
      await keys.getByRole("button", { name: `Delete ${first.accessKey}` }).click()
      await dialogOf(page, `Delete ${first.accessKey}`)
        .getByRole("button", { name: /^Delete/ })
        .click()
      await keys.getByText(first.accessKey, { exact: true }).waitFor({ state: "detached" })
      const text = await page.locator("body").innerText()
      assert.ok(!text.includes(second.secretKey), "the secret is shown only once")
    })

    pageTest(
      "a policy with an error shows its line and cannot be saved; a valid one decides, and says why",
      async () => {
        const page = await world.open("/console/identities/~/new-policy")
        await page.getByLabel("Name", { exact: true }).fill("read-gallery")
        const editor = page.getByRole("textbox", { name: "Policy" })
        const save = page.getByRole("button", { name: "Create policy" })
        await editor.fill('{\n"Version": "2012-10-17",\n"Statement": {\n"Effect": "Maybe" }\n}')
        await page.getByRole("list", { name: "Problems of the policy" }).getByText("Line 4").first().waitFor()
        assert.ok(await save.isDisabled())
        // A name that is no action is named beside other errors, with what is meant; typing offers the names.
        await editor.fill(
          '{\n"Version": "2012-10-17",\n"Statement": {\n"Effect": "Maybe", "Action": "s3:GetObjct" }\n}',
        )
        await page.getByText("s3:GetObjct is no action; do you mean s3:GetObject?").waitFor()
        await editor.fill('{\n"Action": "')
        await editor.pressSequentially("s3:putobjectta")
        await page.getByRole("option", { name: "s3:PutObjectTagging" }).waitFor()
        await assertAccessible(page)
        await page.keyboard.press("Enter")
        assert.equal(await editor.inputValue(), '{\n"Action": "s3:PutObjectTagging')
        await editor.fill("{\n\n oops")
        await page.getByText("This is not JSON").waitFor()
        assert.ok(await save.isDisabled())
        await assertAccessible(page)
        await editor.fill(JSON.stringify(READ, undefined, 2))
        await page.getByText("The policy is valid.").waitFor()
        // Before it is saved.
        await page.getByLabel("On", { exact: true }).fill("gallery/cat.jpg")
        await page.getByRole("button", { name: "Simulate" }).click()
        await page.getByText(/Because: allowed by statement 1 \(Read\) of .*the given policy/).waitFor()
        await assertAccessible(page)
        await screenshot(page, "identities-policy")
        await page.getByLabel("Do", { exact: true }).fill("s3:DeleteObject")
        await page.getByRole("button", { name: "Simulate" }).click()
        await page.getByText("Denied", { exact: true }).waitFor()
        await page.getByLabel("Statement for the caller's policy").getByText("s3:DeleteObject").waitFor()
        await save.click()
        await page.getByRole("heading", { level: 1, name: "read-gallery" }).waitFor()
        await page.getByText("applies", { exact: true }).waitFor()
        await editor.fill(JSON.stringify({ ...READ, Statement: [{ ...READ.Statement[0], Action: "s3:*" }] }))
        await page.getByRole("button", { name: "Save as a new version" }).click()
        await page.getByRole("button", { name: "Use version 1" }).click()
        await page.getByRole("log").getByText("Version 1 applies").waitFor()
      },
    )

    pageTest("a user gets a policy of its own, a boundary and a group, and loses them again", async () => {
      await world.admin("POST", "/v1/accounts/~/users", { name: "bob" })
      const page = await world.open("/console/identities/~/users/bob")
      await page.getByRole("button", { name: "Write its own policy" }).click()
      await page.getByLabel("Name of the policy").fill("own")
      await page.getByRole("textbox", { name: "Policy", exact: true }).fill(JSON.stringify(READ))
      await page.getByRole("button", { name: "Save policy" }).click()
      await page.getByRole("link", { name: "own" }).waitFor()
      await page.getByLabel("On", { exact: true }).fill("gallery/cat.jpg")
      await page.getByRole("button", { name: "Simulate" }).click()
      await page.getByText(/allowed by statement 1 \(Read\) of user bob: inline own/).waitFor()
      await page.getByLabel("Boundary", { exact: true }).selectOption({ label: "writeonly" })
      await page.getByRole("button", { name: "Set", exact: true }).click()
      await page.getByRole("button", { name: "Remove", exact: true }).waitFor()
      await page.getByRole("button", { name: "Simulate" }).click()
      await page.getByText("Denied", { exact: true }).waitFor()
      await page.getByLabel("Group", { exact: true }).selectOption("readers")
      await page.getByRole("button", { name: "Add to the group" }).click()
      await page.getByRole("button", { name: "Leave readers" }).click()
      await page.getByText("In no group.").waitFor()
      await page.getByLabel("Managed policy").selectOption({ label: "readonly" })
      await failWith(page, "**/users/bob/attach", 404, "noSuchEntity")
      await page.getByRole("button", { name: "Attach" }).click()
      await page.getByRole("alert").getByText("planted noSuchEntity").waitFor()
      await page.getByRole("button", { name: "Delete", exact: true }).click()
      await dialogOf(page, "Delete user bob").getByRole("button", { name: "Delete user bob" }).click()
      await page.getByRole("heading", { level: 1, name: "Identities" }).waitFor()
      await assert.rejects(world.admin("GET", "/v1/accounts/~/users/bob"), /404/)
    })

    pageTest("tags, the description and the longest session of a role are edited; the rest stays", async () => {
      const trust = {
        Version: "2012-10-17",
        Statement: [{ Effect: "Allow", Principal: { AWS: "*" }, Action: "sts:AssumeRole" }],
      }
      const made = { name: "backup", trust, tags: { team: "a", gone: "soon" }, description: "nightly" }
      await world.admin("POST", "/v1/accounts/~/roles", made)
      const page = await world.open("/console/identities/~/roles/backup", { isPhone: true })
      await page.getByRole("button", { name: "Edit", exact: true }).click()
      const dialog = dialogOf(page, "Edit role backup")
      await dialog.getByLabel("Longest session, in hours").fill("13")
      await dialog.getByText("From 1 to 12 hours.").waitFor()
      assert.ok(await dialog.getByRole("button", { name: "Save" }).isDisabled())
      await dialog.getByLabel("Longest session, in hours").fill("2.5")
      await dialog.getByLabel("Tags").fill("team=b\ncost = 7")
      await assertFits(page)
      await assertAccessible(page)
      await dialog.getByRole("button", { name: "Save" }).click()
      await page.getByText("team=b").waitFor()
      const role = (await world.server.report("/v1/accounts/~/roles/backup")) as Record<string, unknown>
      assert.deepEqual(role["tags"], { team: "b", cost: "7" })
      assert.deepEqual([role["sessionSecondsMax"], role["description"]], [9_000, "nightly"])
    })

    pageTest("a token is created with scopes and shown once, and revoked", async () => {
      const page = await world.open("/console/identities?tab=tokens")
      await page.getByRole("button", { name: "New token" }).click()
      const dialog = dialogOf(page, "New token")
      await dialog.getByLabel("What it is for").fill("watcher")
      await assertAccessible(page)
      await page.keyboard.press("Enter")
      const secret = dialogOf(page, "The new token")
      await secret.waitFor()
      const [token = ""] = await secret.locator("dd").allInnerTexts()
      const answer = () => world.server.admin("GET", "/v1/status", { Authorization: `Bearer ${token}` })
      assert.equal((await answer()).status, 200)
      await secret.getByRole("button", { name: "I have saved it" }).click()
      await page.getByRole("button", { name: "Revoke watcher" }).click()
      await dialogOf(page, "Revoke watcher").getByRole("button", { name: "Revoke watcher" }).click()
      await page.getByRole("log").getByText("watcher is revoked").waitFor()
      assert.equal((await answer()).status, 401)
    })
  },
}
