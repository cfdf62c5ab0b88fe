/** Commands on OpenID Connect providers. Pure decisions on the tablet's own rows. */
import { fail } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import {
  decodeIdentityProvider,
  encodeIdentityProvider,
  type IdentityProviderRecord,
} from "@hayloft/engine/format/accounts/identity-records.js"
import { accountRange, accountRowKey } from "@hayloft/engine/format/row-key.js"
import { command, type RowView } from "@hayloft/engine/metadata/index.js"
import type { ProviderChange } from "../contract.js"
import { IDENTITY_LIMITS } from "./limits.js"
import { hostAndPath } from "./names.js"
import { changeProvider } from "./provider-terms.js"

/** A host and path has one provider, regardless of the scheme. */
const providerRow = (accountId: AccountId, url: string) => accountRowKey(accountId, hostAndPath(url))

/** Finds a provider by its issuer, or by the part of it that ARNs contain. */
export function findProvider(view: RowView, accountId: AccountId, url: string): IdentityProviderRecord | undefined {
  const row = view.get("identityProviders", providerRow(accountId, url))
  return row && decodeIdentityProvider(row.value)
}

/** Returns at most `providersPerAccount`. */
export const providersOf = (view: RowView, accountId: AccountId): readonly IdentityProviderRecord[] =>
  Array.from(view.range("identityProviders", accountRange(accountId)), ([, row]) => decodeIdentityProvider(row.value))

const noSuch = (url: string) =>
  fail("noSuchEntity", { message: `OpenIDConnect Provider not found for ${hostAndPath(url)}.` })

/** Throws `noSuchEntity`. */
export function needProvider(view: RowView, accountId: AccountId, url: string): IdentityProviderRecord {
  const found = findProvider(view, accountId, url)
  if (found === undefined) throw noSuch(url)
  return found
}

export const createProvider = command<
  [accountId: AccountId, provider: Omit<IdentityProviderRecord, "createdMs">],
  IdentityProviderRecord
>({
  name: "CreateIdentityProvider",
  touches: (accountId, provider) => [["identityProviders", providerRow(accountId, provider.url)]],
  decide(view, { nowMs }, accountId, provider) {
    const key = providerRow(accountId, provider.url)
    if (findProvider(view, accountId, provider.url)) {
      throw fail("entityExists", { message: `Provider with url ${provider.url} already exists.` })
    }
    const { providersPerAccount } = IDENTITY_LIMITS
    if (providersOf(view, accountId).length >= providersPerAccount) {
      throw fail("limitExceeded", {
        message: `Cannot exceed quota for OpenIdConnectProviders: ${providersPerAccount}`,
      })
    }
    const record = { ...provider, createdMs: nowMs }
    return { writes: [{ family: "identityProviders", key, value: encodeIdentityProvider(record) }], result: record }
  },
})

/** Throws `noSuchEntity`, `invalidArgument`, `limitExceeded`. */
export const updateProvider = command<
  [accountId: AccountId, url: string, change: ProviderChange],
  IdentityProviderRecord
>({
  name: "UpdateIdentityProvider",
  // A full store must still let its owner withdraw trust; the thumbprints replace those that are there.
  grows: (_accountId, _url, { addClientId, tags }) => addClientId !== undefined || tags !== undefined,
  touches: (accountId, url) => [["identityProviders", providerRow(accountId, url)]],
  decide(view, _time, accountId, url, change) {
    const key = providerRow(accountId, url)
    const after = changeProvider(needProvider(view, accountId, url), change)
    return { writes: [{ family: "identityProviders", key, value: encodeIdentityProvider(after) }], result: after }
  },
})

/** Deleting a provider that does not exist succeeds. */
export const deleteProvider = command<[accountId: AccountId, url: string], void>({
  name: "DeleteIdentityProvider",
  grows: false,
  touches: (accountId, url) => [["identityProviders", providerRow(accountId, url)]],
  decide(view, _time, accountId, url) {
    const key = providerRow(accountId, url)
    const exists = findProvider(view, accountId, url) !== undefined
    return { writes: exists ? [{ family: "identityProviders", key, value: undefined }] : [], result: undefined }
  },
})
