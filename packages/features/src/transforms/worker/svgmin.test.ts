import assert from "node:assert/strict"
import { test } from "node:test"
import { shortAttribute, shortNumber } from "./svg-attributes.js"
import { minifySvg } from "./svgmin.js"

const XMLNS = `xmlns="http://www.w3.org/2000/svg"`
const EDITOR = `xmlns:sodipodi="http://sodipodi.sourceforge.net/DTD/sodipodi-0.dtd"`
const PADDING = `<!-- ${"a comment ".repeat(5)}-->`

const run = (bytes: Uint8Array) => minifySvg({ kind: "made", bytes, type: "image/svg+xml" })
function minified(text: string): string {
  const made = run(Buffer.from(text))
  assert.ok(made.kind === "made", JSON.stringify(made))
  return Buffer.from(made.bytes).toString()
}
function reasonFor(text: string | Uint8Array): string {
  const made = run(typeof text === "string" ? Buffer.from(text) : text)
  return made.kind === "skipped" ? made.reason : `made ${Buffer.from(made.bytes).toString().slice(0, 200)}`
}
const svg = (content: string): string => `<svg ${XMLNS}>${PADDING}${content}</svg>`

test("what editors wrote for themselves goes", () => {
  const text = `<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://127.0.0.1:9/a.dtd">
    <svg ${XMLNS} ${EDITOR} viewBox="0 0 10 10" sodipodi:docname="a">
      <sodipodi:namedview zoom="1"/><metadata>m</metadata><g></g><title>Name</title>
      <path id="kept" d="M 1.0,2.50 L 3,-4 z" style="fill:#ff0000; opacity:1.00;-inkscape-stroke:none"/></svg>`
  assert.equal(
    minified(`\ufeff${text}`),
    `<svg ${XMLNS} viewBox="0 0 10 10"><title>Name</title><path id="kept" d="M1 2.5L3-4z" style="fill:#f00;opacity:1"/></svg>`,
  )
})

test("ids, titles, texts, style sheets and legal comments stay", () => {
  const kept = `<!--! licence --><style>.a{fill:red}</style><desc>d</desc><text class="a" xml:space="preserve"> a  <tspan> b </tspan></text>`
  assert.equal(minified(svg(`${kept}<defs><path id="shape" d="M0 0"/></defs>`)).includes("licence"), true)
  for (const part of [".a{fill:red}", "<desc>d</desc>", "> a  <tspan> b </tspan></text>", `id="shape"`])
    assert.ok(minified(svg(`${kept}<defs><path id="shape" d="M0 0"/></defs>`)).includes(part), part)
})

const LAUGHS = `<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><svg ${XMLNS}><text>&b;</text></svg>`
const HIDDEN = `<?pi <!-- ?><!DOCTYPE svg [<!ENTITY a "ha">]><svg ${XMLNS}><text>&a;</text><!-- --></svg>`
for (const [name, input, reason] of [
  ["entities", LAUGHS, /^entities are not expanded$/],
  ["entities behind an instruction", HIDDEN, /^entities are not expanded$/],
  ["an external entity", `<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>${svg("&a;")}`, /^entities are not/],
  ["an entity of HTML", svg("<text>&nbsp;</text>"), /^entities are not expanded$/],
  ["an open root", `<svg ${XMLNS}>${PADDING}<g>`, /^not well-formed: /],
  ["an open comment", `${svg("")}<!-- `, /^not well-formed: it is cut off$/],
  ["an open tag", `<svg ${XMLNS}>${PADDING}<path d="M`, /^not well-formed: /],
  ["crossed tags", svg("<g><a></g></a>"), /^not well-formed: /],
  ["an unknown prefix", svg("<x:g/>"), /^not well-formed: /],
  ["two roots", svg("") + svg(""), /^not well-formed|^the root is not/],
  ["HTML", "<html><body/></html>", /^the root is not an svg element$/],
  ["no namespace", "<svg><g/></svg>", /^the root is not an svg element$/],
  ["text", "hello", /^not well-formed/],
  ["nothing", "", /^the root is not an svg element$/],
  ["a control character", svg("<text>\u0001</text>"), /control characters/],
  ["another encoding", `<?xml version="1.0" encoding="latin1"?>${svg("")}`, /^its encoding is not UTF-8$/],
  ["bytes that are not UTF-8", Uint8Array.of(0xff, 0xfe, 0x3c), /^its encoding is not UTF-8$/],
  ["a script", svg("<script>alert(1)</script>"), /^it has an element script$/],
  ["an event handler", svg(`<g onclick="a()"><path d="M0 0"/></g>`), /^it has event handlers$/],
  ["HTML inside", svg(`<foreignObject><p>a <b>b</b></p></foreignObject>`), /^it has an element foreignObject$/],
  ["another language", svg(`<g xmlns=""><path d="M0 0"/></g>`), /^it has elements of another language$/],
  ["structural selectors", svg(`<style>g:first-child{fill:red}</style>`), /^its style sheet selects by structure$/],
  ["a style sheet in a file", `<?xml-stylesheet href="a.css"?>${svg("")}`, /^it has a style sheet of its own file$/],
  ["what is small already", `<svg ${XMLNS}><path d="M0 0"/></svg>`, /^not smaller$/],
  ["deep nesting", svg(`${"<g>".repeat(50_000)}<path d="M0 0"/>${"</g>".repeat(50_000)}`), /^nested too deeply/],
] as const) {
  test(`skipped: ${name}`, () => {
    assert.match(reasonFor(input), reason)
    assert.match(reasonFor(input), /^[ -~]+$/)
  })
}

test("references to elsewhere stay as they are, and are not read", () => {
  const image = `<image href="http://127.0.0.1:9/a.png"/><use href="file:///etc/passwd#a"/>`
  assert.equal(minified(svg(image)), `<svg ${XMLNS}>${image}</svg>`)
})

test("a result has nothing more to remove", () => {
  const once = minified(svg(`<path d="M 0,0 L 1.50 2"/><g transform="translate( 1.0 , 2 )"><path d="M0 0"/></g>`))
  assert.equal(reasonFor(once), "not smaller")
})

test("numbers keep nine digits", () => {
  for (const [text, short] of [
    ["0.50", ".5"],
    ["-0.0", "0"],
    ["+1.", "1"],
    ["007", "7"],
    ["100", "100"],
    ["1.23456789012", "1.23456789"],
    ["-0.000123456789012", "-.000123456789"],
    ["12345678901", "12345678901"],
    ["1.50e3", "1.50e3"],
  ] as const)
    assert.equal(shortNumber(text), short, text)
})

for (const [name, value, short] of [
  ["d", "M 0.5,0.25 0.75 -1 L 1 1 L 2 2 Z", "M.5.25.75-1L1 1 2 2Z"],
  ["d", "M0 0 a 1.0,2 30 0,1 5 , 6", "M0 0a1 2 30 0 1 5 6"],
  ["d", "M0 0A1 1 0 01 10 10", "M0 0A1 1 0 01 10 10"],
  ["d", "M 1e-3 2.0", "M1e-3 2"],
  ["d", "M 0 0 L 1.0 oops", "M 0 0 L 1.0 oops"],
  ["d", "M 0 0 L 1.0", "M 0 0 L 1.0"],
  ["points", "0.0,1.0  2.5,-3", "0 1 2.5-3"],
  ["transform", "translate( 1.0, 2 )  scale(0.5)", "translate(1 2)scale(.5)"],
  ["transform", "none of these", "none of these"],
  ["style", "fill: url(#a;b) ; stroke:#AABBCC", "fill:url(#a;b);stroke:#ABC"],
  ["style", `font-family:"A; B" ;x:1.0`, `font-family:"A; B";x:1`],
  ["style", "fill:red /* ; */ ; x: 1", "fill:red /* ; */ ; x: 1"],
  ["width", " 10.00 ", "10"],
  ["width", "10.00px", "10.00px"],
  ["class", "1.0", "1.0"],
] as const) {
  test(`${name}: ${value}`, () => assert.equal(shortAttribute(name, value), short))
}
