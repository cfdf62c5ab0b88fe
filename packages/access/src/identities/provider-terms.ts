/** Checks the terms of an OpenID Connect provider before it is stored. */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { IdentityProviderRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import type { ProviderChange } from "../contract.js"
import { IDENTITY_LIMITS } from "./limits.js"
import { changeTags, checkTags } from "./tags.js"

const URL_CHARACTERS_MAX = 255
const CLIENT_ID_CHARACTERS_MAX = 255
const THUMBPRINT_CHARACTERS = 40

const refuse = (message: string): Failure => fail("invalidArgument", { message })

/** `https://host[:port][/path]`; `http` is for local providers, if those are allowed. Throws `invalidArgument`. */
function checkProviderUrl(text: string): string {
  const url = text.length <= URL_CHARACTERS_MAX && URL.canParse(text) ? new URL(text) : undefined
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:"
  if (
    url === undefined ||
    !isWeb ||
    url.search !== "" ||
    url.hash !== "" ||
    url.username !== "" ||
    /[\s\x00]/.test(text)
  )
    throw refuse("Invalid Open ID Connect Provider URL")
  return text
}

/** Throws `invalidArgument` for the URL of a new provider that would not be contacted. */
export function checkIssuer(url: string, web: { allows(url: string): boolean }): void {
  if (URL.canParse(url) && web.allows(url)) return
  throw refuse(
    "Invalid Open ID Connect Provider URL: it must begin with https:// and be reachable on the public internet (the operator can allow others: --allow-local-identity-providers)",
  )
}

type Terms = Omit<IdentityProviderRecord, "createdMs">

/** Throws `invalidArgument`, `limitExceeded`. */
export function checkProvider<T extends Terms>(provider: T): T {
  const { clientIds, thumbprints } = provider
  checkProviderUrl(provider.url)
  checkTags(provider.tags)
  if (clientIds.some(id => id === "" || id.length > CLIENT_ID_CHARACTERS_MAX)) throw refuse("A client ID is not valid.")
  // Like Amazon, checks only the length, since tools send placeholders: certificates are verified by other means.
  if (thumbprints.some(thumbprint => thumbprint.length !== THUMBPRINT_CHARACTERS))
    throw refuse(`A thumbprint has ${THUMBPRINT_CHARACTERS} characters.`)
  const { clientIdsPerProvider, thumbprintsPerProvider } = IDENTITY_LIMITS
  if (clientIds.length > clientIdsPerProvider || thumbprints.length > thumbprintsPerProvider) {
    throw fail("limitExceeded", {
      message: `A provider has at most ${clientIdsPerProvider} client IDs and ${thumbprintsPerProvider} thumbprints.`,
    })
  }
  return provider
}

export function changeProvider(record: IdentityProviderRecord, change: ProviderChange): IdentityProviderRecord {
  const { addClientId, removeClientId } = change
  const kept = record.clientIds.filter(id => id !== addClientId && id !== removeClientId)
  return checkProvider({
    ...record,
    clientIds: addClientId === undefined ? kept : [...kept, addClientId],
    thumbprints: change.thumbprints ?? record.thumbprints,
    tags: changeTags(record.tags, change.tags ?? [], change.removeTags ?? []),
  })
}
