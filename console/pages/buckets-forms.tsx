/** The settings of a bucket, one line each: a change is saved at once, and the line says why the server refuses one. */
import { useSignal } from "@preact/signals"
import type { BucketSetting, BucketSettings } from "../api/shapes.js"
import { ConfirmDialog } from "../parts/dialog.js"
import { TextField } from "../parts/fields.js"
import { Section } from "../parts/page.js"
import { CommitField, CommitSelect, SettingLine, Switch, useSaving } from "../parts/setting-line.js"
import { changeSetting, memberOf, saveSetting, settingIn, textIn, type SettingValue } from "./buckets-api.js"
import { PublicSection } from "./buckets-public.js"
import { CorsLine, listIn, TagsLine, WebsiteLine } from "./buckets-web.js"

const GIB = 2 ** 30

interface SettingProps {
  readonly bucket: string
  readonly found: BucketSetting
  readonly onSaved: () => Promise<void>
}

type Change = (now: SettingValue | undefined) => SettingValue | undefined

/**
 * Saves values of one setting, each at once; undefined removes it. `change` makes one of what the store has then. `part`: the
 * line is about one member of it.
 */
function useSetting({ bucket, found, onSaved }: SettingProps, part?: string) {
  const { state, save } = useSaving(`${bucket} ${part ?? found.setting}`)
  const set = (value: SettingValue | undefined): Promise<boolean> =>
    save(() => saveSetting(bucket, found.setting, value), onSaved)
  const change = (work: Change): Promise<boolean> => save(() => changeSetting(bucket, found.setting, work), onSaved)
  return { state, set, change, isBusy: state.value.kind === "busy" }
}

const hidden = (found: BucketSetting): string | undefined =>
  found.refused === undefined ? undefined : `You may not see this: ${found.refused}`

/** A setting that is there or not. */
function SwitchLine(props: SettingProps & { readonly title: string; readonly label: string; readonly hint: string }) {
  const { found, title, label, hint } = props
  const { state, set, isBusy } = useSetting(props)
  const refused = hidden(found)
  return (
    <SettingLine {...{ title, state }} hint={refused ?? hint}>
      {refused === undefined && (
        <Switch
          label={label}
          isOn={found.value !== undefined}
          isDisabled={isBusy}
          onChange={isOn => void set(isOn ? {} : undefined)}
        />
      )}
    </SettingLine>
  )
}

const VERSIONING_HINTS: Readonly<Record<string, string>> = {
  Enabled: "On: every change keeps the version before.",
  Suspended: "Suspended: the versions that there are stay, and changes keep none.",
}

function Versioning(props: SettingProps) {
  const { state, set, isBusy } = useSetting(props)
  const now = textIn(props.found.value, "Status")
  const refused = hidden(props.found)
  return (
    <SettingLine
      title="Versioning"
      hint={refused ?? VERSIONING_HINTS[now] ?? "Off: what is overwritten or deleted is gone."}
      state={state}
    >
      {refused === undefined && (
        <Switch
          label="Keep versions"
          isOn={now === "Enabled"}
          isDisabled={isBusy}
          onChange={isOn => void set({ Status: isOn ? "Enabled" : "Suspended" })}
        />
      )}
    </SettingLine>
  )
}

const notNumber = (text: string): string | undefined =>
  text.trim() === "" || Number(text) >= 0 ? undefined : "A number from 0."
const notWhole = (text: string): string | undefined =>
  text.trim() === "" || (Number.isSafeInteger(Number(text)) && Number(text) >= 0) ? undefined : "A whole number from 0."

const inGib = (bytes: unknown): string => (typeof bytes === "number" ? String(bytes / GIB) : "")

const LIMITS = [
  ["hardBytes", "GiB at most", true],
  ["warnBytes", "Warn from GiB", true],
  ["hardObjects", "Objects at most", false],
  ["warnObjects", "Warn from objects", false],
] as const

function Quota(props: SettingProps) {
  const { found } = props
  const { state, change } = useSetting(props)
  const commit = (name: string, isBytes: boolean) => (text: string) =>
    change(now => {
      const others = Object.entries(now ?? {}).filter(([key]) => key !== name)
      const limit = text === "" ? [] : [[name, Math.round(Number(text) * (isBytes ? GIB : 1))] as const]
      const limits = Object.fromEntries([...others, ...limit])
      return Object.keys(limits).length === 0 ? undefined : limits
    })
  const refused = hidden(found)
  const fields = (
    <div class="limits">
      {LIMITS.map(([name, label, isBytes]) => (
        <div key={name}>
          <span aria-hidden="true">{label}</span>
          <CommitField
            label={label}
            value={isBytes ? inGib(memberOf(found.value, name)) : textIn(found.value, name)}
            min={0}
            step={isBytes ? "any" : 1}
            placeholder="none"
            problemOf={isBytes ? notNumber : notWhole}
            onCommit={commit(name, isBytes)}
          />
        </div>
      ))}
    </div>
  )
  return (
    <SettingLine
      title="Quota"
      hint={refused ?? "What would exceed a limit is refused. Empty: no limit."}
      state={state}
      more={refused === undefined && fields}
    />
  )
}

const UNDELETE_DAYS = 7
const notDays = (text: string): string | undefined =>
  Number.isSafeInteger(Number(text)) && Number(text) >= 1 && Number(text) <= 365 ? undefined : "From 1 to 365."

function Undelete(props: SettingProps) {
  const { state, set, isBusy } = useSetting(props)
  const days = textIn(props.found.value, "days")
  const refused = hidden(props.found)
  return (
    <SettingLine
      title="Undelete"
      hint={refused ?? "Keeps what is deleted and overwritten in a bucket without versioning."}
      state={state}
    >
      {refused === undefined && (
        <>
          {days !== "" && (
            <CommitField
              label="Days that deleted objects are kept"
              value={days}
              unit="days"
              min={1}
              max={365}
              problemOf={notDays}
              onCommit={text => set({ days: Number(text) })}
            />
          )}
          <Switch
            label="Keep deleted objects"
            isOn={days !== ""}
            isDisabled={isBusy}
            onChange={isOn => void set(isOn ? { days: UNDELETE_DAYS } : undefined)}
          />
        </>
      )}
    </SettingLine>
  )
}

const Appends = (props: SettingProps) => (
  <SwitchLine
    {...props}
    title="Appends"
    label="Allow appends"
    hint="Clients append to objects, and copies within the bucket share their bytes. Not with versioning, nor to encrypted objects."
  />
)

const History = (props: SettingProps) => (
  <SwitchLine
    {...props}
    title="History"
    label="Keep a history"
    hint="The bucket can be read, compared and restored as it was at any moment from then on. It needs versioning, which cannot be suspended then."
  />
)

export const Deduplication = (props: SettingProps) => (
  <Section title="Deduplication">
    <div class="setting-lines">
      <SwitchLine
        {...props}
        title="Deduplicate what is written"
        label="Deduplicate what is written"
        hint="Blocks that an object of the bucket has already are not stored again. Not with encryption, nor in remote buckets. What is there stays as it is: a rebuild gives it digests."
      />
    </div>
  </Section>
)

const DAY_SECONDS = 86_400
const PACKING_DAYS = 30
const notPackingDays = (text: string): string | undefined =>
  text.trim() !== "" && Number(text) >= 0 && Number(text) <= 3_650 ? undefined : "From 0 to 3650."

export function PackingForm(props: SettingProps) {
  const { state, set, change, isBusy } = useSetting(props)
  const { value } = props.found
  const { afterSeconds = PACKING_DAYS * DAY_SECONDS } = value ?? {}
  const setDays = (days: number) => change(now => ({ ...now, afterSeconds: Math.round(days * DAY_SECONDS) }))
  return (
    <Section title="Packing">
      <div class="setting-lines">
        <SettingLine
          title="Pack cold small objects"
          hint="Objects of up to 64 KiB that were written so long ago are stored together in erasure-coded blocks. Clients see no change."
          state={state}
        >
          {value !== undefined && (
            <CommitField
              label="Days until an object is cold"
              value={String(Number(afterSeconds) / DAY_SECONDS)}
              unit="days"
              min={0}
              max={3_650}
              step="any"
              problemOf={notPackingDays}
              onCommit={text => setDays(Number(text))}
            />
          )}
          <Switch
            label="Pack cold small objects"
            isOn={value !== undefined}
            isDisabled={isBusy}
            onChange={isOn => void (isOn ? setDays(PACKING_DAYS) : set(undefined))}
          />
        </SettingLine>
      </div>
    </Section>
  )
}

const LOCK_MODES = [
  ["", "No default retention"],
  ["GOVERNANCE", "Governance: those with a permission may remove locks"],
  ["COMPLIANCE", "Compliance: nobody removes a lock before its end"],
] as const

const LOCK_DAYS = 30
const notLockDays = (text: string): string | undefined =>
  Number.isSafeInteger(Number(text)) && Number(text) >= 1 ? undefined : "A whole number from 1."

function ObjectLock(props: SettingProps) {
  const { bucket, found } = props
  const { state, set, isBusy } = useSetting(props)
  const isAsking = useSignal(false)
  const retention = memberOf(found.value, "Rule", "DefaultRetention")
  const mode = textIn(retention, "Mode")
  const years = textIn(retention, "Years")
  const days = years === "" ? textIn(retention, "Days") : String(Number(years) * 365)
  const lock = (newMode: string, newDays: number) =>
    set({
      ObjectLockEnabled: "Enabled",
      ...(newMode !== "" && { Rule: { DefaultRetention: { Mode: newMode, Days: newDays } } }),
    })
  const turnOn = async (): Promise<void> => {
    isAsking.value = false
    await lock("", LOCK_DAYS)
  }
  const retained = (
    <div class="limits">
      <div>
        <span aria-hidden="true">New versions are locked</span>
        <CommitSelect
          label="Default retention of new versions"
          value={LOCK_MODES.find(([name]) => name === mode)?.[0] ?? ""}
          options={LOCK_MODES}
          isDisabled={isBusy}
          onChange={chosen => void lock(chosen, days === "" ? LOCK_DAYS : Number(days))}
        />
      </div>
      {mode !== "" && (
        <div>
          <span aria-hidden="true">For</span>
          <CommitField
            label="Days of retention"
            value={days}
            unit="days"
            min={1}
            problemOf={notLockDays}
            onCommit={text => lock(mode, Number(text))}
          />
        </div>
      )}
    </div>
  )
  const refused = hidden(found)
  return (
    <>
      <SettingLine
        title="Object lock"
        hint={
          refused ??
          (found.isSet
            ? "On: versions can be locked for a time. It cannot be switched off."
            : "Off. Versions can be locked for a time. It needs versioning, and cannot be switched off again.")
        }
        state={state}
        more={refused === undefined && found.isSet && retained}
      >
        {refused === undefined && (
          <Switch
            label="Object lock"
            isOn={found.isSet}
            isDisabled={isBusy || found.isSet}
            onChange={() => (isAsking.value = true)}
          />
        )}
      </SettingLine>
      {isAsking.value && (
        <ConfirmDialog
          title={`Switch on object lock of ${bucket}`}
          action="Switch on permanently"
          kind="primary"
          onConfirm={() => void turnOn()}
          onClose={() => (isAsking.value = false)}
        >
          <p>Object lock cannot be switched off again, and versioning cannot be suspended then.</p>
        </ConfirmDialog>
      )}
    </>
  )
}

const ALGORITHMS = [
  ["", "As new buckets have it"],
  ["AES256", "Keys of the store (SSE-S3)"],
  ["aws:kms", "A named key (SSE-KMS)"],
] as const

function Encryption(props: SettingProps) {
  const { found } = props
  const { state, change, isBusy } = useSetting(props)
  const stated = memberOf(found.value, "Rules", "ApplyServerSideEncryptionByDefault")
  const algorithm = ALGORITHMS.find(([name]) => name === textIn(stated, "SSEAlgorithm"))?.[0] ?? ""
  const stored = textIn(stated, "KMSMasterKeyID")
  const key = useSignal(stored)
  const encrypt = (name: string, keyId: string) =>
    change(now => {
      if (name === "") return undefined
      const ApplyServerSideEncryptionByDefault = {
        SSEAlgorithm: name,
        ...(name === "aws:kms" && keyId !== "" && { KMSMasterKeyID: keyId }),
      }
      // A rule may have more than this form shows.
      const rule = Object.fromEntries(Object.entries(listIn(now, "Rules")[0] ?? {}))
      return { Rules: [{ ...rule, ApplyServerSideEncryptionByDefault }] }
    })
  const commit = async (): Promise<void> => {
    const text = key.value.trim()
    if (text !== stored && !(await encrypt(algorithm, text))) key.value = stored
  }
  const refused = hidden(found)
  const keyField = (
    <div onChange={() => void commit()}>
      <TextField label="Key" value={key} isCode hint="alias/NAME, an id or an ARN; empty: the default key" />
    </div>
  )
  return (
    <SettingLine
      title="Encryption"
      hint={refused ?? "For new objects whose request names no other."}
      state={state}
      more={refused === undefined && algorithm === "aws:kms" && keyField}
    >
      {refused === undefined && (
        <CommitSelect
          label="New objects are encrypted with"
          value={algorithm}
          options={ALGORITHMS}
          isDisabled={isBusy}
          onChange={name => void encrypt(name, key.value.trim())}
        />
      )}
    </SettingLine>
  )
}

const BLOCKS = [
  [
    "BlockPublicPolicy",
    "Refuse policies that admit the public",
    "A policy that would admit everybody is not accepted.",
  ],
  ["RestrictPublicBuckets", "Public policies have no effect", "Only the owner's account is admitted while one is set."],
  [
    "BlockPublicAcls",
    "Refuse access control lists that admit the public",
    "A list that would admit everybody is not accepted: the older way to grant access.",
  ],
  ["IgnorePublicAcls", "Access control lists that admit the public have no effect", "Those that there are stay."],
] as const

function PublicAccess(props: SettingProps) {
  const { found } = props
  const blockOf = (name: string): boolean => memberOf(found.value, name) === true
  const isAllOn = BLOCKS.every(([name]) => blockOf(name))
  const refused = hidden(found)
  return (
    <Section
      title="Block public access"
      hint={
        refused ??
        (isAllOn
          ? "Nobody without a key can read this bucket, whatever policies and lists say."
          : "Policies or lists may admit people without a key, as far as the switches below say.")
      }
    >
      {refused === undefined && (
        <details class="fold">
          <summary>Each block</summary>
          <div class="setting-lines">
            {BLOCKS.map(([name, title, hint]) => (
              <BlockLine key={name} {...{ ...props, name, title, hint }} isOn={blockOf(name)} />
            ))}
          </div>
        </details>
      )}
    </Section>
  )
}

function BlockLine(
  props: SettingProps & {
    readonly name: string
    readonly title: string
    readonly hint: string
    readonly isOn: boolean
  },
) {
  const { name, title, hint, isOn } = props
  const { state, change, isBusy } = useSetting(props, name)
  const blocksOf = (now: unknown) => Object.fromEntries(BLOCKS.map(([each]) => [each, memberOf(now, each) === true]))
  return (
    <SettingLine {...{ title, hint, state }}>
      <Switch
        label={title}
        isOn={isOn}
        isDisabled={isBusy}
        onChange={next => void change(now => ({ ...blocksOf(now), [name]: next }))}
      />
    </SettingLine>
  )
}

const GROUPS = [
  [
    "What is kept",
    [
      ["versioning", Versioning],
      ["undelete", Undelete],
      ["history", History],
      ["object-lock", ObjectLock],
    ],
  ],
  [
    "How it is stored",
    [
      ["quota", Quota],
      ["encryption", Encryption],
      ["append", Appends],
    ],
  ],
  [
    "Web pages and labels",
    [
      ["cors", CorsLine],
      ["website", WebsiteLine],
      ["tagging", TagsLine],
    ],
  ],
] as const

export function FormsTab(props: {
  readonly bucket: string
  readonly settings: BucketSettings
  readonly onSaved: () => Promise<void>
}) {
  const { bucket, settings, onSaved } = props
  const block = settingIn(settings, "public-access-block")
  return (
    <>
      {GROUPS.map(([title, lines]) => (
        <Section key={title} title={title}>
          <div class="setting-lines">
            {lines.map(([name, Line]) => {
              const found = settingIn(settings, name)
              return found && <Line key={name} {...{ bucket, found, onSaved }} />
            })}
          </div>
        </Section>
      ))}
      <PublicSection {...{ bucket, settings, onSaved }} />
      {block && <PublicAccess {...{ bucket, onSaved }} found={block} />}
    </>
  )
}
