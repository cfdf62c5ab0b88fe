/**
 * Forwarded requests: requests of S3 that arrive at the admin port, from callers that it has recognized. Key holders act as
 * themselves; the operator, and holders of tokens, as root user of the account that owns the bucket, and of the root account
 * where there is no bucket yet.
 *
 * Promises  They are routed, checked, counted and recorded like those of the S3 port. A form is refused: its fields say who
 *           sends it.
 */
import { isStillHolder, type ConsoleHolder } from "@hayloft/access/index.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseBucketName, type AccountId } from "@hayloft/base/ids.js"
import type { Exchange, Protocol } from "../http/index.js"
import type { SignedS3Caller } from "./caller.js"
import { createS3Handler } from "./handler.js"
import { KnownCallers, withPayload } from "./known-callers.js"
import type { S3Settings } from "./parts.js"
import { Addresses } from "./request.js"

export class ForwardedRequests {
  private readonly protocol: Protocol
  private readonly known: KnownCallers
  private readonly addresses = new Addresses(undefined)
  private readonly callers = new WeakMap<Exchange, SignedS3Caller>()

  /** `pathPrefix` is what clients send before the bucket, and no exchange has any more. */
  constructor(
    private readonly settings: Omit<S3Settings, "knownCaller" | "pathPrefix"> & { readonly pathPrefix: string },
    private readonly rootAccount: AccountId,
  ) {
    this.known = new KnownCallers(settings)
    const knownCaller = (exchange: Exchange): SignedS3Caller => {
      const caller = this.callers.get(exchange)
      if (caller === undefined) throw fail("internal", { reason: "nobody has forwarded this request" })
      return withPayload(caller, exchange.headers)
    }
    this.protocol = createS3Handler({ ...settings, knownCaller })
  }

  stop(): void {
    this.protocol.stop?.()
  }

  /**
   * Answers through the exchange, or throws what its server answers. `again` finds out once more who sends the request, or throws as
   * the first time.
   */
  async handle(exchange: Exchange, holder: ConsoleHolder, again: () => Promise<ConsoleHolder>): Promise<void> {
    const caller = await this.callerOf(exchange, holder)
    this.callers.set(exchange, { ...caller, isStillAllowed: () => isStillHolder(holder, again) })
    await this.protocol.handle(exchange)
  }

  private async callerOf(exchange: Exchange, holder: ConsoleHolder): Promise<SignedS3Caller> {
    if (holder.kind === "principal") return this.known.ofKey(holder.key)
    const caller = await this.known.rootOf(await this.ownerOf(exchange))
    if (caller === undefined) throw fail("accessDenied", { message: "the account of the bucket does not exist" })
    const { id, name } = holder.kind === "token" ? holder.token : { id: "", name: "" }
    return { ...caller, insteadOfKey: { kind: holder.kind, id, name } }
  }

  private async ownerOf(exchange: Exchange): Promise<AccountId> {
    try {
      const { bucket } = this.addresses.targetOf(exchange)
      if (bucket === undefined) return this.rootAccount
      return (await this.settings.services.buckets.openConfirmed(parseBucketName(bucket))).owner
    } catch (error) {
      // The operation answers that, or makes the bucket.
      if (isFailure(error, "noSuchBucket", "invalidBucketName", "invalidUri")) return this.rootAccount
      throw error
    }
  }
}
