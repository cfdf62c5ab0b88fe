/** Lifecycle rules of a bucket: a table of them with a form for each, and a preview of what they would do before they are saved. */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import type { BucketSetting, LifecyclePreview } from "../api/shapes.js"
import { useAction, type Action } from "../parts/action.js"
import { Button } from "../parts/button.js"
import { countText, sizeText, timeText } from "../parts/format.js"
import { Section } from "../parts/page.js"
import { Switch } from "../parts/setting-line.js"
import { EmptyState, Notice } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { toast } from "../parts/toast.js"
import { bucketPath, replaceSetting, textIn, type SettingValue } from "./buckets-api.js"
import { RuleDialog } from "./buckets-lifecycle-rule.js"
import { actionsText, filterText } from "./buckets-lifecycle-text.js"
import { JsonFold, listIn } from "./buckets-web.js"

type Foreseen = LifecyclePreview["rules"][number]

const PREVIEW_MS = 120_000

const COLUMNS: readonly Column<Foreseen>[] = [
  { key: "rule", title: "Rule", cell: ({ ruleId, isEnabled }) => `${ruleId}${isEnabled ? "" : " (disabled)"}` },
  { key: "versions", title: "Versions removed", align: "end", cell: ({ versions }) => countText(versions) },
  { key: "hidden", title: "Objects hidden", align: "end", cell: ({ hidden }) => countText(hidden) },
  { key: "markers", title: "Delete markers", align: "end", cell: ({ markers }) => countText(markers) },
  { key: "bytes", title: "Bytes", align: "end", cell: ({ bytes }) => sizeText(bytes) },
  {
    key: "moved",
    title: "Moved",
    align: "end",
    cell: ({ moved, movedBytes }) => `${countText(moved)}, ${sizeText(movedBytes)}`,
  },
  { key: "uploads", title: "Uploads", align: "end", cell: ({ uploads }) => countText(uploads) },
]

const WORDS = { hide: "is hidden", removeVersion: "is removed", removeMarker: "is removed", move: "moves" } as const

function Preview({ preview }: { readonly preview: LifecyclePreview }) {
  const { rules, atMs, isComplete, examined, locked, abandonedUploads } = preview
  const examples = rules.flatMap(({ ruleId, examples: shown }) => shown.map(example => ({ ruleId, ...example })))
  return (
    <>
      <p>
        The first pass, after {timeText(atMs)}, would do this to the {countText(examined)} versions that were looked at:
      </p>
      {!isComplete && <Notice kind="warning">The bucket has more versions: they are not counted here.</Notice>}
      <DataTable caption="What the rules would do" columns={COLUMNS} rows={rules} rowKey={({ ruleId }) => ruleId} />
      {locked > 0 && <p>Object lock keeps {countText(locked)} versions that would be due.</p>}
      {abandonedUploads > 0 && <p>{countText(abandonedUploads)} unfinished uploads go without a rule.</p>}
      {examples.length > 0 && (
        <ul aria-label="Examples">
          {examples.map(({ ruleId, key, versionId, action, storageClass }) => (
            <li key={`${ruleId} ${key} ${versionId}`}>
              <code>{key}</code> {WORDS[action]}
              {storageClass === undefined ? "" : ` to ${storageClass}`} by rule {ruleId}
            </li>
          ))}
        </ul>
      )}
    </>
  )
}

interface LifecycleProps {
  readonly bucket: string
  readonly found: BucketSetting
  readonly onSaved: () => Promise<void>
}

/** The rules as they are edited, and what is done with them. */
interface Draft {
  readonly rules: readonly unknown[]
  readonly isChanged: boolean
  readonly set: (rules: readonly unknown[]) => void
}

const nameOf = (rule: unknown, index: number): string => textIn(rule, "ID") || `rule ${index + 1}`

interface Row {
  readonly rule: unknown
  readonly index: number
}

const rowColumns = (draft: Draft, onEdit: (index: number) => void): readonly Column<Row>[] => [
  { key: "name", title: "Rule", cell: ({ rule, index }) => <span class="words">{nameOf(rule, index)}</span> },
  { key: "of", title: "Applies to", cell: ({ rule }) => filterText(rule) },
  { key: "does", title: "Action", cell: ({ rule }) => actionsText(rule) },
  {
    key: "state",
    narrow: "end",
    title: "On",
    cell: ({ rule, index }) => {
      const isOn = textIn(rule, "Status") === "Enabled"
      const toggled = { ...Object.fromEntries(Object.entries(rule ?? {})), Status: isOn ? "Disabled" : "Enabled" }
      return (
        <Switch
          label={`Rule ${nameOf(rule, index)} is on`}
          isOn={isOn}
          onChange={() => draft.set(draft.rules.with(index, toggled))}
        />
      )
    },
  },
  {
    key: "actions",
    title: "Actions",
    cell: ({ rule, index }) => (
      <div class="actions">
        <Button kind="quiet" label={`Edit ${nameOf(rule, index)}`} onClick={() => onEdit(index)}>
          Edit
        </Button>
        <Button
          kind="quiet"
          label={`Remove ${nameOf(rule, index)}`}
          onClick={() => draft.set(draft.rules.toSpliced(index, 1))}
        >
          Remove
        </Button>
      </div>
    ),
  },
]

function RuleTable({ draft }: { readonly draft: Draft }) {
  /** The index of a rule; that after the last is a new one. */
  const edited = useSignal<number | undefined>(undefined)
  const { rules, set } = draft
  const at = edited.value
  return (
    <>
      <DataTable
        caption="Lifecycle rules"
        columns={rowColumns(draft, index => (edited.value = index))}
        rows={rules.map((rule, index) => ({ rule, index }))}
        rowKey={({ index }) => String(index)}
        empty={
          <EmptyState title="No rules: nothing is removed or moved by itself" icon="jobs">
            <Button onClick={() => (edited.value = rules.length)}>Add a rule</Button>
          </EmptyState>
        }
      />
      {rules.length > 0 && (
        <div class="actions">
          <Button onClick={() => (edited.value = rules.length)}>Add a rule</Button>
        </div>
      )}
      {at !== undefined && (
        <RuleDialog
          rule={rules[at]}
          name={nameOf(rules[at], at)}
          onDone={rule => set(at < rules.length ? rules.with(at, rule) : [...rules, rule])}
          onClose={() => (edited.value = undefined)}
        />
      )}
    </>
  )
}

/** Changed rules are tried and saved together: the bar says that they are not saved yet. */
function SaveBar(props: {
  readonly draft: Draft
  readonly look: Action
  readonly save: Action
  readonly onDiscard: () => void
}) {
  const { draft, look, save, onDiscard } = props
  return (
    <div class="save-bar" role="group" aria-label="Changes of the rules">
      <p role="status">{draft.isChanged ? "These changes are not saved yet." : "These rules are active."}</p>
      <div class="actions">
        <Button
          icon="simulate"
          isBusy={look.isBusy}
          isDisabled={draft.rules.length === 0}
          onClick={() => void look.run()}
        >
          Preview
        </Button>
        {draft.isChanged && <Button onClick={onDiscard}>Discard</Button>}
        {draft.isChanged && (
          <Button kind="primary" isBusy={save.isBusy} onClick={() => void save.run()}>
            Save rules
          </Button>
        )}
      </div>
      <div role="alert">{save.problem.value !== undefined && <Notice kind="danger">{save.problem.value}</Notice>}</div>
    </div>
  )
}

export function LifecycleTab(props: LifecycleProps) {
  const { bucket, found, onSaved } = props
  const changed = useSignal<readonly unknown[] | undefined>(undefined)
  const preview = useSignal<LifecyclePreview | undefined>(undefined)
  const rules = changed.value ?? listIn(found.value, "Rules")
  const value = (): SettingValue => ({ ...found.value, Rules: rules })
  const look = useAction(async () => {
    preview.value = undefined
    const path = bucketPath(bucket, "lifecycle", "preview")
    const tried = changed.value
    const answer = await api.post<LifecyclePreview>(path, { value: value() }, { timeoutMs: PREVIEW_MS })
    // The rules can be edited meanwhile: then the answer is about others.
    if (changed.value === tried) preview.value = answer
  })
  const save = useAction(async () => {
    await replaceSetting(bucket, found, rules.length === 0 ? undefined : value())
    toast(`Saved: lifecycle of ${bucket}`)
    await onSaved()
    changed.value = undefined
  })
  const set = (next: readonly unknown[]): void => {
    changed.value = next
    preview.value = undefined
  }
  const draft = { rules, isChanged: changed.value !== undefined, set }
  return (
    <>
      <Section
        title="Lifecycle rules"
        hint="The first rules of a bucket take effect immediately, changed ones from the next midnight UTC on: preview them first."
      >
        {/* The saved rules take the place of what is shown: a change before that would be lost. */}
        <div inert={save.isBusy}>
          <RuleTable draft={draft} />
        </div>
        {(draft.isChanged || rules.length > 0) && (
          <SaveBar {...{ draft, look, save }} onDiscard={() => (changed.value = undefined)} />
        )}
        <JsonFold {...props} />
      </Section>
      {(look.problem.value !== undefined || preview.value !== undefined) && (
        <Section title="Preview">
          <div role="status">
            {look.problem.value !== undefined && <Notice kind="danger">{look.problem.value}</Notice>}
            {preview.value && <Preview preview={preview.value} />}
          </div>
        </Section>
      )}
    </>
  )
}
