/**
 * Container sync: which clusters there are, how one proves to another that it is of the same realm, and what it sends. Pure.
 *
 * A request to the other cluster carries the object's own timestamp, and is signed with the realm's key and the container's.
 * Source  `common/container_sync_realms.py` and `common/middleware/container_sync.py`, OpenStack Swift.
 */
import { createHmac, timingSafeEqual } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import { byteStringOfText } from "@hayloft/base/ids.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import type { Segment } from "@hayloft/engine/format/objects/segment-list.js"
import type { SwiftSetter } from "@hayloft/engine/format/swift/swift-setter.js"
import { NO_SYNC, type SwiftSync } from "@hayloft/engine/format/swift/swift-sync.js"
import { requireSetter } from "./setters-core.js"
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

interface SyncRealm {
  /** The first signs, all are accepted. */
  readonly keys: readonly string[]
  /** Names in capitals → where the cluster's API begins, as `https://host/v1/`. */
  readonly clusters: ReadonlyMap<string, string>
}

/** By their names in capitals. */
export type SyncRealms = ReadonlyMap<string, SyncRealm>

export const NO_REALMS: SyncRealms = new Map()

/**
 * A file as `container-sync-realms.conf`. Throws `invalidConfig` with the number of a line, also for what has no effect here:
 * options that are not known, and keys that all realms would have.
 */
export function parseRealms(text: string): SyncRealms {
  const realms = new Map<string, { keys: string[]; clusters: Map<string, string> }>()
  let current: { keys: string[]; clusters: Map<string, string> } | "program" | undefined
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const wrong = (what: string) =>
      fail("invalidConfig", { message: `line ${index + 1} of the file of realms: ${what}` })
    const trimmed = line.trim()
    if (trimmed === "" || /^[#;]/.test(trimmed)) continue
    const section = /^\[([^\]]+)\]$/.exec(trimmed)?.[1]?.trim()
    if (section === "DEFAULT") {
      current = "program"
      continue
    }
    if (section !== undefined) {
      const realm = section.toUpperCase()
      if (realms.has(realm)) throw wrong(`a second realm ${realm}`)
      current = { keys: [], clusters: new Map() }
      realms.set(realm, current)
      continue
    }
    const [, name = "", given = ""] = /^([^=:\s]+)\s*[=:](.*)$/.exec(trimmed) ?? []
    const value = given.trimStart()
    if (name === "" || current === undefined) throw wrong("expected [REALM] or NAME = VALUE")
    if (current === "program") {
      // How often OpenStack's program reads the file: here it is read at the start.
      if (name !== "mtime_check_interval") throw wrong(`${name} is not known in [DEFAULT]`)
      continue
    }
    const cluster = /^cluster_(.+)$/i.exec(name)?.[1]
    if (cluster !== undefined) {
      if (!/^https?:\/\/[^/\s]+\/\S*$/.test(value)) throw wrong(`${name} is no URL as https://host/v1/`)
      current.clusters.set(cluster.toUpperCase(), `${withoutTrailing(value, "/")}/`)
    } else if (!/^key2?$/.test(name)) throw wrong(`${name} is not known: expected key, key2 or cluster_NAME`)
    else if (value === "") throw wrong(`${name} is empty`)
    else current.keys[name === "key" ? 0 : 1] = value
  }
  for (const [name, { keys }] of realms)
    if (keys[0] === undefined) throw fail("invalidConfig", { message: `the realm ${name} has no key` })
  return realms
}

/** The other container. */
export interface SyncTarget {
  readonly realm: string
  readonly realmKey: string
  /** Without a slash at its end. */
  readonly url: string
}

/** `//realm/cluster/account/container`. Throws `invalidRequest`, as Swift words it. */
export function targetOfSync(to: string, realms: SyncRealms): SyncTarget {
  const [, realm = "", cluster = "", account = "", container = ""] =
    /^\/\/([^/]+)\/([^/]+)\/([^/]+)\/([^/]+)\/?$/.exec(to) ?? []
  const refused = (message: string) => fail("invalidRequest", { message })
  if (realm === "")
    throw refused("Invalid X-Container-Sync-To format: only //realm/cluster/account/container is allowed, no full URL")
  const found = realms.get(realm.toUpperCase())
  const [realmKey] = found?.keys ?? []
  if (found === undefined || realmKey === undefined)
    throw refused(`No realm key for ${JSON.stringify(realm.slice(0, 80))}`)
  const endpoint = found.clusters.get(cluster.toUpperCase())
  if (endpoint === undefined)
    throw refused(
      `No cluster endpoint for ${JSON.stringify(realm.slice(0, 80))} ${JSON.stringify(cluster.slice(0, 80))}`,
    )
  const path = [account, container].map(part => percentEncode(byteStringOfText(part))).join("/")
  return { realm: realm.toUpperCase(), realmKey, url: endpoint + path }
}

interface SignedRequest {
  readonly method: string
  /** Percent-encoded. */
  readonly path: string
  readonly timestamp: string
  readonly nonce: string
}

/** Keys are texts; the container's is a byte string. */
export const syncSignature = (
  { method, path, timestamp, nonce }: SignedRequest,
  realmKey: string,
  containerKey: string,
): string =>
  createHmac("sha1", Buffer.from(realmKey, "utf8"))
    .update(`${method}\n${path}\n${timestamp}\n${nonce}\n`, "utf8")
    .update(Buffer.from(containerKey, "latin1"))
    .digest("hex")

/** Returns true if a request is from a cluster of the realm that it names, and for a container with the same key. */
export function isOfRealm(
  auth: string,
  request: Omit<SignedRequest, "nonce">,
  realms: SyncRealms,
  containerKey: string,
): boolean {
  const [realm = "", nonce = "", signature = "", ...others] = auth.trim().split(/\s+/)
  const keys = realms.get(realm.toUpperCase())?.keys ?? []
  if (others.length > 0 || containerKey === "" || !/^[0-9a-f]{40}$/.test(signature)) return false
  return keys.some(key =>
    timingSafeEqual(Buffer.from(syncSignature({ ...request, nonce }, key, containerKey)), Buffer.from(signature)),
  )
}

/** Returns what a request changes; an empty value removes it. Returns undefined if it changes nothing. */
export function syncChangeIn(headers: Headers): Partial<Pick<SwiftSync, "to" | "key">> | undefined {
  const of = (name: "to" | "key") =>
    headers.has(`x-remove-container-sync-${name}`) ? "" : headers.get(`x-container-sync-${name}`)?.trim()
  const [to, key] = [of("to"), of("key")]
  if (to === undefined && key === undefined) return undefined
  return { ...(to !== undefined && { to }), ...(key !== undefined && { key }) }
}

/** Returns the settings after the change, or undefined if the container is not synchronized. */
export function changedSync(
  former: SwiftSync = NO_SYNC,
  change: Partial<Pick<SwiftSync, "to" | "key">>,
  setter: SwiftSetter | undefined,
): SwiftSync | undefined {
  const next = { ...former, ...change }
  if (next.to === "" && next.key === "") return undefined
  return { ...next, isFilled: former.isFilled && next.to === former.to, setter: requireSetter(setter) }
}

/** The manifest of a large object as Swift's own services exchange it. */
export const internalManifest = (segments: readonly Segment[]): Uint8Array =>
  Buffer.from(
    JSON.stringify(
      segments.map(segment => {
        if (segment.kind === "data") return { data: Buffer.from(segment.bytes).toString("base64") }
        const { container, key, etag, sizeBytes, contentType, lastModifiedMs, isLarge, span } = segment
        return {
          name: Buffer.from(`/${container}/${key}`, "latin1").toString("utf8"),
          hash: etag,
          bytes: sizeBytes,
          content_type: contentType,
          last_modified: new Date(lastModifiedMs).toISOString().replace("Z", "000"),
          ...(isLarge && { sub_slo: true }),
          ...(span !== undefined && { range: `${span.first}-${span.last}` }),
        }
      }),
    ),
  )

/** Such a manifest as a client would put it. Throws `invalidRequest`. */
export function clientManifest(manifest: Uint8Array): Uint8Array {
  const refused = () => fail("invalidRequest", { message: "the manifest of the large object is no list of segments" })
  let entries: unknown
  try {
    entries = JSON.parse(Buffer.from(manifest).toString("utf8"))
  } catch {
    throw refused()
  }
  if (!Array.isArray(entries)) throw refused()
  const put = entries.map((entry: unknown) => {
    if (typeof entry !== "object" || entry === null) throw refused()
    const members: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(entry))
    const { data, name, hash, bytes, range } = members
    return data === undefined ? { path: name, etag: hash, size_bytes: bytes, range } : { data }
  })
  return Buffer.from(JSON.stringify(put))
}
