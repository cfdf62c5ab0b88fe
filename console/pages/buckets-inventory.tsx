/** The inventory of a bucket: starts the job that writes a table of its objects, or versions, as an object. */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import type { Bucket, StartedJob } from "../api/shapes.js"
import { ActionButton } from "../parts/action-button.js"
import { CheckboxField, Form, TextField } from "../parts/fields.js"
import { momentOf } from "../parts/moment.js"
import { Section } from "../parts/page.js"
import { EmptyState } from "../parts/states.js"
import { mayUse } from "../shell/session.js"
import { bucketPath } from "./buckets-api.js"
import { BulkJob } from "./objects-bulk.js"

export function InventoryTab({ bucket: { name } }: { readonly bucket: Bucket }) {
  const [toBucket, toKey, time] = [useSignal(""), useSignal(`${name}.table`), useSignal("")]
  const versions = useSignal(false)
  const job = useSignal<string | undefined>(undefined)
  const start = async (): Promise<void> => {
    const at = momentOf(time.value)
    const request = { toBucket: toBucket.value, toKey: toKey.value, versions: versions.value, ...(at && { at }) }
    job.value = (await api.post<StartedJob>(bucketPath(name, "inventory"), request)).id
  }
  if (!mayUse("startInventory")) return <EmptyState title="You may not start an inventory" />
  return (
    <>
      <Section
        title="Inventory"
        hint="A file of all objects, with size, ETag, time and storage class, for hayloft table get and scan."
      >
        <Form label="Inventory" onSubmit={() => undefined}>
          <TextField label="Into the bucket" value={toBucket} isCode isRequired />
          <TextField
            label="Key"
            value={toKey}
            isCode
            isRequired
            hint="The object appears when the inventory is whole"
          />
          <CheckboxField label="All versions and delete markers" value={versions} />
          <TextField
            label="Time"
            type="datetime-local"
            step={1}
            value={time}
            hint="Only in a bucket with a history. Empty: now"
          />
          <div class="actions">
            <ActionButton
              isDisabled={toBucket.value === "" || toKey.value === ""}
              work={start}
              done={`Started: inventory of ${name}`}
            >
              Start the inventory
            </ActionButton>
          </div>
        </Form>
      </Section>
      <BulkJob job={job} />
    </>
  )
}
