/** Pages with the editor of policies: managed ones with their versions, those of one identity, and the trust policy of a role. */
import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { api } from "../api/client.js"
import { useLive } from "../api/live.js"
import type { InlinePolicy, ManagedPolicy, PolicyHolders, Role } from "../api/shapes.js"
import { ActionButton, ConfirmButton } from "../parts/action-button.js"
import { useAction } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { Form, TextField } from "../parts/fields.js"
import { Badge, Facts, Page, Section } from "../parts/page.js"
import { isSendable, PolicyEditor, usePolicyCheck, type PolicySubject } from "../parts/policy-editor.js"
import { PolicySimulator } from "../parts/policy-simulator.js"
import { Loaded } from "../parts/states.js"
import { DataTable } from "../parts/table.js"
import { Ago } from "../parts/time.js"
import { toast } from "../parts/toast.js"
import { go } from "../shell/router.js"
import { accountPath, listOf, named, pageOf, type Kind } from "./identities-api.js"

const IDENTITY = { kind: "identity" } as const
const TRUST = { kind: "trust" } as const

const textOf = (document: unknown): string => JSON.stringify(document, undefined, 2)

/** The editor with a button that saves, and the simulator below it. `children`: fields above the editor. */
function Editing(props: {
  readonly account: string
  readonly subject: PolicySubject
  readonly initial: string
  readonly action: string
  readonly save: (document: unknown) => Promise<void>
  readonly isComplete?: boolean
  readonly children?: ComponentChildren
}) {
  const { account, subject, initial, action, save, isComplete = true, children } = props
  const text = useSignal(initial)
  const check = usePolicyCheck(subject, text)
  const isReady = isComplete && isSendable(check)
  const saving = useAction(async () => {
    const document: unknown = JSON.parse(text.value)
    await save(document)
  })
  const submit = () => isReady && void saving.run()
  return (
    <>
      <Section title={subject.kind === "trust" ? "Who may assume the role" : "What the policy allows"}>
        <Form label="Policy" onSubmit={submit} problem={saving.problem}>
          {children}
          <PolicyEditor {...{ subject, check }} value={text} />
          <div class="actions">
            <Button type="submit" kind="primary" isDisabled={!isReady} isBusy={saving.isBusy}>
              {action}
            </Button>
          </div>
        </Form>
      </Section>
      {subject.kind === "identity" && (
        <Section title="Try the policy" hint="What a request would be answered. Nothing is saved.">
          <PolicySimulator {...{ subject, ...named(account) }} policy={text} />
        </Section>
      )}
    </>
  )
}

const policiesTrail = (account: string) => [{ title: "Policies", to: listOf(account, "policies") }]

export function NewPolicyPage({ account }: { readonly account: string }) {
  const name = useSignal("")
  const description = useSignal("")
  const save = async (document: unknown): Promise<void> => {
    const body = { name: name.value.trim(), description: description.value, document }
    const { arn } = await api.post<ManagedPolicy>(accountPath(account, "policies"), body)
    toast(`Created policy ${body.name}`)
    go(pageOf(account, "policies", arn))
  }
  return (
    <Page title="New policy" trail={policiesTrail(account)}>
      <Editing
        {...{ account, save, subject: IDENTITY, initial: "", action: "Create policy" }}
        isComplete={name.value.trim() !== ""}
      >
        <div class="fields">
          <TextField label="Name" value={name} isRequired isCode />
          <TextField label="Description" value={description} />
        </div>
      </Editing>
    </Page>
  )
}

function Versions(props: { readonly path: string; readonly policy: ManagedPolicy; readonly onChange: () => void }) {
  const { path, policy, onChange } = props
  const after = (work: () => Promise<unknown>) => async (): Promise<void> => {
    await work()
    onChange()
  }
  const { defaultVersion, versions } = policy
  return (
    <Section title="Versions" hint="Five are kept. One of them applies.">
      <DataTable
        caption="Versions of the policy"
        rows={versions.toReversed()}
        rowKey={({ version }) => String(version)}
        columns={[
          { key: "version", title: "Version", cell: ({ version }) => `v${version}` },
          { key: "created", title: "Created", cell: ({ createdMs }) => <Ago timeMs={createdMs} /> },
          {
            key: "actions",
            title: "Actions",
            cell: ({ version }) =>
              version === defaultVersion ? (
                <Badge kind="good">applies</Badge>
              ) : (
                <div class="actions">
                  <ActionButton
                    label={`Use version ${version}`}
                    work={after(() => api.post(`${path}/versions/${version}/use`))}
                    done={`Version ${version} applies`}
                  >
                    Use
                  </ActionButton>
                  <ConfirmButton
                    label={`Delete version ${version}`}
                    title={`Delete version ${version}`}
                    question="It cannot be restored."
                    work={after(() => api.delete(`${path}/versions/${version}`))}
                    done={`Version ${version} is deleted`}
                  >
                    Delete
                  </ConfirmButton>
                </div>
              ),
          },
        ]}
      />
    </Section>
  )
}

function Holders({ account, path }: { readonly account: string; readonly path: string }) {
  const live = useLive<PolicyHolders>(`${path}/holders`)
  return (
    <Section title="Who has it">
      <Loaded live={live}>
        {({ holders, hasMore }) => (
          <>
            {holders.length === 0 && <p>No user, group or role.</p>}
            <ul class="plain-list">
              {holders.map(({ kind, name, isBoundary }) => (
                <li key={`${kind} ${name} ${isBoundary}`}>
                  <a href={pageOf(account, `${kind}s`, name)}>
                    {kind} {name}
                  </a>
                  {isBoundary && " as its boundary"}
                </li>
              ))}
            </ul>
            {hasMore && <p class="hint">More users, groups and roles have it than are shown.</p>}
          </>
        )}
      </Loaded>
    </Section>
  )
}

export function ManagedPolicyPage({ account, arn }: { readonly account: string; readonly arn: string }) {
  const path = accountPath(account, "policies", arn)
  const live = useLive<ManagedPolicy>(path)
  const save = async (document: unknown): Promise<void> => {
    const { defaultVersion } = await api.put<ManagedPolicy>(path, document)
    toast(`Saved as version ${defaultVersion}`)
    live.refresh()
  }
  const remove = async (): Promise<void> => {
    await api.delete(path)
    go(listOf(account, "policies"))
  }
  const title = live.value?.name ?? arn
  return (
    <Page title={title} live={live} trail={policiesTrail(account)}>
      <Loaded live={live}>
        {policy => (
          <>
            <Section
              title="Policy"
              actions={
                !policy.isBuiltIn && (
                  <ConfirmButton
                    title={`Delete ${policy.name}`}
                    question="A policy that something has cannot be deleted: detach it first."
                    work={remove}
                    done={`${policy.name} is deleted`}
                  >
                    Delete
                  </ConfirmButton>
                )
              }
            >
              <Facts
                facts={[
                  ["ARN", <code key="arn">{policy.arn}</code>],
                  ["Description", policy.description || "–"],
                  ["Of", policy.isBuiltIn ? "every account; nothing changes it" : "this account"],
                ]}
              />
            </Section>
            <Holders account={account} path={path} />
            {policy.isBuiltIn ? (
              <>
                <Section title="What the policy allows">
                  <pre class="code" tabIndex={0} aria-label="Policy">
                    {textOf(policy.document)}
                  </pre>
                </Section>
              </>
            ) : (
              <>
                <Editing
                  key={policy.defaultVersion}
                  {...{ account, save, subject: IDENTITY, action: "Save as a new version" }}
                  initial={textOf(policy.document)}
                />
                <Versions path={path} policy={policy} onChange={live.refresh} />
              </>
            )}
          </>
        )}
      </Loaded>
    </Page>
  )
}

interface Holder {
  readonly account: string
  readonly kind: Kind
  readonly name: string
}

const holderTrail = ({ account, kind, name }: Holder) => [
  { title: `${kind[0]?.toUpperCase() ?? ""}${kind.slice(1)}s`, to: listOf(account, `${kind}s`) },
  { title: name, to: pageOf(account, `${kind}s`, name) },
]

/** A new policy of one user, group or role itself. */
export function NewInlinePage(holder: Holder) {
  const { account, kind, name } = holder
  const policyName = useSignal("")
  const save = async (document: unknown): Promise<void> => {
    const text = policyName.value.trim()
    await api.put(accountPath(account, `${kind}s`, name, "policies", text), document)
    toast(`Saved policy ${text} of ${name}`)
    go(pageOf(account, `${kind}s`, name))
  }
  return (
    <Page title={`New policy of ${name}`} trail={holderTrail(holder)}>
      <Editing
        {...{ account, save, subject: IDENTITY, initial: "", action: "Save policy" }}
        isComplete={policyName.value.trim() !== ""}
      >
        <TextField label="Name of the policy" value={policyName} isRequired isCode />
      </Editing>
    </Page>
  )
}

/** A policy of one user, group or role itself. */
export function InlinePage({ policy, ...holder }: Holder & { readonly policy: string }) {
  const { account, kind, name } = holder
  const path = accountPath(account, `${kind}s`, name, "policies", policy)
  const live = useLive<InlinePolicy>(path)
  const save = async (document: unknown): Promise<void> => {
    await api.put(path, document)
    toast(`Saved policy ${policy} of ${name}`)
    live.refresh()
  }
  return (
    <Page title={policy} live={live} trail={holderTrail(holder)}>
      <Loaded live={live}>
        {({ document }) => (
          <Editing {...{ account, save, subject: IDENTITY, action: "Save policy" }} initial={textOf(document)} />
        )}
      </Loaded>
    </Page>
  )
}

/** Shows who may assume a role. */
export function TrustPage({ account, name }: { readonly account: string; readonly name: string }) {
  const path = accountPath(account, "roles", name)
  const live = useLive<Role>(path)
  const save = async (trust: unknown): Promise<void> => {
    await api.post(path, { trust })
    toast(`Saved the trust policy of ${name}`)
    live.refresh()
  }
  return (
    <Page title={`Trust policy of ${name}`} live={live} trail={holderTrail({ account, kind: "role", name })}>
      <Loaded live={live}>
        {({ trust }) => (
          <Editing {...{ account, save, subject: TRUST, action: "Save trust policy" }} initial={textOf(trust)} />
        )}
      </Loaded>
    </Page>
  )
}

export function NewRolePage({ account }: { readonly account: string }) {
  const name = useSignal("")
  const description = useSignal("")
  const hours = useSignal("1")
  const sessionSecondsMax = Math.round(Number(hours.value) * 3_600)
  const isTimeValid = sessionSecondsMax >= 3_600 && sessionSecondsMax <= 43_200
  const save = async (trust: unknown): Promise<void> => {
    const text = name.value.trim()
    await api.post(accountPath(account, "roles"), {
      name: text,
      trust,
      description: description.value,
      sessionSecondsMax,
    })
    toast(`Created role ${text}`)
    go(pageOf(account, "roles", text))
  }
  return (
    <Page title="New role" trail={[{ title: "Roles", to: listOf(account, "roles") }]}>
      <Editing
        {...{ account, save, subject: TRUST, initial: "", action: "Create role" }}
        isComplete={name.value.trim() !== "" && isTimeValid}
      >
        <div class="fields">
          <TextField label="Name" value={name} isRequired isCode />
          <TextField label="Description" value={description} />
          <TextField
            label="Hours of a session at most"
            type="number"
            min={1}
            max={12}
            step="any"
            value={hours}
            error={isTimeValid ? undefined : "From 1 to 12."}
          />
        </div>
      </Editing>
    </Page>
  )
}
