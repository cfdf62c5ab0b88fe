/**
 * Filters: modules of the operator that see each request of S3 and of Swift before their protocols do, in the order in which
 * they are configured.
 *
 * Promises  A filter passes a request on, changed or not, or answers it. What it passes on is decided as any request: a filter
 *           cannot sign in for its client. A request that no filter touches costs nothing but the calls.
 */
import type { Soon } from "@hayloft/base/soon.js"
import { ChangedExchange } from "./changed-exchange.js"
import type { Exchange, Protocol } from "./contract.js"

/** The ports whose requests are filtered. */
export type FilteredPort = "s3" | "swift"

export interface Filter {
  /** In messages. */
  readonly name: string
  /** It is undefined for all ports that are filtered. */
  readonly ports?: readonly FilteredPort[]
  /** Calls `next` with the exchange or a changed one, and returns what it returns; or answers by `exchange.respond`. */
  readonly handle: (exchange: Exchange, next: (exchange: Exchange) => Soon<void>) => Soon<void>
}

/** The tools that filters work with, passed to them: they import nothing of the server. */
interface FilterTools {
  /** The same exchange, with more headers in its answer: name, value, name, value … */
  withHeaders(exchange: Exchange, headers: readonly string[]): Exchange
}

export const FILTER_TOOLS: FilterTools = {
  withHeaders: (exchange, more) =>
    new ChangedExchange(exchange, { rawTarget: exchange.rawTarget, headers: exchange.headers, more }),
}

/** The protocol behind the filters of its port. */
export function filtered(protocol: Protocol, port: FilteredPort, filters: readonly Filter[]): Protocol {
  const own = filters.filter(({ ports }) => ports === undefined || ports.includes(port))
  if (own.length === 0) return protocol
  const handle = own.reduceRight<(exchange: Exchange) => Soon<void>>(
    (next, filter) => exchange => filter.handle(exchange, next),
    exchange => protocol.handle(exchange),
  )
  return {
    handle,
    accountOf: head => protocol.accountOf?.(head),
    refuse: refusal => protocol.refuse(refusal),
    stop: () => protocol.stop?.(),
  }
}
