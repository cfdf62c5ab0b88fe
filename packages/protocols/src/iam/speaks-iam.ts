/**
 * Recognizes requests for IAM and STS on a port that serves other protocols too: requests to `/` that are signed for
 * one of them, and unsigned ones that name an action.
 */
import type { Exchange } from "../http/index.js"
import type { IamService } from "./action.js"

const ACTION = /[?&]Action=/

/** The text between a mark and the next separator; undefined if the mark is missing. */
function textAfter(text: string, mark: string, separator: string): string | undefined {
  const at = text.indexOf(mark)
  if (at < 0) return undefined
  const end = text.indexOf(separator, at)
  return text.slice(at + mark.length, end < 0 ? undefined : end).trim()
}

/** The service that a signature is for; undefined if there is none, or it cannot be parsed. */
export function signedService({ rawTarget, header }: Pick<Exchange, "rawTarget" | "header">): string | undefined {
  const credential =
    textAfter(header("authorization") ?? "", "Credential=", ",") ??
    textAfter(rawTarget, "X-Amz-Credential=", "&")?.replace(/%2F/gi, "/")
  const [service, ending] = credential?.split("/").slice(-2) ?? []
  return ending === "aws4_request" ? service : undefined
}

export const isIamService = (service: string | undefined): service is IamService =>
  service === "iam" || service === "sts"

export function speaksIam(exchange: Pick<Exchange, "method" | "rawTarget" | "header">): boolean {
  const { method, rawTarget } = exchange
  if (rawTarget !== "/" && !rawTarget.startsWith("/?")) return false
  if (method !== "POST" && method !== "GET") return false
  const service = signedService({ rawTarget, header: name => exchange.header(name) })
  if (service !== undefined) return isIamService(service)
  if (exchange.header("authorization") !== undefined) return false
  if (ACTION.test(rawTarget)) return true
  const type = exchange.header("content-type") ?? ""
  return method === "POST" && rawTarget === "/" && type.startsWith("application/x-www-form-urlencoded")
}
