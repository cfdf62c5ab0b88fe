/** The nodes of the store for operations: which there are, which one is lost, and what removes it. */
import { fail } from "@hayloft/base/failures.js"
import type { Incarnation, NodeName } from "@hayloft/base/ids.js"
import type { ClusterConfig } from "../config/index.js"
import { removeNodeRow } from "@hayloft/engine/coordination/index.js"
import type { NodeRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import type { DeviceHome } from "@hayloft/engine/format/device/control-record.js"
import type { NodeDirectory } from "../control/operations.js"
import type { SharedMetadata } from "../metadata/database.js"
import { SILENT_SHOWN_MS } from "../status/nodes-core.js"
import type { SharedRecordManager } from "./shared-record.js"
import type { ClusterView, OtherNode } from "./cluster-view.js"

type Rows = Pick<ClusterView, "ownRow" | "silentMs"> & {
  readonly nodes: readonly Pick<OtherNode, "name" | "row">[]
}

export class SharedNodes implements NodeDirectory {
  constructor(
    readonly own: NodeName,
    private readonly config: Pick<ClusterConfig, "zone" | "machine">,
    private readonly metadata: Pick<SharedMetadata, "run" | "endIncarnation"> & {
      readonly incarnations: Pick<SharedMetadata["incarnations"], "own" | "isOver">
    },
    private readonly records: Pick<SharedRecordManager, "refresh">,
    private readonly view: () => Rows | undefined,
  ) {}

  refresh(): Promise<void> {
    return this.records.refresh()
  }

  has(node: NodeName): boolean {
    return node === this.own || this.rowOf(node) !== undefined
  }

  private rowOf(node: NodeName): NodeRow | undefined {
    const view = this.view()
    return node === this.own ? view?.ownRow : view?.nodes.find(({ name }) => name === node)?.row
  }

  homeOn(disk: string): DeviceHome {
    const { zone, machine } = this.config
    const { own: incarnation } = this.metadata.incarnations
    return { ...(zone === undefined ? {} : { zone }), machine, disk, node: this.own, incarnation }
  }

  isOver(incarnation: Incarnation): boolean {
    return this.metadata.incarnations.isOver(incarnation)
  }

  checkLost(node: NodeName): void {
    const row = this.rowOf(node)
    if (row === undefined || this.isOver(row.incarnation)) return
    if (node !== this.own && (this.view()?.silentMs.get(node) ?? 0) >= SILENT_SHOWN_MS) return
    throw fail("conflict", {
      message: `node ${node} is running, so it is not lost: drain and remove it, or stop it and wait ${SILENT_SHOWN_MS / 1000} seconds`,
      node,
    })
  }

  async end(node: NodeName): Promise<void> {
    const row = this.rowOf(node)
    if (row !== undefined && !this.isOver(row.incarnation)) await this.metadata.endIncarnation(row.incarnation)
  }

  async removeRow(node: NodeName): Promise<void> {
    await this.metadata.run(removeNodeRow(node, undefined))
  }
}
