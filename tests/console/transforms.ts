/**
 * The page of transforms: steps, load and results; how modules are uploaded and removed; and a store without transforms.
 * What a store seldom has, or has only on some machines, is played by the answers to the page's requests.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import type { Page } from "playwright-core"
import type { z } from "zod"
import type { TRANSFORMS } from "@hayloft/features/transforms/schemas.js"
import { BODIES, testModule } from "@hayloft/features/transforms/worker/testing-modules.js"
import {
  assertAccessible,
  assertFits,
  assertReadableInDark,
  failWith,
  standardTests,
  type PageTests,
} from "./harness.js"

type Report = z.output<typeof TRANSFORMS>
type Module = Report["modules"][number]

const ADDRESS = "/console/transforms"
const MIB = 1 << 20
const SHA256 = "0123456789abcdef".repeat(4)

const moduleOf = (name: string, more: Partial<Module> = {}): Module => ({
  name,
  sha256: SHA256,
  sizeBytes: 2_048,
  modifiedMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  ...more,
})

/** Plays a store with two modules; `requests` are those that would change it. */
async function play(page: Page) {
  const report = {
    threads: 4,
    running: 3,
    waiting: 12,
    moduleBytesMax: 16 * MIB,
    steps: [
      { name: "svgmin", isAvailable: true, version: "4.0.0" },
      { name: "image", isAvailable: false },
      { name: "tar", isAvailable: true },
    ],
    modules: [moduleOf("lower"), moduleOf("upper", { contentType: "text/plain" })],
    results: { count: 1_234, sizeBytes: 300 * MIB, sizeBytesMax: 1_024 * MIB },
  }
  const requests: string[] = []
  await page.route("**/v1/transforms", route => route.fulfill({ json: report }))
  await page.route("**/v1/transforms/modules/**", async route => {
    const asked = route.request()
    const { pathname, searchParams } = new URL(asked.url())
    const name = pathname.slice(pathname.lastIndexOf("/") + 1)
    const contentType = searchParams.get("contentType") ?? undefined
    const { "content-type": sent = "", "x-hayloft-csrf": csrf = "" } = asked.headers()
    requests.push(`${asked.method()} ${name} ${sent} ${csrf === "" ? "without proof" : "proven"}`)
    report.modules = report.modules.filter(each => each.name !== name)
    if (asked.method() === "DELETE") return route.fulfill({ status: 204 })
    if (name === "broken") {
      const error = { code: "invalidArgument", message: "the module has no memory" }
      return route.fulfill({ status: 400, json: { error } })
    }
    const added = moduleOf(name, { sizeBytes: 8, ...(contentType !== undefined && { contentType }) })
    report.modules.push(added)
    return route.fulfill({ json: added })
  })
  return { report, requests }
}

const cellsOf = (page: Page, name: string): Promise<readonly string[]> =>
  page.getByRole("row", { name }).getByRole("cell").allTextContents()

export const transforms: PageTests = {
  args: () => Promise.resolve(["--transforms"]),
  define(world, pageTest) {
    standardTests(world, pageTest, {
      address: ADDRESS,
      heading: "Transforms",
      request: "**/v1/transforms*",
      shows: "svgmin",
      picture: "transforms",
    })

    const listed = async (): Promise<readonly string[]> => {
      const { modules } = (await world.server.report("/v1/transforms")) as Report
      return modules.map(({ name, sha256 }) => `${name} ${sha256.slice(0, 12)}`)
    }

    pageTest("a store gets a module as it was chosen, and loses it again", async () => {
      const page = await world.open(ADDRESS)
      await page.getByText("No modules").waitFor()
      await page.getByRole("button", { name: "Upload a module" }).click()
      const dialog = page.getByRole("dialog")
      const choose = (bytes: Uint8Array): Promise<void> =>
        dialog
          .getByLabel("File")
          .setInputFiles({ name: "same.wasm", mimeType: "application/wasm", buffer: Buffer.from(bytes) })
      await dialog.getByLabel("Name").fill("same")
      await choose(Buffer.from("no module"))
      await dialog.getByRole("button", { name: "Upload", exact: true }).click()
      await dialog.getByText("The module cannot be a step").waitFor()
      const module = testModule({ body: BODIES.input })
      await choose(module)
      await dialog.getByRole("button", { name: "Upload", exact: true }).click()
      await page.getByText("The module same is a step now").waitFor()
      const digits = createHash("sha256").update(module).digest("hex").slice(0, 12)
      await page.getByRole("row", { name: "same" }).getByText(`${digits}…`).waitFor()
      assert.deepEqual(await listed(), [`same ${digits}`])
      await page.getByRole("button", { name: "Remove same" }).click()
      await page.getByRole("dialog").getByRole("button", { name: "Remove same" }).click()
      await page.getByText("No modules").waitFor()
      assert.deepEqual(await listed(), [])
    })

    const openPlayed = async (options: { readonly isPhone?: boolean } = {}) => {
      let played: Awaited<ReturnType<typeof play>> | undefined
      const page = await world.open(ADDRESS, { ...options, before: async opened => void (played = await play(opened)) })
      await page.getByRole("row", { name: "svgmin" }).waitFor()
      assert.ok(played)
      return { page, ...played }
    }

    pageTest("steps, modules, load and stored results are shown, in light and dark and on a phone", async () => {
      const { page } = await openPlayed()
      assert.deepEqual(await cellsOf(page, "svgmin"), ["svgmin", "available", "4.0.0"])
      assert.deepEqual(await cellsOf(page, "image"), ["image", "not available", "–"])
      const row = await cellsOf(page, "upper")
      const expected = ["upper", "2.0 KiB", "text/plain", "0123456789ab…", "2026-01-02 03:04:05 UTC", "Remove"]
      assert.deepEqual(row.slice(0, 4), expected.slice(0, 4))
      assert.match(row[4] ?? "", /^2026-01-02 03:04:05 UTC/)
      assert.equal((await cellsOf(page, "lower"))[2], "that of its input")
      for (const text of ["3 of 4", "12", "1,234", "300.0 MiB of 1.0 GiB, 29 %"])
        await page.locator("main").getByText(text, { exact: true }).first().waitFor()
      await assertAccessible(page)
      await assertReadableInDark(page)
      const { page: phone } = await openPlayed({ isPhone: true })
      await assertFits(phone)
      await assertAccessible(phone)
    })

    pageTest("a module is uploaded from a file, with the type of its results", async () => {
      const { page, requests } = await openPlayed()
      await page.getByRole("button", { name: "Upload a module" }).click()
      const dialog = page.getByRole("dialog")
      const upload = dialog.getByRole("button", { name: "Upload", exact: true })
      await dialog.getByText("A WebAssembly module of 16.0 MiB at most.").waitFor()
      await assertAccessible(page)
      assert.equal(await upload.isDisabled(), true)
      await dialog.getByLabel("Name").fill("resize")
      const buffer = Buffer.from("\0asm0123")
      await dialog.getByLabel("File").setInputFiles({ name: "resize.wasm", mimeType: "application/wasm", buffer })
      await dialog.getByLabel("Content type").fill("image/x-thing")
      await upload.click()
      await page.getByText("The module resize is a step now").waitFor()
      await page.getByRole("row", { name: "resize" }).waitFor()
      assert.deepEqual((await cellsOf(page, "resize")).slice(0, 3), ["resize", "8 B", "image/x-thing"])
      assert.deepEqual(requests, ["PUT resize application/wasm proven"])
    })

    pageTest("what cannot be a module is said before and after it is sent", async () => {
      const { page, requests } = await openPlayed()
      await page.getByRole("button", { name: "Upload a module" }).click()
      const dialog = page.getByRole("dialog")
      const [name, file] = [dialog.getByLabel("Name"), dialog.getByLabel("File")]
      const upload = dialog.getByRole("button", { name: "Upload", exact: true })
      await file.setInputFiles({ name: "a.wasm", mimeType: "application/wasm", buffer: Buffer.alloc(16 * MIB + 1) })
      await dialog.getByText("The file is too large.").waitFor()
      await name.fill("image")
      await dialog.getByText("image is a step that every store has.").waitFor()
      await assertAccessible(page)
      await name.fill("Upper case")
      await dialog.getByText("Lower-case letters, digits and hyphens").waitFor()
      await name.fill("upper")
      await dialog.getByText("The module upper is there already. It is replaced.").waitFor()
      assert.equal(await upload.isDisabled(), true, "the file is still too large")
      await file.setInputFiles({ name: "a.wasm", mimeType: "application/wasm", buffer: Buffer.from("\0asm") })
      await name.fill("broken")
      await upload.click()
      await dialog.getByText("the module has no memory").waitFor()
      assert.deepEqual(requests, ["PUT broken application/wasm proven"])
    })

    pageTest("a module is removed once that is confirmed", async () => {
      const { page, requests } = await openPlayed()
      const row = page.getByRole("row", { name: "upper" })
      await row.getByRole("button", { name: "Remove upper" }).click()
      const dialog = page.getByRole("dialog")
      await dialog.getByText("rules of buckets that name it leave objects as they are").waitFor()
      await assertAccessible(page)
      await dialog.getByRole("button", { name: "Cancel" }).click()
      assert.deepEqual(requests, [])
      await row.getByRole("button", { name: "Remove upper" }).click()
      await dialog.getByRole("button", { name: "Remove upper" }).click()
      await page.getByText("The module upper is removed").waitFor()
      await row.waitFor({ state: "detached" })
      await page.getByRole("row", { name: "lower" }).waitFor()
      assert.equal(requests.length, 1)
      assert.match(requests[0] ?? "", /^DELETE upper .*proven$/)
    })

    pageTest("a store without transforms says how to switch them on", async () => {
      const before = { before: (page: Page) => failWith(page, "**/v1/transforms", 501, "notImplemented") }
      const page = await world.open(ADDRESS, before)
      await page.getByText("Transforms are switched off").waitFor()
      await page.getByText("--transforms", { exact: true }).waitFor()
      assert.equal(await page.getByRole("button", { name: "Retry" }).count(), 0)
      await assertAccessible(page)
    })
  },
}
