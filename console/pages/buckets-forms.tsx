/** The common settings of a bucket as forms. Each saves one setting, and shows why the server refuses a value. */
import { useSignal, type Signal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import type { BucketSetting, BucketSettings } from "../api/shapes.js"
import { useAction } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { CheckboxField, Form, SelectField, TextField } from "../parts/fields.js"
import { Section } from "../parts/page.js"
import { Notice } from "../parts/states.js"
import { toast } from "../parts/toast.js"
import { memberOf, saveSetting, settingIn, textIn, type SettingValue } from "./buckets-api.js"

const GIB = 2 ** 30

interface FormProps {
  readonly bucket: string
  readonly found: BucketSetting
  readonly onSaved: () => Promise<void>
}

/** `toValue`: what is saved; undefined removes the setting. */
function SettingForm(
  props: FormProps & {
    readonly title: string
    readonly hint?: ComponentChildren
    readonly toValue: () => SettingValue | undefined
    readonly isValid?: boolean
    readonly children: ComponentChildren
  },
) {
  const { bucket, found, onSaved, title, hint, toValue, isValid = true, children } = props
  const saving = useAction(async () => {
    await saveSetting(bucket, found.setting, toValue())
    toast(`Saved: ${title.toLowerCase()} of ${bucket}`)
    await onSaved()
  })
  return (
    <Section title={title} hint={hint}>
      {found.refused === undefined ? (
        <Form
          label={title}
          onSubmit={() => isValid && void saving.run()}
          problem={saving.problem}
          isBusy={saving.isBusy}
        >
          {children}
          <div class="actions">
            <Button type="submit" isDisabled={!isValid} isBusy={saving.isBusy} label={`Save ${title.toLowerCase()}`}>
              Save
            </Button>
          </div>
        </Form>
      ) : (
        <Notice>You may not see this: {found.refused}</Notice>
      )}
    </Section>
  )
}

const VERSIONING = [
  ["Enabled", "On: every change keeps the version before"],
  ["Suspended", "Suspended: existing versions stay"],
] as const

function Versioning(props: FormProps) {
  const now = textIn(props.found.value, "Status")
  const status = useSignal<string>(now)
  const never = now === "" ? ([["", "Off"]] as const) : []
  return (
    <SettingForm {...props} title="Versioning" toValue={() => ({ Status: status.value })} isValid={status.value !== ""}>
      <SelectField label="State" value={status} options={[...never, ...VERSIONING]} />
    </SettingForm>
  )
}

const isNumber = (text: string, isWhole: boolean): boolean =>
  text.trim() === "" || (Number(text) >= 0 && (isWhole ? Number.isSafeInteger(Number(text)) : true))
const errorOf = (text: string, isWhole: boolean): string | undefined =>
  isNumber(text, isWhole) ? undefined : isWhole ? "A whole number from 0." : "A number from 0."

function NumberField(props: { readonly label: string; readonly value: Signal<string>; readonly isWhole?: boolean }) {
  const { label, value, isWhole = false } = props
  const error = errorOf(value.value, isWhole)
  return <TextField label={label} type="number" min={0} step={isWhole ? 1 : "any"} value={value} error={error} />
}

const inGib = (bytes: unknown): string => (typeof bytes === "number" ? String(bytes / GIB) : "")
const given = (name: string, text: string, scale = 1) =>
  text.trim() === "" ? {} : { [name]: Math.round(Number(text) * scale) }

function Quota(props: FormProps) {
  const { value } = props.found
  const [bytes, warnBytes] = [
    useSignal(inGib(memberOf(value, "hardBytes"))),
    useSignal(inGib(memberOf(value, "warnBytes"))),
  ]
  const [objects, warnObjects] = [useSignal(textIn(value, "hardObjects")), useSignal(textIn(value, "warnObjects"))]
  const isValid =
    [bytes, warnBytes].every(each => isNumber(each.value, false)) &&
    [objects, warnObjects].every(each => isNumber(each.value, true))
  const toValue = (): SettingValue | undefined => {
    const limits = {
      ...given("hardBytes", bytes.value, GIB),
      ...given("warnBytes", warnBytes.value, GIB),
      ...given("hardObjects", objects.value),
      ...given("warnObjects", warnObjects.value),
    }
    return Object.keys(limits).length === 0 ? undefined : limits
  }
  const hint = "What would exceed a limit is refused. Empty: no limit."
  return (
    <SettingForm {...props} {...{ title: "Quota", hint, toValue, isValid }}>
      <div class="fields">
        <NumberField label="GiB at most" value={bytes} />
        <NumberField label="Warn from GiB" value={warnBytes} />
        <NumberField label="Objects at most" value={objects} isWhole />
        <NumberField label="Warn from objects" value={warnObjects} isWhole />
      </div>
    </SettingForm>
  )
}

function Undelete(props: FormProps) {
  const days = useSignal(textIn(props.found.value, "days"))
  const isValid = isNumber(days.value, true) && Number(days.value) <= 365
  const toValue = () => (days.value.trim() === "" ? undefined : { days: Number(days.value) })
  const hint = "Keeps what is deleted and overwritten in a bucket without versioning. Empty: nothing is kept."
  return (
    <SettingForm {...props} {...{ title: "Undelete", hint, toValue, isValid }}>
      <TextField
        label="Days"
        type="number"
        min={1}
        max={365}
        step={1}
        value={days}
        error={isValid ? undefined : "From 1 to 365."}
      />
    </SettingForm>
  )
}

function Appends(props: FormProps) {
  const isAllowed = useSignal(props.found.value !== undefined)
  const hint =
    "Clients append to objects, and copies within the bucket share their bytes. Not with versioning, nor to encrypted objects."
  return (
    <SettingForm {...props} {...{ title: "Appends", hint }} toValue={() => (isAllowed.value ? {} : undefined)}>
      <CheckboxField label="Allow appends" value={isAllowed} />
    </SettingForm>
  )
}

export function Deduplication(props: FormProps) {
  const isOn = useSignal(props.found.value !== undefined)
  const hint =
    "Blocks that an object of the bucket has already are not stored again. Not with encryption, nor in remote buckets. What is there stays as it is: a rebuild gives it digests."
  return (
    <SettingForm {...props} {...{ title: "Deduplication", hint }} toValue={() => (isOn.value ? {} : undefined)}>
      <CheckboxField label="Deduplicate what is written" value={isOn} />
    </SettingForm>
  )
}

const DAY_SECONDS = 86_400
const PACKING_DAYS = 30

export function PackingForm(props: FormProps) {
  const { afterSeconds = PACKING_DAYS * DAY_SECONDS, ...others } = props.found.value ?? {}
  const isOn = useSignal(props.found.value !== undefined)
  const days = useSignal(String(Number(afterSeconds) / DAY_SECONDS))
  const isValid =
    !isOn.value || (days.value.trim() !== "" && isNumber(days.value, false) && Number(days.value) <= 3_650)
  const hint =
    "Objects of up to 64 KiB that were written so long ago are stored together in erasure-coded blocks. Clients see no change."
  const toValue = () =>
    isOn.value ? { ...others, afterSeconds: Math.round(Number(days.value) * DAY_SECONDS) } : undefined
  return (
    <SettingForm {...props} {...{ title: "Packing", hint, toValue, isValid }}>
      <CheckboxField label="Pack cold small objects" value={isOn} />
      <TextField label="Days until an object is cold" value={days} error={isValid ? undefined : "From 0 to 3650."} />
    </SettingForm>
  )
}

function History(props: FormProps) {
  const isKept = useSignal(props.found.value !== undefined)
  const hint =
    "The bucket can be read, compared and restored as it was at any moment from now on. It needs versioning, which cannot be suspended then."
  return (
    <SettingForm {...props} {...{ title: "History", hint }} toValue={() => (isKept.value ? {} : undefined)}>
      <CheckboxField label="Keep a history" value={isKept} />
    </SettingForm>
  )
}

const LOCK_MODES = [
  ["", "None: only what requests ask for is locked"],
  ["GOVERNANCE", "Governance: those with a permission for it may remove locks"],
  ["COMPLIANCE", "Compliance: nobody removes a lock before its end"],
] as const

function ObjectLock(props: FormProps) {
  const { found } = props
  const retention = memberOf(found.value, "Rule", "DefaultRetention")
  const mode = useSignal<string>(textIn(retention, "Mode"))
  const years = textIn(retention, "Years")
  const days = useSignal(years === "" ? textIn(retention, "Days") : String(Number(years) * 365))
  const isSure = useSignal(found.isSet)
  const isValid = isSure.value && (mode.value === "" || (isNumber(days.value, true) && Number(days.value) > 0))
  const toValue = (): SettingValue => ({
    ObjectLockEnabled: "Enabled",
    ...(mode.value !== "" && { Rule: { DefaultRetention: { Mode: mode.value, Days: Number(days.value) } } }),
  })
  const hint = found.isSet ? "It is on, and cannot be switched off." : "It is off. It needs versioning."
  return (
    <SettingForm {...props} {...{ title: "Object lock", hint, toValue, isValid }}>
      <div class="fields">
        <SelectField label="Default retention of new versions" value={mode} options={LOCK_MODES} />
        {mode.value !== "" && <NumberField label="Days of retention" value={days} isWhole />}
      </div>
      {!found.isSet && <CheckboxField label="I know that object lock cannot be switched off again" value={isSure} />}
    </SettingForm>
  )
}

const ALGORITHMS = [
  ["", "As new buckets have it"],
  ["AES256", "With keys of the store (SSE-S3)"],
  ["aws:kms", "With a named key (SSE-KMS)"],
] as const

function Encryption(props: FormProps) {
  const stated = memberOf(props.found.value, "Rules", "ApplyServerSideEncryptionByDefault")
  const algorithm = useSignal<string>(textIn(stated, "SSEAlgorithm"))
  const key = useSignal(textIn(stated, "KMSMasterKeyID"))
  const toValue = (): SettingValue | undefined => {
    if (algorithm.value === "") return undefined
    const named = algorithm.value === "aws:kms" && key.value.trim() !== "" ? { KMSMasterKeyID: key.value.trim() } : {}
    return { Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: algorithm.value, ...named } }] }
  }
  return (
    <SettingForm
      {...props}
      {...{ title: "Encryption", hint: "Of new objects that do not ask for another one.", toValue }}
    >
      <div class="fields">
        <SelectField label="New objects are encrypted" value={algorithm} options={ALGORITHMS} />
        {algorithm.value === "aws:kms" && (
          <TextField label="Key" value={key} isCode hint="alias/NAME, an id or an ARN" />
        )}
      </div>
    </SettingForm>
  )
}

const BLOCKS = [
  ["BlockPublicAcls", "Refuse access control lists that admit the public"],
  ["IgnorePublicAcls", "Ignore those that there are"],
  ["BlockPublicPolicy", "Refuse policies that admit the public"],
  ["RestrictPublicBuckets", "Admit only the owner's account while a policy is public"],
] as const

function PublicAccess(props: FormProps) {
  const blocks = BLOCKS.map(([name, label]) => ({
    name,
    label,
    value: useSignal(memberOf(props.found.value, name) === true),
  }))
  const toValue = () => Object.fromEntries(blocks.map(({ name, value }) => [name, value.value]))
  return (
    <SettingForm
      {...props}
      {...{ title: "Public access", hint: "What is refused, whatever policies and lists say.", toValue }}
    >
      {blocks.map(({ name, label, value }) => (
        <CheckboxField key={name} label={label} value={value} />
      ))}
    </SettingForm>
  )
}

const FORMS = [
  ["versioning", Versioning],
  ["quota", Quota],
  ["undelete", Undelete],
  ["append", Appends],
  ["history", History],
  ["object-lock", ObjectLock],
  ["encryption", Encryption],
  ["public-access-block", PublicAccess],
] as const

export function FormsTab(props: {
  readonly bucket: string
  readonly settings: BucketSettings
  readonly onSaved: () => Promise<void>
}) {
  const { bucket, settings, onSaved } = props
  return (
    <>
      {FORMS.map(([name, SettingOf]) => {
        const found = settingIn(settings, name)
        // A setting that was saved elsewhere begins the form again.
        return found && <SettingOf key={`${name} ${JSON.stringify(found)}`} {...{ bucket, found, onSaved }} />
      })}
    </>
  )
}
