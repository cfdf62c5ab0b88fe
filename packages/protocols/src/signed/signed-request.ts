/** A request of a signed protocol and everything known about it so far, for the frame and for those who watch requests. */
import type { Denials, KnownAccessKey } from "@hayloft/access/index.js"
import { claimedKey } from "@hayloft/access/index.js"
import type { Failure } from "@hayloft/base/failures.js"
import type { Exchange, RequestSubject } from "../http/index.js"
import type { Asking, ErrorShown, FailedRequest, Route } from "./contract.js"

export class SignedRequest<R extends Route> implements Asking<R>, FailedRequest<R>, RequestSubject {
  route: R | undefined
  key: KnownAccessKey | undefined
  isKnown = false
  failure: Failure | undefined
  /** Its bucket, once the sender was let in. */
  admitted: { readonly name: string; readonly owner: string } | undefined

  constructor(
    readonly exchange: Exchange,
    readonly service: string,
    readonly nowMs: number,
    readonly admit: (key: KnownAccessKey) => Promise<void>,
  ) {
    exchange.about(this)
  }

  get requestId(): string {
    return this.exchange.requestId
  }

  get rawTarget(): string {
    return this.exchange.rawTarget
  }

  get accountId(): string | undefined {
    return this.key?.account.id
  }

  get bucketName(): string | undefined {
    return this.route?.bucket
  }

  get admittedTo(): string | undefined {
    return this.admitted?.name
  }

  get bucketOwner(): string | undefined {
    return this.admitted?.owner
  }

  get requester(): string | undefined {
    const principal = this.key?.principal
    if (principal?.kind === "user") return principal.arn
    return principal?.kind === "session" ? principal.sessionArn : this.accountId
  }

  /** Returns the entry of this request for the list of denials. */
  denied({ status, code }: ErrorShown): Parameters<Denials["note"]>[0] {
    const { exchange, service, key, nowMs, route } = this
    const { requestId, remoteAddress } = exchange
    const operation = route?.operation ?? ""
    return {
      requestId,
      deniedMs: nowMs,
      service,
      operation,
      status,
      code,
      remoteAddress,
      accessKeyId: key?.id ?? claimedKey(exchange.header("authorization"), exchange.rawTarget),
      principal: key?.principal,
      action: operation && `${service}:${operation}`,
      resource: undefined,
    }
  }
}
