/** Packing of the small objects of a bucket: its setting, what it has made of the bucket, and the job that undoes it. */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import { useLive } from "../api/live.js"
import type { BucketSetting, Packing, StartedJob } from "../api/shapes.js"
import { ActionButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { countText, sizeText } from "../parts/format.js"
import { Facts, Section } from "../parts/page.js"
import { Loaded, Notice } from "../parts/states.js"
import { mayUse } from "../shell/session.js"
import { bucketPath } from "./buckets-api.js"
import { PackingForm } from "./buckets-forms.js"
import { BulkJob } from "./objects-bulk.js"

const WHY: Readonly<Record<string, string>> = {
  young: "Written too recently",
  long: "Too long",
  empty: "Empty",
  encrypted: "Encrypted",
  shared: "Bytes shared with other versions",
  expiring: "With an expiry",
  parts: "Of several parts",
  special: "Lists of segments, and restored ones",
}

const shareText = ({ packBytes, liveBytes }: Packing): string =>
  packBytes === 0 ? "–" : `${Math.floor((100 * liveBytes) / packBytes)} %`

function Figures({ bucket }: { readonly bucket: string }) {
  const live = useLive<Packing>(bucketPath(bucket, "packing"))
  const again = (
    <Button kind="quiet" isBusy={live.isFetching} onClick={live.refresh}>
      Count again
    </Button>
  )
  return (
    <Section title="Packs" hint="Counted from all rows of the bucket when this is opened." actions={again}>
      <Loaded live={live}>
        {report => (
          <>
            {report.state === "suspended" && (
              <Notice kind="warning">The store encrypts what is written now, so that nothing is packed.</Notice>
            )}
            <Facts
              facts={[
                ["Packs", countText(report.packs)],
                ["Of which less than half is left", countText(report.sparsePacks)],
                ["Packed objects", countText(report.packedObjects)],
                ["Their bytes", sizeText(report.liveBytes)],
                ["Share in use", shareText(report)],
                ["Waiting", `${countText(report.waitingObjects)}, ${sizeText(report.waitingBytes)}`],
                ...Object.entries(report.leftOut).flatMap(([why, count]) =>
                  why in WHY ? [[`Left out: ${WHY[why] ?? why}`, countText(count)] as const] : [],
                ),
              ]}
            />
          </>
        )}
      </Loaded>
    </Section>
  )
}

function Undo({ bucket }: { readonly bucket: string }) {
  const job = useSignal<string | undefined>(undefined)
  const start = async (): Promise<void> => {
    job.value = (await api.post<StartedJob>(bucketPath(bucket, "packing", "undo"), {})).id
  }
  return (
    <>
      <Section title="Undo" hint="Each packed object gets bytes of its own. Switch packing off before.">
        <div class="actions">
          <ActionButton work={start} done={`Started: undo the packing of ${bucket}`}>
            Undo packing
          </ActionButton>
        </div>
      </Section>
      <BulkJob job={job} />
    </>
  )
}

export function PackingTab(props: {
  readonly bucket: string
  readonly found: BucketSetting
  readonly onSaved: () => Promise<void>
}) {
  const { bucket, found } = props
  return (
    <>
      <PackingForm {...props} />
      {mayUse("getBucketPacking") && <Figures bucket={bucket} />}
      {mayUse("undoPacking") && found.value === undefined && <Undo bucket={bucket} />}
    </>
  )
}
