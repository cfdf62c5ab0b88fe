/** Access keys: last use, creation and rotation with a secret that is shown once, disabling, deletion. */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import type { Key, KeyWithSecret } from "../api/shapes.js"
import { ActionButton, ConfirmButton } from "../parts/action-button.js"
import { CreateSection } from "../parts/create-section.js"
import { FormDialog } from "../parts/dialog.js"
import { ExpiryField, expiryOf } from "../parts/expiry-field.js"
import { TextField } from "../parts/fields.js"
import { ageText, timeText } from "../parts/format.js"
import { KeyDialog } from "../parts/key-dialog.js"
import { useNow } from "../parts/now.js"
import { Badge } from "../parts/page.js"
import { EmptyState, Loaded, Notice } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { Ago } from "../parts/time.js"
import { named, pageOf, useKeys } from "./identities-api.js"

const MINUTE_MS = 60_000

const keyPath = (id: string, word = ""): string => `/v1/keys/${encodeURIComponent(id)}${word}`

function KeyState({ keyOf: { isActive, expiresMs } }: { readonly keyOf: Key }) {
  const now = useNow(MINUTE_MS)
  if (!isActive) return <Badge kind="warning">disabled</Badge>
  if (expiresMs !== undefined && expiresMs <= now) return <Badge kind="danger">expired</Badge>
  return <Badge kind="good">active</Badge>
}

function LastUse({ lastUse }: Pick<Key, "lastUse">) {
  const now = useNow(MINUTE_MS)
  if (lastUse === undefined) return <>not known</>
  return (
    <>
      {ageText(Math.min(lastUse.usedMs, now), now)} ({lastUse.service})
    </>
  )
}

interface Changes {
  readonly onChange: () => void
  readonly onSecret: (key: KeyWithSecret) => void
}

function KeyActions({
  id,
  isActive,
  onChange,
  onSecret,
}: Changes & { readonly id: string; readonly isActive: boolean }) {
  const after = (work: () => Promise<unknown>) => async (): Promise<void> => {
    await work()
    onChange()
  }
  const word = isActive ? "disable" : "enable"
  return (
    <div class="actions">
      <ActionButton
        label={`${isActive ? "Disable" : "Enable"} ${id}`}
        work={after(() => api.post(keyPath(id, `/${word}`)))}
        done={`${id} is ${word}d`}
      >
        {isActive ? "Disable" : "Enable"}
      </ActionButton>
      <ConfirmButton
        label={`Rotate ${id}`}
        title={`Rotate ${id}`}
        action="Create the second key"
        question="A second key with the same owner, limits and terms is created. Both work until you disable or delete this one."
        work={after(async () => onSecret(await api.post<KeyWithSecret>(keyPath(id, "/rotate"))))}
        done="The second key is created"
      >
        Rotate
      </ConfirmButton>
      <ConfirmButton
        label={`Delete ${id}`}
        title={`Delete ${id}`}
        question="Requests that are signed with it are refused from then on. It cannot be restored."
        work={after(() => api.delete(keyPath(id)))}
        done={`${id} is deleted`}
      >
        Delete
      </ConfirmButton>
    </div>
  )
}

const columnsOf = (account: string, changes: Changes, isOfUser: boolean): readonly Column<Key>[] => [
  { key: "id", title: "Access key", cell: ({ accessKeyId }) => <code>{accessKeyId}</code> },
  ...(isOfUser
    ? []
    : [
        {
          key: "owner",
          title: "Owner",
          sortBy: ({ userName = "" }: Key) => userName,
          cell: ({ userName }: Key) =>
            userName === undefined ? "root user" : <a href={pageOf(account, "users", userName)}>{userName}</a>,
        },
      ]),
  { key: "state", narrow: "end", title: "State", cell: key => <KeyState keyOf={key} /> },
  {
    key: "used",
    title: "Last use",
    cell: ({ lastUse }) => <LastUse lastUse={lastUse} />,
    sortBy: ({ lastUse }) => lastUse?.usedMs ?? 0,
  },
  {
    key: "created",
    narrow: "minor",
    title: "Created",
    cell: ({ createdMs }) => <Ago timeMs={createdMs} />,
    sortBy: ({ createdMs }) => createdMs,
  },
  {
    key: "terms",
    title: "Terms",
    cell: ({ description = "", expiresMs, policy }) =>
      [
        ...(description === "" ? [] : [description]),
        ...(expiresMs === undefined ? [] : [`expires ${timeText(expiresMs)}`]),
        ...(policy === undefined ? [] : ["limited by a policy"]),
      ].join("; ") || "–",
  },
  {
    key: "actions",
    title: "Actions",
    cell: ({ accessKeyId, isActive }) => <KeyActions id={accessKeyId} isActive={isActive} {...changes} />,
  },
]

function NewKeyDialog(props: {
  readonly account: string
  readonly userName: string | undefined
  readonly onCreated: (key: KeyWithSecret) => void
  readonly onClose: () => void
}) {
  const { account, userName, onCreated, onClose } = props
  const description = useSignal("")
  const days = useSignal("")
  const expiry = expiryOf(days.value, Date.now())
  const create = async (): Promise<void> => {
    const text = description.value.trim()
    const terms = { ...expiry, ...(text === "" ? {} : { description: text }) }
    const owner = userName === undefined ? named(account) : { ...named(account), userName }
    onCreated(await api.post<KeyWithSecret>("/v1/keys", { ...owner, ...terms }))
  }
  return (
    <FormDialog
      title={`Create a key of ${userName ?? "the root user"}`}
      action="Create key"
      isValid={expiry !== undefined}
      work={create}
      onClose={onClose}
    >
      {userName === undefined && (
        <Notice kind="warning">The root user may do everything in its account. Keys of users are safer.</Notice>
      )}
      <TextField label="Purpose" value={description} hint="Optional" />
      <ExpiryField days={days} />
    </FormDialog>
  )
}

/** Keys of an account, or of one of its users. */
export function KeysSection({ account, userName }: { readonly account: string; readonly userName?: string }) {
  const keys = useKeys(account, userName)
  const secret = useSignal<KeyWithSecret | undefined>(undefined)
  const created = (key: KeyWithSecret): void => {
    secret.value = key
    keys.refresh()
  }
  const changes = { onChange: keys.refresh, onSecret: created }
  return (
    <CreateSection
      title="Access keys"
      action={userName === undefined ? "Create a root key" : "Create key"}
      dialog={close => <NewKeyDialog {...{ account, userName }} onCreated={created} onClose={close} />}
    >
      <Loaded live={keys}>
        {value => (
          <DataTable
            caption="Access keys"
            columns={columnsOf(account, changes, userName !== undefined)}
            rows={value.keys}
            rowKey={({ accessKeyId }) => accessKeyId}
            empty={<EmptyState title="No keys" icon="identity" />}
          />
        )}
      </Loaded>
      {secret.value && <KeyDialog newKey={secret.value} onClose={() => (secret.value = undefined)} />}
    </CreateSection>
  )
}
