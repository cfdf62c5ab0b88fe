/** Websites in containers: which object answers, where browsers are sent, and that no name breaks a page. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fc } from "@hayloft/base/testing-properties.js"
import {
  afterFind,
  afterProbe,
  errorObjectOf,
  firstStep,
  listingPage,
  noListingPage,
  listedSizeText,
  staticWebOf,
  type StaticWeb,
  type WebStep,
} from "./static-web-core.js"

const CONTAINER = "/v1/AUTH_a/c"
const webOf = (...metadata: readonly (readonly [string, string])[]): StaticWeb =>
  must(staticWebOf(metadata), "a website")
const INDEX = ["web-index", "index.html"] as const
const LISTINGS = ["web-listings", "true"] as const

/** Answers each step from a set of objects, up to the last one. Names that end with "#" are markers of folders. */
function answer(web: StaticWeb, path: string, objects: readonly string[], isWebMode = false): string {
  const target = { path: `${CONTAINER}${path}`, object: path.replace(/^\//, "") }
  let step: WebStep = firstStep(web, target, isWebMode)
  for (let steps = 0; steps < 4; steps += 1) {
    if (step.kind === "find") {
      const { object } = step
      const isMarker = objects.includes(`${object}#`)
      const page = objects.includes(object) ? { contentType: "text/html", sizeBytes: 10 } : undefined
      step = afterFind(web, target, step, isMarker ? { contentType: "application/directory", sizeBytes: 0 } : page)
    } else if (step.kind === "probe") {
      const { prefix } = step
      step = afterProbe(
        target,
        objects.some(name => name.startsWith(prefix)),
      )
    } else return Object.values(step).join(" ")
  }
  return assert.fail("too many steps")
}

test("metadata makes a container a website, or does not", () => {
  assert.equal(staticWebOf([["color", "red"]]), undefined)
  assert.equal(staticWebOf([["web-index", " "]]), undefined)
  const web = webOf(INDEX, ["web-listings", "No"], ["web-error", "error.html"])
  assert.deepEqual([web.index, web.listings, errorObjectOf(web, 404)], ["index.html", false, "404error.html"])
  assert.equal(web.directoryType, "application/directory")
  assert.equal(errorObjectOf(webOf(INDEX), 404), undefined)
})

test("an object answers for itself, an index for its folder, and a folder without a slash is sent to it", () => {
  const objects = ["a", "index.html", "sub/index.html", "deep/x/y", "marked#", "marked/b"]
  const web = webOf(INDEX, LISTINGS)
  assert.equal(answer(web, "/a", objects), "answer a")
  assert.equal(answer(web, "/", objects), "answer index.html")
  assert.equal(answer(web, "", objects), `redirect ${CONTAINER}/`)
  assert.equal(answer(web, "/sub/", objects), "answer sub/index.html")
  assert.equal(answer(web, "/sub", objects), `redirect ${CONTAINER}/sub/`)
  assert.equal(answer(web, "/deep", objects), `redirect ${CONTAINER}/deep/`)
  assert.equal(answer(web, "/deep/", objects), "list deep/")
  assert.equal(answer(web, "/marked", objects), `redirect ${CONTAINER}/marked/`)
  assert.equal(answer(web, "/none", objects), "missing")
  assert.equal(answer(webOf(LISTINGS), "/", objects), "list ")
  assert.equal(answer(webOf(LISTINGS), "/sub", objects), `redirect ${CONTAINER}/sub/`)
  assert.equal(answer(webOf(INDEX), "/deep/", objects), "list deep/", "the page says that there is no listing")
})

test("a container that only names an error page is no site", () => {
  const web = webOf(["web-error", "error.html"])
  assert.equal(answer(web, "", []), "plain")
  assert.equal(answer(web, "", [], true), "missing")
  assert.equal(answer(web, "/a", ["a"]), "answer a")
  assert.equal(answer(web, "/b", ["b/c"]), "missing")
})

const object = (name: string) =>
  ({ kind: "object", name, contentType: "Text/HTML", sizeBytes: 3000, lastModifiedMs: 1_500_000_000_000 }) as const
const pageOf = (web: StaticWeb, prefix: string, names: readonly string[], query = "", topPrefix = "") => {
  const entries = names.map(name => (name.endsWith("/") ? ({ kind: "subdir", name } as const) : object(name)))
  return listingPage(web, { path: `${CONTAINER}/${prefix}`, object: prefix }, { entries, query, topPrefix })
}

test("a listing shows folders first, then objects, with links relative to it", () => {
  const page = pageOf(webOf(LISTINGS), "f/", ["f/a.txt", "f/z/"])
  assert.ok(page.includes("<title>Listing of /v1/AUTH_a/c/f/</title>"))
  assert.ok(page.includes('<a href="../">../</a>'))
  const [folder, file] = [page.indexOf('<a href="./z/">z/</a>'), page.indexOf('<a href="./a%2Etxt">a.txt</a>')]
  assert.ok(folder > 0 && file > folder)
  assert.ok(page.includes('<tr class="item type-text type-html">'))
  assert.ok(page.includes('<td class="colsize">3Ki</td>\n    <td class="coldate">2017-07-14 02:40:00</td>'))
  assert.ok(!pageOf(webOf(LISTINGS), "", ["a"]).includes("../"))
})

test("a label, a style sheet and a temporary URL have their effect", () => {
  const web = webOf(LISTINGS, ["web-listings-label", "My <site>"], ["web-listings-css", "css/a b.css"])
  const page = pageOf(web, "x/y/", ["x/y/a"], "temp_url_sig=1&inline", "x/y/")
  assert.ok(page.includes("<title>Listing of My &lt;site&gt;/x/y/</title>"))
  assert.ok(page.includes('href="../../css/a%20b.css"'))
  assert.ok(page.includes('href="./a?temp_url_sig=1&amp;inline"'))
  assert.ok(!page.includes('id="parent"'), "nothing above the prefix of the URL is linked")
  const absolute = webOf(LISTINGS, ["web-listings-css", "https://e.org/a.css"])
  assert.ok(pageOf(absolute, "x/", []).includes('href="https://e.org/a.css"'))
})

test("no name, label or index ends a tag or an attribute", () => {
  const hostile = fc.array(fc.constantFrom("<script>", '"', "'", "&", ">", "\xc3\xa9", "javascript:", "/", "a"), {
    minLength: 1,
    maxLength: 5,
  })
  const shape = (page: string) => page.replace(/>[^<]*</g, "><").replace(/"[^"]*"/g, '""')
  fc.assert(
    fc.property(hostile, pieces => {
      const name = pieces.join("")
      const web = (value: string) =>
        webOf(LISTINGS, ["web-listings-label", value], ["web-listings-css", value], ["web-index", value])
      const file = `${name}x`
      assert.equal(shape(pageOf(web(name), "", [file])), shape(pageOf(web("a"), "", ["ax"])))
      const target = { path: `${CONTAINER}/${name}`, object: name }
      assert.equal(
        shape(noListingPage(web(name), target)),
        shape(noListingPage(web("a"), { path: `${CONTAINER}/a`, object: "a" })),
      )
    }),
  )
})

test("sizes are whole numbers with a unit", () => {
  assert.deepEqual([0, 1023, 1024, 1536, 1048576, 5e15].map(listedSizeText), ["0", "1023", "1Ki", "2Ki", "1Mi", "4Pi"])
})
