/** Deduplication of a bucket: its switch, what it saves and keeps, and jobs that verify, rebuild and compact. */
import { useSignal } from "@preact/signals"
import { api } from "../api/client.js"
import { useLive } from "../api/live.js"
import type { BucketSetting, Dedup, StartedJob } from "../api/shapes.js"
import { ActionButton } from "../parts/action-button.js"
import { Button } from "../parts/button.js"
import { countText, sizeText } from "../parts/format.js"
import { Facts, Section } from "../parts/page.js"
import { Loaded, Notice } from "../parts/states.js"
import { mayUse } from "../shell/session.js"
import { bucketPath } from "./buckets-api.js"
import { Deduplication } from "./buckets-forms.js"
import { BulkJob } from "./objects-bulk.js"

function ratioText({ logicalBytes, ownBytes, releasedBytes }: Dedup): string {
  const stored = ownBytes + releasedBytes
  return stored === 0 ? "–" : `${(logicalBytes / stored).toFixed(2)} times`
}

function releasedText({ releasedSegments, releasedBytes, releasedReferencedBytes }: Dedup): string {
  if (releasedSegments === 0) return "–"
  const bytes = `${sizeText(releasedBytes)}, of which ${sizeText(releasedReferencedBytes)} are referenced`
  return `${countText(releasedSegments)}, ${bytes}`
}

function Figures({ bucket }: { readonly bucket: string }) {
  const live = useLive<Dedup>(bucketPath(bucket, "dedup"))
  const again = (
    <Button kind="quiet" isBusy={live.isFetching} onClick={live.refresh}>
      Count again
    </Button>
  )
  return (
    <Section title="What it saves" hint="Counted from all rows of the bucket when this is opened." actions={again}>
      <Loaded live={live}>
        {report => (
          <>
            {report.state === "suspended" && (
              <Notice kind="warning">
                The store encrypts what is written now, so that it is not deduplicated. References that there are stay
                until their objects are encrypted.
              </Notice>
            )}
            <Facts
              facts={[
                ["Bytes of all versions", sizeText(report.logicalBytes)],
                ["Own bytes", sizeText(report.ownBytes)],
                ["Referenced bytes", sizeText(report.referencedBytes)],
                ["Ratio", ratioText(report)],
                ["Versions with references", countText(report.versionsWithReferences)],
                ["Objects referenced", countText(report.referencedSegments)],
                ["Of which are gone", releasedText(report)],
                ["Blocks in the index", countText(report.indexedBlocks)],
                ["Rows of digests", countText(report.digestRows)],
              ]}
            />
          </>
        )}
      </Loaded>
    </Section>
  )
}

const JOBS = [
  ["verify", "Verify", "counts references again, and compares the index and the digests with what is there"],
  ["rebuild", "Rebuild", "repairs what a verification finds, and reads objects that have no digests"],
  ["compact", "Compact", "copies references to objects that are gone and kept for less than half of their bytes"],
] as const

function DedupJobs({ bucket }: { readonly bucket: string }) {
  const job = useSignal<string | undefined>(undefined)
  const start = (kind: string) => async (): Promise<void> => {
    job.value = (await api.post<StartedJob>(bucketPath(bucket, "dedup", "jobs"), { kind })).id
  }
  return (
    <>
      <Section title="Jobs">
        <Facts facts={JOBS.map(([, title, what]) => [title, what])} />
        <div class="actions">
          {JOBS.map(([kind, title]) => (
            <ActionButton key={kind} work={start(kind)} done={`Started: ${kind} ${bucket}`}>
              {title}
            </ActionButton>
          ))}
        </div>
      </Section>
      <BulkJob job={job} />
    </>
  )
}

export function DedupTab(props: {
  readonly bucket: string
  readonly found: BucketSetting
  readonly onSaved: () => Promise<void>
}) {
  const { bucket } = props
  return (
    <>
      <Deduplication {...props} />
      {mayUse("getBucketDedup") && <Figures bucket={bucket} />}
      {mayUse("startDedupJob") && <DedupJobs bucket={bucket} />}
    </>
  )
}
