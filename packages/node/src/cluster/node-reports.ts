/**
 * Node reports: the nodes tell one another about their devices and background work, so that the status of any of them
 * covers the whole store.
 *
 * Promises  The sources read from memory: they show what each node said last. Of a node that does not respond nothing
 *           is shown but why it cannot be reached.
 * Limits    REPORT_BYTES_MAX for a report: one that is larger says nothing of the blocks, as before the first scan.
 */
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { ReportedDatabase } from "@hayloft/engine/format/nodes/database-health.js"
import { MIB } from "@hayloft/base/limits.js"
import {
  decodeNodeReport,
  encodeNodeReport,
  REPORT_CALL,
  type NodeReport,
  type ReportedDevice,
  type ReportedSpace,
} from "@hayloft/engine/format/nodes/node-report.js"
import { bytesBody, type RpcMethod, type Peer, type RpcServer } from "@hayloft/engine/rpc/index.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { NextKeyProof } from "../control/master-key-rotation.js"
import type { JobReport } from "../status/contract.js"
import { databaseView } from "../status/database-core.js"
import type { Duty } from "../status/nodes-core.js"
import type { OpenDevice, SpaceView, StatusSources } from "../status/status-sources.js"
import { nodesOf, type ClusterView, type OtherNode } from "./cluster-view.js"

const REPORT_MS_MAX = 3_000
const PROOFS_CONCURRENT = 16
const REPORT_BYTES_MAX = 64 * MIB

const nothing = { encode: () => new Uint8Array(0), decode: () => undefined }

const REPORT: RpcMethod<undefined, undefined> = {
  number: REPORT_CALL,
  name: "report",
  changes: false,
  request: nothing,
  response: nothing,
}

export const serveReports = (server: RpcServer, report: () => NodeReport, bytesMax: number = REPORT_BYTES_MAX): void =>
  server.handle(REPORT, () => ({ value: undefined, body: bytesBody(encodeLimited(report(), bytesMax)) }))

function encodeLimited(report: NodeReport, bytesMax: number): Uint8Array {
  const bytes = encodeNodeReport(report)
  const contents = report.repairer?.contents
  if (bytes.length <= bytesMax || report.repairer === undefined || contents === undefined) return bytes
  const unknown = { ...contents, isKnown: false, lacking: new Map(), misplacedGroups: [] }
  return encodeNodeReport({ ...report, repairer: { ...report.repairer, contents: unknown } })
}

/** Throws the failures of the call, and `corruptRecord`. */
export async function askForReport(peer: Peer): Promise<NodeReport> {
  const { body } = await peer.call(REPORT, undefined, { callClass: "background", deadlineMs: REPORT_MS_MAX })
  return decodeNodeReport(await body.whole(REPORT_BYTES_MAX))
}

type ReportedKeys = Pick<NodeReport, "epochs" | "masterKeys" | "nextKeyProof">

/**
 * Returns what this node reports to the others. `isRepairer`: it has scanned the blocks of the store. `database`:
 * undefined on one machine.
 */
export function reportOf(
  sources: StatusSources,
  isRepairer: boolean,
  database: ReportedDatabase | undefined,
  keys: ReportedKeys = {},
): NodeReport {
  return {
    devices: sources.devices().map(reportedDevice),
    jobs: sources.jobs().map(({ lastError, ...job }) => ({ ...job, lastError })),
    scrub: sources.scrub() ?? [],
    repairer: isRepairer
      ? {
          contents: sources.contents(),
          repair: sources.repair(),
          reencoding: sources.reencoding(),
          orphans: sources.orphans(),
        }
      : undefined,
    database,
    ...keys,
  }
}

/** Asks every other node now for the proof that it has the next master key. */
export const proofsOfNextKey = (view: ClusterView): Promise<readonly NextKeyProof[]> =>
  mapBounded(view.nodes, PROOFS_CONCURRENT, async ({ name, row, peer }): Promise<NextKeyProof> => {
    if (view.isOver(row.incarnation)) return { name, state: "off" }
    try {
      return { name, state: "on", proof: (await askForReport(peer)).nextKeyProof }
    } catch {
      return { name, state: "out of reach" }
    }
  })

function reportedDevice({ trouble, calls, space, ...device }: OpenDevice): ReportedDevice {
  return {
    ...device,
    trouble: trouble?.message,
    callsQueued: calls.depth,
    callsMax: calls.limit,
    space: space && { ...space, isCritical: space.isCritical ?? false },
  }
}

function openDevice({ trouble, callsQueued, callsMax, space, ...device }: ReportedDevice): OpenDevice {
  return {
    ...device,
    trouble: trouble === undefined ? undefined : fail("deviceFailed", { message: trouble }),
    calls: { name: "calls", depth: callsQueued, limit: callsMax },
    space: space && spaceView(space),
  }
}

const spaceView = (space: ReportedSpace): SpaceView => space

interface StoreView {
  /** Returns undefined until this node has joined. */
  readonly nodes: () => ClusterView | undefined
  /** Which node does what. `doesRepair`: this one has scanned the blocks of the store. */
  readonly duties: {
    readonly all: readonly Duty[]
    readonly doesRepair: boolean
    /** This node's report about the database. */
    readonly database: { readonly node: string; readonly view: ReportedDatabase }
  }
}

/** The sources of this node, with what the others have reported. */
export function sourcesOfStore(own: StatusSources, { nodes, duties }: StoreView): StatusSources {
  const others = () => nodes()?.nodes ?? []
  const reports = () => others().flatMap(({ report }) => report ?? [])
  const repairer = () => (duties.doesRepair ? undefined : reports().find(report => report.repairer)?.repairer)
  const nodeOf = (id: DeviceId): OtherNode | undefined => {
    const home = own.record().devices.find(device => device.id === id)?.home
    return others().find(({ name }) => name === home?.node)
  }
  return {
    ...own,
    nodes: () => nodesOf(nodes(), duties.all),
    database: () => {
      const reported = others().map(({ name, report }) => ({ name, view: report?.database }))
      return databaseView({ name: duties.database.node, view: duties.database.view }, reported)
    },
    devices: () => [...own.devices(), ...reports().flatMap(({ devices }) => devices.map(openDevice))],
    offlineReason: id => {
      const reason = own.offlineReason(id)
      const node = nodeOf(id)
      if (reason !== undefined || node?.report !== undefined) return reason
      if (node !== undefined) return `node ${node.name} cannot be reached: ${node.trouble ?? "it has not reported yet"}`
      return undefined
    },
    jobs: () => [
      ...own.jobs(),
      ...others().flatMap(({ name, report }) =>
        (report?.jobs ?? []).map(({ lastError, ...job }): JobReport => ({
          ...job,
          name: `${job.name} on ${name}`,
          ...(lastError === undefined ? {} : { lastError }),
        })),
      ),
    ],
    contents: () => repairer()?.contents ?? own.contents(),
    repair: () => repairer()?.repair ?? own.repair(),
    orphans: () => repairer()?.orphans ?? own.orphans(),
    scrub: () => [...(own.scrub() ?? []), ...reports().flatMap(({ scrub }) => scrub)],
    reencoding: () => {
      const found = repairer()
      return found === undefined ? own.reencoding() : found.reencoding
    },
  }
}
