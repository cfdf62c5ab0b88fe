/**
 * The files of the web console, as its build left them (tools/bundle-console.mjs).
 *
 * Promises  names with a hash of their content may be kept by browsers for ever; any other address of the console is
 *           its page, which reads the address. Scripts, styles and pictures come only from this server, none are inline,
 *           and no other page may frame the console.
 */
import { percentDecode } from "@hayloft/base/http/uri.js"
import type { StaticFiles } from "./contract.js"
import { notFound, reply, type AdminReply } from "./replies.js"

const TYPES: ReadonlyMap<string, string> = new Map([
  ["html", "text/html; charset=utf-8"],
  ["js", "text/javascript; charset=utf-8"],
  ["css", "text/css; charset=utf-8"],
  ["svg", "image/svg+xml"],
])

const POLICY = [
  "default-src 'none'",
  ...["script-src", "style-src", "connect-src", "font-src"].map(name => `${name} 'self'`),
  // `blob:` is for previews of objects, and their frames.
  ...["img-src", "media-src", "frame-src"].map(name => `${name} 'self' blob:`),
  ...["frame-ancestors", "base-uri", "object-src"].map(name => `${name} 'none'`),
  "form-action 'self'",
].join("; ")

const SECURITY_HEADERS = {
  "content-security-policy": POLICY,
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}

const KEPT = "public, max-age=31536000, immutable"
const ASSETS = "assets/"

/** Browsers ask for HTML by name; `curl` and probes do not. */
export const wantsHtml = (accept: string | undefined): boolean => /\btext\/html\b/.test(accept ?? "")

/** A file by the path below `/console/`, or the page for any path that is no file. */
export async function consoleReply(
  files: StaticFiles,
  rawPath: string,
  acceptEncoding: string | undefined,
): Promise<AdminReply> {
  const path = percentDecode(rawPath)
  const isAsset = path.startsWith(ASSETS)
  const own = path.endsWith(".gz") ? undefined : await files.read(path)
  if (own === undefined && isAsset) return notFound(`/console/${path}`)
  const name = own === undefined ? "index.html" : path
  const bytes = own ?? (await files.read(name))
  if (bytes === undefined) return notFound("/console/ (it was not built: node tools/build.mjs)")
  const compressed = /\bgzip\b/.test(acceptEncoding ?? "") ? await files.read(`${name}.gz`) : undefined
  const found = reply(
    "getConsole",
    TYPES.get(name.split(".").at(-1) ?? "") ?? "application/octet-stream",
    compressed ?? bytes,
  )
  const headers = {
    ...found.headers,
    ...SECURITY_HEADERS,
    ...(isAsset ? { "cache-control": KEPT } : {}),
    ...(compressed === undefined ? {} : { "content-encoding": "gzip" }),
    vary: "accept-encoding",
  }
  return { ...found, headers }
}
