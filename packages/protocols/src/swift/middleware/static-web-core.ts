/**
 * Containers as websites: what answers a request of a browser, step by step, and the page of a listing. Pure.
 *
 * A page is searched by looking up objects: each step says what to look up, and takes whether it was found. Each request needs at
 * most three: the object, its index, and whether anything is below it.
 * Promises  Names are escaped for where they stand in a page: as text, and as a relative path.
 * Source    `common/middleware/staticweb.py`, OpenStack Swift.
 */
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { escapedValue } from "../markup-core.js"
import { isTrue } from "../metadata-core.js"
import { percentEncode } from "@hayloft/base/http/uri.js"

/** The website settings in the metadata of a container. Byte strings. */
export interface StaticWeb {
  readonly index: string | undefined
  /** The end of the name of an error page, which begins with the status. */
  readonly error: string | undefined
  readonly listings: boolean
  readonly listingsCss: string | undefined
  readonly listingsLabel: string | undefined
  /** The content type of objects that stand for folders. */
  readonly directoryType: string
}

/** Returns undefined if the container is no website. Names are in lower case, without `x-container-meta-`. */
export function staticWebOf(metadata: readonly (readonly [name: string, value: string])[]): StaticWeb | undefined {
  const items = new Map(metadata.map(([name, value]) => [name, value.trim()]))
  const textOf = (name: string): string | undefined => {
    const text = items.get(`web-${name}`) ?? ""
    return text === "" ? undefined : text
  }
  const [index, error, listings] = [textOf("index"), textOf("error"), textOf("listings")]
  if (index === undefined && error === undefined && listings === undefined) return undefined
  return {
    index,
    error,
    listings: isTrue(listings),
    listingsCss: textOf("listings-css"),
    listingsLabel: textOf("listings-label"),
    directoryType: textOf("directory-type") ?? "application/directory",
  }
}

/** Byte strings. */
interface PageTarget {
  /** The requested path, decoded, with its account and container. */
  readonly path: string
  /** Behind the container; "" for the container itself. */
  readonly object: string
}

/** The known facts about an object that was looked up; undefined if it is missing. */
interface FoundPage {
  readonly contentType: string
  readonly sizeBytes: number
}

export type WebStep =
  /** Look the object up; if it is there it may be the answer. */
  | { readonly kind: "find"; readonly object: string; readonly as: "page" | "index" }
  /** Look whether any name begins with this. */
  | { readonly kind: "probe"; readonly prefix: string }
  | { readonly kind: "answer"; readonly object: string }
  /** To the same path with a slash. */
  | { readonly kind: "redirect"; readonly path: string }
  | { readonly kind: "list"; readonly prefix: string }
  | { readonly kind: "missing" }
  /** The request is answered as if the container were no website. */
  | { readonly kind: "plain" }

const withSlash = ({ path }: PageTarget): WebStep => ({ kind: "redirect", path: `${path}/` })
const isFolderPath = ({ path }: PageTarget): boolean => path.endsWith("/")
const isSite = ({ index, listings }: StaticWeb): boolean => index !== undefined || listings

/** `isWebMode`: the client asks for the website although it has signed in. */
export function firstStep(web: StaticWeb, target: PageTarget, isWebMode: boolean): WebStep {
  const { object } = target
  if (object !== "") return { kind: "find", object, as: "page" }
  if (!isSite(web)) return isWebMode ? { kind: "missing" } : { kind: "plain" }
  if (!isFolderPath(target)) return withSlash(target)
  return web.index === undefined ? { kind: "list", prefix: "" } : { kind: "find", object: web.index, as: "index" }
}

/** A small object of the type of folders stands for a folder. */
const isFolder = ({ directoryType }: StaticWeb, { contentType, sizeBytes }: FoundPage): boolean =>
  contentType === directoryType && sizeBytes <= 1

/** After an object was looked up. */
export function afterFind(
  web: StaticWeb,
  target: PageTarget,
  { object, as }: Extract<WebStep, { readonly kind: "find" }>,
  found: FoundPage | undefined,
): WebStep {
  if (as === "index") {
    if (found !== undefined) return isFolderPath(target) ? { kind: "answer", object } : withSlash(target)
    return afterIndex(target)
  }
  if (found !== undefined && !isFolder(web, found)) return { kind: "answer", object }
  if (!isSite(web)) return { kind: "missing" }
  if (web.index === undefined) return afterIndex(target)
  return { kind: "find", object: `${target.object}${isFolderPath(target) ? "" : "/"}${web.index}`, as: "index" }
}

const afterIndex = (target: PageTarget): WebStep =>
  isFolderPath(target) ? { kind: "list", prefix: target.object } : { kind: "probe", prefix: `${target.object}/` }

/** After it was looked whether anything is below the path. */
export const afterProbe = (target: PageTarget, isFound: boolean): WebStep =>
  isFound ? withSlash(target) : { kind: "missing" }

/** The object that answers an error; undefined: none is named. */
export const errorObjectOf = ({ error }: StaticWeb, status: number): string | undefined =>
  error === undefined ? undefined : `${status}${error}`

const escaped = (text: string): string => escapedValue(text).replace(/'/g, "&#x27;")

const shown = (byteString: string): string => escaped(textOfObjectKey(byteString))
/** Dots are encoded, so that no name is a step upwards. */
const linkTo = (name: string): string => `./${percentEncode(name, true).replaceAll(".", "%2E")}`

/** Relative to the folder that is listed, unless it is absolute. */
function addressOfCss(css: string, prefix: string): string {
  if (/^(?:\/|https?:\/\/)/.test(css)) return percentEncode(css, true).replaceAll("%3A", ":")
  return "../".repeat(prefix.split("/").length - 1) + percentEncode(css, true)
}

const STYLE_OF_LISTINGS = `  <style type="text/css">
   h1 {font-size: 1em; font-weight: bold;}
   th {text-align: left; padding: 0px 1em 0px 1em;}
   td {padding: 0px 1em 0px 1em;}
   a {text-decoration: none;}
  </style>
`

/** An entry of a folder; names are byte strings that begin with the prefix. */
type WebEntry =
  | { readonly kind: "subdir"; readonly name: string }
  | {
      readonly kind: "object"
      readonly name: string
      readonly contentType: string
      readonly sizeBytes: number
      readonly lastModifiedMs: number
    }

/** The title of a page: the path, or the label with the path behind the container. */
function titleOf({ listingsLabel }: StaticWeb, { path, object }: PageTarget): string {
  if (listingsLabel === undefined) return shown(path)
  return shown(`${listingsLabel}/${object}`)
}

function headOf(web: StaticWeb, target: PageTarget, style: string): string {
  const { listingsCss: css } = web
  const link =
    css === undefined
      ? style
      : `  <link rel="stylesheet" type="text/css" href="${escaped(addressOfCss(css, target.object))}" />\n`
  const title = `  <title>Listing of ${titleOf(web, target)}</title>\n`
  return `<!DOCTYPE html>\n<html>\n <head>\n${title}${link} </head>\n <body>\n`
}

/** A number with a unit of 1,024, as Swift writes it: `3.4Ki` is `3Ki`. */
export function listedSizeText(sizeBytes: number): string {
  const units = ["", "Ki", "Mi", "Gi", "Ti", "Pi"]
  let [size, unit] = [sizeBytes, 0]
  while (Math.round(size) >= 1024 && unit + 1 < units.length) {
    size /= 1024
    unit += 1
  }
  return `${Math.round(size)}${units[unit] ?? ""}`
}

interface Row {
  readonly attributes: string
  readonly link: string
  readonly text: string
  readonly size: string
  readonly date: string
}

const BLANK = "&nbsp;"

const rowText = ({ attributes, link, text, size, date }: Row): string => `   <tr ${attributes}>
    <td class="colname"><a href="${link}">${text}</a></td>
    <td class="colsize">${size}</td>
    <td class="coldate">${date}</td>
   </tr>
`

function rowOf(entry: WebEntry, prefix: string, query: string): string {
  const name = entry.name.slice(prefix.length)
  const named = { link: `${linkTo(name)}${query}`, text: shown(name) }
  if (entry.kind === "subdir") return rowText({ attributes: 'class="item subdir"', ...named, size: BLANK, date: BLANK })
  const types = entry.contentType.toLowerCase().split("/")
  const classes = types.map(type => `type-${shown(type)}`).join(" ")
  const date = new Date(entry.lastModifiedMs).toISOString().slice(0, 19).replace("T", " ")
  return rowText({ attributes: `class="item ${classes}"`, ...named, size: listedSizeText(entry.sizeBytes), date })
}

interface WebListing {
  readonly entries: readonly WebEntry[]
  /** Parameters of a temporary URL that links keep; "" for none. */
  readonly query: string
  /** Nothing above this prefix may be linked. */
  readonly topPrefix: string
}

/** The page of a folder: first its sub-folders, then its objects. */
export function listingPage(web: StaticWeb, target: PageTarget, { entries, query, topPrefix }: WebListing): string {
  const prefix = target.object
  const parameters = query === "" ? "" : `?${escaped(query)}`
  const parent = {
    attributes: 'id="parent" class="item"',
    link: `../${parameters}`,
    text: "../",
    size: BLANK,
    date: BLANK,
  }
  const rows = [
    ...(prefix.length > topPrefix.length ? [rowText(parent)] : []),
    ...entries.filter(({ kind }) => kind === "subdir").map(entry => rowOf(entry, prefix, parameters)),
    ...entries.filter(({ kind }) => kind === "object").map(entry => rowOf(entry, prefix, parameters)),
  ]
  return `${headOf(web, target, STYLE_OF_LISTINGS)}  <h1 id="title">Listing of ${titleOf(web, target)}</h1>
  <table id="listing">
   <tr id="heading">
    <th class="colname">Name</th>
    <th class="colsize">Size</th>
    <th class="coldate">Date</th>
   </tr>
${rows.join("")}  </table>
 </body>
</html>
`
}

/** The page for a folder that must not be listed; its status is 404. */
export function noListingPage(web: StaticWeb, target: PageTarget): string {
  const { index } = web
  const missing =
    index === undefined
      ? ""
      : `  <h1>Index File Not Found</h1>
  <p>The owner of this web site has set <b>X-Container-Meta-Web-Index: ${shown(index)}</b>. However, this file is not found.</p>
`
  return `${headOf(web, target, "")}  <h1>Web Listing Disabled</h1>
  <p>The owner of this web site has disabled web listing.</p>
  <p>If you are the owner of this web site, you can enable web listing by setting X-Container-Meta-Web-Listings.</p>
${missing} </body>
</html>
`
}
