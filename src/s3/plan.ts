/**
 * What follows from the names of a request's headers and its operation: worked out once for each set of names, since
 * clients send the same names again and again.
 *
 * Promises  A plan is what the same names would give if they were looked at anew.
 * Limits    Plans are forgotten with their shape, and the HTTP server remembers few shapes.
 */
import type { Headers, HeaderShape, RequestHeaders } from "../base/request-headers.js"
import { ByShape } from "./by-shape.js"
import { checkHeader, headerRow } from "./headers.js"
import type { Operation } from "./operations.js"
import type { ActionName } from "./rights/actions.js"
import { actionsOf, givesAcl, actionsOfNames } from "./rights/required-actions-core.js"
import type { RequiredAction } from "./rights/required-actions-core.js"

export class RequestPlan {
  /** Whether headers ask for an access control list. */
  readonly givesAcl: boolean
  /** Names of the headers whose values the table of headers restricts. */
  private readonly restricted: readonly string[]
  private readonly requiredActions: readonly RequiredAction[]
  /** The actions where they follow from names alone: without and with a version. */
  private readonly actions: readonly [plain: readonly ActionName[], ofVersion: readonly ActionName[]] | undefined

  constructor({ requiredActions }: Pick<Operation, "requiredActions">, shape: HeaderShape) {
    const names = new Map(shape.uniqueNames.map(name => [name, ""]))
    this.givesAcl = givesAcl(names)
    this.restricted = shape.uniqueNames.filter(isRestricted)
    this.requiredActions = requiredActions === "eachKey" ? [] : actionsOfNames(requiredActions, names)
    const followFromNames = this.requiredActions.every(({ appliesTo }) => appliesTo === undefined)
    this.actions = followFromNames
      ? [actionsOf(this.requiredActions, names, false), actionsOf(this.requiredActions, names, true)]
      : undefined
  }

  /** Throws what the table says of the first header that asks for what is not done. */
  checkHeaders(headers: Headers): void {
    for (const name of this.restricted) checkHeader(name, headers.get(name) ?? "")
  }

  /** All that the request needs to be allowed. */
  actionsOf(headers: Headers, namesVersion: boolean): readonly ActionName[] {
    return this.actions?.[namesVersion ? 1 : 0] ?? actionsOf(this.requiredActions, headers, namesVersion)
  }
}

function isRestricted(name: string): boolean {
  const answer = headerRow(name)?.answer
  return answer?.kind === "values" || answer?.kind === "refused"
}

export class RequestPlans {
  private readonly byOperation = new Map<Operation, ByShape<RequestPlan>>()

  of(operation: Operation, { shape }: RequestHeaders): RequestPlan {
    let plans = this.byOperation.get(operation)
    if (plans === undefined) {
      plans = new ByShape(made => new RequestPlan(operation, made))
      this.byOperation.set(operation, plans)
    }
    return plans.of(shape)
  }
}
