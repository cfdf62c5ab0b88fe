/** What `/info` tells: the capabilities of this server, under the names that Swift's middleware has. */
import { METADATA_LIMITS } from "./metadata-core.js"
import { LISTING_MAX } from "./listing-core.js"
import { BULK_LIMITS } from "./bulk-core.js"
import { DEFAULT_POLICY, POLICIES } from "./policy-core.js"
import { OBJECT_BYTES_MAX } from "../base/limits.js"

export const infoDocument = (version: string, allowSha1: boolean): string =>
  JSON.stringify({
    swift: {
      version: `Hayloft/${version}`,
      max_file_size: OBJECT_BYTES_MAX,
      max_object_name_length: 1024,
      max_container_name_length: 63,
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
    versioned_writes: { allowed_flags: ["x-versions-location", "x-history-location"] },
    object_versioning: {},
    container_quotas: {},
    staticweb: {},
  })
