/**
 * Tracing: spans go to a collector by the SDK of OpenTelemetry, which is loaded only if there is one.
 *
 * Promises  A request that is traced waits for no collector: spans wait in a queue, in batches. Spans that do not fit are
 *           dropped. `close` sends those that wait.
 * Limits    `TRACING_LIMITS`.
 */
import type { Span as SdkSpan } from "@opentelemetry/api"
import { hexOf } from "@hayloft/base/bytes.js"
import { asFailure, fail } from "@hayloft/base/failures.js"
import { TRACE_CONTEXT_BYTES, type Span, type SpanFacts, type Tracer } from "@hayloft/base/trace.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

const TRACING_LIMITS = {
  maxQueueSize: 4_096,
  maxExportBatchSize: 512,
  scheduledDelayMillis: 1_000,
  exportTimeoutMillis: 10_000,
} as const

/** `traceparent`, version 00 (W3C Trace Context, 3.2). */
const TRACE_PARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/
const SAMPLED = 1
const TRACE_ID_BYTES = 16

interface Tracing {
  readonly tracer: Tracer
  close(): Promise<void>
}

interface TracingSettings {
  readonly endpoint: string
  readonly oneIn: number
  readonly version: string
  /** The node is undefined on one machine. */
  readonly node: string | undefined
}

/** Throws `invalidConfig` if the packages are not installed. */
async function packages() {
  try {
    const [api, sdk, exporter, resources] = await Promise.all([
      import("@opentelemetry/api"),
      import("@opentelemetry/sdk-trace-base"),
      import("@opentelemetry/exporter-trace-otlp-http"),
      import("@opentelemetry/resources"),
    ])
    return { api, sdk, exporter, resources }
  } catch (error) {
    const message =
      "--trace-endpoint needs the optional packages of OpenTelemetry, which are not installed: npm install without --omit=optional"
    throw fail("invalidConfig", { message }, error)
  }
}

export async function openTracing(settings: TracingSettings, random: Random): Promise<Tracing> {
  const { api, sdk, exporter, resources } = await packages()
  const { endpoint, oneIn, version, node } = settings
  const exporting = new exporter.OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, "")}/v1/traces` })
  const provider = new sdk.BasicTracerProvider({
    resource: resources.resourceFromAttributes({
      "service.name": "hayloft",
      "service.version": version,
      ...(node !== undefined && { "service.instance.id": node }),
    }),
    sampler: new sdk.AlwaysOnSampler(),
    spanProcessors: [new sdk.BatchSpanProcessor(exporting, TRACING_LIMITS)],
  })
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, createTraceState } = api
  const own = provider.getTracer("hayloft", version)
  const isSampled = (): boolean => random.below(oneIn) === 0

  const wrap = (span: SdkSpan): Span => ({
    traceId: span.spanContext().traceId,
    get context() {
      const { traceId, spanId, traceFlags } = span.spanContext()
      return Buffer.concat([Buffer.from(traceId + spanId, "hex"), Buffer.from([traceFlags])])
    },
    begin(name: string, facts: SpanFacts = {}) {
      const attributes = shown(facts)
      return wrap(own.startSpan(name, { attributes, kind: SpanKind.INTERNAL }, trace.setSpan(ROOT_CONTEXT, span)))
    },
    end({ facts, error } = {}) {
      if (facts !== undefined) span.setAttributes(shown(facts))
      if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: textOf(error).slice(0, 500) })
      span.end()
    },
  })
  const beginBelow = (
    name: string,
    parent: { readonly traceId: string; readonly spanId: string; readonly traceState?: string | undefined } | undefined,
  ): Span => {
    if (parent === undefined) return wrap(own.startSpan(name, { kind: SpanKind.SERVER }, ROOT_CONTEXT))
    const { traceId, spanId, traceState } = parent
    const context = trace.setSpanContext(ROOT_CONTEXT, {
      traceId,
      spanId,
      traceFlags: SAMPLED,
      isRemote: true,
      ...(traceState !== undefined && { traceState: createTraceState(traceState) }),
    })
    return wrap(own.startSpan(name, { kind: SpanKind.SERVER }, context))
  }
  const tracer: Tracer = {
    beginRequest(name, { traceParent, traceState, isForced }) {
      const [, traceId, spanId, flags = "00"] = TRACE_PARENT.exec(traceParent ?? "") ?? []
      if (traceId === undefined || spanId === undefined)
        return isForced || isSampled() ? beginBelow(name, undefined) : undefined
      const isTraced = isForced || (Number.parseInt(flags, 16) & SAMPLED) === SAMPLED
      return isTraced ? beginBelow(name, { traceId, spanId, traceState }) : undefined
    },
    beginCall(name, context) {
      if (context.length !== TRACE_CONTEXT_BYTES) return undefined
      const traceId = hexOf(context.subarray(0, TRACE_ID_BYTES))
      const spanId = hexOf(context.subarray(TRACE_ID_BYTES, TRACE_CONTEXT_BYTES - 1))
      return beginBelow(name, { traceId, spanId })
    },
  }
  return { tracer, close: () => provider.shutdown().catch(() => undefined) }
}

const textOf = (error: unknown): string => (typeof error === "string" ? error : asFailure(error).message)

const shown = (facts: SpanFacts): Record<string, string | number | boolean> =>
  Object.fromEntries(Object.entries(facts).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
