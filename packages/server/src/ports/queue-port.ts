/** Queues of a running store, and their port. */
import { createHash } from "node:crypto"
import { readVersion } from "@hayloft/cli/version.js"
import type { Protocol } from "@hayloft/protocols/http/index.js"
import { createQueueHandler, type StoreOfQueues } from "@hayloft/protocols/queue-api/index.js"
import { QUEUE_SERVICE, Queues } from "@hayloft/features/queues/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { RecordManager } from "@hayloft/node/control/record-manager.js"
import type { CoreServices } from "@hayloft/objects/index.js"

interface QueueSeams {
  readonly clock: Clock
  readonly random: Random
}

/** The store of the queues, in one of the threads that serve it. */
interface QueueStore {
  readonly services: Pick<CoreServices, "tablet" | "refuseEarlier" | "core">
  readonly recordManager: Pick<RecordManager, "record">
}

/** The node of a process: its name in a store of several, else that of the machine. */
interface QueueNode {
  readonly name: string
  /** The other nodes that it reaches. */
  readonly others: () => readonly string[]
}

/** The parts of a store that requests about queues use. */
type QueueRequests = Omit<Parameters<typeof createQueueHandler>[0], "queues" | "store">

const NODE_DIGITS = 8

export class QueuePort {
  readonly queues: Queues
  private readonly store: StoreOfQueues

  constructor({ clock, random }: QueueSeams, { services, recordManager }: QueueStore, node: QueueNode) {
    const label = createHash("sha256").update(node.name).digest("hex").slice(0, NODE_DIGITS)
    const { tablet, refuseEarlier: prepare, core } = services
    const { isShared, storeClock } = core
    this.queues = new Queues({ clock, storeClock, random, metadata: tablet, prepare, isShared, node: label })
    QUEUE_SERVICE.set(core, this.queues)
    const { others } = node
    this.store = {
      node: label,
      version: readVersion(),
      // Rows in a database outlive every node: there are as many copies as nodes that can lose theirs.
      copiesNow: () => {
        const { tablets } = recordManager.record
        return tablets.length === 0 ? 1 + others().length : Math.min(...tablets.map(({ replicas }) => replicas.length))
      },
      nodes: () => [node.name, ...others()],
    }
  }

  protocol(requests: QueueRequests): Protocol {
    const { queues, store } = this
    return createQueueHandler({ ...requests, queues, store })
  }
}
