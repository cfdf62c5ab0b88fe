/** Documents as pages: structure, anchors and links for people, and nothing that runs. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { documentPage } from "./document-page.js"

const SHOWN = new Set(["install.md", "guides/restic.md", "openapi.json"])

test("a document has headings with anchors, tables and code, and markup of its own is text", () => {
  const text =
    "# Install & run\n\n## One `command`\n\n## One `command`\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n```sh\nls <x>\n```\n\n<script>x</script>\n"
  const html = documentPage("install.md", text, SHOWN)
  assert.match(html, /<title>Install &amp; run - Hayloft<\/title>/)
  assert.match(html, /<h1 id="install--run">/)
  assert.match(html, /<h2 id="one-command">[\s\S]*<h2 id="one-command-1">/)
  assert.match(html, /<td>1<\/td>/)
  assert.match(html, /ls &lt;x&gt;/)
  assert.ok(!html.includes("<script"))
})

test("links to documents, headings and other sites stay; those to files that the port does not serve are text", () => {
  const text =
    "[a](../install.md#x) [b](#here) [c](https://example.org) [d](../../CHANGELOG.md) [e](javascript:alert(1)) ![picture](p.webp)"
  const html = documentPage("guides/restic.md", text, SHOWN)
  assert.match(
    html,
    /<a href="\.\.\/install\.md#x">a<\/a> <a href="#here">b<\/a> <a href="https:\/\/example\.org">c<\/a>/,
  )
  assert.match(html, /<span>d<\/span>/)
  assert.match(html, / picture</)
  assert.ok(!html.includes("CHANGELOG") && !html.includes('href="javascript') && !html.includes("<img"))
})
