/** All settings of a bucket as JSON, as `aws s3api` has them. */
import { useSignal } from "@preact/signals"
import type { BucketSetting, BucketSettings } from "../api/shapes.js"
import { ConfirmButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { FormDialog } from "../parts/dialog.js"
import { JsonEditor, jsonProblem } from "../parts/json-editor.js"
import { Section } from "../parts/page.js"
import { DataTable, type Column } from "../parts/table.js"
import { toast } from "../parts/toast.js"
import { parseValue, replaceSetting, saveSetting, valueProblem } from "./buckets-api.js"

const SHOWN_CHARACTERS = 100

interface JsonProps {
  readonly bucket: string
  readonly settings: BucketSettings
  readonly onSaved: () => Promise<void>
}

export function EditDialog(
  props: Omit<JsonProps, "settings"> & { readonly edited: BucketSetting; readonly onClose: () => void },
) {
  const { bucket, edited, onSaved, onClose } = props
  const { setting, value } = edited
  const text = useSignal(value === undefined ? "" : JSON.stringify(value, undefined, 2))
  const isValid = jsonProblem(text.value) === undefined && valueProblem(JSON.parse(text.value)) === undefined
  const save = async (): Promise<void> => {
    await replaceSetting(bucket, edited, parseValue(text.value))
    toast(`Saved: ${setting} of ${bucket}`)
    await onSaved()
  }
  return (
    <FormDialog title={`${setting} of ${bucket}`} action="Save" isValid={isValid} work={save} onClose={onClose} isWide>
      <JsonEditor
        label="Value"
        value={text}
        hint="The JSON of aws s3api; of quota and undelete their limits and days; of append and dedup {}"
        check={valueProblem}
      />
    </FormDialog>
  )
}

function shortText({ value, refused }: BucketSetting): string {
  if (refused !== undefined) return refused
  const text = value === undefined ? "not set" : JSON.stringify(value)
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text
}

export function JsonTab({ bucket, settings, onSaved }: JsonProps) {
  const edited = useSignal<BucketSetting | undefined>(undefined)
  const columns: readonly Column<BucketSetting>[] = [
    { key: "setting", title: "Setting", cell: ({ setting }) => setting, sortBy: ({ setting }) => setting },
    { key: "value", title: "Value", cell: setting => <code>{shortText(setting)}</code> },
    {
      key: "actions",
      title: "Actions",
      cell: setting => (
        <div class="actions">
          {setting.refused === undefined && (
            <Button label={`Edit ${setting.setting}`} onClick={() => (edited.value = setting)}>
              Edit
            </Button>
          )}
          {setting.isSet && setting.canRemove && (
            <ConfirmButton
              label={`Remove ${setting.setting}`}
              title={`Remove ${setting.setting}`}
              question={`Remove the setting ${setting.setting} of the bucket ${bucket}?`}
              work={async () => {
                await saveSetting(bucket, setting.setting, undefined)
                await onSaved()
              }}
              done={`Removed: ${setting.setting} of ${bucket}`}
            >
              Remove
            </ConfirmButton>
          )}
        </div>
      ),
    },
  ]
  return (
    <Section title="All settings" hint="What is not set has the behaviour of a new bucket.">
      <DataTable
        caption={`Settings of ${bucket}`}
        columns={columns}
        rows={settings.settings}
        rowKey={({ setting }) => setting}
      />
      {edited.value && (
        <EditDialog {...{ bucket, onSaved }} edited={edited.value} onClose={() => (edited.value = undefined)} />
      )}
    </Section>
  )
}
