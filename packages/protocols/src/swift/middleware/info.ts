/**
 * The content of `/info`: the capabilities of this server, under the names that Swift's middleware has.
 *
 * The operator may hide sections from the public. Who signs with the operator's key sees all of them, and which are hidden.
 * Source  "Discoverability", OpenStack Swift, and its `proxy/controllers/info.py`: an HMAC of `METHOD\nEXPIRES\n/info`.
 */
import { fail } from "@hayloft/base/failures.js"
import type { RequestQuery } from "../../s3/index.js"
import { METADATA_LIMITS } from "../metadata-core.js"
import { LISTING_MAX } from "../listing-core.js"
import { MANIFEST_LIMITS } from "./large-objects-core.js"
import { LINKS_MAX, SEGMENTS_MAX } from "./pointers-core.js"
import { BULK_LIMITS } from "./bulk-core.js"
import { DEFAULT_POLICY, POLICIES } from "./policy-core.js"
import type { SyncRealms } from "./sync-core.js"
import { CONTAINER_NAME_LENGTH_MAX } from "@hayloft/base/ids.js"
import { OBJECT_BYTES_MAX } from "@hayloft/base/limits.js"
import { checkDigest, readUrlSignature, signerOf } from "./url-signatures-core.js"

const capabilities = (version: string, allowSha1: boolean) => ({
  swift: {
    version: `Hayloft/${version}`,
    max_file_size: OBJECT_BYTES_MAX,
    max_object_name_length: 1024,
    max_container_name_length: CONTAINER_NAME_LENGTH_MAX,
    max_account_name_length: 256,
    max_meta_name_length: METADATA_LIMITS.nameBytesMax,
    max_meta_value_length: METADATA_LIMITS.valueBytesMax,
    max_meta_count: METADATA_LIMITS.itemsMax,
    max_meta_overall_size: METADATA_LIMITS.bytesMax,
    account_listing_limit: LISTING_MAX,
    container_listing_limit: LISTING_MAX,
    strict_cors_mode: true,
    policies: POLICIES.map(name => (name === DEFAULT_POLICY ? { name, default: true } : { name })),
  },
  tempauth: { account_acls: true },
  tempurl: {
    methods: ["GET", "HEAD", "PUT", "POST", "DELETE"],
    allowed_digests: allowSha1 ? ["sha1", "sha256", "sha512"] : ["sha256", "sha512"],
    incoming_remove_headers: [],
    incoming_allow_headers: [],
    outgoing_remove_headers: ["x-object-meta-*"],
    outgoing_allow_headers: ["x-object-meta-public-*"],
  },
  formpost: { allowed_digests: allowSha1 ? ["sha1", "sha256", "sha512"] : ["sha256", "sha512"] },
  bulk_delete: {
    max_deletes_per_request: BULK_LIMITS.deletionsMax,
    max_failed_deletes: BULK_LIMITS.failuresMax,
  },
  bulk_upload: {
    max_containers_per_extraction: BULK_LIMITS.containersMax,
    max_failed_extractions: BULK_LIMITS.failuresMax,
  },
  slo: {
    max_manifest_segments: MANIFEST_LIMITS.segmentsMax,
    max_manifest_size: MANIFEST_LIMITS.manifestBytesMax,
    min_segment_size: 1,
  },
  dlo: { max_segments: SEGMENTS_MAX },
  symlink: { symloop_max: LINKS_MAX, static_links: true },
  versioned_writes: { allowed_flags: ["x-versions-location", "x-history-location"] },
  object_versioning: {},
  account_quotas: {},
  container_quotas: {},
  staticweb: {},
  etag_quoter: { enable_by_default: false },
})

type Section = Readonly<Record<string, unknown>>
const isSection = (value: unknown): value is Section =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** `path`: `tempurl`, or `swift.policies` for a part of a section. */
function without(section: Section, [name = "", ...rest]: readonly string[]): Section {
  const { [name]: found, ...others } = section
  return rest.length === 0 || !isSection(found) ? others : { ...section, [name]: without(found, rest) }
}

interface ShownInfo {
  readonly version: string
  readonly allowSha1: boolean
  readonly realms: SyncRealms
  readonly hidden: readonly string[]
  readonly isForAdmin: boolean
}

/** Names alone. */
const shownRealms = (realms: SyncRealms) =>
  Object.fromEntries(
    Array.from(realms, ([name, { clusters }]) => [
      name,
      { clusters: Object.fromEntries(Array.from(clusters.keys(), cluster => [cluster, {}])) },
    ]),
  )

export function infoDocument({ version, allowSha1, realms, hidden, isForAdmin }: ShownInfo): string {
  const ofSync = realms.size === 0 ? {} : { container_sync: { realms: shownRealms(realms) } }
  const all: Section = { ...capabilities(version, allowSha1), ...ofSync }
  if (isForAdmin) return JSON.stringify({ ...all, admin: { disallowed_sections: hidden } })
  return JSON.stringify(hidden.reduce((section, path) => without(section, path.split(".")), all))
}

interface InfoRequest {
  readonly method: string
  readonly query: RequestQuery
  readonly nowMs: number
}

/**
 * Returns true if the request is signed by the operator's key. Throws `accessDenied` if there is no key,
 * `signatureMismatch`.
 */
export function isForAdmin(
  { method, query, nowMs }: InfoRequest,
  adminKey: string | undefined,
  allowSha1: boolean,
): boolean {
  const [text, expires] = [query.get("swiftinfo_sig"), query.get("swiftinfo_expires")]
  if (text === undefined && expires === undefined) return false
  if (adminKey === undefined)
    throw fail("accessDenied", {
      message: "this server has no key for administrators of /info (HAYLOFT_SWIFT_INFO_KEY)",
    })
  const invalid = fail("signatureMismatch", { message: "the signature of /info is not valid, or has expired" })
  const signature = readUrlSignature(text ?? "")
  if (signature === undefined || !/^\d{1,15}$/.test(expires ?? "")) throw invalid
  checkDigest(signature, allowSha1)
  const messages = (method === "HEAD" ? ["HEAD", "GET"] : [method]).map(name => `${name}\n${expires}\n/info`)
  const key = Buffer.from(adminKey, "utf8").toString("latin1")
  if (signerOf(signature, messages, [{ scope: "account", key, setter: undefined }]) === undefined) throw invalid
  if (Number(expires) * 1000 < nowMs) throw invalid
  return true
}
