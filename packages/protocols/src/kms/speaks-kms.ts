/** Recognizes requests for KMS on a port that serves other protocols too, by the header that names their operation. */
import type { Exchange } from "../http/index.js"

const TARGET = /^TrentService\.(\w{1,100})$/

export function speaksKms(exchange: Pick<Exchange, "method" | "rawTarget" | "header">): boolean {
  return exchange.rawTarget === "/" && exchange.header("x-amz-target")?.startsWith("TrentService.") === true
}

/** The operation's name; undefined if it cannot be one. */
export const operationOf = (exchange: Pick<Exchange, "header">): string | undefined =>
  TARGET.exec(exchange.header("x-amz-target") ?? "")?.[1]
