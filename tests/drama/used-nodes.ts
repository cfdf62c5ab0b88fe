/** A store of several nodes, as the clients of a long test use it. */
import { parseUsage } from "../harness/server.js"
import type { TestNodes } from "../harness/nodes.js"
import type { UsedStore } from "./clients.js"

/** Clients use all nodes, any of which may fail; counters are those that the first one reports. */
export const usedNodes = (nodes: TestNodes): UsedStore => ({
  service: { nodes: nodes.all.map(({ rawClient }) => rawClient), mayFail: true },
  usage: async bucket => {
    const admin = await nodes.at(1).admin()
    try {
      return parseUsage(await admin.get(`/v1/buckets/${bucket}`))
    } finally {
      admin.close()
    }
  },
})
