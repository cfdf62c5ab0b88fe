/**
 * The work of the store that takes long, as its status shows it: what drains, moves, is re-encoded, rebuilt, erased. Jobs
 * that callers start follow it. Pure.
 */
import type { FollowedWork } from "@hayloft/features/operator/index.js"
import type { DeviceReport, ProgressReport, StoreReport } from "./contract.js"

type Work = Omit<FollowedWork, "isNoted" | "lastError"> & Partial<Pick<FollowedWork, "isNoted" | "lastError">>

const UNKNOWN = {
  progress: { done: 0, total: undefined, unit: "bytes" },
  rate: undefined,
  endsInSeconds: undefined,
} as const

function measured(progress: ProgressReport | undefined): Pick<FollowedWork, "progress" | "rate" | "endsInSeconds"> {
  if (progress === undefined) return UNKNOWN
  const { doneBytes, remainingBytes, bytesPerSecond, endsInSeconds } = progress
  return {
    progress: { done: doneBytes, total: doneBytes + remainingBytes, unit: "bytes" },
    rate: bytesPerSecond > 0 ? bytesPerSecond : undefined,
    endsInSeconds,
  }
}

/** Names a device in the same way as the rows of jobs, so that a caller recognises it. */
const targetOfDevice = ({ id, path, node }: Pick<DeviceReport, "id" | "path" | "node">): string =>
  `device ${id} (${node === undefined ? path : `${node}:${path}`})`

const errorOf = ({ jobs }: StoreReport, name: string) => ({ lastError: jobs.find(job => job.name === name)?.lastError })

function movesOf(report: StoreReport): readonly Work[] {
  const { layout, devices } = report
  const { transition } = layout
  const leaving = devices.flatMap((device): Work[] => {
    const isLeaving = device.state === "decommissioning"
    if (!isLeaving && (device.state !== "draining" || transition === undefined)) return []
    return [
      {
        kind: isLeaving ? "remove" : "drain",
        target: targetOfDevice(device),
        sinceMs: device.sinceMs,

        phase: "moving its shards to other devices",
        ...measured(transition?.progress),
        ...errorOf(report, "repair"),
        cancelBy: `hayloft device use ${device.id} takes the device back into use`,
      },
    ]
  })
  if (transition === undefined || leaving.length > 0) return leaving
  return [
    {
      kind: "move-shards",
      target: `layout ${layout.version}`,
      sinceMs: undefined,
      phase: "moving shards to their new places",
      ...measured(transition.progress),
      ...errorOf(report, "repair"),
      cancelBy: "hayloft layout revert goes back to the layout before",
    },
  ]
}

const rebuildsOf = (report: StoreReport): readonly Work[] =>
  report.devices
    .filter(({ state }) => state === "rebuilding")
    .map(device => ({
      kind: "rebuild",
      target: targetOfDevice(device),
      sinceMs: device.sinceMs,

      phase: "writing the shards that it lacks",
      ...measured(report.repair?.progress),
      ...errorOf(report, "repair"),
      cancelBy: "the store would stay less safe; hayloft repair pause holds it up",
    }))

function erasuresOf(report: StoreReport): readonly Work[] {
  return (report.erasures ?? []).map(({ bucket, bucketId, sinceMs, versions, uploads, devices }) => ({
    kind: "erase",
    target: `bucket ${bucket} (${bucketId})`,
    sinceMs,
    ...errorOf(report, "erasure"),
    phase:
      devices.length > 0
        ? `${versions} versions and ${uploads} uploads left; ${devices.length} devices may still have a key`
        : `${versions} versions and ${uploads} uploads left`,
    progress: { done: 0, total: undefined, unit: "versions" },
    rate: undefined,
    endsInSeconds: undefined,
    cancelBy: "an erasure cannot be undone: the key of the bucket is destroyed",
  }))
}

/** Passes of scrub are noted if a caller has started one: they run all the time. */
const scrubsOf = (report: StoreReport): readonly Work[] =>
  (report.scrub ?? [])
    .filter(({ state }) => state === "running")
    .map(({ device, passStartedMs, progress }) => ({
      kind: "scrub",
      target: targetOfScrub(report, device),
      sinceMs: passStartedMs,
      isNoted: false,
      phase: "verifying what is stored",
      ...measured(progress),
      ...errorOf(report, "scrub"),
      cancelBy: "hayloft scrub pause pauses it",
    }))

export function targetOfScrub({ devices }: Pick<StoreReport, "devices">, id: string): string {
  const device = devices.find(each => each.id === id)
  return device === undefined ? `device ${id}` : targetOfDevice(device)
}

/**
 * Re-encoding counts first, after a start and after each change of devices. Meanwhile a job of an earlier process goes on, and
 * no job is noted for what may turn out to be nothing.
 */
function reencodingsOf(report: StoreReport, isCounting: boolean): readonly Work[] {
  const { reencoding } = report
  if (reencoding === undefined && !isCounting) return []
  return [
    {
      kind: "reencode",
      target: "blocks under another redundancy than they should have",
      sinceMs: undefined,
      isNoted: reencoding !== undefined,
      phase: reencoding === undefined ? "counting the blocks that remain" : "re-encoding blocks",
      ...measured(reencoding),
      ...errorOf(report, "reencode"),
      cancelBy: "set the redundancy that they had again: hayloft redundancy set POLICY",
    },
  ]
}

export function workUnderWay(
  report: StoreReport,
  masterKey: { readonly former: object | undefined },
  { isCounting }: { readonly isCounting: boolean },
): readonly FollowedWork[] {
  const { encrypting } = report
  const works: readonly Work[] = [
    ...movesOf(report),
    ...rebuildsOf(report),
    ...reencodingsOf(report, isCounting),
    ...erasuresOf(report),
    ...scrubsOf(report),
    ...(masterKey.former === undefined
      ? []
      : [
          {
            kind: "master-key",
            target: "the master key of the store",
            sinceMs: undefined,
            ...UNKNOWN,

            phase: "the former key is needed until all devices have the new one",
            ...errorOf(report, "master-key"),
            cancelBy: "a rotation cannot be undone; rotate again to get another key",
          },
        ]),
    ...(encrypting === undefined
      ? []
      : [
          {
            kind: "encrypt-store",
            target: "all objects and files of the store",
            sinceMs: undefined,

            phase: encrypting.doing,
            progress: { done: encrypting.percent, total: 100, unit: "percent" } as const,
            rate: undefined,
            endsInSeconds: undefined,
            ...errorOf(report, "encrypt"),
            cancelBy: "what is encrypted stays so",
          },
        ]),
  ]
  return works.map(work => ({ isNoted: true, lastError: undefined, ...work }))
}

/** The work that a change has begun; undefined: it is done already, or does not show yet. */
export function workOfChange(works: readonly FollowedWork[], deviceId: string | undefined): FollowedWork | undefined {
  const ofDevice = (work: FollowedWork): boolean =>
    deviceId !== undefined && work.target.startsWith(`device ${deviceId} `)
  // Work that is not noted by itself was not begun by the change.
  const noted = works.filter(({ isNoted }) => isNoted)
  return (
    noted.find(ofDevice) ??
    noted.find(({ kind }) => kind === "reencode") ??
    noted.find(({ kind }) => kind === "move-shards")
  )
}
