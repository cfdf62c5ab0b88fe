/** What `/info` tells: the capabilities of this server, under the names that Swift's middleware has. */
import { METADATA_LIMITS } from "./metadata-core.js"
import { LISTING_MAX } from "./listing-core.js"
import { DEFAULT_POLICY, POLICIES } from "./policy-core.js"
import { OBJECT_BYTES_MAX } from "../base/limits.js"

export const infoDocument = (version: string): string =>
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
    tempauth: { account_acls: false },
  })
