/**
 * Plan, preview, confirm: every change of devices, layout or redundancy is planned first (`dryRun`), shown with what it
 * moves and what may fail meanwhile, and made only then. Changes that reduce safety ask for words to be repeated, as
 * the command line does.
 */
import { useSignal, type Signal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { api, asApiError, type ApiError } from "../api/client.js"
import type { Change, Plan } from "../api/shapes.js"
import { useAction } from "./action.js"
import { Button } from "./button.js"
import { Dialog } from "./dialog.js"
import { CheckboxField, TextField } from "./fields.js"
import { durationText, plural, sizeText } from "./format.js"
import { Facts } from "./page.js"
import { ErrorState, Loading, Notice } from "./states.js"
import { DataTable, type Column } from "./table.js"
import { toast } from "./toast.js"

export interface PlannedChange {
  /** The name of the change, for the title and the button: `Drain device`. */
  readonly title: string
  readonly path: string
  readonly body?: object
  readonly isDangerous?: boolean
}

type PlannedDevice = Plan["devices"][number]

const lossesText = (losses: number, what: string): string =>
  losses < 0 ? "some data is not readable" : losses === 0 ? `no lost ${what}` : `any ${plural(losses, `lost ${what}`)}`

const survivesText = ({ before, during, after }: Plan["survives"], what: string): string =>
  `${lossesText(before, what)} before, ${lossesText(during, what)} meanwhile, ${lossesText(after, what)} after`

const hoursText = (hours: number): string =>
  hours * 3600 < 1 ? "less than a second" : `about ${durationText(hours * 3600)}`

const DEVICE_COLUMNS: readonly Column<PlannedDevice>[] = [
  { key: "device", title: "Device", cell: ({ id }) => (id === undefined ? "new" : <code>{id}</code>) },
  { key: "folder", title: "Folder", cell: ({ node, path }) => (node === undefined ? path : `${node}:${path}`) },
  { key: "in", title: "In", align: "end", cell: device => sizeText(device.bytesIn), sortBy: ({ bytesIn }) => bytesIn },
  { key: "out", title: "Out", align: "end", cell: ({ bytesOut }) => sizeText(bytesOut), sortBy: d => d.bytesOut },
]

function factsOf(plan: Plan): (readonly [string, string])[] {
  const { policyBefore, policyAfter, movedBytes, reencodedBytes, hours, usableBytesBefore, usableBytesAfter } = plan
  return [
    ...(policyBefore === policyAfter ? [] : [["Redundancy", `${policyBefore} becomes ${policyAfter}`] as const]),
    ["Moves", `${sizeText(movedBytes)}, ${sizeText(reencodedBytes)} re-encoded`],
    ["Takes", hoursText(hours)],
    ["Survives", survivesText(plan.survives, "disk")],
    ...(plan.survivesMachines ? [["", survivesText(plan.survivesMachines, "machine")] as const] : []),
    ...(plan.survivesZones ? [["", survivesText(plan.survivesZones, "zone")] as const] : []),
    ...(usableBytesBefore === undefined || usableBytesAfter === undefined
      ? []
      : [["Space", `${sizeText(usableBytesBefore)} of objects before, ${sizeText(usableBytesAfter)} after`] as const]),
  ]
}

function PlanPreview({ plan }: { readonly plan: Plan }) {
  const devices = plan.devices.filter(({ bytesIn, bytesOut }) => bytesIn > 0 || bytesOut > 0)
  return (
    <>
      <p class="lead">{plan.summary}</p>
      {plan.warnings.map(warning => (
        <Notice key={warning} kind="warning">
          {warning}
        </Notice>
      ))}
      <Facts facts={factsOf(plan)} />
      {devices.length > 0 && (
        <DataTable
          caption="Bytes that move, by device"
          columns={DEVICE_COLUMNS}
          rows={devices}
          rowKey={({ id = "new", path, node = "" }) => `${id} ${node} ${path}`}
        />
      )}
    </>
  )
}

/** Plans a change; `again` repeats that. */
function usePlan({ path, body }: PlannedChange) {
  const plan = useSignal<Plan | undefined>(undefined)
  const failure = useSignal<ApiError | undefined>(undefined)
  const attempt = useSignal(0)
  useEffect(() => {
    const controller = new AbortController()
    plan.value = undefined
    failure.value = undefined
    api.post<Change>(path, { ...body, dryRun: true }, { signal: controller.signal }).then(
      reply => (plan.value = reply.plan),
      (error: unknown) => {
        if (!controller.signal.aborted) failure.value = asApiError(error)
      },
    )
    return () => controller.abort()
  }, [path, attempt.value])
  return { plan: plan.value, failure: failure.value, again: () => void (attempt.value += 1) }
}

const wordsOf = (text: string): string => text.split(/[\s,]+/).join(",")

/** The fields for what a plan asks to be repeated. */
function Repeated(props: { readonly plan: Plan; readonly name: Signal<string>; readonly buckets: Signal<string> }) {
  const { plan, name, buckets } = props
  const { confirmBy, lockedBuckets } = plan
  return (
    <>
      {confirmBy !== undefined && (
        <TextField label={`Type ${confirmBy} to confirm`} value={name} isCode hint="Read the warnings above first." />
      )}
      {lockedBuckets !== undefined && (
        <TextField
          label="Name the buckets with object lock that become less safe than promised"
          value={buckets}
          isCode
          hint={`Type ${lockedBuckets.join(",")} to confirm.`}
        />
      )}
    </>
  )
}

/** Warnings take a tick, unless words are typed in any case. */
const isWarned = ({ warnings, confirmBy, lockedBuckets }: Plan): boolean =>
  warnings.length > 0 && confirmBy === undefined && lockedBuckets === undefined

/** The preview of one change. `onDone` is called after it was made. */
export function PlanDialog(props: {
  readonly change: PlannedChange
  readonly onClose: () => void
  readonly onDone: () => void
}) {
  const { change, onClose, onDone } = props
  const { plan, failure, again } = usePlan(change)
  const name = useSignal("")
  const buckets = useSignal("")
  const isRead = useSignal(false)
  const { confirmBy, lockedBuckets, outlook } = plan ?? {}
  const isConfirmed =
    plan !== undefined &&
    (!isWarned(plan) || isRead.value) &&
    (confirmBy === undefined || name.value === confirmBy) &&
    (lockedBuckets === undefined || wordsOf(buckets.value) === lockedBuckets.join(","))
  /** The plan that was shown promised more: the present one has to be read and confirmed. */
  const showNewPlan = (): void => {
    name.value = ""
    buckets.value = ""
    isRead.value = false
    again()
  }
  const make = useAction(async () => {
    const confirmation = {
      ...(confirmBy === undefined ? {} : { confirm: name.value }),
      ...(lockedBuckets === undefined ? {} : { lockedBuckets }),
      ...(outlook === undefined ? {} : { outlook }),
    }
    try {
      await api.post<Change>(change.path, { ...change.body, ...confirmation })
    } catch (error) {
      if (asApiError(error).code === "planOutdated") showNewPlan()
      throw error
    }
    toast(`${change.title}: started`)
    onDone()
    onClose()
  })
  const kind = change.isDangerous === true || confirmBy !== undefined ? "danger" : "primary"
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button kind={kind} isDisabled={!isConfirmed} isBusy={make.isBusy} onClick={() => void make.run()}>
        {change.title}
      </Button>
    </>
  )
  return (
    <Dialog title={change.title} onClose={onClose} footer={footer} isWide>
      {failure !== undefined && <ErrorState error={failure} onRetry={again} />}
      {failure === undefined && plan === undefined && <Loading what="Planning" />}
      {plan !== undefined && <PlanPreview plan={plan} />}
      {plan !== undefined && <Repeated plan={plan} name={name} buckets={buckets} />}
      {plan !== undefined && isWarned(plan) && <CheckboxField label="I have read the warnings above" value={isRead} />}
      <div role="alert">{make.problem.value !== undefined && <Notice kind="danger">{make.problem.value}</Notice>}</div>
    </Dialog>
  )
}
