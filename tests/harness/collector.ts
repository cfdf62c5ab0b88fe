/** A stand-in for an OpenTelemetry collector: keeps the spans that servers send by OTLP over HTTP, as JSON. */
import assert from "node:assert/strict"
import { createServer, type IncomingMessage } from "node:http"
import { setTimeout as later } from "node:timers/promises"
import { z } from "zod"

/** Long, because machines are busy. */
const ARRIVAL_MS = 60_000

/** Names of the spans of requests. */
const REQUESTS: readonly string[] = ["PUT", "GET"]

const SPAN = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  startTimeUnixNano: z.string(),
  endTimeUnixNano: z.string(),
})
const ATTRIBUTE = z.object({ key: z.string(), value: z.object({ stringValue: z.string().optional() }) })
const EXPORT = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(ATTRIBUTE) }),
      scopeSpans: z.array(z.object({ spans: z.array(SPAN) })),
    }),
  ),
})

export type CollectedSpan = z.output<typeof SPAN> & {
  /** The node that has sent it; undefined on one machine. */
  readonly node: string | undefined
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

const spansIn = (text: string): readonly CollectedSpan[] =>
  EXPORT.parse(JSON.parse(text)).resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const node = resource.attributes.find(({ key }) => key === "service.instance.id")?.value.stringValue
    return scopeSpans.flatMap(({ spans }) => spans.map(span => ({ ...span, node })))
  })

export async function spanCollector() {
  const spans: CollectedSpan[] = []
  let wake = (): void => undefined
  const server = createServer((request, response) => {
    void bodyOf(request).then(text => {
      spans.push(...spansIn(text))
      response.writeHead(200, { "content-type": "application/json" }).end("{}")
      wake()
    })
  })
  await new Promise<void>(resolve => void server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(typeof address === "object" && address !== null)
  /** The spans of a trace, once that of the request has arrived, which ends last, and as many nodes have sent some. */
  const traceOf = async (traceId: string, nodes = 1): Promise<readonly CollectedSpan[]> => {
    const deadline = performance.now() + ARRIVAL_MS
    for (;;) {
      if (performance.now() > deadline) throw new Error(`no trace ${traceId} in ${JSON.stringify(spans)}`)
      const found = spans.filter(span => span.traceId === traceId)
      const isWhole = new Set(found.map(({ node }) => node)).size >= nodes
      if (isWhole && found.some(({ name }) => REQUESTS.includes(name))) return found
      await Promise.race([new Promise<void>(resolve => (wake = resolve)), later(1_000)])
    }
  }
  return { spans, traceOf, url: `http://127.0.0.1:${address.port}`, close: () => server.close() }
}

export const traceIdIn = ({
  headers,
}: {
  readonly headers: readonly (readonly [string, string])[]
}): string | undefined => headers.find(([name]) => name.toLowerCase() === "x-hayloft-trace-id")?.[1]
