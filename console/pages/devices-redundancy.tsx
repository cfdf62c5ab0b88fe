/** Redundancy of the store, of buckets and of storage classes: what it is, what it means, and changing it. */
import { useSignal } from "@preact/signals"
import { useLive } from "../api/live.js"
import type { Redundancy } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { Form, SelectField, TextField } from "../parts/fields.js"
import { Facts, Section } from "../parts/page.js"
import type { PlannedChange } from "../parts/plan-dialog.js"
import { WorkProgress } from "../parts/progress.js"
import { EmptyState, Loaded } from "../parts/states.js"
import { DataTable } from "../parts/table.js"

const EVERY_MS = 15_000

type Scope = "store" | "bucket" | "class"
type StorageClass = Redundancy["classes"][number]["storageClass"]

const CLASSES: readonly (readonly [StorageClass, string])[] = (
  [
    "STANDARD_IA",
    "ONEZONE_IA",
    "REDUCED_REDUNDANCY",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
  ] as const
).map(name => [name, name])

const SCOPES: readonly (readonly [Scope, string])[] = [
  ["store", "The store"],
  ["bucket", "A bucket"],
  ["class", "A storage class"],
]

const POLICY = /^(automatic|replica:[1-9]\d?|ec:[1-9]\d?\+\d{1,2})$/

function ChangeForm({ onChange }: { readonly onChange: (change: PlannedChange) => void }) {
  const scope = useSignal<Scope>("store")
  const bucket = useSignal("")
  const storageClass = useSignal<StorageClass>("STANDARD_IA")
  const policy = useSignal("")
  const isPolicy = POLICY.test(policy.value.trim())
  const plan = () => {
    const body = { policy: policy.value.trim() }
    const title = "Change redundancy"
    if (scope.value === "class")
      onChange({ title, path: "/v1/redundancy/class", body: { ...body, storageClass: storageClass.value } })
    else
      onChange({
        title,
        path: "/v1/redundancy",
        body: scope.value === "bucket" ? { ...body, bucket: bucket.value.trim() } : body,
      })
  }
  return (
    <Form label="Change redundancy" onSubmit={plan}>
      <div class="fields">
        <SelectField label="Of" value={scope} options={SCOPES} />
        {scope.value === "bucket" && <TextField label="Bucket" value={bucket} isCode isRequired />}
        {scope.value === "class" && <SelectField label="Storage class" value={storageClass} options={CLASSES} />}
        <TextField
          label="Redundancy"
          value={policy}
          isCode
          placeholder="ec:4+2"
          hint="ec:4+2 for erasure coding, replica:2 for copies, automatic to follow the devices, or the store."
          error={policy.value === "" || isPolicy ? undefined : "Such as ec:4+2, replica:2 or automatic."}
        />
      </div>
      <div>
        <Button
          type="submit"
          kind="primary"
          isDisabled={!isPolicy || (scope.value === "bucket" && bucket.value.trim() === "")}
        >
          Show the plan
        </Button>
      </div>
    </Form>
  )
}

export function RedundancyTab({ onChange }: { readonly onChange: (change: PlannedChange) => void }) {
  const redundancy = useLive<Redundancy>("/v1/redundancy", EVERY_MS)
  return (
    <Loaded live={redundancy}>
      {({ policy, isAutomatic, meaning, buckets, classes, reencoding }) => (
        <>
          <Section title="Redundancy of the store">
            <Facts
              facts={[
                ["Redundancy", `${policy}${isAutomatic ? ", automatic" : ""}`],
                ["Meaning", meaning],
              ]}
            />
            {reencoding !== undefined && <WorkProgress label="Blocks re-encoded" progress={reencoding} />}
          </Section>
          <Section title="Change" hint="Stored objects are re-encoded in the background; clients work meanwhile.">
            <ChangeForm onChange={onChange} />
          </Section>
          <Section title="Buckets and storage classes with their own">
            <DataTable
              caption="Buckets and storage classes with their own redundancy"
              columns={[
                { key: "name", title: "Of", cell: ({ name }) => name, sortBy: ({ name }) => name },
                {
                  key: "policy",
                  title: "Redundancy",
                  cell: row => <code>{row.policy}</code>,
                  sortBy: row => row.policy,
                },
              ]}
              rows={[
                ...buckets.map(({ bucket, policy: own }) => ({ name: `Bucket ${bucket}`, policy: own })),
                ...classes.map(({ storageClass, policy: own }) => ({ name: `Class ${storageClass}`, policy: own })),
              ]}
              rowKey={({ name }) => name}
              empty={<EmptyState title="None: all have the redundancy of the store" />}
            />
          </Section>
        </>
      )}
    </Loaded>
  )
}
