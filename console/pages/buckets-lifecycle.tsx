/** Lifecycle rules of a bucket: a form that adds one, all of them as JSON, and what they would do before they are set. */
import { useSignal, type Signal } from "@preact/signals"
import { api } from "../api/client.js"
import type { BucketSetting, LifecyclePreview } from "../api/shapes.js"
import { useAction, type Action } from "../parts/action.js"
import { ConfirmButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { Form, TextField } from "../parts/fields.js"
import { countText, sizeText, timeText } from "../parts/format.js"
import { JsonEditor, jsonProblem } from "../parts/json-editor.js"
import { Section } from "../parts/page.js"
import { EmptyState, Notice } from "../parts/states.js"
import { DataTable, type Column } from "../parts/table.js"
import { toast } from "../parts/toast.js"
import { bucketPath, parseValue, saveSetting, type SettingValue } from "./buckets-api.js"

type Rule = LifecyclePreview["rules"][number]

const PREVIEW_MS = 120_000

const COLUMNS: readonly Column<Rule>[] = [
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

const isDays = (text: string): boolean => text.trim() === "" || (Number.isSafeInteger(Number(text)) && Number(text) > 0)

/** The rules in a text, if it is JSON that has some. */
function rulesIn(text: string): { readonly value: SettingValue; readonly rules: readonly unknown[] } {
  const value = jsonProblem(text) === undefined ? parseValue(text) : {}
  const { Rules: rules } = value
  return { value, rules: Array.isArray(rules) ? rules : [] }
}

/** Adds a rule to the text of the editor. */
function AddRule({ text }: { readonly text: Signal<string> }) {
  const [prefix, days, oldDays, uploadDays] = [useSignal(""), useSignal(""), useSignal(""), useSignal("")]
  const all = [days, oldDays, uploadDays]
  const isValid = all.every(({ value }) => isDays(value)) && all.some(({ value }) => value.trim() !== "")
  const add = (): void => {
    const { value, rules } = rulesIn(text.value)
    const rule = {
      ID: `rule ${rules.length + 1}`,
      Status: "Enabled",
      Filter: { Prefix: prefix.value },
      ...(days.value !== "" && { Expiration: { Days: Number(days.value) } }),
      ...(oldDays.value !== "" && { NoncurrentVersionExpiration: { NoncurrentDays: Number(oldDays.value) } }),
      ...(uploadDays.value !== "" && {
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: Number(uploadDays.value) },
      }),
    }
    text.value = JSON.stringify({ ...value, Rules: [...rules, rule] }, undefined, 2)
  }
  const field = (label: string, value: Signal<string>) => (
    <TextField
      {...{ label, value }}
      type="number"
      min={1}
      step={1}
      error={isDays(value.value) ? undefined : "A whole number from 1."}
    />
  )
  return (
    <Form label="Add a rule" onSubmit={() => isValid && add()}>
      <div class="fields">
        <TextField label="Keys that begin with" value={prefix} isCode hint="Empty: all objects" />
        {field("Remove objects after days", days)}
        {field("Remove older versions after days", oldDays)}
        {field("Remove unfinished uploads after days", uploadDays)}
      </div>
      <div class="actions">
        <Button type="submit" isDisabled={!isValid}>
          Add the rule
        </Button>
      </div>
    </Form>
  )
}

interface LifecycleProps {
  readonly bucket: string
  readonly found: BucketSetting
  readonly onSaved: () => Promise<void>
}

function Rules(props: LifecycleProps & { readonly text: Signal<string>; readonly look: Action }) {
  const { bucket, found, onSaved, text, look } = props
  const isReady = jsonProblem(text.value) === undefined
  const save = useAction(async () => {
    await saveSetting(bucket, "lifecycle", parseValue(text.value))
    toast(`Saved: lifecycle of ${bucket}`)
    await onSaved()
  })
  const remove = async (): Promise<void> => {
    await saveSetting(bucket, "lifecycle", undefined)
    await onSaved()
  }
  return (
    <Form label="Rules" onSubmit={() => isReady && void save.run()} problem={save.problem} isBusy={save.isBusy}>
      <JsonEditor
        label="Rules as JSON"
        value={text}
        rows={14}
        hint="As aws s3api put-bucket-lifecycle-configuration takes them"
      />
      <div class="actions">
        <Button icon="simulate" isDisabled={!isReady} isBusy={look.isBusy} onClick={() => void look.run()}>
          Preview
        </Button>
        <Button type="submit" kind="primary" isDisabled={!isReady} isBusy={save.isBusy}>
          Save rules
        </Button>
        {found.isSet && (
          <ConfirmButton
            title="Remove all rules"
            question={`Nothing of ${bucket} is removed or moved by rules any more.`}
            work={remove}
            done={`Removed: lifecycle of ${bucket}`}
          >
            Remove all rules
          </ConfirmButton>
        )}
      </div>
    </Form>
  )
}

export function LifecycleTab(props: LifecycleProps) {
  const { bucket, found } = props
  const text = useSignal(found.value === undefined ? "" : JSON.stringify(found.value, undefined, 2))
  const preview = useSignal<LifecyclePreview | undefined>(undefined)
  const look = useAction(async () => {
    preview.value = undefined
    const path = bucketPath(bucket, "lifecycle", "preview")
    preview.value = await api.post<LifecyclePreview>(path, { value: parseValue(text.value) }, { timeoutMs: PREVIEW_MS })
  })
  return (
    <>
      <Section title="Add a rule" hint="It is added to the rules below, and is not set before they are saved.">
        <AddRule text={text} />
      </Section>
      <Section
        title="Rules"
        hint="The first rules of a bucket are at work at once, later ones from the next midnight UTC on: preview them first."
      >
        <Rules {...props} text={text} look={look} />
      </Section>
      <Section title="Preview">
        <div role="status">
          {look.problem.value !== undefined && <Notice kind="danger">{look.problem.value}</Notice>}
          {preview.value === undefined ? (
            <EmptyState title="Preview shows what the rules above would remove and move" icon="simulate" />
          ) : (
            <Preview preview={preview.value} />
          )}
        </div>
      </Section>
    </>
  )
}
