/**
 * The history of a bucket: since when it is complete, what differs between a moment and now, and a restore of the bucket to a
 * moment, which counts first and then asks.
 */
import { useSignal, type Signal } from "@preact/signals"
import { api } from "../api/client.js"
import { useLive } from "../api/live.js"
import type { Bucket, BucketHistory, Differences, StartedJob } from "../api/shapes.js"
import { ActionButton, ConfirmButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { Form, TextField } from "../parts/fields.js"
import { sizeText, timeText } from "../parts/format.js"
import { momentOf } from "../parts/moment.js"
import { Section } from "../parts/page.js"
import { PagedTable } from "../parts/paged-table.js"
import { EmptyState, Loaded } from "../parts/states.js"
import type { Column } from "../parts/table.js"
import { mayUse } from "../shell/session.js"
import { bucketPath } from "./buckets-api.js"
import { BulkJob } from "./objects-bulk.js"

type Difference = Differences["differences"][number]

const sizeOf = (then: Difference["before"]): string => (then === undefined ? "–" : sizeText(then.sizeBytes))

const COLUMNS: readonly Column<Difference>[] = [
  { key: "change", narrow: "end", title: "Change", cell: ({ change }) => change },
  { key: "key", narrow: "name", title: "Object", cell: ({ key }) => <code>{key}</code> },
  { key: "then", title: "Size then", align: "end", cell: ({ before }) => sizeOf(before) },
  { key: "now", title: "Size now", align: "end", cell: ({ after }) => sizeOf(after) },
]

function DifferencesSince(props: { readonly bucket: string; readonly from: string; readonly prefix: string }) {
  const { bucket, from, prefix } = props
  const path = bucketPath(bucket, "differences")
  const asked = { from, ...(prefix !== "" && { prefix }) }
  const live = useLive<Differences>(`${path}?${new URLSearchParams(asked).toString()}`)
  return (
    <Section title={`Changes since ${timeText(Date.parse(from))}`}>
      <Loaded live={live}>
        {first => (
          <PagedTable
            caption="Objects that differ"
            path={path}
            query={{ ...asked, to: first.to }}
            first={first}
            rowsOf={({ differences }) => differences}
            rowKey={({ key }) => key}
            columns={COLUMNS}
            empty={<EmptyState title="Nothing has changed" icon="objects" />}
          />
        )}
      </Loaded>
    </Section>
  )
}

/** The moment, undefined if the typed text is no time, and the prefix. */
interface Asked {
  readonly moment: string | undefined
  readonly prefix: string
}

function Restore(props: { readonly bucket: string; readonly asked: Asked; readonly job: Signal<string | undefined> }) {
  const { bucket, asked, job } = props
  const { moment, prefix } = asked
  const start = async (dryRun: boolean): Promise<void> => {
    const restore = { kind: "restore-objects", prefix, to: moment }
    job.value = (await api.post<StartedJob>(bucketPath(bucket, "jobs"), { dryRun, job: restore })).id
  }
  return (
    <>
      <ActionButton isDisabled={moment === undefined} work={() => start(true)} done="The preview is being counted">
        Preview a restore
      </ActionButton>
      <ConfirmButton
        kind="danger"
        isDisabled={moment === undefined}
        title="Restore the bucket"
        question={`All objects of ${bucket}${prefix === "" ? "" : ` whose keys begin with ${prefix}`} become what they were; newer ones get delete markers. Nothing is removed permanently.`}
        work={() => start(false)}
        done="The restore has begun"
      >
        Restore
      </ConfirmButton>
    </>
  )
}

function MomentForm({ bucket, history }: { readonly bucket: string; readonly history: BucketHistory }) {
  const [time, prefix] = [useSignal(""), useSignal("")]
  const compared = useSignal<{ readonly from: string; readonly prefix: string } | undefined>(undefined)
  const job = useSignal<string | undefined>(undefined)
  const moment = momentOf(time.value)
  const asked = { moment, prefix: prefix.value }
  const compare = () => {
    if (moment !== undefined) compared.value = { from: moment, prefix: prefix.value }
  }
  return (
    <>
      <Section
        title="Another time"
        hint={`This bucket can be read at every moment from ${timeText(Date.parse(history.since ?? history.now))} on.`}
      >
        <Form label="Another time" onSubmit={compare}>
          <TextField label="Time" type="datetime-local" step={1} value={time} isRequired />
          <TextField label="Keys that begin with" value={prefix} isCode hint="Empty: all objects" />
          <div class="actions">
            <Button type="submit" isDisabled={moment === undefined}>
              Compare with now
            </Button>
            {mayUse("startJob") && <Restore bucket={bucket} asked={asked} job={job} />}
          </div>
        </Form>
      </Section>
      <BulkJob job={job} />
      {compared.value && <DifferencesSince key={JSON.stringify(compared.value)} bucket={bucket} {...compared.value} />}
    </>
  )
}

export function HistoryTab({ bucket: { name } }: { readonly bucket: Bucket }) {
  const live = useLive<BucketHistory>(bucketPath(name, "history"))
  return (
    <Loaded live={live}>
      {history =>
        history.since === undefined ? (
          <EmptyState title="This bucket has no history">
            With versioning and the setting History it can be read, compared and restored as it was at any later moment.
          </EmptyState>
        ) : (
          <MomentForm bucket={name} history={history} />
        )
      }
    </Loaded>
  )
}
