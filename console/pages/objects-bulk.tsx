/**
 * Work on all objects whose keys begin with a prefix, or on those that are selected, started as a job: delete, restore, tag,
 * copy, another class; of a remote bucket also what is cached. The job shows on the page of the bucket.
 */
import { useSignal, type Signal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { STORAGE_CLASSES, type StorageClass } from "@hayloft/base/storage-class.js"
import { api } from "../api/client.js"
import { useLive, useLiveValue, useWatch } from "../api/live.js"
import { amountBelow, type Amount } from "../api/s3.js"
import type { BucketSetting, StartedJob } from "../api/shapes.js"
import { Button } from "../parts/button.js"
import { FormDialog } from "../parts/dialog.js"
import { CheckboxField, SelectField, TextAreaField, TextField } from "../parts/fields.js"
import { Section } from "../parts/page.js"
import { Loaded, Notice } from "../parts/states.js"
import { tagsOfText } from "../parts/tags.js"
import { pathTo } from "../shell/router.js"
import { bucketPath } from "./buckets-api.js"
import { JobActions, JobProgress, Plan, StateBadge } from "./jobs-started.js"
import { deletedText, type Keeping } from "./objects-actions.js"
import { amountText } from "./objects-rows.js"
import { selectedJson, selectedText, type Selected } from "./objects-selection.js"

const KINDS = [
  ["delete-objects", "Delete objects"],
  ["delete-versions", "Delete all versions, permanently"],
  ["restore-objects", "Restore deleted objects"],
  ["tag-objects", "Replace tags"],
  ["set-class", "Set the storage class"],
  ["copy-objects", "Copy to a bucket"],
] as const

/** The kinds of jobs for remote buckets. */
const REMOTE_KINDS = [
  ["prefetch-objects", "Bring into the cache"],
  ["evict-objects", "Drop from the cache"],
] as const

type Kind = (typeof KINDS | typeof REMOTE_KINDS)[number][0]

interface Fields {
  readonly kind: Signal<Kind>
  readonly prefix: Signal<string>
  readonly tags: Signal<string>
  readonly storageClass: Signal<StorageClass>
  readonly toBucket: Signal<string>
  readonly toPrefix: Signal<string>
  readonly isDryRun: Signal<boolean>
  readonly typed: Signal<string>
}

/** Returns true for a copy that would replace each object by itself. */
const isOntoItself = ({ kind, prefix, toBucket, toPrefix }: Fields, bucket: string): boolean =>
  kind.value === "copy-objects" &&
  toBucket.value === bucket &&
  (toPrefix.value === "" || toPrefix.value === prefix.value)

/** Returns what the job needs besides its kind and its prefix. */
function detailsOf({ kind, tags, storageClass, toBucket, toPrefix }: Fields): object {
  switch (kind.value) {
    case "tag-objects":
      return { tags: tagsOfText(tags.value).map(([key, value]) => ({ key, value })) }
    case "set-class":
      return { storageClass: storageClass.value }
    case "copy-objects":
      return { toBucket: toBucket.value, ...(toPrefix.value === "" ? {} : { toPrefix: toPrefix.value }) }
    default:
      return {}
  }
}

function Details({ fields, bucket }: { readonly fields: Fields; readonly bucket: string }) {
  switch (fields.kind.value) {
    case "tag-objects":
      return <TextAreaField label="Tags" value={fields.tags} rows={4} isCode hint="One key=value on a line" />
    case "set-class":
      return (
        <SelectField
          label="Storage class"
          value={fields.storageClass}
          options={STORAGE_CLASSES.map(name => [name, name])}
        />
      )
    case "copy-objects":
      return (
        <>
          <TextField label="To the bucket" value={fields.toBucket} isCode isRequired />
          <TextField
            label={fields.prefix.value === "" ? "Before the keys" : `In place of ${fields.prefix.value}`}
            value={fields.toPrefix}
            isCode
            hint="Empty: keys stay as they are"
          />
          <p class="hint">
            {isOntoItself(fields, bucket)
              ? "Choose another bucket, or another beginning of the keys: these objects are there already."
              : "Objects of the same names that are there are replaced."}
          </p>
        </>
      )
    default:
      return null
  }
}

/** The subject of a dialog: all keys with a prefix, or what is selected below it. */
export interface BulkScope {
  readonly bucket: string
  readonly prefix: string
  /** The selection is undefined if the dialog is about all of it. */
  readonly selected?: Selected | undefined
  /** Rows of the selection are single versions. */
  readonly hasVersions: boolean
  readonly kind: Kind
  /** The dialog is about this kind alone. */
  readonly title?: string
}

/** Returns the kinds of jobs: there is less to do with single versions. */
const kindsOf = ({ selected, hasVersions }: BulkScope, isRemote: boolean) =>
  selected === undefined || !hasVersions
    ? [...KINDS, ...(isRemote ? REMOTE_KINDS : [])]
    : ([
        ["delete-versions", "Delete these versions, permanently"],
        ["restore-objects", "Restore deleted objects"],
      ] as const)

const whatOf = ({ bucket, selected, hasVersions }: BulkScope, prefix: string): string => {
  const [only] = selected?.values() ?? []
  if (selected?.size === 1 && only?.kind === "folder") return `the folder ${only.prefix} with all that is below`
  if (selected !== undefined) return selectedText(selected, hasVersions ? "version" : "object")
  return prefix === "" ? `all objects of ${bucket}` : `all objects whose keys begin with ${prefix}`
}

/** A deletion of more objects in folders asks for the name of the bucket. */
const UNASKED_MAX = 100

/** Prefixes of the subject; none if it is single rows. */
const prefixesOf = ({ selected }: BulkScope, prefix: string): readonly string[] =>
  selected === undefined
    ? [prefix]
    : [...selected.values()].flatMap(item => (item.kind === "folder" ? [item.prefix] : []))

/** How much is below the prefixes, and in single rows. */
async function amountOf(scope: BulkScope, prefix: string, signal: AbortSignal): Promise<Amount> {
  const rows = [...(scope.selected?.values() ?? [])].flatMap(item => (item.kind === "row" ? [item.row] : []))
  let [objects, bytes, isAll] = [rows.length, rows.reduce((sum, row) => sum + (row.sizeBytes || 0), 0), true]
  for (const each of prefixesOf(scope, prefix)) {
    const amount = await amountBelow(scope.bucket, each, signal)
    objects += amount.objects
    bytes += amount.bytes
    isAll &&= amount.isAll
  }
  return { objects, bytes, isAll }
}

/** Returns true if it is much, or nobody can see how much it is. */
const isOpenEnded = (scope: BulkScope, kind: Kind, prefix: string, amount: Amount | undefined): boolean => {
  const isOfFolders = prefixesOf(scope, prefix).length > 0
  if (kind === "delete-versions" && !scope.hasVersions) return true
  return isOfFolders && (amount === undefined || !amount.isAll || amount.objects > UNASKED_MAX)
}

/** Says how much is deleted, and what is left of it. */
function DeleteNotice(props: { readonly kind: Kind; readonly keeping: Keeping; readonly amount: Amount | undefined }) {
  const { kind, keeping, amount } = props
  const text = kind === "delete-versions" ? "What is deleted by this is gone." : deletedText(keeping)
  return (
    <Notice kind="warning">
      <strong>{amount === undefined ? "Counting…" : amountText(amount)}</strong>
      {kind === "delete-versions" && amount !== undefined && ", and all their older versions"}. {text}
    </Notice>
  )
}

function jobOf(scope: BulkScope, fields: Fields): object {
  const { kind, prefix } = fields
  const { selected, hasVersions } = scope
  const list = selected && selectedJson(selected, hasVersions && kind.value === "delete-versions")
  return { kind: kind.value, prefix: prefix.value, ...(list && { selected: list }), ...detailsOf(fields) }
}

export function BulkDialog(props: {
  readonly scope: BulkScope
  readonly keeping: Keeping
  readonly onClose: () => void
  readonly onStarted: (id: string) => void
}) {
  const { scope, keeping, onClose, onStarted } = props
  const { bucket, selected } = scope
  const fields: Fields = {
    kind: useSignal<Kind>(scope.kind),
    prefix: useSignal(scope.prefix),
    tags: useSignal(""),
    storageClass: useSignal<StorageClass>("STANDARD"),
    toBucket: useSignal(bucket),
    toPrefix: useSignal(""),
    isDryRun: useSignal(selected === undefined && scope.title === undefined),
    typed: useSignal(""),
  }
  const { kind, prefix, isDryRun, typed } = fields
  // Callers that may not see the setting get the other kinds.
  const isRemote = useLive<BucketSetting>(bucketPath(bucket, "settings", "remote")).value?.isSet === true
  const isDelete = kind.value.startsWith("delete-") && !isDryRun.value
  const counted = isDelete && !scope.hasVersions ? `${kind.value} ${prefix.value}` : undefined
  const amount = useLiveValue(counted, signal => amountOf(scope, prefix.value, signal)).value
  const asksForName = isDelete && isOpenEnded(scope, kind.value, prefix.value, amount)
  const start = async (): Promise<void> => {
    const path = bucketPath(bucket, "jobs")
    const { id } = await api.post<StartedJob>(path, { dryRun: isDryRun.value, job: jobOf(scope, fields) })
    onStarted(id)
  }
  const about = `This is about ${whatOf(scope, prefix.value)}.`
  return (
    <FormDialog
      title={scope.title ?? "Bulk action"}
      action="Start the job"
      kind={isDelete ? "danger" : "primary"}
      isValid={(!asksForName || typed.value === bucket) && !isOntoItself(fields, bucket)}
      work={start}
      onClose={onClose}
    >
      {scope.title === undefined && <SelectField label="Action" value={kind} options={kindsOf(scope, isRemote)} />}
      {selected === undefined && scope.title === undefined ? (
        <TextField label="Keys that begin with" value={prefix} isCode hint={about} />
      ) : (
        <p>{about}</p>
      )}
      <Details {...{ fields, bucket }} />
      <CheckboxField label="Only count what it would do" value={isDryRun} />
      {isDelete && !scope.hasVersions && <DeleteNotice kind={kind.value} {...{ keeping, amount }} />}
      {asksForName && <TextField label={`Type ${bucket} to confirm`} value={typed} isCode />}
    </FormDialog>
  )
}

/** The job that was started here last, until it is hidden. */
export function BulkJob(props: { readonly job: Signal<string | undefined>; readonly onEnd?: () => void }) {
  const { job, onEnd } = props
  const hide = () => (job.value = undefined)
  return job.value === undefined ? null : <OneJob key={job.value} id={job.value} onEnd={onEnd} onHide={hide} />
}

function OneJob(props: { readonly id: string; readonly onEnd: (() => void) | undefined; readonly onHide: () => void }) {
  const { id, onEnd, onHide } = props
  const live = useWatch<StartedJob>(`/v1/jobs/${encodeURIComponent(id)}`)
  const isOver = live.value?.endedMs !== undefined
  useEffect(() => {
    if (isOver) onEnd?.()
  }, [isOver])
  const actions = (
    <>
      <a class="button" href={pathTo(["jobs", id])}>
        Details
      </a>
      <Button kind="quiet" onClick={onHide}>
        Hide
      </Button>
    </>
  )
  return (
    <Section title={`Job ${id}`} actions={actions}>
      <Loaded live={live}>
        {job => (
          <>
            <p>
              <StateBadge state={job.state} /> {job.result ?? job.target}
            </p>
            {!isOver && <JobProgress job={job} />}
            {!isOver && <JobActions job={job} />}
            <Plan job={job} />
          </>
        )}
      </Loaded>
    </Section>
  )
}
