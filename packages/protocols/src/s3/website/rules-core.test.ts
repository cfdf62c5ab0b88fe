/** Rules of websites: which request shows which object, and where others are redirected. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseXmlRoot } from "@hayloft/base/text/xml-reader.js"
import { documentOf } from "../settings/setting.js"
import { WEBSITE, type Website } from "../settings/website.js"
import { isFailure } from "@hayloft/base/failures.js"
import { fc } from "@hayloft/base/testing-properties.js"
import {
  errorKeyOf,
  indexOfFolder,
  keyOfPage,
  redirectAfterError,
  redirectFirst,
  redirectToFolder,
  type PageRequest,
} from "./rules-core.js"

const websiteOf = (content: string): Website =>
  WEBSITE.read(parseXmlRoot(Buffer.from(`<WebsiteConfiguration>${content}</WebsiteConfiguration>`), WEBSITE.root))

const INDEX = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
const routed = (...rules: string[]): string =>
  `${INDEX}<RoutingRules>${rules.map(rule => `<RoutingRule>${rule}</RoutingRule>`).join("")}</RoutingRules>`

function pagesOf(content: string): Extract<Website, { kind: "pages" }> {
  const website = websiteOf(content)
  assert.ok(website.kind === "pages")
  return website
}

const requestFor = (key: string, rawQuery = ""): PageRequest => ({
  key,
  rawQuery,
  host: "site.example:8080",
  protocol: "http",
})

test("a folder shows its index document, and a key without a slash may be a folder", () => {
  const pages = pagesOf(INDEX)
  assert.deepEqual(
    ["", "photos/", "photos", "a.html"].map(key => keyOfPage(pages, requestFor(key))),
    ["index.html", "photos/index.html", "photos", "a.html"],
  )
  assert.deepEqual(
    ["", "photos/", "photos"].map(key => indexOfFolder(pages, requestFor(key))),
    [undefined, undefined, "photos/index.html"],
  )
  assert.deepEqual(redirectToFolder(requestFor("my photos", "a=1")), { status: 302, location: "/my%20photos/?a=1" })
  assert.equal(redirectToFolder(requestFor("/evil.example")).location, "/%2Fevil.example/", "of this host")
})

test("all requests are redirected to a host, with path and query", () => {
  const to =
    "<RedirectAllRequestsTo><HostName>www.example.com</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>"
  const website = websiteOf(to)
  assert.deepEqual(redirectFirst(website, requestFor("a/b c", "x=%20")), {
    status: 301,
    location: "https://www.example.com/a/b%20c?x=%20",
  })
  const same = websiteOf("<RedirectAllRequestsTo><HostName>e.org</HostName></RedirectAllRequestsTo>")
  assert.equal(redirectFirst(same, requestFor(""))?.location, "http://e.org/")
})

test("the other protocol is not at the port of the request", () => {
  const locationFor = (protocol: string) =>
    redirectFirst(pagesOf(routed(`<Redirect><Protocol>${protocol}</Protocol></Redirect>`)), requestFor("a"))?.location
  assert.equal(locationFor("http"), "http://site.example:8080/a")
  assert.equal(locationFor("https"), "https://site.example/a")
})

// The rules are those of "Example 1" to "Example 3" of "Configure advanced conditional redirects".
test("routing rules replace prefixes, keys and hosts", () => {
  const renamed = pagesOf(
    routed(
      "<Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect>",
    ),
  )
  assert.deepEqual(redirectFirst(renamed, requestFor("docs/a b.html")), {
    status: 301,
    location: "http://site.example:8080/documents/a%20b.html",
  })
  assert.equal(redirectFirst(renamed, requestFor("doc/a")), undefined)
  const deleted = pagesOf(
    routed(
      "<Condition><KeyPrefixEquals>images/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyWith>folderdeleted.html</ReplaceKeyWith></Redirect>",
    ),
  )
  assert.equal(redirectFirst(deleted, requestFor("images/x"))?.location, "http://site.example:8080/folderdeleted.html")
  const missing = pagesOf(
    routed(
      "<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>ec2.example.com</HostName><HttpRedirectCode>307</HttpRedirectCode><Protocol>https</Protocol><ReplaceKeyPrefixWith>report-404/</ReplaceKeyPrefixWith></Redirect>",
    ),
  )
  assert.equal(redirectFirst(missing, requestFor("x.html")), undefined)
  assert.equal(redirectAfterError(missing, requestFor("x.html"), 403), undefined)
  assert.deepEqual(redirectAfterError(missing, requestFor("x.html"), 404), {
    status: 307,
    location: "https://ec2.example.com/report-404/x.html",
  })
})

test("the first rule that matches decides, and a rule with two conditions needs both", () => {
  const pages = pagesOf(
    routed(
      "<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals><KeyPrefixEquals>a/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyWith>first</ReplaceKeyWith></Redirect>",
      "<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><ReplaceKeyWith>second</ReplaceKeyWith></Redirect>",
    ),
  )
  const locationFor = (key: string) => redirectAfterError(pages, requestFor(key), 404)?.location.split("/").at(-1)
  assert.deepEqual([locationFor("a/b"), locationFor("b")], ["first", "second"])
})

test("a prefix may be replaced by a query", () => {
  const resized = pagesOf(
    routed(
      "<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><ReplaceKeyPrefixWith>resize?key=</ReplaceKeyPrefixWith></Redirect>",
    ),
  )
  const { location } = redirectAfterError(resized, requestFor("300x300/a.png", "v=1"), 404) ?? {}
  assert.equal(location, "http://site.example:8080/resize?key=300x300/a.png")
})

test("nothing in a location can end a header line, whatever is requested or configured", () => {
  const bytes = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map(code => String.fromCharCode(code)) })
  fc.assert(
    fc.property(bytes, fc.string(), (key, replacement) => {
      const redirect = { replaceKeyPrefixWith: replacement }
      const rules = [{ keyPrefix: undefined, errorCode: undefined, redirect }]
      const pages = { kind: "pages", indexSuffix: "i", errorKey: undefined, rules } as const
      for (const { location } of [redirectToFolder(requestFor(key)), redirectFirst(pages, requestFor(key))].flatMap(
        one => one ?? [],
      )) {
        assert.match(location, /^[\x21-\x7e]*$/)
      }
    }),
  )
})

test("keys beyond ASCII are compared and sent as bytes", () => {
  const pages = pagesOf(
    `${INDEX}<ErrorDocument><Key>fehler/ü.html</Key></ErrorDocument><RoutingRules><RoutingRule><Condition><KeyPrefixEquals>größe/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith>maß/</ReplaceKeyPrefixWith></Redirect></RoutingRule></RoutingRules>`,
  )
  const key = Buffer.from("größe/a").toString("latin1")
  assert.equal(redirectFirst(pages, requestFor(key))?.location, "http://site.example:8080/ma%C3%9F/a")
  assert.equal(Buffer.from(errorKeyOf(pages) ?? "", "latin1").toString("utf8"), "fehler/ü.html")
})

test("documents are shown as they were put, in Amazon's order", () => {
  const document = documentOf(
    WEBSITE,
    websiteOf(
      `<RoutingRules><RoutingRule><Redirect><ReplaceKeyWith>x</ReplaceKeyWith><HttpRedirectCode>302</HttpRedirectCode></Redirect></RoutingRule></RoutingRules><ErrorDocument><Key>e.html</Key></ErrorDocument>${INDEX}`,
    ),
  )
  const rule =
    "<RoutingRule><Redirect><HttpRedirectCode>302</HttpRedirectCode><ReplaceKeyWith>x</ReplaceKeyWith></Redirect></RoutingRule>"
  const inside = `${INDEX}<ErrorDocument><Key>e.html</Key></ErrorDocument><RoutingRules>${rule}</RoutingRules>`
  assert.ok(document.includes(inside), document)
})

const FAULTS: readonly (readonly [kind: "malformedXml" | "invalidArgument" | "invalidRequest", content: string])[] = [
  ["invalidArgument", ""],
  ["invalidArgument", "<ErrorDocument><Key>e</Key></ErrorDocument>"],
  ["invalidArgument", "<IndexDocument><Suffix>a/b</Suffix></IndexDocument>"],
  ["invalidArgument", "<IndexDocument><Suffix></Suffix></IndexDocument>"],
  ["invalidRequest", `${INDEX}<RedirectAllRequestsTo><HostName>a</HostName></RedirectAllRequestsTo>`],
  ["malformedXml", "<RedirectAllRequestsTo><Protocol>http</Protocol></RedirectAllRequestsTo>"],
  ["invalidRequest", "<RedirectAllRequestsTo><HostName>a b</HostName></RedirectAllRequestsTo>"],
  ["invalidRequest", "<RedirectAllRequestsTo><HostName>a&#13;&#10;X: y</HostName></RedirectAllRequestsTo>"],
  ["invalidRequest", "<RedirectAllRequestsTo><HostName>a</HostName><Protocol>ftp</Protocol></RedirectAllRequestsTo>"],
  ["malformedXml", routed("")],
  ["malformedXml", routed("<Redirect></Redirect>")],
  ["malformedXml", routed("<Redirect><Host>a</Host></Redirect>")],
  ["invalidRequest", routed("<Condition></Condition><Redirect><HostName>a</HostName></Redirect>")],
  [
    "invalidRequest",
    routed("<Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith></Redirect>"),
  ],
  ["invalidRequest", routed("<Redirect><HttpRedirectCode>300</HttpRedirectCode></Redirect>")],
  ["invalidRequest", routed("<Redirect><HttpRedirectCode>200</HttpRedirectCode></Redirect>")],
  [
    "invalidRequest",
    routed(
      "<Condition><HttpErrorCodeReturnedEquals>302</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>a</HostName></Redirect>",
    ),
  ],
  ["invalidRequest", routed(...Array.from({ length: 51 }, () => "<Redirect><HostName>a</HostName></Redirect>"))],
  ["malformedXml", `${INDEX}<Other/>`],
]

test("documents that contradict themselves are refused", () => {
  for (const [kind, content] of FAULTS) {
    assert.throws(
      () => websiteOf(content),
      error => isFailure(error, kind),
      content,
    )
  }
})
