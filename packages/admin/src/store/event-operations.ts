/** The operations of `/v1/events`: notable events of all nodes. */
import type { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseEventId } from "@hayloft/base/ids.js"
import type { Events } from "../observe/index.js"
import { EVENT, EVENT_PAGE, FOLLOWED_EVENT } from "./event-schemas.js"
import { type OperationInput, PAGE_PARAMETERS, pageSize, timeOf } from "@hayloft/features/operator/index.js"
import { operation, type AdminOperation } from "../operation.js"
import { LineSource } from "../streams.js"

type StoredEvent = Awaited<ReturnType<Events["list"]>>["events"][number]
type Filter = Parameters<Events["list"]>[2]

const LEVELS = ["info", "warn", "error"] as const

/** Throws `invalidArgument`. */
function filterOf({ query }: OperationInput): Filter {
  const text = query.get("level")
  const level = LEVELS.find(each => each === text)
  if (text !== undefined && level === undefined) {
    throw fail("invalidArgument", { message: "level must be info, warn or error" })
  }
  return { code: query.get("code"), node: query.get("node"), level, sinceMs: timeOf(query, "sinceMs") }
}

const FILTERS = [
  { name: "level", description: "the least: info (the default), warn or error" },
  { name: "code", description: "only those with this code" },
  { name: "node", description: "only those of this node" },
] as const

function shown({ node, fields, ...event }: StoredEvent): z.output<typeof EVENT> {
  return { ...event, ...(node !== "" && { node }), fields: EVENT.shape.fields.parse(JSON.parse(fields)) }
}

export const EVENT_OPERATIONS: readonly AdminOperation[] = [
  operation("listEvents", "GET /v1/events", {
    summary:
      "Lists notable events of all nodes, the latest first: what their logs say at warn and above, starts and stops, changes of devices, ends of repair.",
    parameters: [
      ...PAGE_PARAMETERS,
      ...FILTERS,
      { name: "sinceMs", description: "only those that have occurred from this time on" },
    ],
    answer: EVENT_PAGE,
    async run({ events }, input) {
      const { query } = input
      const after = query.get("after")
      const from = after === undefined ? undefined : parseEventId(after)
      const page = await events.list(from, pageSize(query), filterOf(input))
      const { next, incomplete } = page
      return {
        events: page.events.map(shown),
        ...(next !== undefined && { next }),
        ...(incomplete !== undefined && { incomplete }),
      }
    },
  }),
  operation("followEvents", "GET /v1/events/follow", {
    summary: "Streams events of all nodes as they occur, the oldest first. Repeats of an event are not sent.",
    parameters: [...FILTERS, { name: "sinceMs", description: "begins with those since then; now by default" }],
    answer: FOLLOWED_EVENT,
    isStream: true,
    async run({ events, policyFacts }, input) {
      const { sinceMs = policyFacts.nowMs(), ...filter } = filterOf(input)
      return new LineSource(sink =>
        events.watch({ ...filter, sinceMs }, event => sink.push({ type: "event", ...shown(event) })),
      )
    },
  }),
]
