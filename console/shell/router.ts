/**
 * Addresses of the console: `/console/PAGE/SEGMENT…?QUERY`, as real URLs. Plain links of the page (`<a href>`) navigate
 * without a reload, so that they can be opened in a new tab as well.
 */
import { signal } from "@preact/signals"

const BASE = "/console"

export interface Place {
  /** The first segment; "" at the root. */
  readonly page: string
  /** Decoded segments after the page. */
  readonly segments: readonly string[]
  readonly query: URLSearchParams
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** The place of a path and a query string. */
export function placeOf(pathname: string, search: string): Place {
  const [page = "", ...segments] = pathname
    .slice(BASE.length)
    .split("/")
    .filter(segment => segment !== "")
    .map(decoded)
  return { page, segments, query: new URLSearchParams(search) }
}

/** The address of a page: `pathTo(["buckets", name])`, `pathTo(["audit"], { caller })`. Undefined values are left out. */
export function pathTo(segments: readonly string[], query: Readonly<Record<string, string | undefined>> = {}): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, value)
  const text = parameters.toString()
  return `${BASE}/${segments.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`
}

/** The place where the console is now. */
export const place = signal<Place>({ page: "", segments: [], query: new URLSearchParams() })

const follow = () => {
  place.value = placeOf(location.pathname, location.search)
}

/** Goes to an address of the console. `replace`: without a new entry in the browser's history. */
export function go(to: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, "", to)
  else history.pushState(null, "", to)
  follow()
}

/** Changes parameters of the address, for filters and sort orders: the place stays the same for the Back button. */
export function setQuery(changes: Readonly<Record<string, string | undefined>>): void {
  const { page, segments, query } = place.value
  const next = { ...Object.fromEntries(query), ...changes }
  go(pathTo([page, ...segments], next), { replace: true })
}

/** Returns the URL if a click on a link is an ordinary one that the console itself follows. */
function followed(event: MouseEvent): URL | undefined {
  if (event.defaultPrevented || event.button !== 0) return undefined
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return undefined
  const link = event.target instanceof Element ? event.target.closest("a") : null
  if (link === null || link.target !== "" || link.hasAttribute("download")) return undefined
  const url = new URL(link.href, location.href)
  if (url.origin !== location.origin || !url.pathname.startsWith(`${BASE}/`)) return undefined
  // A place within the page.
  return url.hash !== "" && url.pathname === location.pathname ? undefined : url
}

/** Follows links and the Back button until the signal fires. */
export function startRouter(signal: AbortSignal): void {
  follow()
  addEventListener("popstate", follow, { signal })
  const onClick = (event: MouseEvent) => {
    const url = followed(event)
    if (url === undefined) return
    event.preventDefault()
    go(url.pathname + url.search)
  }
  document.addEventListener("click", onClick, { signal })
}
