/** Lists of the users, groups, roles and managed policies of an account, and dialogs that create them. */
import { useSignal } from "@preact/signals"
import { useLive, type Live } from "../api/live.js"
import type { Groups, KeyWithSecret, ManagedPolicies, Roles, User, Users } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { countText, listText } from "../parts/format.js"
import { KeyDialog } from "../parts/key-dialog.js"
import { PagedTable } from "../parts/paged-table.js"
import { Badge, Section } from "../parts/page.js"
import { EmptyState, Loaded } from "../parts/states.js"
import type { Column } from "../parts/table.js"
import { Ago } from "../parts/time.js"
import { go } from "../shell/router.js"
import { accountPath, pageOf, type Kind } from "./identities-api.js"
import { NewGroupDialog, NewUserDialog } from "./identities-new.js"

type Identity = Pick<User, "name" | "arn" | "createdMs" | "attached" | "inline">

/** The last part of an ARN, by which people know a policy. */
export const policyName = (arn: string): string => arn.slice(arn.lastIndexOf("/") + 1)

const policiesOf = ({ attached, inline }: Identity): string => listText([...attached.map(policyName), ...inline]) || "–"

const nameColumn = <T extends Identity>(account: string, kind: Kind): Column<T> => ({
  key: "name",
  title: "Name",
  sortBy: ({ name }: T) => name,
  cell: ({ name }: T) => <a href={pageOf(account, `${kind}s`, name)}>{name}</a>,
})

const COMMON: readonly Column<Identity>[] = [
  { key: "policies", title: "Policies", cell: policiesOf },
  {
    key: "created",
    title: "Created",
    cell: ({ createdMs }) => <Ago timeMs={createdMs} />,
    sortBy: ({ createdMs }) => createdMs,
  },
]

function NewDialog(props: {
  readonly account: string
  readonly kind: Kind
  readonly onClose: () => void
  readonly onKey: (key: KeyWithSecret) => void
}) {
  const { account, kind, onClose, onKey } = props
  if (kind === "user") return <NewUserDialog {...{ account, onClose, onKey }} />
  return <NewGroupDialog {...{ account, onClose }} />
}

/** One list: `kind` also names it in paths. */
function IdentityList<Page extends { readonly next?: string | undefined }, Row extends Identity>(props: {
  readonly account: string
  readonly kind: Kind
  readonly title: string
  readonly hint: string
  readonly live: Live<Page>
  readonly rowsOf: (page: Page) => readonly Row[]
  readonly columns?: readonly Column<Row>[]
}) {
  const { account, kind, title, hint, live, rowsOf, columns = [] } = props
  const isAsking = useSignal(false)
  const newKey = useSignal<KeyWithSecret | undefined>(undefined)
  const seen = (): void => {
    const name = newKey.value?.userName
    newKey.value = undefined
    if (name !== undefined) go(pageOf(account, "users", name))
  }
  const open = () => (kind === "role" ? go(pageOf(account, "new-role")) : (isAsking.value = true))
  const create = (
    <Button kind="primary" onClick={open}>
      New {kind}
    </Button>
  )
  return (
    <Section title={title} hint={hint} actions={create}>
      <Loaded live={live}>
        {first => (
          <PagedTable
            key={`${account} ${live.atMs ?? 0}`}
            path={accountPath(account, `${kind}s`)}
            {...{ first, rowsOf, caption: title }}
            columns={[nameColumn<Row>(account, kind), ...columns, ...COMMON]}
            rowKey={({ name }) => name}
            empty={<EmptyState title={`This account has no ${kind}s`} icon="identity" />}
          />
        )}
      </Loaded>
      {isAsking.value && (
        <NewDialog
          {...{ account, kind }}
          onClose={() => (isAsking.value = false)}
          onKey={key => (newKey.value = key)}
        />
      )}
      {newKey.value && <KeyDialog newKey={newKey.value} onClose={seen} />}
    </Section>
  )
}

export function UsersTab({ account }: { readonly account: string }) {
  const live = useLive<Users>(accountPath(account, "users"))
  return (
    <IdentityList
      {...{ account, kind: "user", title: "Users", live }}
      hint="People and programs with keys of their own."
      rowsOf={({ users }) => users}
      columns={[
        { key: "groups", title: "Groups", cell: ({ groups }) => listText(groups) || "–" },
        { key: "keys", title: "Keys", cell: ({ keys }) => countText(keys.length), align: "end" },
      ]}
    />
  )
}

export function GroupsTab({ account }: { readonly account: string }) {
  const live = useLive<Groups>(accountPath(account, "groups"))
  return (
    <IdentityList
      {...{ account, kind: "group", title: "Groups", live }}
      hint="Users of a group have its policies."
      rowsOf={({ groups }) => groups}
    />
  )
}

export function RolesTab({ account }: { readonly account: string }) {
  const live = useLive<Roles>(accountPath(account, "roles"))
  return (
    <IdentityList
      {...{ account, kind: "role", title: "Roles", live }}
      hint="Rights that others may assume for a while, as the trust policy of the role says."
      rowsOf={({ roles }) => roles}
      columns={[{ key: "description", title: "Description", cell: ({ description }) => description || "–" }]}
    />
  )
}

type Policy = ManagedPolicies["policies"][number]

const policyColumns = (account: string): readonly Column<Policy>[] => [
  {
    key: "name",
    title: "Name",
    sortBy: ({ name }) => name,
    cell: ({ name, arn }) => <a href={pageOf(account, "policies", arn)}>{name}</a>,
  },
  {
    key: "of",
    narrow: "end",
    title: "Of",
    cell: ({ isBuiltIn }) => <Badge kind="neutral">{isBuiltIn ? "built-in" : "account"}</Badge>,
  },
  { key: "description", narrow: "plain", title: "Description", cell: ({ description }) => description || "–" },
  { key: "attached", title: "Attached to", cell: ({ attachments }) => countText(attachments), align: "end" },
  { key: "boundaries", title: "Boundary of", cell: ({ boundaries }) => countText(boundaries), align: "end" },
]

export function PoliciesTab({ account }: { readonly account: string }) {
  const path = accountPath(account, "policies")
  const live = useLive<ManagedPolicies>(path)
  const create = (
    <Button kind="primary" onClick={() => go(pageOf(account, "new-policy"))}>
      New policy
    </Button>
  )
  return (
    <Section title="Managed policies" hint="Users, groups and roles share them." actions={create}>
      <Loaded live={live}>
        {first => (
          <PagedTable
            key={`${account} ${live.atMs ?? 0}`}
            {...{ path, first, caption: "Managed policies", columns: policyColumns(account) }}
            rowsOf={({ policies }) => policies}
            rowKey={({ arn }) => arn}
            empty={<EmptyState title="No policies" icon="identity" />}
          />
        )}
      </Loaded>
    </Section>
  )
}
