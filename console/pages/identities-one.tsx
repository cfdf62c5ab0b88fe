/** The page about one user, group or role: its policies, boundary, memberships and keys, and what it may do. */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import { useLive, type Live } from "../api/live.js"
import type { Group, Role, User, Users } from "../api/shapes.js"
import { ActionButton, ConfirmButton } from "../parts/action-button.js"
import { useAction } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { Form, SelectField, TextField } from "../parts/fields.js"
import { durationText, listText, timeText } from "../parts/format.js"
import { PagedTable } from "../parts/paged-table.js"
import { Facts, Page, Section } from "../parts/page.js"
import { PolicySimulator } from "../parts/policy-simulator.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { toast } from "../parts/toast.js"
import { go } from "../shell/router.js"
import { mayUse } from "../shell/session.js"
import {
  accountPath,
  listOf,
  named,
  pageOf,
  useGroupPicks,
  usePolicyPicks,
  useUserPicks,
  type Kind,
  type Picks,
} from "./identities-api.js"
import { TermsDialog } from "./identities-edit.js"
import { KeysSection } from "./identities-keys.js"
import { policyName } from "./identities-lists.js"

const TITLES = { user: "Users", group: "Groups", role: "Roles" } as const

interface Subject {
  readonly account: string
  readonly kind: Kind
  readonly name: string
}

interface PartProps extends Subject {
  readonly onChange: () => void
}

/** Chooses one of a list, or types a name where the list is too long; and a button that does something with it. */
function ChooseForm(props: {
  readonly label: string
  readonly action: string
  readonly from: Picks
  readonly work: (value: string, title: string) => Promise<void>
}) {
  const { label, action, from, work } = props
  const { picks, isCut } = from
  const value = useSignal("")
  const act = useAction(async () => {
    const text = value.value.trim()
    await work(text, picks.find(pick => pick.value === text)?.title ?? text)
    value.value = ""
  })
  const options = [["", "Choose…"] as const, ...picks.map(pick => [pick.value, pick.title] as const)]
  if (picks.length === 0 && !isCut) return null
  return (
    <Form label={action} onSubmit={() => void act.run()} problem={act.problem}>
      <div class="with-action">
        {isCut ? (
          <TextField label={label} value={value} isCode suggestions={picks.map(pick => pick.value)} />
        ) : (
          <SelectField label={label} value={value} options={options} />
        )}
        <Button type="submit" isBusy={act.isBusy} isDisabled={value.value.trim() === ""}>
          {action}
        </Button>
      </div>
    </Form>
  )
}

const without = ({ picks, isCut }: Picks, taken: readonly string[]): Picks => ({
  picks: picks.filter(({ value }) => !taken.includes(value)),
  isCut,
})

const partsOf = ({ account, kind, name, onChange }: PartProps) => ({
  path: (...parts: readonly string[]) => accountPath(account, `${kind}s`, name, ...parts),
  page: (...parts: readonly string[]) => pageOf(account, `${kind}s`, name, ...parts),
  changed: (work: () => Promise<unknown>) => async (): Promise<void> => {
    await work()
    onChange()
  },
})

function Policies({ attached, inline, ...part }: PartProps & Pick<User, "attached" | "inline">) {
  const { path, page, changed } = partsOf(part)
  const { account, name, onChange } = part
  const policies = usePolicyPicks(account)
  const attach = async (policy: string, title: string): Promise<void> => {
    await api.post(path("attach"), { policy })
    toast(`Attached ${title}`)
    onChange()
  }
  const add = <Button onClick={() => go(page("new-policy"))}>Write its own policy</Button>
  return (
    <Section title="Policies" actions={add}>
      {attached.length + inline.length === 0 && <p>None: nothing is allowed by policies of its own.</p>}
      <ul class="plain-list">
        {attached.map(arn => (
          <li key={arn}>
            <a href={pageOf(account, "policies", arn)}>{policyName(arn)}</a> (managed){" "}
            <ActionButton
              kind="quiet"
              label={`Detach ${policyName(arn)}`}
              work={changed(() => api.post(path("detach"), { policy: arn }))}
              done={`Detached ${policyName(arn)}`}
            >
              Detach
            </ActionButton>
          </li>
        ))}
        {inline.map(own => (
          <li key={own}>
            <a href={page("policies", own)}>{own}</a> (its own){" "}
            <ConfirmButton
              kind="quiet"
              label={`Delete ${own}`}
              title={`Delete policy ${own} of ${name}`}
              question="It cannot be restored."
              work={changed(() => api.delete(path("policies", own)))}
              done={`Deleted ${own}`}
            >
              Delete
            </ConfirmButton>
          </li>
        ))}
      </ul>
      <ChooseForm label="Managed policy" action="Attach" from={without(policies, attached)} work={attach} />
    </Section>
  )
}

function Boundary({ boundary, ...part }: PartProps & Pick<User, "boundary">) {
  const { path, changed } = partsOf(part)
  const policies = usePolicyPicks(part.account)
  const set = async (policy: string): Promise<void> => {
    await api.put(path("boundary"), { policy })
    toast("The boundary is set")
    part.onChange()
  }
  return (
    <Section title="Permissions boundary" hint="A managed policy. What it does not allow, no other policy can allow.">
      {boundary === undefined ? (
        <p>None.</p>
      ) : (
        <p>
          <a href={pageOf(part.account, "policies", boundary)}>{policyName(boundary)}</a>{" "}
          <ConfirmButton
            kind="quiet"
            title="Remove the boundary"
            question={`Then the policies of ${part.name} alone decide.`}
            work={changed(() => api.delete(path("boundary")))}
            done="The boundary is removed"
          >
            Remove
          </ConfirmButton>
        </p>
      )}
      <ChooseForm
        label="Boundary"
        action="Set"
        from={without(policies, boundary === undefined ? [] : [boundary])}
        work={set}
      />
    </Section>
  )
}

function Memberships({ groups, ...part }: PartProps & Pick<User, "groups">) {
  const { account, name, onChange } = part
  const { changed } = partsOf(part)
  const all = useGroupPicks(account)
  const path = (of: string) => accountPath(account, "groups", of, "members", name)
  const join = async (of: string): Promise<void> => {
    await api.put(path(of), undefined)
    toast(`Added to ${of}`)
    onChange()
  }
  return (
    <Section title="Groups">
      {groups.length === 0 && <p>In no group.</p>}
      <ul class="plain-list">
        {groups.map(of => (
          <li key={of}>
            <a href={pageOf(account, "groups", of)}>{of}</a>{" "}
            <ActionButton
              kind="quiet"
              label={`Leave ${of}`}
              work={changed(() => api.delete(path(of)))}
              done={`Removed from ${of}`}
            >
              Leave
            </ActionButton>
          </li>
        ))}
      </ul>
      <ChooseForm label="Group" action="Add to the group" from={without(all, groups)} work={join} />
    </Section>
  )
}

function Members({ account, name }: Pick<Subject, "account" | "name">) {
  const path = accountPath(account, "groups", name, "members")
  const live = useLive<Users>(path)
  const users = useUserPicks(account)
  const members = live.value?.users.map(user => user.name) ?? []
  const of = (user: string) => `${path}/${encodeURIComponent(user)}`
  const add = async (user: string): Promise<void> => {
    await api.put(of(user), undefined)
    toast(`Added ${user}`)
    live.refresh()
  }
  const remove = (user: string) => async (): Promise<void> => {
    await api.delete(of(user))
    live.refresh()
  }
  return (
    <Section title="Members">
      <Loaded live={live}>
        {first => (
          <PagedTable
            key={live.atMs}
            {...{ path, first, caption: "Members" }}
            rowsOf={({ users }) => users}
            rowKey={user => user.name}
            empty={<EmptyState title="Nobody is in this group" icon="identity" />}
            columns={[
              {
                key: "user",
                title: "User",
                cell: user => <a href={pageOf(account, "users", user.name)}>{user.name}</a>,
              },
              {
                key: "actions",
                title: "Actions",
                cell: user => (
                  <ActionButton label={`Remove ${user.name}`} work={remove(user.name)} done={`Removed ${user.name}`}>
                    Remove
                  </ActionButton>
                ),
              },
            ]}
          />
        )}
      </Loaded>
      <ChooseForm label="User" action="Add to the group" from={without(users, members)} work={add} />
    </Section>
  )
}

type Identity = Group & Partial<Pick<User, "boundary" | "groups" | "tags">> & Partial<Role>

function IdentityFacts({ identity }: { readonly identity: Identity }) {
  const { arn, id, path, createdMs, tags = {}, description, sessionSecondsMax } = identity
  const tagTexts = Object.entries(tags).map(([key, value]) => `${key}=${value}`)
  return (
    <Facts
      facts={[
        ["ARN", <code key="arn">{arn}</code>],
        ["Id", <code key="id">{id}</code>],
        ["Path", <code key="path">{path}</code>],
        ["Created", timeText(createdMs)],
        ...(tagTexts.length === 0 ? [] : ([["Tags", listText(tagTexts)]] as const)),
        ...(description === undefined ? [] : ([["Description", description || "–"]] as const)),
        ...(sessionSecondsMax === undefined
          ? []
          : ([["Sessions", `of ${durationText(sessionSecondsMax)} at most`]] as const)),
      ]}
    />
  )
}

function Details({ identity, ...part }: PartProps & { readonly identity: Identity }) {
  const { account, kind, name } = part
  const { path } = partsOf(part)
  const remove = async (): Promise<void> => {
    await api.delete(`${path()}?cascade=true`)
    go(listOf(account, `${kind}s`))
  }
  const isEditing = useSignal(false)
  const mayEdit = kind !== "group" && mayUse(kind === "user" ? "changeUser" : "changeRole")
  const actions = (
    <>
      {mayEdit && <Button onClick={() => (isEditing.value = true)}>Edit</Button>}
      <ConfirmButton
        title={`Delete ${kind} ${name}`}
        question={`With its ${kind === "user" ? "keys, " : ""}policies and memberships. It cannot be restored.`}
        work={remove}
        done={`Deleted ${kind} ${name}`}
      >
        Delete
      </ConfirmButton>
    </>
  )
  return (
    <>
      {isEditing.value && kind !== "group" && (
        <TermsDialog
          {...{ account, kind, name, terms: { ...identity, tags: identity.tags ?? {} } }}
          onClose={() => (isEditing.value = false)}
          onDone={part.onChange}
        />
      )}
      <div class="cards">
        <Section title={TITLES[kind].slice(0, -1)} actions={actions}>
          <IdentityFacts identity={identity} />
          {kind === "role" && (
            <p>
              <a href={pageOf(account, "roles", name, "trust")}>Trust policy: who may assume it</a>
            </p>
          )}
        </Section>
        <Policies {...part} attached={identity.attached} inline={identity.inline} />
        {kind !== "group" && <Boundary {...part} boundary={identity.boundary} />}
        {kind === "user" && <Memberships {...part} groups={identity.groups ?? []} />}
      </div>
      {kind === "group" && <Members account={account} name={name} />}
      {kind === "user" && <KeysSection account={account} userName={name} />}
      {kind !== "group" && (
        <Section title={`What may ${name} do?`} hint="The answer that a request would get now, and why.">
          <PolicySimulator subject={{ kind: "identity" }} caller={{ kind, name, accountId: "", ...named(account) }} />
        </Section>
      )}
    </>
  )
}

export function IdentityPage({ account, kind, name }: Subject) {
  const live: Live<Identity> = useLive<Identity>(accountPath(account, `${kind}s`, name))
  return (
    <Page title={name} live={live} trail={[{ title: TITLES[kind], to: listOf(account, `${kind}s`) }]}>
      <Loaded live={live}>
        {identity => <Details {...{ account, kind, name, identity }} onChange={live.refresh} />}
      </Loaded>
    </Page>
  )
}
