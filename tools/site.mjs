/**
 * The documentation site: every document of the project as a page of static HTML, made with Eleventy from the same
 * Markdown that code hosts show. `docs/README.md` is the table of contents: its sections are the site's navigation.
 *
 *   npm run site                 writes dist/site
 *   node tools/site.mjs FOLDER   writes FOLDER
 *
 * Promises  Pages link to each other with relative addresses, so that the site works below any path and from files.
 *           `checkSite` builds all pages and returns every link, anchor or picture that leads nowhere.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, posix } from "node:path"
import { fileURLToPath } from "node:url"
import Eleventy from "@11ty/eleventy"
import { build as bundle } from "esbuild"
import { page } from "../site/layout.mjs"
import { documentsIn } from "./docs.mjs"
import { slugger } from "./docs/markdown.mjs"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const CONTENTS = "docs/README.md"
/** Files that are no page are shown by the code host. */
const REPOSITORY = "https://github.com/hayloft/hayloft/blob/main/"
const PICTURE = /\.(png|webp|svg)$/
/** Documents that the site does not show. */
const LEFT_OUT = /^\.|\/template\.md$|^(tests|bench|deploy|scenarios|sim|conformance)\//

/** Returns where a document is on the site, from its root. */
export function addressOf(path) {
  if (path === "README.md") return "index.html"
  if (path === CONTENTS) return "contents.html"
  return `${path
    .replace(/^docs\//, "")
    .replace(/\.md$/, "")
    .toLowerCase()}.html`
}

const read = path => readFileSync(join(ROOT, path), "utf8")
const pathsOfPages = () => documentsIn(ROOT).filter(path => !LEFT_OUT.test(path))
const titleOf = text => /^# (.+)$/m.exec(text)?.[1]?.replaceAll("`", "") ?? "Hayloft"

/** The sections of the table of contents: `[{ title, pages: [{ title, path }] }]`. */
export function navigation(contents = read(CONTENTS)) {
  return contents
    .split(/^## /m)
    .slice(1)
    .map(section => {
      const [title = ""] = section.split("\n")
      const pages = [...section.matchAll(/^\s*(?:-|\d+\.) \[([^\]]+)\]\(([^)#]+)(?:#[^)]*)?\)/gm)].map(
        ([, name, target]) => ({
          title: name.replaceAll("`", ""),
          path: posix.join("docs", target),
        }),
      )
      return { title, pages }
    })
    .filter(({ pages }) => pages.length > 0)
}

/** A link of a document, as its page has it. */
function linkOnSite(from, target, shown) {
  if (/^[a-z][a-z0-9+.-]*:|^#/i.test(target)) return target
  const [file = "", anchor] = target.split("#")
  const path = posix.normalize(posix.join(posix.dirname(from), decodeURIComponent(file)))
  const here = posix.dirname(addressOf(from))
  const suffix = anchor === undefined ? "" : `#${anchor}`
  if (shown.has(path)) return posix.relative(here, addressOf(path)) + suffix
  if (PICTURE.test(path)) return posix.relative(here, path.replace(/^docs\//, ""))
  return REPOSITORY + path + suffix
}

/**
 * Adds what the pages need of Markdown beyond the standard: addresses of the site, anchors of headings, wide tables.
 */
function amend(markdown, shown) {
  const { rules } = markdown.renderer
  const relink = (token, name, env) => {
    const target = token.attrGet(name)
    if (target !== null) token.attrSet(name, linkOnSite(env.document, target, shown))
  }
  rules.link_open = (tokens, index, options, env, self) => {
    relink(tokens[index], "href", env)
    return self.renderToken(tokens, index, options)
  }
  const image = rules.image
  rules.image = (tokens, index, options, env, self) => {
    relink(tokens[index], "src", env)
    return image(tokens, index, options, env, self)
  }
  rules.heading_open = (tokens, index, options, env, self) => {
    env.slug ??= slugger()
    const slug = env.slug(tokens[index + 1].content)
    tokens[index].attrSet("id", slug)
    return self.renderToken(tokens, index, options)
  }
  rules.heading_close = (tokens, index, options, _env, self) => {
    const slug = tokens[index - 2].attrGet("id")
    const link =
      tokens[index].tag === "h1" ? "" : ` <a class="anchor" href="#${slug}" aria-label="Link to this section">#</a>`
    return link + self.renderToken(tokens, index, options)
  }
  rules.table_open = () => '<div class="wide" tabindex="0"><table>\n'
  rules.table_close = () => "</table></div>\n"
}

const textOf = html =>
  html
    .replaceAll(/<[^>]+>/g, " ")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replaceAll(/\s+/g, " ")
    .trim()

/** The sections of a page, for the search: `[{ id, title, section, text }]`. */
function sectionsOf(address, title, html) {
  return html.split(/(?=<h[23] id=")/).map((part, index) => {
    const [, anchor] = /^<h[23] id="([^"]+)"/.exec(part) ?? []
    const [, heading = ""] = /^<h[23][^>]*>([\s\S]*?) <a class="anchor"/.exec(part) ?? []
    const id = index === 0 || anchor === undefined ? address : `${address}#${anchor}`
    return { id, title, section: textOf(heading), text: textOf(part).slice(0, 4_000) }
  })
}

/** Renders all pages: `[{ address, html }]`, and the entries of the search. */
async function render() {
  const paths = pathsOfPages()
  const shown = new Set(paths)
  const sections = navigation()
  const search = []
  const eleventy = new Eleventy("site", "dist/site", {
    quietMode: true,
    configPath: null,
    config(settings) {
      settings.setTemplateFormats(["md"])
      settings.setUseGitIgnore(false)
      settings.amendLibrary("md", markdown => amend(markdown, shown))
      for (const path of paths) {
        // The text is Markdown and nothing else: braces in examples are no template.
        const data = { document: path, permalink: `/${addressOf(path)}`, templateEngineOverride: "md" }
        settings.addTemplate(path, read(path), data)
      }
    },
  })
  const rendered = await eleventy.toJSON()
  const byAddress = new Map(rendered.map(({ url, content }) => [url.replace(/^\//, ""), content]))
  const pages = paths.map(path => {
    const address = addressOf(path)
    const body = byAddress.get(address) ?? byAddress.get(address.replace(/index\.html$/, ""))
    if (body === undefined) throw new Error(`the site has no page for ${path}`)
    const title = titleOf(read(path))
    search.push(...sectionsOf(address, title, body))
    const linkTo = to => posix.relative(posix.dirname(address), addressOf(to)) || "index.html"
    const root = posix.relative(posix.dirname(address), ".") || "."
    const source = REPOSITORY + path
    return { address, html: page({ title, body, sections, path, linkTo, root, source }) }
  })
  return { pages, search }
}

/** Writes the site into a folder, which is emptied first. */
export async function writeSite(folder) {
  const { pages, search } = await render()
  rmSync(folder, { recursive: true, force: true })
  for (const { address, html } of pages) {
    mkdirSync(dirname(join(folder, address)), { recursive: true })
    writeFileSync(join(folder, address), html)
  }
  const pictures = join(ROOT, "docs/console")
  if (existsSync(pictures))
    cpSync(pictures, join(folder, "console"), { recursive: true, filter: path => !path.endsWith(".md") })
  cpSync(join(ROOT, "site/site.css"), join(folder, "site.css"))
  writeFileSync(join(folder, "search.json"), JSON.stringify(search))
  await bundle({
    entryPoints: [join(ROOT, "site/search.js")],
    outfile: join(folder, "search.js"),
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    logLevel: "error",
  })
  return pages.map(({ address }) => address)
}

/** Links, anchors and pictures of a written site that lead nowhere, as sentences. */
export function brokenLinks(folder, addresses) {
  const htmlOf = new Map(addresses.map(address => [address, readFileSync(join(folder, address), "utf8")]))
  const idsOf = new Map(
    [...htmlOf].map(([address, html]) => [address, new Set([...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))]),
  )
  return [...htmlOf].flatMap(([address, html]) =>
    [...html.matchAll(/ (?:href|src)="([^"]*)"/g)].flatMap(([, target]) => {
      if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return []
      const [file = "", anchor] = target.replaceAll("&amp;", "&").split("#")
      const to = file === "" ? address : posix.normalize(posix.join(posix.dirname(address), decodeURIComponent(file)))
      if (!existsSync(join(folder, to))) return [`site: ${address}: ${target} does not exist`]
      if (anchor === undefined || anchor === "" || idsOf.get(to)?.has(decodeURIComponent(anchor)) !== false) return []
      return [`site: ${address}: ${to} has no place #${anchor}`]
    }),
  )
}

/** All problems of the site, as sentences. */
export async function checkSite() {
  const folder = mkdtempSync(join(tmpdir(), "hayloft-site-"))
  try {
    const addresses = await writeSite(folder)
    const listed = new Set(navigation().flatMap(({ pages }) => pages.map(({ path }) => path)))
    const missing = [...listed].filter(path => path.endsWith(".md") && !addresses.includes(addressOf(path)))
    return [...brokenLinks(folder, addresses), ...missing.map(path => `${CONTENTS}: the site has no page ${path}`)]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes("--check")) {
    const problems = await checkSite()
    for (const problem of problems) process.stdout.write(`${problem}\n`)
    process.exitCode = problems.length > 0 ? 1 : 0
  } else {
    const folder = process.argv[2] ?? join(ROOT, "dist/site")
    const addresses = await writeSite(folder)
    process.stdout.write(`${addresses.length} pages in ${folder}\n`)
  }
}
