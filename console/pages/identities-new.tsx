/** A new user in one dialog: its name, what it may do, and a key; or a new group. */
import { useSignal } from "@preact/signals"
import { useRef } from "preact/hooks"
import { api } from "../api/client.js"
import type { KeyWithSecret } from "../api/shapes.js"
import { FormDialog } from "../parts/dialog.js"
import { ExpiryField, expiryOf } from "../parts/expiry-field.js"
import { CheckboxField, TextField } from "../parts/fields.js"
import { PickList } from "../parts/pick-list.js"
import { toast } from "../parts/toast.js"
import { go } from "../shell/router.js"
import { accountPath, named, pageOf, useGroupPicks, usePolicyPicks } from "./identities-api.js"

/** Does steps that are not done yet, so that a second attempt goes on after the one that failed. */
function useSteps(): (name: string, work: () => Promise<unknown>) => Promise<void> {
  const done = useRef(new Set<string>())
  return async (name, work) => {
    if (done.current.has(name)) return
    await work()
    done.current.add(name)
  }
}

interface NewProps {
  readonly account: string
  readonly onClose: () => void
}

export function NewUserDialog(props: NewProps & { readonly onKey: (key: KeyWithSecret) => void }) {
  const { account, onClose, onKey } = props
  const { picks: policies, isCut } = usePolicyPicks(account)
  const { picks: groups } = useGroupPicks(account)
  const [name, days] = [useSignal(""), useSignal("")]
  const [attached, joined] = [useSignal<readonly string[]>([]), useSignal<readonly string[]>([])]
  const hasKey = useSignal(true)
  const step = useSteps()
  const expiry = expiryOf(days.value, Date.now())
  const create = async (): Promise<void> => {
    const text = name.value.trim()
    const path = `${accountPath(account, "users")}/${encodeURIComponent(text)}`
    await step(`user ${text}`, () => api.post(accountPath(account, "users"), { name: text }))
    for (const policy of attached.value)
      await step(`policy ${text} ${policy}`, () => api.post(`${path}/attach`, { policy }))
    for (const group of joined.value)
      await step(`group ${text} ${group}`, () =>
        api.put(accountPath(account, "groups", group, "members", text), undefined),
      )
    if (hasKey.value) onKey(await api.post<KeyWithSecret>("/v1/keys", { ...named(account), userName: text, ...expiry }))
    toast(`Created user ${text}`)
    if (!hasKey.value) go(pageOf(account, "users", text))
  }
  return (
    <FormDialog
      title="New user"
      action={hasKey.value ? "Create user and key" : "Create user"}
      isValid={name.value.trim() !== "" && expiry !== undefined}
      work={create}
      onClose={onClose}
      isWide
    >
      <TextField label="Name" value={name} isRequired isCode placeholder="ann, or backup-nightly" />
      <PickList
        label="Policies"
        picks={policies}
        chosen={attached}
        hint={`What the user may do. Without a policy: nothing.${isCut ? " The list shows the first policies." : ""}`}
      />
      {groups.length > 0 && <PickList label="Groups" picks={groups} chosen={joined} />}
      <fieldset class="picks">
        <legend>Access key</legend>
        <CheckboxField
          label="Create a key now"
          value={hasKey}
          hint="Its secret is shown once, with lines to paste for the usual clients."
        />
        {hasKey.value && <ExpiryField days={days} />}
      </fieldset>
    </FormDialog>
  )
}

export function NewGroupDialog({ account, onClose }: NewProps) {
  const { picks } = usePolicyPicks(account)
  const name = useSignal("")
  const attached = useSignal<readonly string[]>([])
  const step = useSteps()
  const create = async (): Promise<void> => {
    const text = name.value.trim()
    const path = accountPath(account, "groups")
    await step(`group ${text}`, () => api.post(path, { name: text }))
    for (const policy of attached.value)
      await step(`policy ${text} ${policy}`, () => api.post(`${path}/${encodeURIComponent(text)}/attach`, { policy }))
    toast(`Created group ${text}`)
    go(pageOf(account, "groups", text))
  }
  return (
    <FormDialog
      title="New group"
      action="Create group"
      isValid={name.value.trim() !== ""}
      work={create}
      onClose={onClose}
      isWide
    >
      <TextField label="Name" value={name} isRequired isCode />
      <PickList label="Policies" picks={picks} chosen={attached} hint="Each member of the group has them." />
    </FormDialog>
  )
}
