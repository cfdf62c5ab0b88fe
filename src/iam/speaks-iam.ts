/**
 * Which requests are for IAM and STS, on a port that answers other protocols too: those to `/` that are
 * signed for one of them, and unsigned ones that name an action.
 */
import type { Exchange } from "../http/index.js"
import type { IamService } from "./action.js"

const CREDENTIAL = /Credential=[^,]*\/([^/,]*)\/aws4_request/
const QUERY_CREDENTIAL = /[?&]X-Amz-Credential=[^&]*(?:%2F|\/)([^&]*?)(?:%2F|\/)aws4_request/i
const ACTION = /[?&]Action=/

/** The service that a signature is for; undefined where there is none, or it cannot be read. */
export function signedService({ rawTarget, header }: Pick<Exchange, "rawTarget" | "header">): string | undefined {
  return CREDENTIAL.exec(header("authorization") ?? "")?.[1] ?? QUERY_CREDENTIAL.exec(rawTarget)?.[1]
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
