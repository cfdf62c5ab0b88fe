/**
 * Serves the calls of other nodes on one port.
 *
 * Promises  Methods are registered before it listens. While it stops, calls in progress may finish for `stopMs`, and
 *           new ones are answered `stopping`.
 * Limits    `connectionsMax` connections; a further one is reset.
 */
import type { Tracer } from "@hayloft/base/trace.js"
import { assert } from "@hayloft/base/assert.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Connection, Listener, Net, NetAddress } from "@hayloft/base/seams/net/contract.js"
import type { Handler, RpcMethod, OwnHello, PeerIdentity } from "./contract.js"
import type { RpcLimits } from "./limits.js"
import type { RpcMetrics } from "./metrics.js"
import { servedMethod, ServerLink, type ServedMethod } from "./server-link.js"

interface ServerSeams {
  readonly net: Net
  readonly clock: Clock
  readonly metrics: RpcMetrics
  readonly tracer?: Tracer | undefined
}

interface ServerPlan {
  readonly own: OwnHello
  readonly limits: RpcLimits
  /**
   * Checks that the peer may call: by default every node of the store may. The network has admitted its certificate
   * before.
   */
  readonly admit?: (peer: PeerIdentity) => Failure | undefined
}

export class RpcServer {
  private readonly methods = new Map<number, ServedMethod>()
  private readonly links = new Map<ServerLink, PeerIdentity | undefined>()
  private readonly resting = new Set<() => void>()
  private listener: Listener | undefined
  private isStopping = false

  constructor(
    private readonly seams: ServerSeams,
    private readonly plan: ServerPlan,
  ) {
    const { metrics } = seams.metrics.telemetry
    metrics.gauge("hayloft_rpc_connections", "Open connections of other nodes", () => [[{}, this.links.size]])
  }

  handle<Request, Response>(method: RpcMethod<Request, Response>, handler: Handler<Request, Response>): void {
    assert(!this.methods.has(method.number), `method ${method.number} is registered once`)
    assert(this.listener === undefined, "methods are registered before the server listens")
    this.methods.set(method.number, servedMethod(method, handler))
  }

  /** Throws `invalidConfig`. Returns the address, with the port that was chosen. */
  async listen(at: NetAddress): Promise<NetAddress> {
    this.listener = await this.seams.net.listen(at, connection => this.accept(connection))
    return this.listener.address
  }

  async close(): Promise<void> {
    const { clock } = this.seams
    this.isStopping = true
    await this.listener?.close()
    const end = new AbortController()
    const rest = (): void => {
      if ([...this.links.keys()].every(link => link.runningCalls === 0)) end.abort()
    }
    this.resting.add(rest)
    rest()
    await clock.sleep(this.plan.limits.stopMs, end.signal)
    this.resting.delete(rest)
    for (const link of [...this.links.keys()]) link.close(fail("stopping"))
  }

  private accept(connection: Connection): void {
    const { clock, metrics, tracer } = this.seams
    const { own, limits, admit } = this.plan
    if (this.isStopping || this.links.size >= limits.connectionsMax) {
      connection.reset()
      return
    }
    const isStopping = (): boolean => this.isStopping
    const link: ServerLink = new ServerLink(
      connection,
      { clock, limits, own, metrics, tracer },
      {
        get isStopping() {
          return isStopping()
        },
        welcome: peer => {
          const refusal = admit?.(peer)
          if (refusal === undefined) this.links.set(link, peer)
          return refusal
        },
        methodOf: number => this.methods.get(number),
        callOver: () => this.resting.forEach(rest => rest()),
        lost: () => {
          this.links.delete(link)
          this.resting.forEach(rest => rest())
        },
      },
    )
    this.links.set(link, undefined)
  }
}
