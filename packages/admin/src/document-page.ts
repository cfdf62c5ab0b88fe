/**
 * A document of the project as a page for browsers: Markdown becomes HTML that runs nothing and loads nothing.
 *
 * Promises  Links between documents, and to their headings, work; a link to a file that the port does not serve is text.
 */
import { posix } from "node:path"
import MarkdownIt from "markdown-it"
import { page } from "./pages.js"

/** Markup in the text is shown as it is written. */
const MARKDOWN = new MarkdownIt({ html: false })
/** Both ends of a link that is left out. */
const NO_LINK = { tag: "span" }

/** `shown`: the names of all documents, as in `guides/install.md`. */
export function documentPage(name: string, markdown: string, shown: ReadonlySet<string>): string {
  const tokens = MARKDOWN.parse(markdown, {})
  const slug = slugs()
  let title = name
  for (const [at, token] of tokens.entries()) {
    const heading = token.type === "heading_open" ? tokens[at + 1]?.content : undefined
    if (heading !== undefined) {
      token.attrSet("id", slug(heading))
      if (token.tag === "h1") title = heading
    }
    const open: boolean[] = []
    for (const child of token.children ?? []) {
      // The port serves no pictures.
      if (child.type === "image") child.type = "text"
      if (child.type === "link_open") open.push(isServed(name, child.attrGet("href") ?? "", shown))
      if (child.type === "link_open" && open.at(-1) === false) Object.assign(child, NO_LINK, { attrs: null })
      if (child.type === "link_close" && open.pop() === false) Object.assign(child, NO_LINK)
    }
  }
  const body = MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})
  return page(`${title} - Hayloft`, `<p><a href="/docs/">Documentation</a></p>\n${body}`)
}

function isServed(from: string, target: string, shown: ReadonlySet<string>): boolean {
  if (/^[a-z][a-z0-9+.-]*:|^#/i.test(target)) return true
  const [file = ""] = target.split("#")
  return shown.has(posix.normalize(posix.join(posix.dirname(from), decodeURI(file))))
}

/** Anchors as GitHub makes them, which links in the documents are written for. */
function slugs(): (heading: string) => string {
  const seen = new Map<string, number>()
  return heading => {
    const slug = heading
      .replaceAll(/\[([^[\]]*)\]\([^()]*\)/g, "$1")
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-")
    const count = seen.get(slug) ?? 0
    seen.set(slug, count + 1)
    return count === 0 ? slug : `${slug}-${count}`
  }
}
