/** Commands on OpenID Connect providers. Pure decisions on the tablet's own rows. */
import { fail } from "../../base/failures.js"
import type { AccountId } from "../../base/ids.js"
import {
  decodeIdentityProvider,
  encodeIdentityProvider,
  type IdentityProviderRecord,
} from "../../format/identity-records.js"
import { accountRange, accountRowKey } from "../../format/row-key.js"
import type { Command, TabletView } from "../../tablet/index.js"
import { IDENTITY_LIMITS } from "./limits.js"
import { hostAndPath } from "./names.js"

/** One host and path has one provider, whatever its scheme. */
const providerRow = (accountId: AccountId, url: string) => accountRowKey(accountId, hostAndPath(url))

/** By its issuer, or what ARNs keep of that. */
export function findProvider(view: TabletView, accountId: AccountId, url: string): IdentityProviderRecord | undefined {
  const row = view.get("identityProviders", providerRow(accountId, url))
  return row && decodeIdentityProvider(row.value)
}

export function* listProviders(view: TabletView, accountId: AccountId): Generator<IdentityProviderRecord> {
  for (const [, row] of view.range("identityProviders", accountRange(accountId)))
    yield decodeIdentityProvider(row.value)
}

const noSuch = (url: string) =>
  fail("noSuchEntity", { message: `OpenIDConnect Provider not found for ${hostAndPath(url)}.` })

/** Throws `noSuchEntity`. */
export function needProvider(view: TabletView, accountId: AccountId, url: string): IdentityProviderRecord {
  const found = findProvider(view, accountId, url)
  if (found === undefined) throw noSuch(url)
  return found
}

export function createProvider(
  accountId: AccountId,
  provider: Omit<IdentityProviderRecord, "createdMs">,
): Command<IdentityProviderRecord> {
  const key = providerRow(accountId, provider.url)
  return {
    name: "CreateIdentityProvider",
    touches: [["identityProviders", key]],
    decide(view, { nowMs }) {
      if (findProvider(view, accountId, provider.url)) {
        throw fail("entityExists", { message: `Provider with url ${provider.url} already exists.` })
      }
      const { providersPerAccount } = IDENTITY_LIMITS
      if (Array.from(listProviders(view, accountId)).length >= providersPerAccount) {
        throw fail("limitExceeded", {
          message: `Cannot exceed quota for OpenIdConnectProviders: ${providersPerAccount}`,
        })
      }
      const record = { ...provider, createdMs: nowMs }
      return { writes: [{ family: "identityProviders", key, value: encodeIdentityProvider(record) }], result: record }
    },
  }
}

export type ProviderEdit = (record: IdentityProviderRecord) => IdentityProviderRecord

/** Throws `noSuchEntity`, and what the edit refuses. */
export function editProvider(
  name: string,
  accountId: AccountId,
  url: string,
  edit: ProviderEdit,
): Command<IdentityProviderRecord> {
  const key = providerRow(accountId, url)
  return {
    name,
    touches: [["identityProviders", key]],
    decide(view) {
      const after = edit(needProvider(view, accountId, url))
      return { writes: [{ family: "identityProviders", key, value: encodeIdentityProvider(after) }], result: after }
    },
  }
}

/** Deleting one that is not there is no mistake. */
export function deleteProvider(accountId: AccountId, url: string): Command<void> {
  const key = providerRow(accountId, url)
  return {
    name: "DeleteIdentityProvider",
    grows: false,
    touches: [["identityProviders", key]],
    decide(view) {
      const isThere = findProvider(view, accountId, url) !== undefined
      return { writes: isThere ? [{ family: "identityProviders", key, value: undefined }] : [], result: undefined }
    },
  }
}
