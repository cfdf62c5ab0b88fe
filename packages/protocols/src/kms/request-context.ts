/** Condition keys of a request that policies may test, except those of its sender and of the key. */
import { sourceContext, type RequestContext, type RequestSource } from "@hayloft/access/index.js"
import type { Tags } from "@hayloft/base/tags.js"

interface KmsRequest {
  readonly exchange: RequestSource
  /** The region of the signature. */
  readonly region: string
  readonly tags: Tags
  readonly tagKeys: readonly string[]
}

export function kmsContextOf({ exchange, region, tags, tagKeys }: KmsRequest): RequestContext {
  const source = sourceContext(exchange, region)
  return {
    valuesOf(key) {
      const { name, suffix = "" } = key
      switch (name) {
        case "aws:requesttag":
          return tags.find(([tag]) => tag.toLowerCase() === suffix.toLowerCase())?.[1]
        case "aws:tagkeys":
          return tags.length + tagKeys.length === 0 ? undefined : [...tags.map(([tag]) => tag), ...tagKeys]
        default:
          return source.valuesOf(key)
      }
    },
  }
}
