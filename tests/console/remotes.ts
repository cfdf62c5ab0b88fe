/**
 * The page of remotes over a store that another one backs: stores, cache, and pending writes; and on other pages the setting
 * of a bucket and jobs of its cache. What a store seldom has is played by the answers to the page's requests.
 */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after } from "node:test"
import type { Page } from "playwright-core"
import type { PendingRemoteWrites, Remotes } from "../../console/api/shapes.js"
import { quietParent } from "../harness/folders.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"
import {
  assertAccessible,
  assertFits,
  assertReadableInDark,
  failWith,
  standardTests,
  type PageTests,
} from "./harness.js"

const ADDRESS = "/console/remotes"
const MIB = 1 << 20
const SINCE_MS = Date.UTC(2026, 0, 2, 3, 4, 5)
const FOLDER = mkdtempSync(join(quietParent(), "hayloft-remotes-"))
/** Names the far store, once that runs. */
const FILE = join(FOLDER, "remotes.json")
const OBJECTS = 3

let far: ServerProcess | undefined

/** Starts the far store, which the near one knows. */
async function args(): Promise<readonly string[]> {
  far = await ServerProcess.start({ folders: [join(FOLDER, "far")] })
  const client = far.client()
  assert.equal((await client.call("PUT", { bucket: "data" })).status, 200)
  for (let at = 0; at < OBJECTS; at += 1) {
    const { status } = await client.call("PUT", { bucket: "data", key: `logs/${at}.txt`, body: "x".repeat(1_024) })
    assert.equal(status, 200)
  }
  const key = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey }
  writeFileSync(FILE, JSON.stringify({ far: { endpoint: far.endpoint, region: REGION, ...key } }), { mode: 0o600 })
  return ["--remotes", FILE]
}

after(async () => {
  await far?.kill()
  rmSync(FOLDER, { recursive: true, force: true })
})

const storeOf = (name: string): Remotes["stores"][number] => ({
  name,
  endpoint: `https://${name}.example`,
  region: "eu-central-1",
  accounts: ["root", "team"],
  requests: 0,
  failures: 0,
})

const bucketOf = (bucket: string): NonNullable<Remotes["buckets"]>[number] => ({
  bucket,
  store: "aws",
  remoteBucket: "data",
  prefix: "",
  writes: "Through",
  pending: 0,
  freshness: { check: "Never" },
})

const REPORT: Remotes = {
  stores: [
    { ...storeOf("aws"), requests: 12_345 },
    { ...storeOf("gcs"), requests: 9, failures: 7, lastError: "the remote does not respond", lastErrorMs: SINCE_MS },
    storeOf("idle"),
  ],
  cache: {
    sizeBytes: 1_020 * MIB,
    sizeBytesMax: 1_024 * MIB,
    hitBytes: 300 * MIB,
    missBytes: 100 * MIB,
    evictedBytes: 5 * MIB,
  },
  buckets: [
    { ...bucketOf("archive"), writes: "None", freshness: { check: "Age", maxAgeSeconds: 3_600 } },
    { ...bucketOf("many"), writes: "Back", pending: 1_000, freshness: { check: "Always" } },
    { ...bucketOf("photos"), writes: "Back", pending: 2, prefix: "logs/" },
  ],
}

const PENDING: PendingRemoteWrites = {
  pending: [
    { key: "a.txt", kind: "put", sizeBytes: 2_048, sinceMs: SINCE_MS, lastError: "the remote does not respond" },
    { key: "b.txt", kind: "delete", sizeBytes: 0, sinceMs: SINCE_MS },
  ],
  hasMore: true,
}

const cellsOf = (page: Page, table: string, name: string): Promise<readonly string[]> =>
  page.getByRole("table", { name: table }).getByRole("row", { name }).getByRole("cell").allTextContents()

export const remotes: PageTests = {
  args,
  define(world, pageTest) {
    standardTests(world, pageTest, {
      address: ADDRESS,
      heading: "Remotes",
      request: "**/v1/remotes*",
      shows: "far",
      picture: "remotes",
    })

    const openPlayed = async (
      report: Remotes = REPORT,
      options: { readonly isPhone?: boolean } = {},
    ): Promise<Page> => {
      const before = async (page: Page): Promise<void> => {
        await page.route("**/v1/remotes", route => route.fulfill({ json: report }))
        await page.route("**/v1/buckets/*/remote/pending*", route => route.fulfill({ json: PENDING }))
      }
      const page = await world.open(ADDRESS, { ...options, before })
      await page.getByRole("table", { name: "Remote stores" }).waitFor()
      return page
    }

    pageTest("stores, cache and remote buckets are shown, in light and dark and on a phone", async () => {
      const page = await openPlayed()
      const [aws, gcs, idle] = await Promise.all(
        ["aws", "gcs", "idle"].map(name => cellsOf(page, "Remote stores", name)),
      )
      const [where, who] = [(name: string) => `https://${name}.example, eu-central-1`, "root, team"]
      assert.deepEqual(aws, ["aws", where("aws"), who, "no failures", "12,345", "0", "–"])
      assert.deepEqual(gcs?.slice(0, 6), ["gcs", where("gcs"), who, "has failed", "9", "7"])
      assert.match(gcs?.[6] ?? "", /^2026-01-02 03:04:05 UTC.*: the remote does not respond$/)
      assert.deepEqual(idle?.slice(3), ["not used yet", "0", "0", "–"])
      for (const text of ["1020.0 MiB of 1.0 GiB, 99 %", "75 % of 400.0 MiB", "5.0 MiB"])
        await page.locator("main").getByText(text, { exact: true }).waitFor()
      // A full cache is no reason to worry.
      assert.equal(await page.getByLabel("Size of the cache").getAttribute("class"), "normal")
      const cells = (name: string) => cellsOf(page, "Remote buckets", name)
      assert.deepEqual(await cells("archive"), ["archive", "aws", "data/", "refused", "once 3,600 s old", "0"])
      assert.deepEqual(await cells("photos"), ["photos", "aws", "data/logs/", "later", "never", "2"])
      assert.deepEqual((await cells("many")).slice(3), ["later", "before each read", "1,000 or more"])
      await assertAccessible(page)
      await assertReadableInDark(page)
      const phone = await openPlayed(REPORT, { isPhone: true })
      await assertFits(phone)
      await assertAccessible(phone)
    })

    pageTest(
      "pending writes of a bucket are listed with their errors, and a list that is cut off says so",
      async () => {
        const page = await openPlayed()
        await page.getByRole("button", { name: "Show 2 pending writes of photos" }).click()
        const table = "Pending writes of photos"
        await page.getByRole("table", { name: table }).waitFor()
        const put = await cellsOf(page, table, "a.txt")
        assert.deepEqual(
          [...put.slice(0, 3), put[4]],
          ["a.txt", "new object", "2.0 KiB", "the remote does not respond"],
        )
        assert.match(put[3] ?? "", /^2026-01-02 03:04:05 UTC/)
        const removal = await cellsOf(page, table, "b.txt")
        assert.deepEqual([...removal.slice(0, 3), removal[4]], ["b.txt", "deletion", "–", "–"])
        await page.getByText("These are the first 2; others follow.").waitFor()
        await assertAccessible(page)
        await page.getByRole("button", { name: "Hide" }).click()
        await page.getByRole("table", { name: table }).waitFor({ state: "detached" })
      },
    )

    pageTest("without remote buckets the page says so, and an unused cache has no hit rate", async () => {
      const { stores, cache } = REPORT
      const page = await openPlayed({ stores, cache: { ...cache, hitBytes: 0, missBytes: 0 }, buckets: [] })
      await page.getByText("nothing read yet").waitFor()
      await page.getByText("No bucket is remote").waitFor()
    })

    pageTest("a store without remote buckets says how to switch them on", async () => {
      const before = (page: Page) => failWith(page, "**/v1/remotes", 501, "notImplemented")
      const page = await world.open(ADDRESS, { before })
      await page.getByText("Remote buckets are switched off").waitFor()
      await page.getByText("--remotes FILE", { exact: true }).waitFor()
      assert.equal(await page.getByRole("button", { name: "Retry" }).count(), 0)
      await assertAccessible(page)
    })

    pageTest("a bucket becomes remote by its setting as JSON, which is refused if there is no such store", async () => {
      assert.equal((await world.server.client().call("PUT", { bucket: "backed" })).status, 200)
      const page = await world.open("/console/buckets/backed?tab=json")
      await page.getByRole("button", { name: "Edit remote" }).click()
      const dialog = page.getByRole("dialog", { name: "remote of backed" })
      const setting = (Store: string) => JSON.stringify({ Store, Bucket: "data", Prefix: "logs/" })
      await dialog.getByLabel("Value").fill(setting("near"))
      await dialog.getByRole("button", { name: "Save" }).click()
      await dialog.getByRole("alert").getByText("does not name near").waitFor()
      await dialog.getByLabel("Value").fill(setting("far"))
      await dialog.getByRole("button", { name: "Save" }).click()
      await page.getByText("Saved: remote of backed").waitFor()
      const row = page.getByRole("row", { name: "remote" })
      await row.getByText('"Store":"far"').waitFor()
      assert.equal((await world.server.client().call("GET", { bucket: "backed", key: "1.txt" })).status, 200)
      await page.getByRole("button", { name: "Remove remote" }).click()
      await page.getByRole("dialog").getByRole("button", { name: "Remove remote" }).click()
      await page.getByText("Removed: remote of backed").waitFor()
      assert.equal((await world.server.client().call("GET", { bucket: "backed", key: "1.txt" })).status, 404)
    })

    pageTest("objects of a remote bucket are brought into the cache and dropped from it; others are not", async () => {
      await world.admin("POST", "/v1/buckets", { name: "cached" })
      const value = { Store: "far", Bucket: "data", Prefix: "logs/" }
      await world.admin("PUT", "/v1/buckets/cached/settings/remote", { value })
      const page = await world.open("/console/buckets/cached")
      await page.getByRole("link", { name: "0.txt" }).waitFor()
      const dialog = page.getByRole("dialog", { name: "Bulk action" })
      for (const [action, kind] of [
        ["Bring into the cache", "prefetch-objects"],
        ["Drop from the cache", "evict-objects"],
      ] as const) {
        await page.getByRole("button", { name: "More actions" }).click()
        await page.getByRole("menuitem", { name: "Bulk action" }).click()
        await dialog.getByLabel("Action", { exact: true }).getByText(action).waitFor({ state: "attached" })
        await dialog.getByLabel("Action", { exact: true }).selectOption(action)
        await dialog.getByLabel("Only count what it would do").uncheck()
        await assertAccessible(page)
        await dialog.getByRole("button", { name: "Start the job" }).click()
        await page.getByText(`${kind}: ${OBJECTS} of ${OBJECTS} done`).waitFor()
      }
      assert.equal((await world.server.client().call("PUT", { bucket: "plain" })).status, 200)
      const plain = await world.open("/console/buckets/plain")
      const answered = plain.waitForResponse("**/v1/buckets/plain/settings/remote")
      await plain.getByRole("button", { name: "More actions" }).click()
      await plain.getByRole("menuitem", { name: "Bulk action" }).click()
      await answered
      const kinds = await plain.getByLabel("Action", { exact: true }).getByRole("option").allTextContents()
      assert.ok(kinds.includes("Copy to a bucket"))
      assert.ok(!kinds.includes("Bring into the cache"))
    })
  },
}
