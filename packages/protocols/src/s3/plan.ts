/**
 * Results that follow from a request's operation and the names of its headers, computed once for each set of names:
 * clients send the same names repeatedly.
 *
 * Promises  A cached plan equals a newly computed one for the same names.
 * Limits    Plans are dropped with their shape and their operation, and the HTTP server caches few shapes.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Headers, HeaderShape, RequestHeaders } from "@hayloft/base/http/request-headers.js"
import { RememberedByObject } from "@hayloft/base/remembered.js"
import { checkHeader, headerRow } from "./headers.js"
import type { S3Operation } from "./operations.js"
import type { ActionName } from "./rights/actions.js"
import { actionsOf, givesAcl, actionsOfNames } from "./rights/required-actions-core.js"
import type { S3RequiredAction } from "./rights/required-actions-core.js"

const COPY_SOURCE = "x-amz-copy-source"

export class RequestPlan {
  /** The headers request an access control list. */
  readonly givesAcl: boolean
  /** The headers name the source of a copy. */
  private readonly statesSource: boolean
  /** Names of the headers whose values the table restricts. */
  private readonly restricted: readonly string[]
  private readonly requiredActions: readonly S3RequiredAction[]
  /** The required actions if they follow from names alone: without and with a version. */
  private readonly actions: readonly [plain: readonly ActionName[], ofVersion: readonly ActionName[]] | undefined

  constructor({ requiredActions }: Pick<S3Operation, "requiredActions">, shape: HeaderShape) {
    const names = new Map(shape.uniqueNames.map(name => [name, ""]))
    this.givesAcl = givesAcl(names)
    this.statesSource = names.has(COPY_SOURCE)
    this.restricted = shape.uniqueNames.filter(isRestricted)
    this.requiredActions = typeof requiredActions === "string" ? [] : actionsOfNames(requiredActions, names)
    const followFromNames = this.requiredActions.every(({ appliesTo }) => appliesTo === undefined)
    this.actions = followFromNames
      ? [actionsOf(this.requiredActions, names, false), actionsOf(this.requiredActions, names, true)]
      : undefined
  }

  /** Throws the table's failure for the first header that requests something unsupported, and as `checkSource`. */
  checkHeaders(method: string, headers: Headers): void {
    for (const name of this.restricted) checkHeader(name, headers.get(name) ?? "")
    this.checkSource(method, headers)
  }

  /** Throws `invalidArgument` for the source of a copy if the method is not PUT, the same as Amazon. */
  private checkSource(method: string, headers: Headers): void {
    if (!this.statesSource || method === "PUT") return
    throw fail("invalidArgument", {
      message: "You can only specify a copy source header for copy requests.",
      argumentName: COPY_SOURCE,
      argumentValue: headers.get(COPY_SOURCE)?.slice(0, 80),
    })
  }

  /** All required actions of the request. */
  actionsOf(headers: Headers, namesVersion: boolean): readonly ActionName[] {
    return this.actions?.[namesVersion ? 1 : 0] ?? actionsOf(this.requiredActions, headers, namesVersion)
  }
}

function isRestricted(name: string): boolean {
  const answer = headerRow(name)?.answer
  return answer?.kind === "values" || answer?.kind === "refused"
}

export class RequestPlans {
  /** By the list of required actions, which operations share that another protocol makes for one request. */
  private readonly known = new WeakMap<object, RememberedByObject<HeaderShape, RequestPlan>>()

  of(operation: S3Operation, { shape }: RequestHeaders): RequestPlan {
    const { requiredActions } = operation
    const key = typeof requiredActions === "string" ? operation : requiredActions
    let plans = this.known.get(key)
    if (plans === undefined) {
      plans = new RememberedByObject(made => new RequestPlan({ requiredActions }, made))
      this.known.set(key, plans)
    }
    return plans.of(shape)
  }
}
