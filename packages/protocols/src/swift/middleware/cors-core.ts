/**
 * CORS by the metadata of containers: which pages of other origins may send requests. Pure.
 *
 * Source  "CORS", OpenStack Swift, with `strict_cors_mode`: only origins that a container names get headers.
 */
import type { SwiftMetadata } from "../metadata-core.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

const ALLOWED = "access-control-allow-origin"
const MAX_AGE = "access-control-max-age"
const EXPOSED = "access-control-expose-headers"

/** The headers that scripts may read besides those that browsers always show. */
const ALWAYS_EXPOSED = [
  "cache-control",
  "content-language",
  "content-type",
  "expires",
  "last-modified",
  "pragma",
  "etag",
  "x-timestamp",
  "x-trans-id",
  "x-openstack-request-id",
]

const valueIn = (metadata: SwiftMetadata, name: string): string | undefined =>
  metadata.find(([known]) => known === name)?.[1]

/** Returns what answers say of the origin; undefined: it is not allowed. */
function allowedOrigin(metadata: SwiftMetadata, origin: string): string | undefined {
  const listed = (valueIn(metadata, ALLOWED) ?? "").split(/\s+/)
  return listed.includes("*") ? "*" : listed.includes(origin) ? origin : undefined
}

const varies = (allowed: string): HeaderField[] => (allowed === "*" ? [] : [["Vary", "Origin"]])

/** Headers of an answer to a page of this origin. */
export function corsFields(
  metadata: SwiftMetadata,
  origin: string,
  answered: readonly string[],
): readonly HeaderField[] {
  const allowed = allowedOrigin(metadata, origin)
  if (allowed === undefined) return []
  const own = (valueIn(metadata, EXPOSED) ?? "").toLowerCase().split(/\s+/)
  const ofObject = answered.map(name => name.toLowerCase()).filter(name => /^x-(?:object|container)-meta-/.test(name))
  const exposed = [...new Set([...ALWAYS_EXPOSED, ...ofObject, ...own])].filter(name => name !== "")
  return [
    ["Access-Control-Allow-Origin", allowed],
    ["Access-Control-Expose-Headers", exposed.join(", ")],
    ...varies(allowed),
  ]
}

/** The question of a browser before it sends a request. */
interface Preflight {
  readonly origin: string
  readonly method: string | undefined
  readonly headers: string | undefined
}

/** Headers of the answer; undefined: the request is not allowed. */
export function preflightFields(
  metadata: SwiftMetadata,
  { origin, method, headers }: Preflight,
  methods: readonly string[],
): readonly HeaderField[] | undefined {
  const allowed = allowedOrigin(metadata, origin)
  if (allowed === undefined || method === undefined || !methods.includes(method)) return undefined
  const asked = (headers ?? "")
    .split(",")
    .map(name => name.trim())
    .filter(name => /^[\w-]{1,128}$/.test(name))
  const maxAge = valueIn(metadata, MAX_AGE)
  return [
    ["Access-Control-Allow-Origin", allowed],
    ["Access-Control-Allow-Methods", methods.join(", ")],
    ...(asked.length === 0 ? [] : [["Access-Control-Allow-Headers", asked.join(", ")] as const]),
    ...(maxAge === undefined ? [] : [["Access-Control-Max-Age", maxAge] as const]),
    ["Vary", "Origin, Access-Control-Request-Headers"],
  ]
}
