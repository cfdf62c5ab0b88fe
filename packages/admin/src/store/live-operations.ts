/** The operations of `/v1` on what happens now: live requests and traffic of all nodes. */
import { fail } from "@hayloft/base/failures.js"
import type { OperationInput } from "@hayloft/features/operator/index.js"
import { TRAFFIC_WINDOWS, type RequestFilter } from "@hayloft/engine/format/nodes/live-report.js"
import { TRACE_LINE, TRAFFIC } from "./live-schemas.js"
import { operation, type AdminOperation } from "../operation.js"
import { LineSource } from "../streams.js"

/** Throws `invalidArgument`. */
function filterOf({ query }: OperationInput): RequestFilter {
  const statusText = query.get("status")
  const status = /^(\d{1,3})x*$/i.exec(statusText ?? "")?.[1]
  if (statusText !== undefined && status === undefined) {
    throw fail("invalidArgument", { message: "status must be like 404 or 4xx" })
  }
  const minText = query.get("minMs")
  const minMs = minText === undefined ? undefined : Number(minText)
  if (minMs !== undefined && !(minMs >= 0)) throw fail("invalidArgument", { message: "minMs must be a number" })
  const errors = query.get("errors")
  if (errors !== undefined && errors !== "true" && errors !== "false") {
    throw fail("invalidArgument", { message: "errors must be true or false" })
  }
  const names = ["server", "operation", "bucket", "prefix", "account", "address"] as const
  const texts = Object.fromEntries(names.map(name => [name, query.get(name)]))
  return { ...texts, status, minMs, errorsOnly: errors === "true" }
}

const NODE = { name: "node", description: "only of this node; all by default" } as const

export const LIVE_OPERATIONS: readonly AdminOperation[] = [
  operation("traceRequests", "GET /v1/trace", {
    summary: "Streams the requests of all nodes, of all their ports, as they end.",
    parameters: [
      NODE,
      { name: "server", description: "only those of this port: s3, admin, websites, swift" },
      { name: "operation", description: "GetObject, iam:CreateUser …, without regard to case" },
      { name: "bucket", description: "its name" },
      { name: "prefix", description: "of the key" },
      { name: "status", description: "404, or 4xx" },
      { name: "minMs", description: "only those that took at least so many milliseconds" },
      { name: "account", description: "id of the account, or of an access key" },
      { name: "address", description: "of the client" },
      { name: "errors", description: "`true`: only those that were answered with an error, or not at all" },
    ],
    answer: TRACE_LINE,
    isStream: true,
    async run({ live }, input) {
      return new LineSource(live.trace(filterOf(input), input.query.get("node")))
    },
  }),
  operation("getTraffic", "GET /v1/traffic", {
    summary:
      "Returns requests, errors, durations and bytes of all nodes, by bucket, account, operation, code of errors, and node.",
    parameters: [
      { name: "window", description: "minute (the default), hour, day or week: the time before now that is covered" },
      NODE,
    ],
    answer: TRAFFIC,
    async run({ live }, { query }) {
      const window = query.get("window") ?? "minute"
      const known = TRAFFIC_WINDOWS.find(each => each === window)
      if (known === undefined) {
        throw fail("invalidArgument", { message: `window must be one of ${TRAFFIC_WINDOWS.join(", ")}` })
      }
      return live.traffic(known, query.get("node"))
    },
  }),
]
