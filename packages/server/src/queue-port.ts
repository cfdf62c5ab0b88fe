/** Queues of a running store, and their port. */
import { createHash } from "node:crypto"
import type { Denials } from "@hayloft/access/index.js"
import { readVersion } from "@hayloft/cli/version.js"
import type { ServeConfig } from "@hayloft/node/config/config.js"
import type { Protocol } from "@hayloft/protocols/http/index.js"
import type { ClusterView } from "@hayloft/node/cluster/cluster-view.js"
import { createQueueHandler, type StoreOfQueues } from "@hayloft/protocols/queue-api/index.js"
import { QUEUE_SERVICE, Queues } from "@hayloft/features/queues/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { RunningStore } from "./run-store.js"

interface QueueSeams {
  readonly clock: Clock
  readonly random: Random
  readonly metrics: Metrics
  readonly denials: Denials
}

/** The node of a process: its name in a store of several, else that of the machine. */
interface QueueNode {
  readonly name: string
  /** The view is undefined if there are no other nodes. */
  readonly others: Pick<ClusterView, "nodes"> | undefined
}

const NODE_DIGITS = 8

export class QueuePort {
  readonly queues: Queues
  private readonly store: StoreOfQueues

  constructor(
    private readonly seams: QueueSeams,
    private readonly running: RunningStore,
    node: QueueNode,
  ) {
    const { clock, random } = seams
    const { services, recordManager } = running.engine
    const label = createHash("sha256").update(node.name).digest("hex").slice(0, NODE_DIGITS)
    const { tablet, refuseEarlier: prepare } = services
    const isShared = node.others !== undefined
    this.queues = new Queues({ clock, random, metadata: tablet, prepare, isShared, node: label })
    QUEUE_SERVICE.set(services.core, this.queues)
    const others = () => (node.others?.nodes ?? []).filter(({ trouble }) => trouble === undefined)
    this.store = {
      node: label,
      version: readVersion(),
      // Rows in a database outlive every node: there are as many copies as nodes that can lose theirs.
      copiesNow: () => {
        const { tablets } = recordManager.record
        return tablets.length === 0 ? 1 + others().length : Math.min(...tablets.map(({ replicas }) => replicas.length))
      },
      nodes: () => [node.name, ...others().map(({ name }) => name)],
    }
  }

  protocol({ region }: Pick<ServeConfig, "region">): Protocol {
    const { seams, running, queues, store } = this
    const { clock, metrics, denials } = seams
    return createQueueHandler({
      queues,
      store,
      accounts: running.engine.accounts,
      clock,
      region,
      metrics,
      denials,
      rates: running.rates,
      attempts: running.attempts,
    })
  }
}
