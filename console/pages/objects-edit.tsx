/** Dialogs of one object: its tags, its retention and legal hold, and a link for others. */
import { useSignal, type Signal } from "@preact/signals"
import { useRef } from "preact/hooks"
import { api } from "../api/client.js"
import { useLive } from "../api/live.js"
import { setLegalHold, setRetention, setTags, type LockMode, type ObjectName, type Tags } from "../api/s3.js"
import type { Keys, Shared } from "../api/shapes.js"
import { useAction, type Action } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { Dialog } from "../parts/dialog.js"
import { CheckboxField, Form, SelectField, TextAreaField, TextField } from "../parts/fields.js"
import { timeText } from "../parts/format.js"
import { Notice } from "../parts/states.js"
import { tagsOfText, textOfTags } from "../parts/tags.js"
import { toast } from "../parts/toast.js"
import { s3Endpoint, session } from "../shell/session.js"

interface DialogProps {
  readonly name: ObjectName
  readonly onClose: () => void
  readonly onDone: () => void
}

function Buttons(props: { readonly action: Action; readonly text: string; readonly onClose: () => void }) {
  const { action, text, onClose } = props
  return (
    <div class="form-actions">
      <Button onClick={onClose}>Cancel</Button>
      <Button type="submit" kind="primary" isBusy={action.isBusy}>
        {text}
      </Button>
    </div>
  )
}

export function TagsDialog({ name, tags, onClose, onDone }: DialogProps & { readonly tags: Tags }) {
  const text = useSignal(textOfTags(tags))
  const save = useAction(async () => {
    await setTags(name, tagsOfText(text.value))
    toast(`Tags of ${name.key} saved`)
    onDone()
    onClose()
  })
  return (
    <Dialog title="Tags" onClose={onClose}>
      <Form label="Edit tags" onSubmit={() => void save.run()} problem={save.problem}>
        <TextAreaField label="Tags" value={text} rows={6} isCode hint="One key=value on a line, at most 10" />
        <Buttons action={save} text="Save tags" onClose={onClose} />
      </Form>
    </Dialog>
  )
}

export interface Lock {
  readonly mode: LockMode | undefined
  readonly untilMs: number | undefined
  readonly isHeld: boolean
}

/** For a field of local time. */
const localText = (timeMs: number): string => {
  const offsetMs = new Date(timeMs).getTimezoneOffset() * 60_000
  return new Date(timeMs - offsetMs).toISOString().slice(0, 16)
}

const DAY_MS = 86_400_000

export function LockDialog({ name, lock, onClose, onDone }: DialogProps & { readonly lock: Lock }) {
  const mode = useSignal<LockMode | "none">(lock.mode ?? "none")
  const until = useSignal(localText(lock.untilMs ?? Date.now() + 30 * DAY_MS))
  const isHeld = useSignal(lock.isHeld)
  const bypass = useSignal(false)
  const save = useAction(async () => {
    const untilMs = new Date(until.value).getTime()
    const next = mode.value === "none" ? undefined : mode.value
    const isChanged = next !== lock.mode || (next !== undefined && until.value !== localText(lock.untilMs ?? 0))
    if (isChanged) await setRetention(name, next, untilMs, bypass.value)
    if (isHeld.value !== lock.isHeld) await setLegalHold(name, isHeld.value)
    toast(`Lock of ${name.key} saved`)
    onDone()
    onClose()
  })
  const modes = [
    ["none", "None"],
    ["GOVERNANCE", "Governance: some may end it"],
    ["COMPLIANCE", "Compliance: nobody can end it"],
  ] as const
  return (
    <Dialog title="Retention and legal hold" onClose={onClose}>
      <Form label="Retention and legal hold" onSubmit={() => void save.run()} problem={save.problem}>
        <SelectField label="Retention" value={mode} options={modes} />
        {mode.value !== "none" && <TextField label="Until" type="datetime-local" value={until} isRequired />}
        {mode.value === "COMPLIANCE" && (
          <Notice kind="warning">Nobody, not even the operator, can delete this version before then.</Notice>
        )}
        {lock.mode === "GOVERNANCE" && <CheckboxField label="Bypass governance mode" value={bypass} />}
        <CheckboxField label="Legal hold" value={isHeld} hint="Until somebody ends it" />
        <Buttons action={save} text="Save lock" onClose={onClose} />
      </Form>
    </Dialog>
  )
}

const EXPIRIES = [
  ["3600", "1 hour"],
  ["86400", "1 day"],
  ["604800", "7 days"],
] as const

/** The operator has no key of its own: the fields of the key that signs. */
function SignerField({ value }: { readonly value: Signal<string> }) {
  const keys = useLive<Keys>("/v1/keys").value?.keys ?? []
  const active = keys.filter(({ isActive }) => isActive)
  const first = active[0]?.accessKeyId
  if (value.value === "" && first !== undefined) value.value = first
  return (
    <TextField
      label="Access key that signs"
      value={value}
      isCode
      isRequired
      suggestions={active.map(({ accessKeyId }) => accessKeyId)}
      hint="The link has its rights, and ends with it"
    />
  )
}

function SharedLink({ shared }: { readonly shared: Shared }) {
  const field = useRef<HTMLTextAreaElement>(null)
  const copy = () => {
    field.current?.select()
    // Only pages with TLS, or of this machine, may use the clipboard: elsewhere the text is selected.
    if (isSecureContext) void navigator.clipboard.writeText(shared.url).then(() => toast("Link copied"))
  }
  return (
    <>
      <p>
        Anybody with this link may {shared.method === "GET" ? "read" : "write"} the object until{" "}
        {timeText(shared.expiresMs)}.
      </p>
      <textarea ref={field} class="code" aria-label="Link" rows={5} readOnly value={shared.url} />
      <div class="form-actions">
        <Button kind="primary" onClick={copy}>
          Copy
        </Button>
        <a class="button" href={shared.url} target="_blank" rel="noreferrer">
          Open
        </a>
      </div>
    </>
  )
}

export function ShareDialog({ name, onClose }: Omit<DialogProps, "onDone">) {
  const { bucket, key, versionId } = name
  const method = useSignal<"GET" | "PUT">("GET")
  const expiresSeconds = useSignal<(typeof EXPIRIES)[number][0]>("3600")
  const [accessKeyId, endpoint] = [useSignal(""), useSignal("")]
  const shared = useSignal<Shared | undefined>(undefined)
  const state = session.value
  const isOperator = state.kind === "signedIn" && state.session.who?.kind !== "principal"
  const make = useAction(async () => {
    shared.value = await api.post<Shared>(`/v1/buckets/${encodeURIComponent(bucket)}/share`, {
      key,
      method: method.value,
      expiresSeconds: Number(expiresSeconds.value),
      ...(versionId !== undefined && method.value === "GET" ? { versionId } : {}),
      ...(isOperator ? { accessKeyId: accessKeyId.value } : {}),
      ...(endpoint.value === "" ? {} : { endpoint: endpoint.value }),
    })
  })
  const methods = [
    ["GET", "Read the object"],
    ["PUT", "Write the object"],
  ] as const
  return (
    <Dialog title="Share link" onClose={onClose}>
      {shared.value === undefined ? (
        <Form label="Share link" onSubmit={() => void make.run()} problem={make.problem}>
          <SelectField label="The link may" value={method} options={methods} />
          <SelectField label="Valid for" value={expiresSeconds} options={EXPIRIES} />
          {isOperator && <SignerField value={accessKeyId} />}
          <TextField
            label="Endpoint of S3"
            type="url"
            value={endpoint}
            placeholder={s3Endpoint()}
            hint="How clients reach the S3 port, if by another address than this server's own"
          />
          <Buttons action={make} text="Make link" onClose={onClose} />
        </Form>
      ) : (
        <SharedLink shared={shared.value} />
      )}
    </Dialog>
  )
}
