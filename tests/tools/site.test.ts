/** The documentation site: its pages, its navigation, its search, and that a link which leads nowhere is found. */
import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { after, before, test } from "node:test"
import { fileURLToPath, pathToFileURL } from "node:url"

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..")

interface Site {
  addressOf(path: string): string
  navigation(contents: string): { title: string; pages: { title: string; path: string }[] }[]
  writeSite(folder: string): Promise<string[]>
  brokenLinks(folder: string, addresses: readonly string[]): string[]
}

const site = (await import(pathToFileURL(join(ROOT, "tools/site.mjs")).href)) as Site

let folder = ""
let addresses: string[] = []
const html = (address: string): string => readFileSync(join(folder, address), "utf8")

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "hayloft-site-"))
  addresses = await site.writeSite(folder)
})
after(() => rmSync(folder, { recursive: true, force: true }))

test("every link, anchor and picture of the site leads somewhere, and one that does not is found", () => {
  assert.deepEqual(site.brokenLinks(folder, addresses), [])
  const text = html("guide/install.html")
  const bad =
    '<a href="gone.html">x</a><a href="../reference/cli.html#no-such">x</a><img src="none.png"><a href="#none">x</a>'
  writeFileSync(join(folder, "guide/install.html"), text.replace("</main>", `${bad}</main>`))
  assert.deepEqual(site.brokenLinks(folder, addresses), [
    "site: guide/install.html: gone.html does not exist",
    "site: guide/install.html: reference/cli.html has no place #no-such",
    "site: guide/install.html: none.png does not exist",
    "site: guide/install.html: guide/install.html has no place #none",
  ])
  writeFileSync(join(folder, "guide/install.html"), text)
})

test("links between documents are links between pages, and files of the tree are shown by the code host", () => {
  const decision = html("decisions/0028-one-request-path.html")
  assert.match(decision, /href="\.\.\/site\.css"/)
  assert.match(html("design/write-and-read.html"), /href="\.\.\/decisions\/0028-one-request-path\.html"/)
  assert.match(html("index.html"), /href="guide\/install\.html"/)
  assert.match(html("contents.html"), /href="contributing\.html"/)
  assert.match(html("index.html"), /href="https:\/\/[^"]+\/LICENSE"/)
})

test("the sections of the table of contents are the navigation, and the page is marked there", () => {
  assert.deepEqual(
    site.navigation("# D\n\n## One\n\n- [A `b`](a.md): x\n  [c](c.md)\n\n## Two\n\n1. [E](e/f.md#g)\n"),
    [
      { title: "One", pages: [{ title: "A b", path: "docs/a.md" }] },
      { title: "Two", pages: [{ title: "E", path: "docs/e/f.md" }] },
    ],
  )
  assert.match(html("operate/operate.html"), /<details open><summary>Operate<\/summary>/)
  assert.match(html("operate/operate.html"), /href="operate\.html" aria-current="page"/)
})

test("the search has an entry for each section of each page", () => {
  const entries = JSON.parse(readFileSync(join(folder, "search.json"), "utf8")) as { id: string; section: string }[]
  assert.equal(new Set(entries.map(({ id }) => id)).size, entries.length)
  assert.equal(new Set(entries.map(({ id }) => id.split("#")[0])).size, addresses.length)
  assert.ok(entries.some(({ id, section }) => id === "guide/install.html#tls" && section === "TLS"))
})

test("braces in examples are text", () => {
  assert.match(html("guide/install.html"), /\/mnt\/disk\{1\.\.\.7\}\/hayloft/)
})
