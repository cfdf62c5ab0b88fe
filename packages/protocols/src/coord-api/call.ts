/** A request by a caller who is known, as the operations see it. */
import type { AccountId } from "@hayloft/base/ids.js"
import type { Coordination } from "@hayloft/features/locks/index.js"
import type { Exchange } from "../http/index.js"
import type { Until } from "@hayloft/base/life/index.js"
import type { CoordAction } from "./actions.js"

interface CoordCaller {
  readonly account: AccountId
  /** The name by which a session records who began it. */
  readonly principal: string
  /** It may use sessions of others. */
  readonly isOperator: boolean
}

export interface CoordCall {
  readonly coordination: Coordination
  readonly until: Until
  readonly caller: CoordCaller
  readonly exchange: Exchange
  readonly body: Uint8Array
  /** Throws `accessDenied` unless the caller may do this with the path or prefix; without one: with all. */
  readonly require: (action: CoordAction, path?: string) => void
}

/** The principal whose sessions the request may use; undefined: those of all. */
export const principalOf = ({ caller }: Pick<CoordCall, "caller">): string | undefined =>
  caller.isOperator ? undefined : caller.principal
