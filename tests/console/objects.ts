/** The page on objects: keys by page and folder, uploads in parts, previews that run nothing, versions, locks, links, jobs. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import type { Locator, Page } from "playwright-core"
import type { Jobs } from "../../console/api/shapes.js"
import { MIB } from "@hayloft/base/limits.js"
import {
  assertAccessible,
  assertTwoLines,
  screenshot,
  standardTests,
  visit,
  waitUntil,
  type ConsoleWorld,
  type PageTests,
} from "./harness.js"
import { noWindows } from "../harness/chromium.js"

const execFileAsync = promisify(execFile)
const MANY = 450
/** After the test of a selection. */
const LEFT = MANY - 2
const PICTURE = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
)
const SCRIPTED = `<p id="text">hello</p><script>document.getElementById("text").textContent = "it ran"</script>`
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>parent.ran = true; self.ran = true</script></svg>`
/** 16 by 16 pixels, blue and then red, 0.4 seconds. */
const FILM = Buffer.from(
  "GkXfo59ChoEBQveBAULygQRC84EIQoKEd2VibUKHgQJChYECGFOAZ0CoFUmpZpoq17GDD0JARImIQHkAAAAAAABNgIF4V0GBeBZUrmubrpnXgQFzxYEBg4EBhoVWX1ZQOOCGsIEQuoEQH0O2deTngQCjt4EAAIBwAgCdASoQABAAAgcIhYWImYSICwICdaoCDL4EgP78do//0cb/6ON/9HG/9HG9d4tJSACjpoEAyACxAQAJESgAGAAwP/QMAO8A/uwmWKQ5FjkBP/yU/ru8ouXg",
  "base64",
)
const PDF =
  "%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj 3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj trailer<</Root 1 0 R>>"

const prepare = async ({ server }: ConsoleWorld): Promise<void> => {
  const client = server.client()
  const put = async (key: string, body: string | Buffer, type = "text/plain", bucket = "album"): Promise<void> => {
    const headers: [string, string][] = [["content-type", type]]
    assert.equal((await client.call("PUT", { bucket, key, body, headers })).status, 200, key)
  }
  assert.equal((await client.call("PUT", { bucket: "album" })).status, 200)
  const lock: [string, string][] = [["x-amz-bucket-object-lock-enabled", "true"]]
  assert.equal((await client.call("PUT", { bucket: "locked", headers: lock })).status, 200)
  const body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
  assert.equal((await client.call("PUT", { bucket: "album", query: "versioning", body })).status, 200)
  await put("notes.txt", "the first line\nthe second line\n")
  await put("page.html", SCRIPTED, "text/html")
  await put("drawing.svg", SVG, "image/svg+xml")
  await put("paper.pdf", PDF, "application/pdf")
  await put("film.webm", FILM, "video/webm")
  await put("holiday/cat.png", PICTURE, "image/png")
  await put("broken/none.png", "no picture", "image/png")
  await put("draft.txt", "version one")
  await put("draft.txt", "version two")
  await put("contract.txt", "signed", "text/plain", "locked")
  assert.equal((await client.call("PUT", { path: "/locked/%2E%2E", body: "x" })).status, 200)
  for (let at = 0; at < MANY; at += 50) {
    const keys = Array.from({ length: 50 }, (_, offset) => `many/${String(at + offset).padStart(4, "0")}.txt`)
    await Promise.all(keys.map(key => put(key, "x")))
  }
}

export const objects: PageTests = {
  prepare,
  define(world, pageTest) {
    const contentOf = async (key: string, bucket = "album"): Promise<Buffer> => {
      const { status, body } = await world.server.client().call("GET", { bucket, key })
      assert.equal(status, 200, key)
      return Buffer.from(body)
    }
    const unfinished = async (): Promise<string> => {
      const { body } = await world.server.client().call("GET", { bucket: "album", query: "uploads" })
      return Buffer.from(body).toString()
    }
    const objectAt = (key: string, bucket = "album") => `/console/buckets/${bucket}?key=${encodeURIComponent(key)}`
    const open = async (key: string, bucket?: string): Promise<Page> => {
      const page = await world.open(objectAt(key, bucket))
      await page.getByRole("heading", { level: 2, name: "Details" }).waitFor()
      return page
    }
    const choose = (page: Page, name: string, buffer: Buffer) =>
      page.getByLabel("Files to upload").setInputFiles({ name, mimeType: "application/octet-stream", buffer })

    /** Drops a file or folder of this machine, as its file manager would. */
    const drop = async (page: Page, path: string): Promise<void> => {
      const target = await page.locator(".drop-target").boundingBox()
      const browser = await page.context().newCDPSession(page)
      const data = { items: [], files: [path], dragOperationsMask: 1 }
      const [x, y] = [(target?.x ?? 0) + 20, (target?.y ?? 0) + 20]
      for (const type of ["dragEnter", "dragOver", "drop"] as const)
        await browser.send("Input.dispatchDragEvent", { type, x, y, data })
      await browser.detach()
    }

    standardTests(world, pageTest, {
      address: "/console/buckets/album",
      heading: "album",
      request: "**/v1/s3/album?*",
      shows: "notes.txt",
      picture: "objects",
    })

    pageTest("on a phone an object has two lines, with its menu beside them", async () => {
      const page = await world.open("/console/buckets/album", { isPhone: true })
      const table = page.getByRole("table", { name: "Objects in album/" })
      const row = table.getByRole("row").filter({ hasText: "notes.txt" })
      await row.waitFor()
      await assertTwoLines(page, "Objects in album/")
      await row.getByRole("button").click()
      await page.getByRole("menuitem", { name: "Rename" }).waitFor()
      await page.keyboard.press("Escape")
    })

    pageTest("characters that cannot be seen in a key have marks, and the text stays the key", async () => {
      const keys = [" two  spaces ", "\ttab", "bill\u202ecod.exe", "family \u{1f468}\u200d\u{1f469}"]
      const client = world.server.client()
      assert.equal((await client.call("PUT", { bucket: "unseen" })).status, 200)
      for (const key of keys) assert.equal((await client.call("PUT", { bucket: "unseen", key, body: "x" })).status, 200)
      const page = await world.open("/console/buckets/unseen")
      const names = page.getByRole("table", { name: "Objects in unseen/" }).locator("a.named > span")
      await names.nth(keys.length - 1).waitFor()
      assert.deepEqual((await names.allTextContents()).sort(), [...keys].sort())
      const unseen = await names.locator(".unseen").all()
      const marks = await Promise.all(unseen.map(each => each.getAttribute("data-mark")))
      assert.deepEqual(marks, ["⇥", "␣", "␣", "␣", "␣", "U+202E"])
    })

    pageTest("buckets, folders and prefixes; of many keys the page has one page at a time", async () => {
      // Bookmarks of earlier versions still lead here.
      const page = await world.open("/console/objects/album")
      await page.getByRole("link", { name: "many/" }).click()
      assert.equal(new URL(page.url()).pathname, "/console/buckets/album")
      const rows = page.getByRole("table", { name: "Objects in album/many/" }).getByRole("row")
      const pages: [first: string, rows: number][] = [
        ["0000.txt", 201],
        ["0200.txt", 201],
        ["0400.txt", 51],
      ]
      for (const [first, count] of pages) {
        await page.getByRole("link", { name: first, exact: true }).waitFor()
        assert.equal(await rows.count(), count)
        if (count === 201) await page.getByRole("button", { name: "Next page" }).click()
      }
      await page.getByRole("button", { name: "Previous page" }).click()
      await page.getByRole("link", { name: "0200.txt", exact: true }).waitFor()
      await page.getByLabel("Search names").fill("044")
      await page.keyboard.press("Enter")
      await page.getByText("Searched 450 names: 11 contain 044").waitFor()
      await page.getByRole("link", { name: "0044.txt" }).waitFor()
      // A job takes what a search within names has found.
      await page.getByRole("checkbox", { name: "Select many/0441.txt" }).check()
      await page.getByRole("button", { name: "Other action" }).click()
      await page.getByRole("dialog").getByRole("button", { name: "Start the job" }).click()
      await page.getByText("tag-objects: 1 of 1 done").waitFor()
      await page.getByRole("button", { name: "Filter" }).click()
      await page.getByLabel("Search only the beginnings of names").check()
      await page.getByRole("link", { name: "0044.txt" }).waitFor({ state: "detached" })
      await page.getByRole("link", { name: "0449.txt" }).waitFor()
      assert.equal(await rows.count(), 11)
      await page.getByRole("button", { name: "Name", exact: true }).click()
      await page.getByRole("button", { name: "Name", exact: true }).click()
      assert.match(await rows.nth(1).innerText(), /0449/, "sorted downwards")
      await page.goBack()
      await page.getByRole("link", { name: "many/" }).waitFor()
      await visit(page, "/console/buckets/locked")
      await page.getByText(".. (use an S3 client: browsers cannot address this key)").waitFor()
    })

    pageTest(
      "a file arrives in parts; a pause keeps what has arrived, and a cancelled upload leaves nothing",
      async () => {
        const page = await world.open("/console/buckets/album")
        const sent: string[] = []
        let isHeld = true
        await page.route("**/v1/s3/album/*partNumber=*", async route => {
          const part = new URL(route.request().url()).searchParams.get("partNumber") ?? ""
          // The others are under way until the pause ends them.
          if (isHeld && part !== "1") return
          sent.push(part)
          await route.continue()
        })
        // More than two parts.
        const bytes = Buffer.alloc(16 * MIB + 10, 7)
        bytes.write("the end", bytes.length - 7)
        await choose(page, "film 1.bin", bytes)
        const row = page.getByRole("table", { name: "Uploads" }).getByRole("row").filter({ hasText: "film 1.bin" })
        await page.waitForResponse(response => response.url().includes("partNumber=1&"))
        await row.getByText("running").waitFor()
        await row.getByRole("button", { name: "Pause" }).click()
        await row.getByText("paused, 50 %").waitFor()
        await assertAccessible(page)
        await screenshot(page, "objects-upload")
        isHeld = false
        await row.getByRole("button", { name: "Resume" }).click()
        await row.getByText("done, 100 %").waitFor()
        assert.deepEqual(sent.toSorted(), ["1", "2", "3"])
        assert.ok(bytes.equals(await contentOf("film 1.bin")))
        // The list has it without being asked.
        await page.getByRole("link", { name: "film 1.bin" }).waitFor()
        isHeld = true
        await choose(page, "film 2.bin", bytes.subarray(0, 8 * MIB + 10))
        const other = page.getByRole("table", { name: "Uploads" }).getByRole("row").filter({ hasText: "film 2.bin" })
        await page.waitForResponse(response => response.url().includes("film%202.bin?partNumber=1&"))
        const dropped = page.waitForResponse(response => response.request().method() === "DELETE")
        await other.getByRole("button", { name: "Cancel" }).click()
        await other.getByText("cancelled").waitFor()
        assert.equal((await dropped).status(), 204)
        assert.ok(!(await unfinished()).includes("<Upload>"))
      },
    )

    pageTest("dropped files arrive in the folder that is shown; a new folder is one", async () => {
      const page = await world.open("/console/buckets/album")
      await page.getByRole("button", { name: "Upload", exact: true }).click()
      await page.getByRole("menuitem", { name: "Create a folder" }).click()
      await page.getByRole("dialog").getByLabel("Name").fill("inbox")
      await page.keyboard.press("Enter")
      await page.getByRole("link", { name: "inbox/" }).click()
      await page.getByText("(the folder itself)").waitFor()
      await page.evaluate(`(() => {
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(new File(["dropped"], "a.txt", { type: "text/plain" }))
      document.querySelector(".drop-target").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }))
    })()`)
      await page.getByRole("link", { name: "a.txt" }).waitFor()
      assert.equal((await contentOf("inbox/a.txt")).toString(), "dropped")
      const tree = mkdtempSync(join(tmpdir(), "hayloft-folder-"))
      mkdirSync(join(tree, "trip", "day 1"), { recursive: true })
      writeFileSync(join(tree, "trip", "day 1", "b.txt"), "in a folder")
      await page.getByLabel("Folder to upload").setInputFiles(join(tree, "trip"))
      await page.getByRole("link", { name: "trip/" }).waitFor()
      assert.equal((await contentOf("inbox/trip/day 1/b.txt")).toString(), "in a folder")
      rmSync(tree, { recursive: true })
    })

    pageTest("a dropped folder arrives with all below it, and asks once before it replaces what is there", async () => {
      const client = world.server.client()
      assert.equal((await client.call("PUT", { bucket: "plain" })).status, 200)
      for (const key of ["trip/a.txt", "trip/a.txt.old", "trip/day 1/b.txt"])
        assert.equal((await client.call("PUT", { bucket: "plain", key, body: "before" })).status, 200)
      const tree = mkdtempSync(join(tmpdir(), "hayloft-folder-"))
      mkdirSync(join(tree, "trip", "day 1", "evening"), { recursive: true })
      for (const name of ["a.txt", "day 1/b.txt", "day 1/evening/c.txt"])
        writeFileSync(join(tree, "trip", name), `dropped ${name}`)
      const page = await world.open("/console/buckets/plain")
      await page.getByRole("link", { name: "trip/" }).waitFor()
      const dialog = page.getByRole("dialog")
      await drop(page, join(tree, "trip"))
      await dialog.getByText("2 of 3 files have names of objects in plain.").waitFor()
      await dialog.getByText("the bucket has neither versions nor undelete").waitFor()
      await dialog.getByText("trip/day 1/b.txt").waitFor()
      assert.equal(await dialog.getByText("trip/a.txt.old").count(), 0)
      await assertAccessible(page)
      await dialog.getByRole("button", { name: "Cancel" }).click()
      assert.equal(await page.getByRole("table", { name: "Uploads" }).getByText("plain/").count(), 0)
      await drop(page, join(tree, "trip"))
      await dialog.getByRole("button", { name: "Upload the other 1" }).click()
      const rows = page.getByRole("table", { name: "Uploads" }).getByRole("row").filter({ hasText: "plain/" })
      await rows.getByText("done, 100 %").first().waitFor()
      assert.equal((await contentOf("trip/day 1/evening/c.txt", "plain")).toString(), "dropped day 1/evening/c.txt")
      assert.equal((await contentOf("trip/a.txt", "plain")).toString(), "before")
      await drop(page, join(tree, "trip"))
      await dialog.getByRole("button", { name: "Replace 3" }).click()
      await rows.filter({ hasText: "done, 100 %" }).nth(3).waitFor()
      assert.equal((await contentOf("trip/day 1/b.txt", "plain")).toString(), "dropped day 1/b.txt")
      // A bucket with versioning keeps the former version, so that the console does not ask.
      assert.equal((await client.call("PUT", { bucket: "album", key: "again.txt", body: "before" })).status, 200)
      await visit(page, "/console/buckets/album")
      await page.getByRole("link", { name: "again.txt" }).waitFor()
      await choose(page, "again.txt", Buffer.from("after"))
      await page.getByRole("log").getByText("1 object had that name: its versions are kept").waitFor()
      rmSync(tree, { recursive: true })
    })

    pageTest(
      "a row's menu renames, copies, edits metadata and makes a ZIP, by keyboard; a folder is counted",
      async () => {
        const page = await world.open("/console/buckets/album?folder=inbox%2F")
        const choose = async (row: string, item: string): Promise<Locator> => {
          await page.getByRole("button", { name: `Actions for ${row}`, exact: true }).focus()
          await page.keyboard.press("ArrowDown")
          await page.getByRole("menuitem", { name: item, exact: true }).focus()
          await page.keyboard.press("Enter")
          return page.getByRole("dialog")
        }
        const renaming = await choose("inbox/a.txt", "Rename")
        await renaming.getByLabel("New name").fill("z.txt")
        await page.keyboard.press("Enter")
        await page.getByRole("link", { name: "z.txt" }).waitFor()
        await page.getByRole("link", { name: "a.txt" }).waitFor({ state: "detached" })
        assert.equal((await contentOf("inbox/z.txt")).toString(), "dropped")
        const copying = await choose("inbox/z.txt", "Copy")
        await copying.getByLabel("To the bucket").selectOption("locked")
        await copying.getByLabel("As").fill("contract.txt")
        await page.keyboard.press("Enter")
        await copying.getByText("locked has contract.txt already").waitFor()
        await assertAccessible(page)
        // A browser would send it to album/contract.txt instead.
        await copying.getByLabel("As").fill("../album/contract.txt")
        await page.keyboard.press("Enter")
        await copying.getByText("which browsers cannot address").waitFor()
        await page.keyboard.press("Escape")
        const opener = page.getByRole("button", { name: "Actions for inbox/z.txt" })
        await waitUntil(page, `document.activeElement?.getAttribute("aria-label") === "Actions for inbox/z.txt"`)
        await opener.waitFor()
        const editing = await choose("inbox/z.txt", "Metadata")
        await editing.getByLabel("Cache-Control").fill("max-age=60")
        await editing.getByLabel("User metadata").fill("team=a=b")
        await editing.getByRole("button", { name: "Save metadata" }).click()
        await page.getByRole("log").getByText("Metadata of inbox/z.txt saved").waitFor()
        const { headers } = await world.server.client().call("HEAD", { bucket: "album", key: "inbox/z.txt" })
        const told = new Headers(headers.map(([name, value]): [string, string] => [name, value]))
        assert.deepEqual([told.get("cache-control"), told.get("x-amz-meta-team")], ["max-age=60", "a=b"])
        await choose("inbox/trip/", "Count its size")
        await page.getByText("1 object, 11 B").waitFor()
        // Two objects, and a name that leads elsewhere where backslashes separate folders.
        for (const key of ["trip//day 1/b.txt", "trip/..\\..\\c.txt"])
          await world.server.client().call("PUT", { bucket: "album", key: `inbox/${key}`, body: "x" })
        await page.getByLabel("Select this page").check()
        const download = page.waitForEvent("download")
        await page.getByRole("button", { name: "Download as ZIP" }).click()
        const archive = await (await download).path()
        const listed = (await execFileAsync("unzip", ["-Z1", archive]).catch(() => undefined))?.stdout
        const names = ["trip/.._.._c.txt", "trip/day 1/b.txt", "trip/day 1/b.txt (2)", "z.txt"]
        if (listed !== undefined) assert.deepEqual(listed.trim().split("\n").toSorted(), names)
        else assert.ok(readFileSync(archive).includes("trip/day 1/b.txt"))
      },
    )

    pageTest("previews show text, pictures and PDF, and run nothing of an object", async () => {
      const page = await open("notes.txt")
      await page.getByText("the second line").waitFor()
      await assertAccessible(page)
      await visit(page, objectAt("page.html"))
      await page.getByRole("region", { name: "Preview" }).getByText("it ran").waitFor()
      await visit(page, objectAt("holiday/cat.png"))
      await waitUntil(page, `document.querySelector("img.preview-picture")?.naturalWidth === 1`)
      await page.getByRole("img", { name: "Preview of holiday/cat.png" }).waitFor()
      await visit(page, objectAt("broken/none.png"))
      await page.getByText("The browser cannot show this picture").waitFor()
      await visit(page, objectAt("drawing.svg"))
      await waitUntil(page, `document.querySelector("img.preview-picture")?.naturalWidth === 9`)
      assert.equal(await page.evaluate("self.ran"), undefined)
      await visit(page, objectAt("paper.pdf"))
      await page.locator("iframe[title=Preview]").waitFor()
      assert.match((await page.locator("iframe[title=Preview]").getAttribute("src")) ?? "", /^blob:/)
      // Opened by itself, with the cookie of the session, an uploaded page is of no origin and runs nothing.
      const own = await page.context().newPage()
      for (const key of ["page.html", "drawing.svg"]) {
        await own.goto(`${world.server.adminEndpoint}/v1/s3/album/${key}`)
        assert.doesNotMatch(await own.content(), /it ran<\/p>/)
        assert.deepEqual(await own.evaluate("[self.origin, self.ran === undefined]"), ["null", true])
      }
      await own.close()
    })

    pageTest("a film plays in pieces", async () => {
      const page = await world.open("/console/buckets/album")
      const isPiece = (address: string, method: string) => method === "GET" && address.endsWith("/album/film.webm")
      const piece = page.waitForResponse(response => isPiece(response.url(), response.request().method()))
      await visit(page, objectAt("film.webm"))
      await page.locator("video").waitFor()
      const response = await piece
      assert.equal(response.status(), 206)
      assert.match((await response.request().allHeaders())["range"] ?? "", /^bytes=0-/)
      const [playedSeconds, width]: [number, number] = await page.evaluate(`(async () => {
      const film = document.querySelector("video")
      film.muted = true
      const isOver = new Promise(resolve => film.addEventListener("ended", resolve))
      await film.play()
      await isOver
      return [film.currentTime, film.videoWidth]
    })()`)
      assert.ok(playedSeconds > 0.3 && width === 16, `${playedSeconds} s, ${width} px`)
    })

    const isShownByViewer = async (): Promise<void> => {
      const page = await world.open("/console/buckets/album", { hasWindows: true })
      // Chromium's viewer is an extension of its own, within the frame of the preview.
      const viewer = page.waitForEvent("framenavigated", frame => frame.url().startsWith("chrome-extension:"))
      await visit(page, objectAt("paper.pdf"))
      assert.match((await viewer).parentFrame()?.url() ?? "", /^blob:/)
    }
    pageTest("a PDF is shown by the browser's own viewer", isShownByViewer, noWindows)

    pageTest("an older version becomes the current one again, and a deleted object comes back", async () => {
      const page = await open("draft.txt")
      await page.getByText("version two").waitFor()
      const versions = page.getByRole("table", { name: "Versions of draft.txt" })
      await versions.getByRole("button", { name: "Restore" }).click()
      await page.getByText("version one").waitFor()
      assert.equal((await contentOf("draft.txt")).toString(), "version one")
      await page.getByRole("button", { name: "More", exact: true }).click()
      await page.getByRole("menuitem", { name: "Delete" }).click()
      await page.getByRole("dialog").getByText("all its versions stay").waitFor()
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click()
      await page.getByRole("heading", { level: 1, name: "album" }).waitFor()
      await page.getByRole("button", { name: "Filter" }).click()
      await page.getByLabel("Versions and deleted objects").check()
      const marker = page.getByRole("row").filter({ hasText: "draft.txt" }).filter({ hasText: "deleted" })
      await marker.waitFor()
      assert.equal((await world.server.client().call("GET", { bucket: "album", key: "draft.txt" })).status, 404)
      await screenshot(page, "objects-versions")
      await marker.getByRole("link").click()
      await page.getByText("This version is a delete marker.").or(page.getByText("The object is deleted:")).waitFor()
      assert.equal(await page.getByRole("alert").filter({ hasText: /\w/ }).count(), 0, "it is no failure")
      assert.equal(await page.getByRole("link", { name: "Download" }).count(), 0)
      await page.getByRole("button", { name: "Remove delete marker" }).click()
      await page.getByRole("log").getByText("The delete marker is gone").waitFor()
      assert.equal((await contentOf("draft.txt")).toString(), "version one")
    })

    pageTest("tags, retention and legal hold are edited", async () => {
      const page = await open("contract.txt", "locked")
      await page.getByRole("button", { name: "Edit tags" }).click()
      await page.getByRole("dialog").getByLabel("Tags", { exact: true }).fill("team=law and order\nyear=2026")
      await page.getByRole("button", { name: "Save tags" }).click()
      await page.getByText("law and order").waitFor()
      await page.getByRole("button", { name: "Edit lock" }).click()
      await page.getByRole("combobox", { name: "Retention" }).selectOption("GOVERNANCE")
      await page.getByRole("checkbox", { name: "Legal hold" }).check()
      await assertAccessible(page)
      await page.getByRole("button", { name: "Save lock" }).click()
      await page.getByText(/governance until .*, legal hold/).waitFor()
      const answer = await world.server.client().call("HEAD", { bucket: "locked", key: "contract.txt" })
      const headers = new Headers(answer.headers.map(([name, value]): [string, string] => [name, value]))
      assert.equal(headers.get("x-amz-object-lock-mode"), "GOVERNANCE")
      assert.equal(headers.get("x-amz-object-lock-legal-hold"), "ON")
      assert.equal(headers.get("x-amz-tagging-count"), "2")
    })

    pageTest("a shared link reads the object without any credentials", async () => {
      const page = await open("notes.txt")
      await page.getByRole("button", { name: "Share" }).click()
      const dialog = page.getByRole("dialog", { name: "Share link" })
      await dialog.getByLabel("Valid for").selectOption("86400")
      await waitUntil(page, `document.querySelector("dialog input.code")?.value !== ""`)
      await dialog.getByRole("button", { name: "Make link" }).click()
      const url = await dialog.getByLabel("Link", { exact: true }).inputValue()
      assert.ok(url.startsWith(world.server.endpoint), url)
      assert.match(url, /X-Amz-Expires=86400/)
      assert.match(await (await fetch(url)).text(), /^the first line/)
      await assertAccessible(page)
    })

    pageTest("the holder of a key sees, shares and changes what its policies allow, and no more", async () => {
      const allowed = { Effect: "Allow", Action: ["s3:List*", "s3:GetObject"], Resource: "*" }
      const own = { Effect: "Allow", Action: "s3:DeleteObject", Resource: "arn:aws:s3:::album/page.html" }
      const policy = JSON.stringify({ Version: "2012-10-17", Statement: [allowed, own] })
      const made = await world.admin("POST", "/v1/keys", { policy })
      const { accessKeyId, secretAccessKey } = made as Record<string, string>
      const page = await world.open("/console/buckets", { isSignedOut: true })
      await page.getByLabel("Access key").fill(accessKeyId ?? "")
      await page.getByLabel("Secret key").fill(secretAccessKey ?? "")
      await page.getByRole("button", { name: "Sign in", exact: true }).click()
      const cells = page.getByRole("row").filter({ hasText: "album" }).getByRole("cell")
      await cells.first().waitFor()
      assert.match((await cells.allInnerTexts()).slice(1, 3).join(" "), /^\d+ .*B$/, "counts are shown")
      await page.getByRole("link", { name: "album", exact: true }).click()
      await page.getByRole("link", { name: "notes.txt" }).click()
      await page.getByText("the second line").waitFor()
      await page.getByRole("button", { name: "Share" }).click()
      const dialog = page.getByRole("dialog")
      await dialog.getByRole("button", { name: "Make link" }).click()
      const url = await dialog.getByLabel("Link", { exact: true }).inputValue()
      assert.ok(url.includes(`X-Amz-Credential=${accessKeyId ?? ""}`), url)
      assert.match(await (await fetch(url)).text(), /^the first line/)
      await page.keyboard.press("Escape")
      await page.getByRole("button", { name: "More", exact: true }).click()
      await page.getByRole("menuitem", { name: "Delete" }).click()
      await dialog.getByRole("button", { name: "Delete" }).click()
      await dialog.getByText(/not authorized|Access Denied/i).waitFor()
      assert.equal((await contentOf("notes.txt")).length, 31)
      // A job needs no permission of its own: it does what single requests could do.
      await page.keyboard.press("Escape")
      await visit(page, "/console/buckets/album")
      for (const key of ["notes.txt", "page.html"]) await page.getByRole("checkbox", { name: `Select ${key}` }).check()
      await page.getByRole("button", { name: "Delete selected" }).click()
      await dialog.getByRole("button", { name: "Start the job" }).click()
      await page.getByText("delete-objects: 1 of 2 done, 1 failed").waitFor()
      await page.getByRole("link", { name: "page.html" }).waitFor({ state: "detached" })
      await page.getByRole("link", { name: "Details" }).click()
      await page
        .getByRole("table", { name: "Objects that failed" })
        .getByText(/AccessDenied/)
        .waitFor()
      await page.getByRole("link", { name: "Jobs" }).first().click()
      await page.getByRole("table", { name: "Started jobs that have ended" }).waitFor()
      assert.equal(await page.getByRole("table", { name: "Background jobs" }).count(), 0)
    })

    pageTest("rows are selected by click, range and keyboard, and a job tags and deletes just them", async () => {
      const page = await world.open("/console/buckets/album?folder=many%2F")
      const box = (name: string) => page.getByRole("checkbox", { name: `Select many/${name}` })
      const status = page.getByRole("group", { name: "Selection" }).getByRole("status")
      await box("0002.txt").click()
      await box("0005.txt").click({ modifiers: ["Shift"] })
      await status.getByText("Selected: 4 objects, 4 B").waitFor()
      for (const [name, count] of [
        ["0007.txt", 6],
        ["0006.txt", 4],
      ] as const) {
        await box(name).focus()
        await page.keyboard.press("Shift+Space")
        await status.getByText(`Selected: ${count} objects`).waitFor()
      }
      await box("0004.txt").focus()
      await page.keyboard.press("Space")
      await status.getByText("Selected: 3 objects, 3 B").waitFor()
      // The selection stays while pages are turned, and all of a page joins it.
      await page.getByRole("button", { name: "Next page" }).click()
      await box("0200.txt").waitFor()
      await page.getByLabel("Select this page").check()
      await status.getByText("Selected: 203 objects, 203 B").waitFor()
      await page.getByLabel("Select this page").uncheck()
      await page.getByRole("button", { name: "Previous page" }).click()
      await box("0002.txt").waitFor()
      await screenshot(page, "objects-selection")
      const startJob = async (button: string, fill: (dialog: Locator) => Promise<void>): Promise<void> => {
        await page.getByRole("button", { name: button }).click()
        const dialog = page.getByRole("dialog", { name: "Bulk action" })
        await dialog.getByText("This is about 3 objects, 3 B.").waitFor()
        await fill(dialog)
        await dialog.getByRole("button", { name: "Start the job" }).click()
        await page.getByText(/-objects: 3 of 3 done/).waitFor()
      }
      await startJob("Other action", dialog => dialog.getByLabel("Tags", { exact: true }).fill("team=a"))
      const { body } = await world.server
        .client()
        .call("GET", { bucket: "album", key: "many/0003.txt", query: "tagging" })
      assert.match(Buffer.from(body).toString(), /<Key>team<\/Key><Value>a<\/Value>/)
      // The end of a job reads the first page again.
      await box("0002.txt").click()
      await box("0003.txt").click()
      await box("0005.txt").click()
      await startJob("Delete selected", async () => undefined)
      await page.getByRole("link", { name: "0002.txt" }).waitFor({ state: "detached" })
      for (const name of ["0001.txt", "0004.txt", "0006.txt"]) await page.getByRole("link", { name }).waitFor()
      // In the list of versions, deleted objects can be restored, and a folder with a version is selected by name.
      await visit(page, "/console/buckets/album?folder=many%2F&versions=yes&search=000")
      await page
        .getByRole("row")
        .filter({ hasText: "0002.txt" })
        .filter({ hasText: "deleted" })
        .getByRole("checkbox")
        .check()
      await page.getByRole("button", { name: "Other action" }).click()
      await page.getByRole("dialog").getByText("This is about 1 version, 0 B.").waitFor()
      await assertAccessible(page)
      await page.getByRole("dialog").getByRole("button", { name: "Start the job" }).click()
      await page.getByText("restore-objects: 1 of 1 done").waitFor()
      assert.equal((await contentOf("many/0002.txt")).toString(), "x")
    })

    pageTest("all keys with a prefix are deleted by a job, after the bucket's name is typed", async () => {
      const page = await world.open("/console/buckets/album?folder=many%2F")
      await page.getByRole("link", { name: "0000.txt" }).waitFor()
      await page.getByRole("button", { name: "More actions" }).click()
      await page.getByRole("menuitem", { name: "Bulk action" }).click()
      const dialog = page.getByRole("dialog", { name: "Bulk action" })
      await dialog.getByLabel("Only count what it would do").uncheck()
      await dialog.getByText(`${LEFT} objects, ${LEFT} B`).waitFor()
      const start = dialog.getByRole("button", { name: "Start the job" })
      assert.ok(await start.isDisabled())
      await dialog.getByLabel("Type album to confirm").fill("album")
      await assertAccessible(page)
      await start.click()
      await page.getByText(`delete-objects: ${LEFT} of ${LEFT} done`).waitFor()
      // The list is read again by itself.
      await page.getByText("There is nothing here yet").waitFor()
      const { started } = (await world.server.report("/v1/jobs")) as Jobs
      const [job] = started
      assert.deepEqual(
        [job?.kind, job?.target, job?.state, job?.counts?.done],
        ["delete-objects", "album/many/", "done", LEFT],
      )
    })
  },
}
