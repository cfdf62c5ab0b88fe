/** Reads what a request changes of a container: metadata, access lists, versions. Pure. */
import { fail } from "@hayloft/base/failures.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { SwiftArchive, SwiftContainer } from "@hayloft/engine/format/swift/swift-container.js"
import type { SwiftSetter } from "@hayloft/engine/format/swift/swift-setter.js"
import { archiveIn } from "./middleware/archive-core.js"
import { chosenQuotes, etagQuotesIn } from "./middleware/etag-quoter-core.js"
import { checkQuotas } from "./middleware/quota-core.js"
import { changedMetadata, CONTAINER_METADATA, isTrue, metadataIn } from "./metadata-core.js"
import { changedSetters, requireSetter } from "./middleware/setters-core.js"
import { syncChangeIn } from "./middleware/sync-core.js"

/** Throws `invalidRequest` for a list that is not valid. */
export interface AccessListParser {
  readonly read: (text: string) => string
  readonly write: (text: string) => string
}

export interface ContainerChange {
  /** The document that follows. `setter`: of its keys, and of where its versions go. Throws `metadataTooLarge`, `invalidRequest`, `accessDenied`. */
  readonly apply: (former: SwiftContainer, setter: SwiftSetter | undefined) => SwiftContainer
  /** The change is of who has access: by lists, or by keys of temporary URLs. */
  readonly changesLists: boolean
  readonly changesMetadata: boolean
  /** Null: removed; undefined: the request does not say. */
  readonly archive: SwiftArchive | null | undefined
  /** It is undefined if the request does not say. */
  readonly versions: "enabled" | "suspended" | undefined
  /** With which container it is synchronized; undefined: the request does not say. */
  readonly sync: ReturnType<typeof syncChangeIn>
}

/** Throws `invalidRequest`. */
export function changeIn(headers: Headers, parse: AccessListParser): ContainerChange {
  const list = (kind: "read" | "write"): string | undefined => {
    if (headers.has(`x-remove-container-${kind}`)) return ""
    const text = headers.get(`x-container-${kind}`)
    return text === undefined ? undefined : parse[kind](text)
  }
  const archive = archiveIn(headers)
  const [read, write] = [list("read"), list("write")]
  const quotes = etagQuotesIn(headers, "Container")
  return {
    apply: (former, setter) => {
      const metadata = changedMetadata(former.metadata, headers, CONTAINER_METADATA)
      checkQuotas(metadata)
      const stated = archive && { ...archive, setter: requireSetter(setter) }
      const kept = stated === undefined ? former.archive : (stated ?? undefined)
      const lists = { read: read ?? former.read, write: write ?? former.write }
      const { archive: _former, quotesEtags: formerQuotes, setters: formerSetters, ...others } = former
      const setters = changedSetters(formerSetters, metadata, metadataIn(headers, CONTAINER_METADATA), setter)
      const quotesEtags = chosenQuotes(formerQuotes, quotes)
      const chosen = { ...(kept && { archive: kept }), ...(quotesEtags !== undefined && { quotesEtags }) }
      return { ...others, metadata, ...lists, ...chosen, ...(setters.length > 0 && { setters }) }
    },
    changesLists:
      read !== undefined ||
      write !== undefined ||
      [...headers].some(([name]) => /^x-(?:remove-)?container-meta-temp-url-key(?:-2)?$/.test(name)),
    changesMetadata: quotes !== undefined || [...headers].some(([name]) => /^x-(?:remove-)?container-meta-/.test(name)),
    archive,
    versions: versionsIn(headers),
    sync: syncChangeIn(headers),
  }
}

function versionsIn(headers: Headers): ContainerChange["versions"] {
  const text = headers.get("x-versions-enabled")?.toLowerCase()
  if (text === undefined) return undefined
  if (isTrue(text)) return "enabled"
  if (/^(?:false|0|no|off|f|n)$/.test(text)) return "suspended"
  throw fail("invalidRequest", { message: "X-Versions-Enabled is true or false" })
}
