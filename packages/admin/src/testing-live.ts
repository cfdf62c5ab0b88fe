/** Live requests and traffic of a store of two nodes, of which the other does not run; for tests. */
import { fail } from "@hayloft/base/failures.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { LiveRequests, StoreLive, Traffic } from "./observe/index.js"
import type { SimClock } from "@hayloft/base/seams/clock/sim.js"

const OFF = fail("peerUnreachable", { message: "it does not run" })
const NODES = {
  own: "node-1",
  others: ["node-2"],
  traffic: () => Promise.reject(OFF),
  trace: () => Promise.reject(OFF),
  disks: () => Promise.reject(OFF),
}
const DISKS = { read: async () => [{ device: parseDeviceId("00000000000000a1"), atMs: 1, failedCalls: 0 }] }

/** `requests` takes what the node serves. */
export function liveOfTwoNodes(clock: SimClock): { readonly requests: LiveRequests; readonly live: StoreLive } {
  const traffic = new Traffic(clock)
  const requests = new LiveRequests(clock, traffic)
  return { requests, live: new StoreLive(clock, { requests, traffic, disks: DISKS }, NODES) }
}
