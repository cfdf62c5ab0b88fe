/**
 * Says who may do what: users, groups, roles, policies, keys and providers of an account; accounts, and tokens of the admin
 * API.
 */
import { useSignal, useSignalEffect } from "@preact/signals"
import { useLive } from "../api/live.js"
import type { Accounts } from "../api/shapes.js"
import { SelectField } from "../parts/fields.js"
import { Page, type PageProps } from "../parts/page.js"
import { EmptyState } from "../parts/states.js"
import { Tabs, type Tab } from "../parts/tabs.js"
import { pathTo, place, setQuery } from "../shell/router.js"
import { mayUse } from "../shell/session.js"
import { ownAccount, ROOT_ACCOUNT, type Kind } from "./identities-api.js"
import { KeysSection } from "./identities-keys.js"
import { GroupsTab, PoliciesTab, RolesTab, UsersTab } from "./identities-lists.js"
import { IdentityPage } from "./identities-one.js"
import { AccountsTab, ProvidersTab, TokensTab } from "./identities-others.js"
import {
  InlinePage,
  ManagedPolicyPage,
  NewInlinePage,
  NewPolicyPage,
  NewRolePage,
  TrustPage,
} from "./identities-policy.js"

/** Chooses the account whose identities are shown. */
function AccountField({ account }: { readonly account: string }) {
  const accounts = useLive<Accounts>("/v1/accounts")
  const chosen = useSignal(account)
  useSignalEffect(() => {
    if (chosen.value !== account) setQuery({ account: chosen.value })
  })
  const found = accounts.value?.accounts ?? []
  const names = found.map(({ displayName }) => displayName)
  const titleOf = ({ displayName, number }: Accounts["accounts"][number]): string =>
    names.filter(name => name === displayName).length > 1 ? `${displayName} (${number})` : displayName
  const isListed = account === ROOT_ACCOUNT || found.some(({ id }) => id === account)
  if (found.length < 2 && account === ROOT_ACCOUNT) return null
  return (
    <div class="beside">
      <SelectField
        label="Account"
        value={chosen}
        options={[
          [ROOT_ACCOUNT, "The store's own"],
          ...found.map(each => [each.id, titleOf(each)] as const),
          ...(isListed ? [] : ([[account, `${account.slice(0, 8)}…`]] as const)),
        ]}
      />
    </div>
  )
}

const tabsOf = (account: string): readonly Tab[] => [
  { key: "users", title: "Users", content: () => <UsersTab account={account} /> },
  { key: "groups", title: "Groups", content: () => <GroupsTab account={account} /> },
  { key: "roles", title: "Roles", content: () => <RolesTab account={account} /> },
  { key: "policies", title: "Policies", content: () => <PoliciesTab account={account} /> },
  { key: "keys", title: "Keys", content: () => <KeysSection account={account} /> },
  { key: "providers", title: "Providers", content: () => <ProvidersTab account={account} /> },
  ...(mayUse("listAccounts") ? [{ key: "accounts", title: "Accounts", content: () => <AccountsTab /> }] : []),
  ...(mayUse("listTokens") ? [{ key: "tokens", title: "Admin tokens", content: () => <TokensTab /> }] : []),
]

function Lists() {
  const account = place.value.query.get("account") ?? ownAccount()
  return (
    <Page title="Identities" actions={mayUse("listAccounts") && <AccountField key={account} account={account} />}>
      <Tabs label="Identities" tabs={tabsOf(account)} />
    </Page>
  )
}

const KINDS: Readonly<Record<string, Kind>> = { users: "user", groups: "group", roles: "role" }

function NotFound() {
  return (
    <Page title="Page not found">
      <EmptyState title="There is no such page about identities">
        <a href={pathTo(["identities"])}>Identities</a>
      </EmptyState>
    </Page>
  )
}

export function IdentitiesPage({ segments: [account, list = "", name, part, policy] }: PageProps) {
  if (account === undefined) return <Lists />
  if (list === "new-policy") return <NewPolicyPage account={account} />
  if (list === "new-role") return <NewRolePage account={account} />
  if (name === undefined) return <NotFound />
  if (list === "policies") return <ManagedPolicyPage account={account} arn={name} />
  const kind = KINDS[list]
  if (kind === undefined) return <NotFound />
  const holder = { account, kind, name }
  if (part === undefined) return <IdentityPage {...holder} />
  if (part === "new-policy") return <NewInlinePage {...holder} />
  if (part === "policies" && policy !== undefined) return <InlinePage {...holder} policy={policy} />
  if (part === "trust" && kind === "role") return <TrustPage account={account} name={name} />
  return <NotFound />
}
