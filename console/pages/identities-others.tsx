/** Accounts of the store, OpenID Connect providers of an account, and tokens of the admin API. */
import { signal, useSignal, type Signal } from "@preact/signals"
import { useMemo } from "preact/hooks"
import { api } from "../api/client.js"
import { useLive } from "../api/live.js"
import type { Account, Accounts, AdminTokens, CreatedAdminToken, OidcProvider, OidcProviders } from "../api/shapes.js"
import { ConfirmButton } from "../parts/action-button.js"
import { CopyButton } from "../parts/copy-button.js"
import { CreateSection } from "../parts/create-section.js"
import { FormDialog } from "../parts/dialog.js"
import { ExpiryField, expiryOf } from "../parts/expiry-field.js"
import { CheckboxField, TextField } from "../parts/fields.js"
import { ageText, listText, timeText } from "../parts/format.js"
import { useNow } from "../parts/now.js"
import { SecretDialog } from "../parts/secret-dialog.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { Ago } from "../parts/time.js"
import { toast } from "../parts/toast.js"
import { accountPath, listOf } from "./identities-api.js"

const ACCOUNT_COLUMNS: readonly Column<Account>[] = [
  {
    key: "name",
    title: "Name",
    cell: ({ id, displayName }) => (
      <a href={listOf(id, "users")} title={`Account ${id}`}>
        {displayName}
      </a>
    ),
    sortBy: ({ displayName }) => displayName,
  },
  { key: "number", title: "Number", cell: ({ number }) => <code class="whole">{number}</code> },
  { key: "email", title: "E-mail", cell: ({ email }) => email || "–" },
  {
    key: "created",
    title: "Created",
    cell: ({ createdMs }) => <Ago timeMs={createdMs} />,
    sortBy: ({ createdMs }) => createdMs,
  },
  {
    key: "id",
    title: "Id",
    cell: ({ id, displayName }) => (
      <span class="copied">
        <code class="whole" title={id}>{`${id.slice(0, 8)}…`}</code>
        <CopyButton label={`Copy the id of ${displayName}`} text={id} />
      </span>
    ),
  },
]

export function AccountsTab() {
  const live = useLive<Accounts>("/v1/accounts")
  const [id, displayName, email] = [useSignal(""), useSignal(""), useSignal("")]
  const create = async (): Promise<void> => {
    const name = displayName.value.trim()
    const chosen = id.value.trim() === "" ? {} : { id: id.value.trim() }
    await api.post("/v1/accounts", { ...chosen, displayName: name, email: email.value.trim() })
    toast(`Created account ${name}`)
    live.refresh()
  }
  return (
    <CreateSection
      title="Accounts"
      hint="An account owns buckets, users and roles. Accounts do not see each other."
      action="New account"
      dialog={close => (
        <FormDialog
          title="New account"
          action="Create account"
          isValid={displayName.value.trim() !== ""}
          work={create}
          onClose={close}
        >
          <TextField label="Name" value={displayName} isRequired />
          <TextField label="Id" value={id} isCode hint="Empty: one is generated" />
          <TextField label="E-mail" type="email" value={email} hint="Optional" />
        </FormDialog>
      )}
    >
      <Loaded live={live}>
        {({ accounts }) => (
          <DataTable caption="Accounts" columns={ACCOUNT_COLUMNS} rows={accounts} rowKey={account => account.id} />
        )}
      </Loaded>
    </CreateSection>
  )
}

const providerColumns = (account: string, onChange: () => void): readonly Column<OidcProvider>[] => [
  { key: "issuer", title: "Issuer", cell: ({ issuer }) => <code>{issuer}</code> },
  { key: "clients", title: "Audiences", cell: ({ clientIds }) => listText(clientIds) || "–" },
  { key: "arn", title: "ARN", cell: ({ arn }) => <code>{arn}</code> },
  { key: "created", title: "Created", cell: ({ createdMs }) => <Ago timeMs={createdMs} /> },
  {
    key: "actions",
    title: "Actions",
    cell: ({ provider }) => (
      <ConfirmButton
        label={`Delete ${provider}`}
        title={`Delete ${provider}`}
        question="Sessions of its identities end, and its tokens are refused."
        work={async () => {
          await api.delete(accountPath(account, "oidc-providers", provider))
          onChange()
        }}
        done={`${provider} is deleted`}
      >
        Delete
      </ConfirmButton>
    ),
  },
]

export function ProvidersTab({ account }: { readonly account: string }) {
  const path = accountPath(account, "oidc-providers")
  const live = useLive<OidcProviders>(path)
  const [issuer, clients] = [useSignal(""), useSignal("")]
  const create = async (): Promise<void> => {
    const clientIds = clients.value.split(",").map(text => text.trim())
    await api.post(path, { issuer: issuer.value.trim(), clientIds: clientIds.filter(text => text !== "") })
    toast(`Added ${issuer.value.trim()}`)
    live.refresh()
  }
  return (
    <CreateSection
      title="OpenID Connect providers"
      hint="People and programs with tokens of a provider may assume those roles whose trust policy names it."
      action="Add provider"
      dialog={close => (
        <FormDialog
          title="Add a provider"
          action="Add provider"
          isValid={issuer.value.trim() !== ""}
          work={create}
          onClose={close}
        >
          <TextField label="Issuer" value={issuer} isCode placeholder="https://login.example.com/realm" />
          <TextField label="Audiences" value={clients} isCode hint="Client ids, with commas between them" />
        </FormDialog>
      )}
    >
      <Loaded live={live}>
        {({ providers }) => (
          <DataTable
            caption="OpenID Connect providers"
            columns={providerColumns(account, live.refresh)}
            rows={providers}
            rowKey={({ arn }) => arn}
            empty={<EmptyState title="This account has no providers" icon="identity" />}
          />
        )}
      </Loaded>
    </CreateSection>
  )
}

type Token = AdminTokens["tokens"][number]
type Scope = Token["scopes"][number]

const SCOPES: readonly (readonly [Scope, string])[] = [
  ["read", "read: sees everything, changes nothing"],
  ["buckets", "buckets: buckets, their settings and jobs on objects"],
  ["identities", "identities: accounts, users, keys and policies"],
  ["devices", "devices: devices, nodes, layout and redundancy"],
  ["all", "all: everything"],
]

function LastUse({ usedMs }: Pick<Token, "usedMs">) {
  const now = useNow(60_000)
  return <>{usedMs === undefined ? "never" : ageText(Math.min(usedMs, now), now)}</>
}

const tokenColumns = (onChange: () => void): readonly Column<Token>[] => [
  { key: "name", title: "Name", cell: ({ name }) => name, sortBy: ({ name }) => name },
  { key: "id", title: "Id", cell: ({ id }) => <code>{id}</code> },
  { key: "scopes", title: "Scopes", cell: ({ scopes }) => listText(scopes) },
  {
    key: "used",
    title: "Last use",
    cell: ({ usedMs }) => <LastUse usedMs={usedMs} />,
    sortBy: ({ usedMs = 0 }) => usedMs,
  },
  {
    key: "expires",
    title: "Expires",
    cell: ({ expiresMs }) => (expiresMs === undefined ? "never" : timeText(expiresMs)),
  },
  {
    key: "actions",
    title: "Actions",
    cell: ({ id, name }) => (
      <ConfirmButton
        label={`Revoke ${name}`}
        title={`Revoke ${name}`}
        question="Requests and sessions with this token are refused from then on."
        work={async () => {
          await api.delete(`/v1/tokens/${encodeURIComponent(id)}`)
          onChange()
        }}
        done={`${name} is revoked`}
      >
        Revoke
      </ConfirmButton>
    ),
  },
]

function NewTokenDialog(props: {
  readonly onCreated: (token: CreatedAdminToken) => void
  readonly onClose: () => void
}) {
  const name = useSignal("")
  const days = useSignal("90")
  const chosen = useMemo<readonly (readonly [Scope, string, Signal<boolean>])[]>(
    () => SCOPES.map(([scope, title]) => [scope, title, signal(scope === "read")] as const),
    [],
  )
  const scopes = chosen.filter(([, , isChosen]) => isChosen.value).map(([scope]) => scope)
  const expiry = expiryOf(days.value, Date.now())
  const create = async (): Promise<void> =>
    props.onCreated(await api.post<CreatedAdminToken>("/v1/tokens", { name: name.value.trim(), scopes, ...expiry }))
  return (
    <FormDialog
      title="New token"
      action="Create token"
      isValid={name.value.trim() !== "" && scopes.length > 0 && expiry !== undefined}
      work={create}
      onClose={props.onClose}
    >
      <TextField label="What it is for" value={name} isRequired />
      <fieldset>
        <legend>Scopes</legend>
        {chosen.map(([scope, title, isChosen]) => (
          <CheckboxField key={scope} label={title} value={isChosen} />
        ))}
      </fieldset>
      <ExpiryField days={days} />
    </FormDialog>
  )
}

export function TokensTab() {
  const live = useLive<AdminTokens>("/v1/tokens")
  const created = useSignal<CreatedAdminToken | undefined>(undefined)
  return (
    <CreateSection
      title="Admin tokens"
      hint="For scripts and people who use the admin API and this console."
      action="New token"
      dialog={close => (
        <NewTokenDialog
          onCreated={token => {
            created.value = token
            live.refresh()
          }}
          onClose={close}
        />
      )}
    >
      <Loaded live={live}>
        {({ tokens }) => (
          <DataTable
            caption="Admin tokens"
            columns={tokenColumns(live.refresh)}
            rows={tokens}
            rowKey={({ id }) => id}
            empty={<EmptyState title="No tokens but the store's own" icon="identity" />}
          />
        )}
      </Loaded>
      {created.value && (
        <SecretDialog
          title="The new token"
          facts={[["Token", created.value.token]]}
          onClose={() => (created.value = undefined)}
        />
      )}
    </CreateSection>
  )
}
